#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Lost connections of NBD nodes: waiting, failing, coming back."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon
from nbd import CMD_FLUSH, CMD_WRITE, EIO, NbdClient, NbdError
from peers import Listener
from qmp import QmpError
from rescue import Rescuer, node
from sandbox import wait_for
from servers import Gateway, Nbdkit, nbd_option
from suite import run, test


def read_error(client):
    """The error of a read; 0 when it succeeds."""
    try:
        client.read(0, 4096)
        return 0
    except NbdError as error:
        return error.errno


def flush_error(client):
    """The same for a flush."""
    try:
        client.simple(CMD_FLUSH)
        return 0
    except NbdError as error:
        return error.errno


def yank(qmp, name='nbd0'):
    qmp.oob('yank', {'instances': [node(name)]})


def error_of(qmp, command, arguments):
    try:
        qmp.cmd(command, arguments)
        raise AssertionError(f'{command} succeeded')
    except QmpError as error:
        return str(error)


@test('a yanked node comes back with its export and its clients',
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    with Gateway(box, server.path) as gateway, gateway.qmp() as qmp:
        with NbdClient(gateway.nbd_path, 'disk') as client:
            client.write(0, b'before' * 100)
            server.freeze()
            client.request(0, 0, 600)
            yank(qmp)
            assert client.reply()[1] == EIO
            server.thaw()
            # It does not come back by itself.
            assert read_error(client) == EIO
            qmp.cmd('blockdev-reconnect', {'node-name': 'nbd0'})
            assert client.read(0, 600) == b'before' * 100
            exports = qmp.cmd('query-block-exports')
            assert [e['id'] for e in exports] == ['exp0'], exports


@test('a yank and a reconnect, many times', seconds=60, needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    with Gateway(box, server.path) as gateway, gateway.qmp() as qmp:
        with NbdClient(gateway.nbd_path, 'disk') as client:
            assert read_error(client) == 0
            before = gateway.fds(), gateway.threads()
            for _ in range(50):
                client.request(0, 0, 4096)
                yank(qmp)
                if client.reply()[1] == 0:
                    client.recv(4096)   # It was faster.
                qmp.cmd('blockdev-reconnect', {'node-name': 'nbd0'})
                assert read_error(client) == 0
            after = gateway.fds(), gateway.threads()
            assert after == before, (before, after)


@test('a write that was yanked: blockdev-reconnect waits for its end',
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    with Gateway(box, server.path) as gateway, gateway.qmp() as qmp:
        with NbdClient(gateway.nbd_path, 'disk') as client:
            server.freeze()
            client.request(CMD_WRITE, 0, 4, b'late')
            yank(qmp)
            assert client.reply()[1] == EIO
            text = error_of(qmp, 'blockdev-reconnect', {
                'node-name': 'nbd0', 'close-timeout': 0})
            assert 'fencing' in text and 'force' in text, text
            waits = qmp.submit('blockdev-reconnect', {
                'node-name': 'nbd0', 'close-timeout': 60})
            wait_for('it waits', lambda: qmp.oob('query-yank-status')[0][
                'phase'] == 'close-wait')
            server.thaw()
            qmp.result(waits)
            client.write(0, b'next')
            assert client.read(0, 4) == b'next'


@test('force: a frozen server is replaced', needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    with Gateway(box, server.path) as gateway, gateway.qmp() as qmp:
        server.freeze()
        yank(qmp)
        os.unlink(server.path)
        frozen = server.process
        server.start()
        qmp.cmd('blockdev-reconnect', {
            'node-name': 'nbd0', 'close-timeout': 0, 'force': True})
        with NbdClient(gateway.nbd_path, 'disk') as client:
            assert read_error(client) == 0
        frozen.destroy()


@test('events and the reason when a server goes and comes back',
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    with Gateway(box, server.path) as gateway, gateway.qmp() as qmp:
        with NbdClient(gateway.nbd_path, 'disk') as client:
            client.write(0, b'not flushed')
            server.process.destroy()
            lost = qmp.event('BLOCK_CONNECTION_LOST')['data']
            assert lost['node-name'] == 'nbd0' and lost['reason'], lost
            assert read_error(client) == EIO
            status = qmp.oob('query-yank-status')[0]
            assert server.path in status['reason'], status
            os.unlink(server.path)
            server.start()
            assert read_error(client) == 0
            assert qmp.event('BLOCK_CONNECTION_REGAINED')['data'] == {
                'node-name': 'nbd0', 'writes-lost': True}
            assert 'flush' in qmp.oob('query-yank-status')[0]['reason']
            assert [flush_error(client) for _ in range(2)] == [EIO, 0]
            assert 'reason' not in qmp.oob('query-yank-status')[0]


@test('a server that comes back smaller is refused, a larger one is not',
      needs=['nbdkit'])
def _(box):
    def replace(server, size):
        if server:
            server.process.destroy()
            os.unlink(server.path)
        return Nbdkit(box, 'memory', size)

    server = replace(None, '2M')
    with Gateway(box, server.path) as gateway, gateway.qmp() as qmp:
        with NbdClient(gateway.nbd_path, 'disk') as client:
            server = replace(server, '1M')
            assert read_error(client) == EIO
            reason = qmp.event('BLOCK_CONNECTION_REFUSED')['data']['reason']
            assert str(1 << 20) in reason and str(2 << 20) in reason, reason
            assert qmp.oob('query-yank-status')[0]['reason'] == reason
            server = replace(server, '4M')
            assert read_error(client) == 0
            assert client.size == 2 << 20
        resize = {'node-name': 'nbd0', 'size': 4 << 20}
        qmp.cmd('block_resize', resize)
        with NbdClient(gateway.nbd_path, 'disk') as client:
            assert client.size == 4 << 20
            client.read((4 << 20) - 512, 512)
        text = error_of(qmp, 'block_resize', {**resize, 'size': 8 << 20})
        assert 'grow' in text, text


@test('blockdev-reconnect of what cannot', needs=['nbdkit'])
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        text = error_of(qmp, 'blockdev-reconnect', {'node-name': 'none'})
        assert 'none' in text, text
        qmp.cmd('blockdev-add', {'driver': 'null-co', 'node-name': 'n0'})
        text = error_of(qmp, 'blockdev-reconnect', {'node-name': 'n0'})
        assert 'n0' in text, text


@test('blockdev-reconnect of a connected node', needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    with Gateway(box, server.path) as gateway, gateway.qmp() as qmp:
        qmp.cmd('blockdev-reconnect', {'node-name': 'nbd0'})
        with NbdClient(gateway.nbd_path, 'disk') as client:
            assert read_error(client) == 0


@test('blockdev-reconnect while the server is away', needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    with Gateway(box, server.path) as gateway, gateway.qmp() as qmp:
        yank(qmp)
        server.process.end()
        wait_for('no server', lambda: not os.path.exists(server.path) or
                 os.unlink(server.path) is None)
        text = error_of(qmp, 'blockdev-reconnect', {'node-name': 'nbd0'})
        assert server.path in text, text
        server.start()
        qmp.cmd('blockdev-reconnect', {'node-name': 'nbd0'})
        with NbdClient(gateway.nbd_path, 'disk') as client:
            assert read_error(client) == 0


@test('blockdev-reconnect hangs on a frozen server', needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    with Gateway(box, server.path) as gateway:
        with gateway.qmp() as qmp, Rescuer(gateway) as rescuer:
            server.freeze()
            yank(qmp)
            number = qmp.submit('blockdev-reconnect', {'node-name': 'nbd0'})
            rescuer.see_hang()
            rescuer.yank(node('nbd0'))
            assert 'error' in qmp.reply(number)
            server.thaw()
            qmp.cmd('blockdev-reconnect', {'node-name': 'nbd0'})


@test('server dies, reconnect-delay=60: a yank ends the wait',
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    options = nbd_option(server.path, 'slow', reconnect_delay=60)
    with Gateway(box, server.path, options=options) as gateway:
        with gateway.qmp() as qmp, Rescuer(gateway) as rescuer:
            server.process.destroy()
            # Its flush waits for the server to come back.
            delete = qmp.submit('blockdev-del', {'node-name': 'slow'})
            rescuer.see_hang()
            status = rescuer.status('blockdev:slow')
            assert status['phase'] == 'reconnect-wait', status
            rescuer.yank(node('slow'))
            qmp.result(delete)


@test('server dies, reconnect-delay=60: requests fail by a yank',
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    options = nbd_option(server.path, 'slow', reconnect_delay=60)
    options += ['--export', 'type=nbd,id=e1,node-name=slow']
    with Gateway(box, server.path, options=options) as gateway:
        with gateway.qmp() as qmp:
            with NbdClient(gateway.nbd_path, 'slow') as client:
                server.process.destroy()
                cookies = {client.request(0, 0, 4096) for _ in range(16)}
                wait_for('wait', lambda: any(
                    s['name'] == 'blockdev:slow' and s['in-flight'] == 16
                    for s in qmp.oob('query-yank-status')))
                yank(qmp, 'slow')
                got = {client.reply() for _ in range(16)}
                assert got == {(c, EIO) for c in cookies}, got


@test('server dies, reconnect-delay=60: it comes back by itself',
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    options = nbd_option(server.path, 'slow', reconnect_delay=60)
    options += ['--export', 'type=nbd,id=e1,node-name=slow']
    with Gateway(box, server.path, options=options) as gateway:
        with NbdClient(gateway.nbd_path, 'slow', seconds=20) as client:
            server.process.destroy()
            cookie = client.request(0, 0, 4096)
            os.unlink(server.path)
            server.start()
            assert client.reply() == (cookie, 0)
            assert client.recv(4096) == bytes(4096)


@test('server dies, reconnect-delay=1: requests fail after it',
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    options = nbd_option(server.path, 'slow', reconnect_delay=1)
    options += ['--export', 'type=nbd,id=e1,node-name=slow']
    with Gateway(box, server.path, options=options) as gateway:
        with NbdClient(gateway.nbd_path, 'slow') as client:
            server.process.destroy()
            begin = time.monotonic()
            assert read_error(client) == EIO
            assert time.monotonic() - begin >= 0.5


@test('server dies without reconnect-delay: requests fail at once',
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    with Gateway(box, server.path) as gateway:
        with NbdClient(gateway.nbd_path, 'disk') as client:
            server.freeze()
            cookie = client.request(0, 0, 4096)
            server.process.destroy()
            assert client.reply() == (cookie, EIO)
            assert read_error(client) == EIO


@test('a silent server in place of the old one: a yank ends the handshake',
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    path = box.path('e.sock')
    options = nbd_option(server.path, 'slow', reconnect_delay=60) + [
        '--nbd-server', f'addr.type=unix,addr.path={path}',
        '--export', 'type=nbd,id=e1,node-name=slow']
    with Daemon(box, options=options) as daemon, daemon.qmp() as qmp:
        with NbdClient(path, 'slow') as client:
            server.process.destroy()
            os.unlink(server.path)
            silent = Listener(box, 'nbdkit')
            cookie = client.request(0, 0, 4096)
            peer = silent.accept(20)
            yank(qmp, 'slow')
            assert client.reply() == (cookie, EIO)
            assert peer.recv(1) == b''


run()
