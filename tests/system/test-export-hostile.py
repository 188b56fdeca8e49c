#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""NBD clients that send what no good client sends: it ends them, or gets an
error, and nobody else notices."""

import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import nbd
from daemon import Daemon, free_port
from nbd import NbdClient, NbdError
from sandbox import wait_for
from suite import run, test

SIZE = 1 << 20


class Server:
    """yankd with a node in memory, writable and not, and a good client."""

    def __init__(self, box):
        self.path = box.path('e.sock')
        self.daemon = Daemon(box, options=[
            '--blockdev', f'ram,node-name=r0,size={SIZE}',
            '--blockdev', f'ram,node-name=ro,size={SIZE},read-only=on',
            '--nbd-server', f'addr.type=unix,addr.path={self.path}',
            '--export', 'type=nbd,id=e0,node-name=r0,name=disk,writable=on,'
            'description=a disk',
            '--export', 'type=nbd,id=e1,node-name=ro,name=ro'])

    def __enter__(self):
        # After this, all threads run and have the descriptors they need.
        self.qmp = self.daemon.qmp()
        self.good = NbdClient(self.path, 'disk')
        self.good.write(0, b'good' * 128)
        return self

    def __exit__(self, kind, *rest):
        try:
            if kind is None:
                assert self.good.read(0, 512) == b'good' * 128
        finally:
            self.good.close()
            self.qmp.close()
        if kind is None:
            self.daemon.finish()

    def raw(self):
        """A client before the handshake."""
        return NbdClient(self.path, export=None)

    def options(self):
        """A client that may send options."""
        client = self.raw()
        client.greet()
        return client

    def disk(self, name='disk'):
        return NbdClient(self.path, name)


def ended(client):
    """The server ends the connection."""
    client.wait_closed()
    client.close()


def error_of(client, *request, **more):
    """The error that a request gets."""
    cookie = client.request(*request, **more)
    got, error = client.reply()
    assert got == cookie
    return error


@test('handshake: a client that sends nothing, then goes')
def _(box):
    with Server(box) as server:
        for _ in range(20):
            server.raw().close()


@test('handshake: unknown flags')
def _(box):
    with Server(box) as server:
        client = server.raw()
        client.greet(0xffffffff)
        ended(client)


@test('handshake: not fixed newstyle')
def _(box):
    with Server(box) as server:
        client = server.raw()
        client.greet(0)
        # Only EXPORT_NAME may follow; either way nobody else suffers.
        client.option(nbd.OPT_EXPORT_NAME, b'disk')
        try:
            size, flags, zeroes = struct.unpack('>QH124s', client.recv(134))
            assert size == SIZE and zeroes == bytes(124)
        except nbd.NbdClosed:
            pass
        client.close()


@test('handshake: EXPORT_NAME without zeroes')
def _(box):
    with Server(box) as server:
        client = server.options()
        client.option(nbd.OPT_EXPORT_NAME, b'disk')
        size, _ = struct.unpack('>QH', client.recv(10))
        assert size == SIZE
        assert client.read(0, 4) == b'good'
        client.disconnect()
        client.close()


@test('handshake: EXPORT_NAME of no export')
def _(box):
    with Server(box) as server:
        client = server.options()
        client.option(nbd.OPT_EXPORT_NAME, b'none')
        ended(client)


@test('option: wrong magic')
def _(box):
    with Server(box) as server:
        client = server.options()
        client.option(nbd.OPT_LIST, magic=b'NOTMAGIC')
        ended(client)


@test('option: unknown ones are refused, the next one works')
def _(box):
    with Server(box) as server:
        client = server.options()
        for number in (0, 4, 99, 0xffffffff):
            client.option(number, b'some data')
            option, kind, _ = client.option_reply()
            assert option == number and kind == nbd.REP_ERR_UNSUP, kind
        assert sorted(client.list()) == ['disk', 'ro']
        client.close()


@test('option: longer than anybody needs')
def _(box):
    with Server(box) as server:
        client = server.options()
        client.option(nbd.OPT_GO, length=0xffffffff)
        try:
            client.option_reply()
        except (nbd.NbdClosed, ConnectionResetError):
            pass
        client.close()


@test('option: 1 MiB of an unknown one')
def _(box):
    with Server(box) as server:
        client = server.options()
        try:
            client.option(99, bytes(1 << 20))
            client.option_reply()
        except (nbd.NbdClosed, ConnectionResetError, BrokenPipeError):
            pass
        client.close()


def go_data(name, claimed=None, infos=()):
    claimed = len(name) if claimed is None else claimed
    return (struct.pack('>I', claimed) + name +
            struct.pack('>H', len(infos)) +
            b''.join(struct.pack('>H', info) for info in infos))


@test('option: malformed GO and INFO')
def _(box):
    bad = [b'', b'\0', b'\0\0\0\1', go_data(b'disk', 5), go_data(b'disk', 3),
           go_data(b'disk', 0xffffffff), go_data(b'disk') + b'x',
           struct.pack('>I4sH', 4, b'disk', 9), go_data(b'disk')[:-1]]
    with Server(box) as server:
        for option in nbd.OPT_GO, nbd.OPT_INFO:
            for data in bad:
                client = server.options()
                client.option(option, data)
                _, kind, _ = client.option_reply()
                assert kind == nbd.REP_ERR_INVALID, (data, hex(kind))
                client.go('disk')
                client.close()


@test('option: GO of no export, name too long, odd names')
def _(box):
    with Server(box) as server:
        client = server.options()
        for name in ('none', '', 'disk\0', 'DISK'):
            try:
                client.go(name)
                raise AssertionError(name)
            except NbdError as error:
                assert error.errno == nbd.REP_ERR_UNKNOWN, error
        client.option(nbd.OPT_GO, go_data(b'x' * 4097))
        _, kind, _ = client.option_reply()
        assert kind & nbd.REP_ERR, hex(kind)
        client.close()


@test('option: INFO tells, and stays before the export')
def _(box):
    with Server(box) as server:
        client = server.options()
        infos = client.go('disk', nbd.OPT_INFO, (
            nbd.INFO_NAME, nbd.INFO_DESCRIPTION, nbd.INFO_BLOCK_SIZE, 77))
        assert infos[nbd.INFO_NAME] == b'disk', infos
        assert infos[nbd.INFO_DESCRIPTION] == b'a disk', infos
        least, good, most = struct.unpack('>III', infos[3])
        assert least <= good <= most, infos
        assert sorted(client.list()) == ['disk', 'ro']
        client.close()


@test('option: LIST with data')
def _(box):
    with Server(box) as server:
        client = server.options()
        client.option(nbd.OPT_LIST, b'x')
        _, kind, _ = client.option_reply()
        assert kind == nbd.REP_ERR_INVALID, hex(kind)
        client.close()


@test('option: ABORT')
def _(box):
    with Server(box) as server:
        client = server.options()
        client.option(nbd.OPT_ABORT)
        try:
            client.option_reply()
            client.wait_closed()
        except nbd.NbdClosed:
            pass
        client.close()


@test('option: split at every byte')
def _(box):
    with Server(box) as server:
        data = nbd.MAGIC_OPTION + struct.pack(
            '>II', nbd.OPT_GO, len(go_data(b'disk'))) + go_data(b'disk')
        for split in range(1, len(data)):
            client = server.options()
            client.send(data[:split])
            client.send(data[split:])
            while client.option_reply()[1] != nbd.REP_ACK:
                pass
            client.close()


@test('request: wrong magic')
def _(box):
    with Server(box) as server:
        client = server.disk()
        client.request(0, 0, 512, magic=0x12345678)
        ended(client)


@test('request: unknown commands')
def _(box):
    with Server(box) as server:
        client = server.disk()
        for command in (8, 99, 0xffff):
            assert error_of(client, command, 0, 512) == nbd.EINVAL
        assert client.read(0, 4) == b'good'
        client.close()


@test('request: unknown flags')
def _(box):
    with Server(box) as server:
        client = server.disk()
        assert error_of(client, 0, 0, 512, flags=0x8000) == nbd.EINVAL
        assert client.read(0, 4) == b'good'
        client.close()


@test('request: reads outside of the disk')
def _(box):
    with Server(box) as server:
        client = server.disk()
        for offset, length in ((SIZE, 1), (SIZE - 1, 2), (SIZE + 512, 512),
                               (2**64 - 1, 1), (2**64 - 512, 1024),
                               (2**63, 512)):
            assert error_of(client, 0, offset, length) == nbd.EINVAL
        assert client.read(SIZE - 1, 1) == b'\0'
        client.close()


@test('request: writes outside of the disk')
def _(box):
    with Server(box) as server:
        client = server.disk()
        for offset, length in ((SIZE, 1), (SIZE - 1, 2), (2**64 - 1, 8)):
            error = error_of(client, nbd.CMD_WRITE, offset, length,
                             data=bytes(length))
            assert error == nbd.ENOSPC, error
        for command in nbd.CMD_WRITE_ZEROES, nbd.CMD_TRIM:
            error = error_of(client, command, SIZE - 512, 1024)
            assert error in (nbd.ENOSPC, nbd.EINVAL), error
        assert client.read(0, 4) == b'good'
        client.close()


@test('request: of no length')
def _(box):
    with Server(box) as server:
        client = server.disk()
        for command in 0, nbd.CMD_WRITE, nbd.CMD_TRIM, nbd.CMD_WRITE_ZEROES:
            assert error_of(client, command, 0, 0) in (0, nbd.EINVAL)
        assert client.read(0, 4) == b'good'
        client.close()


@test('request: longer than allowed')
def _(box):
    with Server(box) as server:
        client = server.disk()
        assert error_of(client, 0, 0, 0xffffffff) == nbd.EINVAL
        assert client.read(0, 4) == b'good'
        # Too much to be skipped: the server may end it, but not wait for it.
        client.request(nbd.CMD_WRITE, 0, 0xffffffff)
        ended(client)


@test('request: writes to a read-only export')
def _(box):
    with Server(box) as server:
        client = server.disk('ro')
        assert client.flags & 2, client.flags
        assert error_of(client, nbd.CMD_WRITE, 0, 512,
                        data=bytes(512)) == nbd.EPERM
        for command in nbd.CMD_TRIM, nbd.CMD_WRITE_ZEROES:
            assert error_of(client, command, 0, 512) == nbd.EPERM
        assert client.read(0, 512) == bytes(512)
        client.close()


@test('request: split at every byte, a good one')
def _(box):
    with Server(box) as server:
        client = server.disk()
        data = struct.pack('>IHHQQI', nbd.MAGIC_REQUEST, 0, nbd.CMD_WRITE,
                           7, 4096, 8) + b'01234567'
        for split in range(1, len(data)):
            client.send(data[:split])
            client.send(data[split:])
            assert client.reply() == (7, 0)
        assert client.read(4096, 8) == b'01234567'
        client.close()


@test('request: half of one, and gone')
def _(box):
    with Server(box) as server:
        before = server.daemon.fds()
        data = struct.pack('>IHHQQI', nbd.MAGIC_REQUEST, 0, nbd.CMD_WRITE,
                           7, 0, 4096) + bytes(4096)
        for split in (1, 27, 28, 29, 4000):
            client = server.disk()
            client.send(data[:split])
            client.close()
        assert server.good.read(0, 4) == b'good', 'half a write was made'
        wait_for('end of clients', lambda: server.daemon.fds() == before)


@test('request: 100 in one write, the client gone before the replies')
def _(box):
    with Server(box) as server:
        before = server.daemon.fds()
        for _ in range(20):
            client = server.disk()
            client.send(b''.join(
                struct.pack('>IHHQQI', nbd.MAGIC_REQUEST, 0, 0, n, 0, 65536)
                for n in range(100)))
            client.close()
        wait_for('end of clients', lambda: server.daemon.fds() == before)


@test('request: a client that never reads its replies')
def _(box):
    with Server(box) as server:
        client = server.disk()
        client.sock.settimeout(1)
        request = struct.pack('>IHHQQI', nbd.MAGIC_REQUEST, 0, 0, 1, 0,
                              1 << 20)
        try:
            for _ in range(100000):
                client.send(request)
        except TimeoutError:
            pass                    # It is not read without end.
        assert server.daemon.rss() < (1 << 30), server.daemon.rss()
        client.close()


@test('request: after DISC')
def _(box):
    with Server(box) as server:
        client = server.disk()
        client.request(nbd.CMD_DISC)
        ended(client)


@test('structured replies and TLS are refused cleanly')
def _(box):
    with Server(box) as server:
        client = server.options()
        for option in nbd.OPT_STRUCTURED, nbd.OPT_STARTTLS:
            client.option(option)
            _, kind, _ = client.option_reply()
            assert kind & nbd.REP_ERR, hex(kind)
        client.go('disk')
        assert client.read(0, 4) == b'good'
        client.close()


@test('silent clients do not keep another address out')
def _(box):
    port = free_port()
    daemon = Daemon(box, options=[
        '--blockdev', f'ram,node-name=r0,size={SIZE}', '--nbd-server',
        f'addr.type=inet,addr.host=127.0.0.1,addr.port={port},'
        'handshake-max-seconds=0',
        '--export', 'nbd,id=e0,node-name=r0'])

    def connect(source):
        sock = socket.socket()
        sock.settimeout(60)
        sock.bind((source, 0))
        sock.connect(('127.0.0.1', port))
        return sock

    def served(sock):
        assert len(sock.recv(18, socket.MSG_WAITALL)) == 18
        sock.sendall(struct.pack('>I8sII', 3, nbd.MAGIC_OPTION, nbd.OPT_LIST,
                                 0))
        return len(sock.recv(20, socket.MSG_WAITALL)) == 20

    slow = connect('127.0.0.2')
    crowd = [connect('127.0.0.1') for _ in range(300)]
    late = connect('127.0.0.3')
    # The slow client is the oldest, but the only one of its peer.
    assert served(late) and served(slow) and served(crowd[-1])
    for sock in [slow, late, *crowd]:
        sock.close()
    daemon.finish()


@test('replies that nobody takes do not fill the memory', seconds=60)
def _(box):
    path = box.path('e.sock')
    with Daemon(box, options=[
            '--blockdev', 'null-co,node-name=r0,read-zeroes=on',
            '--nbd-server', f'addr.type=unix,addr.path={path}',
            '--export', 'nbd,id=e0,node-name=r0']) as daemon:
        before = daemon.rss()
        lazy = [NbdClient(path, 'r0', seconds=60) for _ in range(40)]
        for client in lazy:
            for mebibyte in range(64):
                client.request(nbd.CMD_READ, mebibyte << 20, 1 << 20)
        with NbdClient(path, 'r0', seconds=60) as good:
            for mebibyte in range(30):
                assert good.read(mebibyte << 20, 1 << 20) == bytes(1 << 20)
                assert daemon.rss() - before < 1 << 30, daemon.rss()
        # These clients get their replies when they continue.
        for client in lazy[:3]:
            for _ in range(64):
                assert client.reply()[1] == 0
                assert client.recv(1 << 20) == bytes(1 << 20)
        for client in lazy:
            client.close()


run()
