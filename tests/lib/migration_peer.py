# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers of a migration that say just what a test tells them, right or wrong;
the stream is that of docs/interop/migration-stream.rst."""

import collections
import ctypes
import itertools
import os
import socket
import struct

HELLO_SIZE, HEADER_SIZE = 64, 48
RESUME = 1                                      # flag of a hello
ZSTD, POSTCOPY = 1, 2                           # flags of a section
(VOLUME, SETUP_END, DATA, ZERO, PASS_END, MISSING, HAND_OVER, GO, PUSH_END,
 ABORT, BYE) = range(1, 12)
(ACCEPT, PASS_ACK, READY, STARTED, FETCH, LACKS, LACKS_END, COMPLETE,
 ERROR, AGAIN) = range(32, 42)
BLOCK, STRIPE = 16 << 10, 1 << 20

_attempts = itertools.count(1)
_xxhash = ctypes.CDLL('libxxhash.so.0')
_xxhash.XXH3_64bits.restype = ctypes.c_uint64
_xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]

Section = collections.namedtuple('Section',
                                 'type flags volume offset length payload')


def checksum(data):
    return _xxhash.XXH3_64bits(data, len(data)) if data else 0


def signed(data):
    """With its checksum behind it."""
    return data + struct.pack('>Q', checksum(data))


def hello(channel=0, channels=0, flags=0, process=b'p' * 16,
          session=b's' * 16, version=1, magic=b'YANKDMIG', attempt=0):
    return signed(magic + struct.pack('>IIHH', version, flags, channel,
                                      channels)
                  + process + session + struct.pack('>I', attempt))


def header(kind, flags=0, volume=0, offset=0, length=0, payload_size=0,
           payload_checksum=0, magic=b'YSEC'):
    return signed(magic + struct.pack('>HHIIQQQ', kind, flags, volume,
                                      payload_size, offset, length,
                                      payload_checksum))


def section(kind, flags=0, volume=0, offset=0, length=0, payload=b''):
    return header(kind, flags, volume, offset, length, len(payload),
                  checksum(payload)) + payload


def volume(index, name, size, flags=0):
    text = name.encode()
    return section(VOLUME, volume=index, payload=struct.pack(
        '>QII', size, flags, len(text)) + text)


def data(offset, content, index=0, flags=0, length=None):
    return section(DATA, flags, index, offset,
                   len(content) if length is None else length, content)


def zstd_run(byte, length, said=None):
    """A frame of zstd that holds @length times the same byte, and says that
    it holds @said."""
    said = length if said is None else said
    frame = b'\x28\xb5\x2f\xfd\xa0' + struct.pack('<I', said)
    while length > 0:
        part = min(length, 128 << 10)
        length -= part
        block = (length == 0) | 1 << 1 | part << 3
        frame += struct.pack('<I', block)[:3] + byte
    return frame


class Channel:
    """One connection."""

    def __init__(self, sock, seconds=10.0):
        self.sock = sock
        self.sock.settimeout(seconds)

    def send(self, *parts):
        self.sock.sendall(b''.join(parts))

    def _receive(self, size):
        """@size bytes, or as many as came before the end."""
        got = b''
        while len(got) < size:
            more = self.sock.recv(size - len(got))
            if not more:
                break
            got += more
        return got

    def receive_hello(self):
        got = self._receive(HELLO_SIZE)
        assert len(got) == HELLO_SIZE and signed(got[:-8]) == got, got
        return got

    def receive(self):
        """The next section; None at the end."""
        got = self._receive(HEADER_SIZE)
        if not got:
            return None
        assert len(got) == HEADER_SIZE and signed(got[:-8]) == got, got
        magic, kind, flags, index, size, offset, length, check = struct.unpack(
            '>4sHHIIQQQ', got[:-8])
        assert magic == b'YSEC', got
        payload = self._receive(size)
        assert len(payload) == size and checksum(payload) == check, got
        return Section(kind, flags, index, offset, length, payload)

    def expect(self, kind):
        """The next section, which must be of type @kind."""
        got = self.receive()
        assert got and got.type == kind, f'{got} instead of type {kind}'
        return got

    def expect_error(self, kind=ERROR):
        """Passes over others up to the error; its text.  Ends this."""
        while True:
            got = self.receive()
            assert got, 'closed without an error'
            if got.type == kind:
                self.close()
                return got.payload.decode()

    def expect_closed(self):
        """Passes over what comes up to the end."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            pass
        self.close()

    def close(self):
        self.sock.close()


class SourcePeer(Channel):
    """The main channel of a source that has said hello; @others: those beside
    it."""

    def __init__(self, path, channels=0, seconds=10.0, **members):
        super().__init__(_connect(path), seconds)
        # Each migration is a session of its own.
        self.session = members.setdefault('session', os.urandom(16))
        members.setdefault('attempt', next(_attempts))
        self.send(hello(0, channels, **members))
        self.others = []
        for i in range(1, channels + 1):
            other = Channel(_connect(path), seconds)
            other.send(hello(i, channels, **members))
            self.others.append(other)

    def set_up(self, name='d0', size=4 << 20):
        """One volume, accepted."""
        self.send(volume(0, name, size), section(SETUP_END, length=1))
        self.expect(ACCEPT)

    def close(self):
        super().close()
        for other in self.others:
            other.close()


class DestinationPeer(Channel):
    """The main channel of a destination whose source has said hello."""

    def __init__(self, listener, seconds=10.0):
        listener.settimeout(seconds)
        super().__init__(listener.accept()[0], seconds)
        self.receive_hello()

    def set_up(self):
        """Takes whatever volumes there are; how many."""
        count = 0
        while True:
            got = self.receive()
            if got.type == SETUP_END:
                assert got.length == count
                self.send(section(ACCEPT))
                return count
            assert got.type == VOLUME and got.volume == count, got
            count += 1

    def receive_until(self, kind):
        while True:
            got = self.receive()
            assert got, f'closed before type {kind}'
            if got.type == kind:
                return got


def _connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return sock
