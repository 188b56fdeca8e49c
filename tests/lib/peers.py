# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers that misbehave: silent, slow to listen, dying, lying.

They run on the thread of the test, step by step: a test says what the peer
does next, so nothing depends on timing.  (A Dripper has its own.)
"""

import contextlib
import os
import socket
import struct
import threading

import nbd


class Listener:
    """A listening socket; nobody accepts unless the test does.

    @port: 0 for TCP on the loopback, None for a unix socket.
    """

    def __init__(self, box, name='peer', port=None, backlog=64):
        if port is None:
            self.path = box.path(f'{name}.sock')
            self.port = None
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(self.path)
        else:
            self.path = None
            self.sock = socket.socket()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind(('127.0.0.1', port))
            self.port = self.sock.getsockname()[1]
        self.sock.listen(backlog)
        box.on_exit(self.sock.close)
        self._box = box

    def accept(self, seconds=10.0):
        self.sock.settimeout(seconds)
        peer = self.sock.accept()[0]
        peer.settimeout(seconds)
        self._box.on_exit(peer.close)
        return peer

    def address(self):
        if self.path:
            return {'type': 'unix', 'path': self.path}
        return {'type': 'inet', 'host': '127.0.0.1', 'port': str(self.port)}

    def legacy_address(self):
        address = self.address()
        return {'type': address.pop('type'), 'data': address}

    def close(self):
        self.sock.close()


class Blackhole(Listener):
    """A TCP port where a connect neither succeeds nor fails: the queue of
    connections is full, so the system drops what asks for more."""

    def __init__(self, box):
        super().__init__(box, port=0, backlog=0)
        # As many as it takes, and a few more.
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(('127.0.0.1', self.port))
            box.on_exit(filler.close)


class SilentResolver:
    """A name server that never answers, and a wrapper for programs that are
    to ask it.  Needs root; raises PermissionError or OSError without."""

    def __init__(self, box):
        # Other tests may run at the same time.
        address = f'127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.77'
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        box.on_exit(self.sock.close)
        self.sock.bind((address, 53))
        self.sock.settimeout(10)
        config = box.write('resolv.conf', f'nameserver {address}\n'
                           'options timeout:30 attempts:2\n')
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        self.wrapper = ['unshare', '--mount', 'sh', '-c', script, config]
        box.run(self.wrapper + ['true'])

    def wait_asked(self):
        self.sock.recv(512)


class NbdServerSide:
    """The server's end of an NBD connection, by hand."""

    SIZE = 1 << 20
    FLAGS = 1 | 4 | 8 | 32      # has flags, flush, FUA, trim

    def __init__(self, sock):
        self.sock = sock

    def recv(self, count):
        data = b''
        while len(data) < count:
            got = self.sock.recv(count - len(data))
            if not got:
                raise nbd.NbdClosed()
            data += got
        return data

    def greet(self):
        """Sends the greeting; reads the client's flags."""
        self.sock.sendall(nbd.MAGIC_GREETING + nbd.MAGIC_OPTION +
                          struct.pack('>H', 3))
        return self.recv(4)

    def next_option(self):
        """(number, data) of the next option."""
        magic, number, length = struct.unpack('>8sII', self.recv(16))
        assert magic == nbd.MAGIC_OPTION
        return number, self.recv(length)

    def reply(self, option, kind, data=b'', length=None):
        if length is None:
            length = len(data)
        self.sock.sendall(struct.pack('>QIII', nbd.MAGIC_OPTION_REPLY,
                                      option, kind, length) + data)

    def until_go(self):
        """Refuses options until the client wants to open an export."""
        while True:
            option, data = self.next_option()
            if option in (nbd.OPT_GO, nbd.OPT_INFO):
                return option, data
            self.reply(option, nbd.REP_ERR_UNSUP)

    def info(self, option, size=SIZE, flags=FLAGS):
        self.reply(option, nbd.REP_INFO,
                   struct.pack('>HQH', nbd.INFO_EXPORT, size, flags))

    def serve(self, size=SIZE):
        """The whole handshake; requests come next."""
        self.greet()
        option = self.until_go()[0]
        self.info(option, size)
        self.reply(option, nbd.REP_ACK)

    def next_request(self):
        """(flags, command, cookie, offset, length)"""
        return struct.unpack('>4xHHQQI', self.recv(28))

    def answer(self, cookie, error=0, data=b'',
               magic=nbd.MAGIC_SIMPLE_REPLY):
        self.sock.sendall(struct.pack('>IIQ', magic, error, cookie) + data)


class Dripper:
    """An NBD server that sends the reply to a read byte by byte, slowly."""

    PAUSE = 0.1

    def __init__(self, box):
        self._listener = Listener(box, 'dripper')
        self.path = self._listener.path
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        box.on_exit(self._stop)

    def _stop(self):
        self._end.set()
        self._thread.join()

    def _serve(self):
        try:
            with self._listener.accept() as sock:
                side = NbdServerSide(sock)
                side.serve()
                _, _, cookie, _, length = side.next_request()
                side.answer(cookie)
                while length and not self._end.wait(self.PAUSE):
                    sock.sendall(b'x')
                    length -= 1
        except (OSError, nbd.NbdClosed):
            pass    # it was yanked

