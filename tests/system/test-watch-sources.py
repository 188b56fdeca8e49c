#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# builds: build build-debug
# parallel-safe
# timeout: 120
"""yankctl watch: sources of domains that come late, and folders in which not
every socket is a monitor."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon
from sandbox import wait_for
from suite import Skip, run, slowness, test
from watch import Watch, yankctl
from yankctl import FakeServer, hold

RESCAN = ('--rescan', '0.1')


def lists(watch):
    """The domains of the service; {name: whether it is connected}."""
    with watch.connect() as control:
        return {d['name']: d['connected']
                for d in control.call(op='list')['domains']}


def wait_output(watch, text):
    wait_for(text, lambda: text in watch.process.output())


def move_monitor(server, path):
    """Moves the socket of @server's monitor to @path until it is moved back."""
    os.rename(server.qmp_path, path)


@test('sources that come late, beside one that is there')
def _(box):
    folder, config = box.path('vms'), box.path('domains.conf')
    with Daemon(box, 'yankd') as one, Daemon(box, 'yankd') as two:
        watch = Watch(box, '-d', folder, '-c', config,
                      '-l', 'qemu+unix:///system?socket=/nowhere',
                      '-s', f'one={one.qmp_path}', *RESCAN,
                      env={'ASAN_OPTIONS': 'detect_leaks=0'})
        for name in (folder, config):
            wait_output(watch, f"waiting for the domains of '{name}'")
        watch.wait_connected(1)
        os.mkdir(folder)
        move_monitor(two, f'{folder}/two.qmp')
        box.write('domains.conf', '[three]\nmonitor = /nowhere\n')
        wait_for('all', lambda: lists(watch) == {
            'one': True, 'two': True, 'three': False})
        assert watch.process.output().count('waiting for the domains') <= 3
        # When the source is gone again, its domains are kept.
        os.rename(folder, f'{folder}.gone')
        os.unlink(config)
        for name in (folder, config):
            wait_for(name, lambda: watch.process.output().count(
                f"waiting for the domains of '{name}'") == 2)
        assert lists(watch) == {'one': True, 'two': True, 'three': False}
        os.rename(f'{folder}.gone', folder)
        os.rename(f'{folder}/two.qmp', two.qmp_path)
        wait_for('gone', lambda: 'two' not in lists(watch))
        watch.finish()


@test('one source that is wrong does not hide what another has')
def _(box):
    folder = box.path('vms')
    os.mkdir(folder)
    config = box.write('domains.conf', '[one]\nmonitor = /one\n')
    watch = Watch(box, '-d', folder, '-c', config, '-s', 'two=/two', *RESCAN)
    box.write('domains.conf', '[two]\nmonitor = /2\n[one]\nmonitor = /one\n')
    wait_output(watch, "two domains are called 'two'")
    with Daemon(box, 'yankd') as server:
        os.link(server.qmp_path, f'{folder}/three.qmp')
        watch.wait_connected(1)
        box.write('domains.conf', '[two\n')
        wait_output(watch, 'Key file')
        assert sorted(lists(watch)) == ['one', 'three', 'two']
        watch.finish()


@test('libvirt that does not answer is asked by one connection')
def _(box):
    folder = box.path('vms')
    os.mkdir(folder)
    libvirtd = FakeServer(box, hold)
    watch = Watch(box, '-l', f'qemu+unix:///system?socket={libvirtd.path}',
                  '-d', folder, *RESCAN, wait=False,
                  env={'ASAN_OPTIONS': 'detect_leaks=0'})
    wait_for('the service', lambda: os.path.exists(watch.control) and
             'waiting for' in watch.process.output() or
             watch.process.poll() is not None, 30 * slowness())
    if 'without libvirt' in watch.process.output():
        raise Skip('built without libvirt')
    for name in ('a', 'b', 'c'):        # each by another look
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(f'{folder}/{name}')
        wait_for(name, lambda: name in lists(watch))
    assert len(libvirtd.clients) == 1
    watch.finish()


@test('the usual configuration file is a source, also when it is gone')
def _(box):
    os.makedirs(box.path('config/yankctl'))
    config = box.write('config/yankctl/domains.conf', '[a]\nmonitor = /a\n')
    watch = Watch(box, *RESCAN, env={'XDG_CONFIG_HOME': box.path('config')})
    os.unlink(config)
    wait_output(watch, f"waiting for the domains of '{config}'")
    assert lists(watch) == {'a': False}
    watch.finish()


@test('no source, and sources that are wrong')
def _(box):
    wrong = box.write('domains.conf', '[a]\n')
    for options, word in (([], '--dir'), (['-c', wrong], 'monitor'),
                          (['-d', wrong], wrong), (['-s', 'a'], 'NAME=PATH')):
        done = box.run(
            [yankctl(), 'watch', '--control', box.path('control'), *options],
            check=False, env=dict(os.environ, XDG_CONFIG_HOME=box.dir))
        assert done.returncode == 2 and word in done.stderr, done


@test('sockets that are no monitors are asked once, until others replace them')
def _(box):
    folder = box.path('vms')
    os.mkdir(folder)
    talks = FakeServer(box, lambda sock: sock.sendall(b'RFB 003.008\n'))
    silent = FakeServer(box, hold)
    console = FakeServer(box, hold)
    ends = FakeServer(box, lambda sock: sock.shutdown(socket.SHUT_RDWR))
    os.rename(talks.path, f'{folder}/talks.sock')
    os.rename(silent.path, f'{folder}/silent')
    os.rename(ends.path, f'{folder}/ends.monitor')
    for name in ('a.serial0', 'a.vnc', 'a.qga'):
        os.link(console.path, f'{folder}/{name}')
    watch = Watch(box, '-d', folder, *RESCAN)
    for name in ('talks', 'silent', 'ends'):
        wait_for(name, lambda: any(
            f"'{name}': " in line and 'not asked again' in line
            for line in watch.process.output().splitlines()))
    assert lists(watch) == {'talks': False, 'silent': False, 'ends': False}
    # The verbs ask the service, not the sockets.
    watch.run('-d', folder, 'list')
    with Daemon(box, 'yankd') as server:
        os.rename(server.qmp_path, f'{folder}/silent')
        watch.wait_connected(1)
        os.rename(f'{folder}/silent', server.qmp_path)
        watch.finish()
    assert len(talks.clients) == len(silent.clients) == 1
    assert len(ends.clients) == 1
    assert not console.clients


@test('monitors that serve other clients are held once those have left',
      needs=['qemu-system-x86_64'])
def _(box):
    folder = box.path('vms')
    os.mkdir(folder)
    console = f'{folder}/con.qmp'
    with Daemon(box, 'qemu', monitors=2, options=[
            '-chardev', f'socket,id=con,path={console},server=on,wait=off',
            '-serial', 'chardev:con']) as server:
        others = [server.qmp(i) for i in range(2)]
        names = ['vm.qmp', os.path.basename(server.sockets[1])]
        for path, name in zip(server.sockets, names):
            os.link(path, f'{folder}/{name}')
        watch = Watch(box, '-d', folder, *RESCAN)
        # The console is a stray, whatever it is called.
        wait_output(watch, 'not asked again')
        for name in names:
            wait_output(watch, f'{name}: no greeting')
        for other in others:
            other.close()
        watch.wait_connected(2)
        assert watch.process.output().count('not asked again') == 1
        watch.finish()


@test('the monitors of a manager are not held unless they are named')
def _(box):
    folder = box.path('qemu-server')
    os.mkdir(folder)
    with Daemon(box, 'yankd') as server:
        path = f'{folder}/100.qmp'
        move_monitor(server, path)
        watch = Watch(box, '-d', folder, *RESCAN)
        wait_output(watch, 'its manager has no other monitor')
        assert lists(watch) == {}
        done = watch.run('-d', folder, 'status', '100')
        assert done.returncode == 0, done
        watch.finish()
        named = Watch(box, '-d', folder, '-s', f'hundred={path}')
        wait_for('it', lambda: lists(named) == {'hundred': True})
        named.finish()
        os.rename(path, server.qmp_path)


run()
