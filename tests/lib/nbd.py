# SPDX-License-Identifier: GPL-2.0-or-later
"""A small NBD client that does what it is told, right or wrong.

Every step can be made by itself with any values, so that tests can leave a
handshake in the middle, send what no good client sends, and read every field
of what comes back.
"""

import socket
import struct

MAGIC_GREETING = b'NBDMAGIC'
MAGIC_OPTION = b'IHAVEOPT'
MAGIC_OPTION_REPLY = 0x3e889045565a9
MAGIC_REQUEST = 0x25609513
MAGIC_SIMPLE_REPLY = 0x67446698

OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_STARTTLS = 1, 2, 3, 5
OPT_INFO, OPT_GO, OPT_STRUCTURED = 6, 7, 8
REP_ACK, REP_SERVER, REP_INFO = 1, 2, 3
REP_ERR = 1 << 31
REP_ERR_UNSUP, REP_ERR_POLICY = REP_ERR | 1, REP_ERR | 2
REP_ERR_INVALID, REP_ERR_UNKNOWN = REP_ERR | 3, REP_ERR | 6
REP_ERR_TOO_BIG = REP_ERR | 9
INFO_EXPORT, INFO_NAME, INFO_DESCRIPTION, INFO_BLOCK_SIZE = 0, 1, 2, 3
CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM = 0, 1, 2, 3, 4
CMD_CACHE, CMD_WRITE_ZEROES, CMD_BLOCK_STATUS = 5, 6, 7
CMD_FLAG_FUA, CMD_FLAG_NO_HOLE = 1, 2
FLAG_C_FIXED, FLAG_C_NO_ZEROES = 1, 2
EPERM, EIO, ENOMEM, EINVAL, ENOSPC, ESHUTDOWN = 1, 5, 12, 22, 28, 108


class NbdClosed(Exception):
    """The server closed the connection."""


class NbdError(Exception):
    """A request failed; `errno` says how."""

    def __init__(self, errno):
        super().__init__(f'NBD error {errno}')
        self.errno = errno


class NbdClient:
    """@address: path of a unix socket, or (host, port).
    @export: name to open; None to stay before the options."""

    def __init__(self, address, export='', seconds=10.0):
        unix = isinstance(address, str)
        self.sock = socket.socket(
            socket.AF_UNIX if unix else socket.AF_INET)
        self.sock.settimeout(seconds)
        self.size = self.flags = None
        self._cookie = 0
        try:
            self.sock.connect(address)
            if export is not None:
                self.greet()
                self.go(export)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def recv(self, count):
        data = bytearray(count)
        view = memoryview(data)
        while view:
            got = self.sock.recv_into(view)
            if got == 0:
                raise NbdClosed()
            view = view[got:]
        return bytes(data)

    def wait_closed(self):
        """Reads on until the server ends the connection."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            pass

    # Handshake

    def greet(self, flags=FLAG_C_FIXED | FLAG_C_NO_ZEROES):
        magic, option, server = struct.unpack('>8s8sH', self.recv(18))
        assert magic == MAGIC_GREETING and option == MAGIC_OPTION
        self.send(struct.pack('>I', flags))
        return server

    def option(self, number, data=b'', length=None, magic=MAGIC_OPTION):
        """Sends an option; @length may tell a lie about @data."""
        if length is None:
            length = len(data)
        self.send(magic + struct.pack('>II', number, length) + data)

    def option_reply(self):
        """(option, type, data) of one reply."""
        magic, option, kind, length = struct.unpack('>QIII', self.recv(20))
        assert magic == MAGIC_OPTION_REPLY
        return option, kind, self.recv(length)

    def info_data(self, export, requests=(INFO_BLOCK_SIZE,)):
        name = export.encode()
        return (struct.pack('>I', len(name)) + name +
                struct.pack('>H', len(requests)) +
                b''.join(struct.pack('>H', r) for r in requests))

    def go(self, export, option=OPT_GO, requests=(INFO_BLOCK_SIZE,)):
        """Opens @export; returns {info type: data}."""
        self.option(option, self.info_data(export, requests))
        infos = {}
        while True:
            _, kind, data = self.option_reply()
            if kind == REP_ACK:
                self.size, self.flags = struct.unpack(
                    '>QH', infos[INFO_EXPORT])
                return infos
            if kind & REP_ERR:
                raise NbdError(kind)
            infos[struct.unpack('>H', data[:2])[0]] = data[2:]

    def list(self):
        """Names of the exports."""
        self.option(OPT_LIST)
        names = []
        while True:
            _, kind, data = self.option_reply()
            if kind != REP_SERVER:
                assert kind == REP_ACK, hex(kind)
                return names
            length = struct.unpack('>I', data[:4])[0]
            names.append(data[4:4 + length].decode())

    # Transmission

    def request(self, command, offset=0, length=0, data=b'', flags=0,
                magic=MAGIC_REQUEST):
        """Sends a request; returns its cookie."""
        self._cookie += 1
        self.send(struct.pack('>IHHQQI', magic, flags, command,
                              self._cookie, offset, length) + data)
        return self._cookie

    def reply(self):
        """(cookie, error) of one simple reply; its data is not read."""
        magic, error, cookie = struct.unpack('>IIQ', self.recv(16))
        assert magic == MAGIC_SIMPLE_REPLY, hex(magic)
        return cookie, error

    def _finish(self, cookie):
        got, error = self.reply()
        assert got == cookie
        if error:
            raise NbdError(error)

    def read(self, offset, length):
        self._finish(self.request(CMD_READ, offset, length))
        return self.recv(length)

    def write(self, offset, data, flags=0):
        self._finish(self.request(CMD_WRITE, offset, len(data), data, flags))

    def simple(self, command, offset=0, length=0, flags=0):
        """A request without data: flush, trim, write-zeroes."""
        self._finish(self.request(command, offset, length, flags=flags))

    def disconnect(self):
        self.request(CMD_DISC)
        self.wait_closed()
