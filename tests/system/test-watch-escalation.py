#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# builds: build build-debug
# timeout: 200
"""What yankctl watch does when the first yank was not enough."""

import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import daemon
from hang import FifoHang, waits_in_open
from sandbox import state, wait_for
from servers import Nbdkit
from suite import Skip, run, test
from watch import READ, Hang, Watch


def rule(**keys):
    """A policy of one rule for all."""
    lines = ['interval: 0.1', 'rules:', '  - domains: "*"',
             '    action: yank']
    lines += [f'    {key.replace("_", "-")}: {value}'
              for key, value in dict(threshold=0.3, verify=0.3,
                                     **keys).items()]
    return '\n'.join(lines) + '\n'


def need_qemu():
    if daemon.program('qemu') is None:
        raise Skip('qemu-system-x86_64 is not installed')


def actions(line):
    return [(d['action'], d.get('instance')) for d in line['done']]


def unread(box, path):
    """Whether there are bytes that the server at @path has not read."""
    lines = box.run(['ss', '-xH', 'state', 'established', 'src',
                     path]).stdout.splitlines()
    return any(int(line.split()[1]) > 0 for line in lines)


@test('stock QEMU: the stuck ones, one at a time, and none that works',
      needs=['nbdkit', 'qemu-io', 'ss'])
def _(box):
    need_qemu()
    victim = Hang(box, 'qemu', disks=3)
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy=rule(
        instances='[{type: block-node, name: nbd2}, {type: block-node, '
        'name: nbd1}, block-node]'))
    watch.wait_known(3)
    victim.hang(0)
    victim.rescued()
    end = watch.wait_journal(event='end')
    assert actions(end) == [('yank', 'blockdev:nbd0')], end
    # Both of these owe an answer; the main loop waits for the second.
    path = box.path('export.sock')
    victim.qmp.cmd('nbd-server-start', {
        'addr': {'type': 'unix', 'data': {'path': path}}})
    victim.qmp.cmd('block-export-add', {
        'type': 'nbd', 'id': 'e', 'node-name': 'nbd2'})
    victim.disks[2].freeze()
    reader = box.spawn(['qemu-io', '-rf', 'raw', '-c', 'read 0 4k',
                        f'nbd+unix:///nbd2?socket={path}'])
    wait_for('a request waits at the frozen server', lambda: unread(
        box, victim.disks[2].path))
    victim.hang(1)
    victim.rescued()
    end = wait_for('the second end', lambda: watch.journal(event='end')[1:])
    assert actions(end[0]) == [('yank', 'blockdev:nbd2'),
                               ('yank', 'blockdev:nbd1')], end
    assert reader.wait(20) == 1, reader.output()
    victim.finish()
    watch.finish()


def spared(box, watch, hold):
    """The messages of the service while @hold blocks the main loop."""
    release = hold()
    why = watch.wait_journal(event='spare')['why']
    # The next check has the same result.
    watch.wait_journal(event='hook-end')
    assert watch.journal(event='yank') == []
    assert f'not yanked for want of evidence: {why}' in watch.process.output()
    release()
    end = watch.wait_journal(event='end')
    assert end['outcome'] == 'hook', end
    assert [d['action'] for d in end['done']][:2] == ['spare', 'hook'], end
    return why


def quiet(box, options, monitor):
    """A stock QEMU with a healthy disk, its client, and a service."""
    disk = Nbdkit(box)
    server = daemon.Daemon(box, 'qemu', monitors=2, options=options)
    qmp = server.qmp(1)
    qmp.cmd('blockdev-add', {
        'driver': 'nbd', 'node-name': 'nbd0',
        'server': {'type': 'unix', 'path': disk.path}})
    watch = Watch(box, '-s', f'vm={monitor or server.qmp_path}',
                  policy=rule(hook='{command: [/bin/true]}'))
    watch.wait_known(1)
    return server, qmp, watch


def spare_and_check(box, words, hold, options=(), monitor=None):
    """A main loop that is only busy: the disk works when it is back."""
    need_qemu()
    server, qmp, watch = quiet(box, options, monitor)
    why = spared(box, watch, lambda: hold(server, qmp))
    assert words in why, why
    assert qmp.cmd('human-monitor-command', READ) == ''
    qmp.close()
    server.finish()
    watch.finish()


def hold_by_fifo(box):
    """The main thread opens a FIFO, as a chardev of type file does."""
    path = box.path('fifo')
    os.mkfifo(path)

    def hold(server, qmp):
        request = qmp.submit('chardev-add', {
            'id': 'hold', 'backend': {'type': 'file', 'data': {'out': path}}})
        wait_for('it waits', lambda: waits_in_open(server.pid))

        def release():
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            box.on_exit(lambda: os.close(reader))
            qmp.reply(request)
        return release
    return hold


@test('stock QEMU that waits for a FIFO: its healthy disk is spared',
      needs=['nbdkit'])
def _(box):
    spare_and_check(box, 'the main thread is in system call',
                    hold_by_fifo(box))


@test('the same by a monitor on TCP, whose process is not known',
      needs=['nbdkit'])
def _(box):
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port = sock.getsockname()[1]
    spare_and_check(box, 'its process is not known', hold_by_fifo(box), [
        '-chardev', f'socket,id=tcp,host=127.0.0.1,port={port},server=on,'
        'wait=off', '-mon', 'chardev=tcp,mode=control'],
        f'127.0.0.1:{port}')


@test('stock QEMU that waits for another process: no peer owes an answer',
      needs=['nbdkit'])
def _(box):
    def hold(server, qmp):
        # A second disk, whose peer is not known to the service when it hangs.
        nbd = Nbdkit(box, name='other')
        nbd.freeze()
        request = qmp.submit('blockdev-add', {
            'driver': 'nbd', 'node-name': 'other',
            'server': {'type': 'unix', 'path': nbd.path}})

        def release():
            nbd.thaw()
            qmp.reply(request)
        return release
    spare_and_check(box, 'owes an answer', hold)


@test('yankd: the stuck one at once, and none that works',
      needs=['nbdkit'])
def _(box):
    victim = Hang(box, 'yankd', disks=3)
    victim.add(1)
    victim.add(2)
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy=rule(
        instances='[{type: block-node, name: nbd2}, {type: block-node, '
        'name: nbd1}, block-node]'))
    watch.wait_connected(1)
    victim.hang(0)
    victim.rescued()
    end = watch.wait_journal(event='end')
    assert actions(end) == [('yank', 'blockdev:nbd0')], end
    victim.finish()
    watch.finish()


@test('a threshold of an instance', needs=['nbdkit'])
def _(box):
    need_qemu()
    victim = Hang(box, 'qemu')
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy=rule(
        instances='[{type: block-node, threshold: 1}]'))
    watch.wait_known(1)
    victim.hang()
    assert victim.rescued() > 0.95
    end = watch.wait_journal(event='end')
    assert end['done'][0]['after'] >= 1, end
    assert watch.journal(event='begin')[0]['for'] < 0.95
    victim.finish()
    watch.finish()


@test('no more yanks an hour than allowed; then the hook',
      needs=['nbdkit'])
def _(box):
    need_qemu()
    victim = Hang(box, 'qemu', disks=2)
    # The hook does what an operator would.
    out = box.path('hook.env')
    hook = box.write('hook', f'#!/bin/sh\nenv >{out}.new\n'
                     f'mv {out}.new {out}\n')
    os.chmod(hook, 0o755)
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy=rule(
        yanks_per_hour=1, hook=f'{{command: [{hook}, an argument]}}'),
        env={'SECRET': 'of the service'})
    watch.wait_known(2)
    victim.hang(0)
    victim.rescued()
    assert watch.wait_journal(event='end')['outcome'] == 'yank'
    # A second stall within the hour; the first disk is dead already.
    victim.hang(1)
    limit = watch.wait_journal(event='limit')
    assert limit['yanks-per-hour'] == 1, limit
    wait_for('the hook ran', lambda: os.path.exists(out))
    with open(out) as f:
        env = dict(line.rstrip('\n').split('=', 1) for line in f)
    assert env['YANKCTL_DOMAIN'] == 'vm', env
    assert env['YANKCTL_MONITOR'] == f'unix:{victim.qmp_path}', env
    assert env['YANKCTL_PID'] == str(victim.server.pid), env
    assert float(env['YANKCTL_STUCK_SECONDS']) >= 0.3, env
    assert 'SECRET' not in env and 'HOME' not in env, env
    assert watch.wait_journal(event='hook-end')['result'] == 'exit status 0'
    victim.disks[1].thaw()
    victim.rescued()
    end = wait_for('the end', lambda: watch.journal(
        event='end', outcome='hook'))[0]
    assert [d['action'] for d in end['done']] == [
        'limit', 'hook', 'hook-end'], end
    assert len(watch.journal(event='yank')) == 1
    victim.finish()
    watch.finish()


@test('the limit is the domain\'s, also when it ends and comes again',
      needs=['nbdkit'])
def _(box):
    folder = box.path('folder')
    os.mkdir(folder)
    link = os.path.join(folder, 'vm.sock')
    watch = Watch(box, '--dir', folder, '--rescan', '0.1',
                  policy=rule(yanks_per_hour=1))
    for event in ('end', 'limit'):
        victim = Hang(box, 'yankd')
        os.link(victim.qmp_path, link)
        watch.wait_connected(1)
        victim.hang()
        watch.wait_journal(event=event)
        victim.disks[0].thaw()
        victim.rescued()
        os.unlink(link)
        with watch.connect() as control:
            wait_for('it is let go', lambda: not control.call(
                op='list')['domains'])
        victim.finish()
    assert len(watch.journal(event='yank')) == 1
    watch.finish()


@test('a hang that no yank ends, and a hook that hangs as well')
def _(box):
    server = daemon.Daemon(box, 'yankd', monitors=2)
    pidfile = box.path('hook.pid')
    hook = box.write('hook', f'#!/bin/sh\necho $$ >{pidfile}\n'
                     'sleep 1000 & wait\n')
    os.chmod(hook, 0o755)
    watch = Watch(box, '-s', f'vm={server.qmp_path}', policy=rule(
        hook=f'{{command: [{hook}], timeout: 0.5}}'))
    watch.wait_connected(1)
    qmp = server.qmp(1)
    hang = FifoHang(box, server.pid, qmp)
    line = watch.wait_journal(event='hook-end')
    assert line['result'] == 'killed after 0.5 s', line
    with open(pidfile) as f:
        assert state(int(f.read())) in (None, 'Z')
    assert watch.journal(event='yank') == []
    hang.release()
    end = watch.wait_journal(event='end')
    assert end['outcome'] == 'hook', end
    qmp.close()
    server.finish()
    watch.finish()


@test('a hook that cannot be started helped nobody')
def _(box):
    server = daemon.Daemon(box, 'yankd', monitors=2)
    watch = Watch(box, '-s', f'vm={server.qmp_path}', policy=rule(
        hook=f'{{command: [{box.path("none")}]}}'))
    watch.wait_connected(1)
    qmp = server.qmp(1)
    hang = FifoHang(box, server.pid, qmp)
    line = watch.wait_journal(event='hook')
    assert 'cannot be started: No such file' in line['error'], line
    hang.release()
    end = watch.wait_journal(event='end')
    assert end['outcome'] == 'itself', end
    assert [d['action'] for d in end['done']] == ['hook'], end
    qmp.close()
    server.finish()
    watch.finish()


@test('the end of the service, while a domain hangs and a hook runs')
def _(box):
    server = daemon.Daemon(box, 'yankd', monitors=2)
    watch = Watch(box, '-s', f'vm={server.qmp_path}', policy=rule(
        hook='{command: [/bin/sleep, "1000"]}'))
    watch.wait_connected(1)
    qmp = server.qmp(1)
    hang = FifoHang(box, server.pid, qmp)
    watch.wait_journal(event='hook')
    start = time.monotonic()
    watch.finish(seconds=1.5)
    assert time.monotonic() - start < 10
    assert watch.journal(event='end')[0]['outcome'] == 'left'
    hang.release()
    qmp.close()
    server.finish()


run()
