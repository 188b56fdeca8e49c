#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""quit and SIGTERM end the process, whatever hangs.

Each hang is made with nobody to yank it: the process has to come out of it by
itself, after --shutdown-timeout.
"""

import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon
from fuse_folder import Folder
from hang import StoppedMainThread, block_main_loop
from nbd import NbdClient
from peers import Blackhole, Listener
from sandbox import wait_for
from servers import Gateway, Nbdkit, nbd_option
from suite import run, slowness, test

TIMEOUT = ['--shutdown-timeout', '1']


def quit_in_band(daemon, qmp):
    qmp.submit('quit')


def quit_out_of_band(daemon, qmp):
    assert qmp.oob('quit') == {}


def sigterm(daemon, qmp):
    daemon.process.terminate()


def ends(daemon, how, qmp, status=0):
    """It ends within the timeout and what the rescue takes."""
    begin = time.monotonic()
    how(daemon, qmp)
    got = daemon.process.wait(6 * slowness())
    spent = time.monotonic() - begin
    print(f'# {how.__name__}: ended after {spent:.2f} s')
    assert got == status, (got, daemon.process.output())
    left = [p for p in daemon.sockets if os.path.exists(p)]
    assert status or not left, left


def for_each_way(name, needs=()):
    """Makes a test of a hang for each way to ask for the end."""
    def mark(function):
        for how in quit_in_band, quit_out_of_band, sigterm:
            def body(box, how=how):
                function(box, how)
            test(f'{name}: {how.__name__}', needs=needs)(body)
    return mark


@for_each_way('nothing hangs')
def _(box, how):
    daemon = Daemon(box, options=TIMEOUT)
    with daemon.qmp() as qmp:
        begin = time.monotonic()
        ends(daemon, how, qmp)
        assert time.monotonic() - begin < 0.9 * slowness(), 'slow'


@for_each_way('reads in flight to a frozen server', ['nbdkit'])
def _(box, how):
    server = Nbdkit(box)
    gateway = Gateway(box, server.path, options=TIMEOUT)
    with NbdClient(gateway.nbd_path, 'disk') as client, \
            gateway.qmp() as qmp:
        server.freeze()
        for n in range(16):
            client.request(0, n * 4096, 4096)
        wait_for('reads', lambda: qmp.oob('query-yank-status')
                 [0]['in-flight'] == 16)
        ends(gateway, how, qmp)
    server.thaw()


@for_each_way('blockdev-del hangs', ['nbdkit'])
def _(box, how):
    server = Nbdkit(box)
    daemon = Daemon(box, options=nbd_option(server.path, 'n0') + TIMEOUT)
    with daemon.qmp() as qmp, daemon.qmp() as other:
        server.freeze()
        qmp.submit('blockdev-del', {'node-name': 'n0'})
        assert qmp.is_silent(0.2)
        ends(daemon, how, other)
    server.thaw()


@for_each_way('blockdev-add hangs on a silent server')
def _(box, how):
    listener = Listener(box)
    daemon = Daemon(box, options=TIMEOUT)
    with daemon.qmp() as qmp, daemon.qmp() as other:
        qmp.submit('blockdev-add', {'driver': 'nbd', 'node-name': 'n0',
                                    'server': listener.address()})
        listener.accept()
        ends(daemon, how, other)


@for_each_way('blockdev-add hangs in connect')
def _(box, how):
    hole = Blackhole(box)
    daemon = Daemon(box, options=TIMEOUT)
    with daemon.qmp() as qmp, daemon.qmp() as other:
        qmp.submit('blockdev-add', {'driver': 'nbd', 'node-name': 'n0',
                                    'server': hole.address()})
        assert qmp.is_silent(0.2)
        ends(daemon, how, other)


@for_each_way('server is gone, reconnect-delay=60', ['nbdkit'])
def _(box, how):
    server = Nbdkit(box)
    options = nbd_option(server.path, 'slow', reconnect_delay=60) + [
        '--export', 'type=nbd,id=e1,node-name=slow'] + TIMEOUT
    gateway = Gateway(box, server.path, options=options)
    with NbdClient(gateway.nbd_path, 'slow') as client, \
            gateway.qmp() as qmp:
        server.process.destroy()
        client.request(0, 0, 4096)
        wait_for('wait', lambda: any(
            s['name'] == 'blockdev:slow' and s['in-flight']
            for s in qmp.oob('query-yank-status')))
        ends(gateway, how, qmp)


@for_each_way('chardev-add waits for a client')
def _(box, how):
    daemon = Daemon(box, options=TIMEOUT)
    with daemon.qmp() as qmp, daemon.qmp() as other:
        qmp.submit('chardev-add', {'id': 'c0', 'backend': {
            'type': 'socket', 'data': {
                'addr': {'type': 'unix',
                         'data': {'path': box.path('c0.sock')}},
                'server': True, 'wait': True}}})
        assert qmp.is_silent(0.2)
        ends(daemon, how, other)
        assert not os.path.exists(box.path('c0.sock'))


@for_each_way('a peer of a chardev stopped reading')
def _(box, how):
    listener = Listener(box)
    daemon = Daemon(box, options=TIMEOUT)
    with daemon.qmp() as qmp, daemon.qmp() as other:
        qmp.cmd('chardev-add', {'id': 'c0', 'backend': {
            'type': 'socket', 'data': {
                'addr': listener.legacy_address(), 'server': False}}})
        listener.accept()
        qmp.submit('chardev-write', {'device': 'c0',
                                     'data': 'x' * (8 << 20)})
        assert qmp.is_silent(0.2)
        ends(daemon, how, other)


@for_each_way('a hang that no yank ends')
def _(box, how):
    pidfile = box.path('pid')
    daemon = Daemon(box, options=TIMEOUT + ['--pidfile', pidfile])
    with daemon.qmp() as qmp, daemon.qmp() as other:
        StoppedMainThread(daemon.pid)
        qmp.submit('query-name')
        assert qmp.is_silent(0.2)
        ends(daemon, how, other, status=1)
    assert not os.path.exists(pidfile)


@for_each_way('blockdev-add hangs on a FIFO')
def _(box, how):
    daemon = Daemon(box, options=TIMEOUT)
    with daemon.qmp() as qmp, daemon.qmp() as other:
        block_main_loop(box, daemon, qmp)
        # The call that opens the FIFO is abandoned.
        ends(daemon, how, other, status=1)


@for_each_way('queued behind the hang', ['nbdkit'])
def _(box, how):
    server = Nbdkit(box)
    daemon = Daemon(box, options=nbd_option(server.path, 'n0') + TIMEOUT)
    with daemon.qmp() as qmp:
        server.freeze()
        qmp.submit('blockdev-del', {'node-name': 'n0'})
        for _ in range(100):
            qmp.submit('query-name')
        assert qmp.is_silent(0.2)
        ends(daemon, how, qmp)
    server.thaw()


def hang(daemon, qmp):
    """Blocks the main loop in a wait that no yank ends."""
    StoppedMainThread(daemon.pid)
    qmp.submit('query-name')
    assert qmp.is_silent(0.2)


def answers(qmp):
    """Out-of-band commands are answered, for a while."""
    for _ in range(20):
        qmp.oob('query-yank')
        time.sleep(0.05)


@test('standard error is on a dead file system')
def _(box):
    folder = Folder(box)
    with open(folder.file('log'), 'w') as log:
        daemon = Daemon(box, options=TIMEOUT, stderr=log)
    with daemon.qmp() as qmp:
        hang(daemon, qmp)
        folder.freeze()
        daemon.process.terminate()
        answers(qmp)
        status = daemon.process.wait(10 * slowness())
        assert status in (0, 1), status
    folder.end()


@test('nobody reads standard error')
def _(box):
    end, pipe = os.pipe()
    daemon = Daemon(box, options=TIMEOUT, stderr=pipe)
    os.set_blocking(pipe, False)
    try:
        while True:
            os.write(pipe, b'x' * 4096)
    except BlockingIOError:
        os.set_blocking(pipe, True)
    with daemon.qmp() as qmp:
        hang(daemon, qmp)
        daemon.process.terminate()
        answers(qmp)
        status = daemon.process.wait(10 * slowness())
        assert status in (0, 1), status
    os.close(pipe)
    os.close(end)


@test('the pid file is on a dead file system')
def _(box):
    folder = Folder(box)
    daemon = Daemon(box, options=TIMEOUT + ['--pidfile', folder.file('pid')])
    with daemon.qmp() as qmp:
        wait_for('pid file', lambda: os.path.exists(folder.file('pid')))
        folder.freeze()
        daemon.process.terminate()
        assert daemon.process.wait(10 * slowness()) in (0, 1)
        # The sockets are closed as well.
        qmp.wait_closed()
    folder.end()


@test('a dead file system delays startup, which a signal ends')
def _(box):
    folder = Folder(box)
    folder.freeze()
    daemon = Daemon(box, options=TIMEOUT + ['--pidfile', folder.file('pid')])
    daemon.process.terminate()
    assert daemon.process.wait(20 * slowness()) in (0, 1)
    folder.end()


@test('a second signal yanks at once')
def _(box):
    listener = Listener(box)
    daemon = Daemon(box, options=['--shutdown-timeout', '3600'])
    with daemon.qmp() as qmp:
        qmp.submit('blockdev-add', {'driver': 'nbd', 'node-name': 'n0',
                                    'server': listener.address()})
        listener.accept()
        daemon.process.send_signal(signal.SIGTERM)
        qmp.event('SHUTDOWN')
        # A manager may send SIGHUP together with SIGTERM.
        daemon.process.send_signal(signal.SIGHUP)
        answers(qmp)
        assert daemon.alive()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(10 * slowness()) == 0
    assert 'second signal' in daemon.process.output()


@test('a signal during startup yanks at once')
def _(box):
    listener = Listener(box)
    daemon = Daemon(box, wait=False, options=[
        '--shutdown-timeout', '3600', '--blockdev',
        f'nbd,node-name=n0,server.type=unix,server.path={listener.path}'])
    listener.accept()
    daemon.process.terminate()
    assert daemon.process.wait(10 * slowness()) == 1
    assert '--blockdev' in daemon.process.output()


@test('a client of the export that does not read')
def _(box):
    path = box.path('e.sock')
    daemon = Daemon(box, options=TIMEOUT + [
        '--blockdev', 'null-co,node-name=n0,size=1073741824,read-zeroes=on',
        '--nbd-server', f'addr.type=unix,addr.path={path}',
        '--export', 'type=nbd,id=e,node-name=n0'])
    with NbdClient(path, 'n0') as client, daemon.qmp() as qmp:
        for n in range(64):
            client.request(0, n << 20, 1 << 20)
        ends(daemon, sigterm, qmp)


@test('a QMP client that does not read')
def _(box):
    daemon = Daemon(box, options=TIMEOUT)
    with daemon.qmp() as qmp, daemon.qmp() as other:
        request = '{"execute":"query-qmp-schema"}' * 20
        qmp.send_raw(request)
        other.oob('query-dispatch')
        ends(daemon, sigterm, other)


run()
