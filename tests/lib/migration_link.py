# SPDX-License-Identifier: GPL-2.0-or-later
"""A proxy between source and destination that can be told to break.

It reads the stream as it forwards it, section by section, so that a test can
act at an exact step of the protocol: see docs/interop/migration-stream.rst.
"""

import contextlib
import socket
import struct
import threading

from daemon import free_port

HELLO_SIZE = 64
HAND_OVER_POSTCOPY = 1 << 1     # a flag
HEADER = struct.Struct('>IHHIIQQQQ')

NAMES = {
    1: 'volume', 2: 'setup-end', 3: 'data', 4: 'zero', 5: 'pass-end',
    6: 'missing', 7: 'hand-over', 8: 'go', 9: 'push-end', 10: 'abort',
    11: 'bye', 32: 'accept', 33: 'pass-ack', 34: 'ready', 35: 'started',
    36: 'fetch', 37: 'lacks', 38: 'lacks-end', 39: 'complete', 40: 'error',
    41: 'again',
}


class Section:
    """One that is on its way, and what a test may want to know of it."""

    def __init__(self, connection, channel, header):
        _, kind, self.flags, self.volume, self.payload_size, self.offset, \
            self.length, _, _ = HEADER.unpack(header)
        self.connection = connection
        self.channel = channel      # None before the hello: never here
        self.name = NAMES.get(kind, str(kind))
        self.nth = 0                # of those of this name, from 1 on


class Trigger:
    """Runs @action(section) once, at the @nth section called @name.

    @where: 'before' it is forwarded, 'within' (half of it has gone), 'after'.
    """

    def __init__(self, name, action, nth=1, where='before'):
        self.name = name
        self.action = action
        self.nth = nth
        self.where = where
        self.fired = threading.Event()

    def __repr__(self):
        return f'{self.where} {self.name} {self.nth}'

    def at(self, section, where):
        if (not self.fired.is_set() and self.where == where and
                section.name == self.name and section.nth == self.nth):
            self.action(section)
            # Who waits for this finds it done.
            self.fired.set()


class _Connection:
    """From the source (near) to the destination (far)."""

    def __init__(self, near, far):
        for sock in near, far:
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.near = near
        self.far = far
        self.channel = None

    def cut(self):
        for sock in self.near, self.far:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.near.close()
        self.far.close()


def _receive(sock, count):
    """@count bytes, or fewer at the end."""
    data = b''
    while len(data) < count:
        with contextlib.suppress(ConnectionError):
            part = sock.recv(min(count - len(data), 1 << 16))
            if part:
                data += part
                continue
        break
    return data


def new_address(box, tcp):
    """A place to listen at: the path of a unix socket, or (host, port)."""
    if tcp:
        return '127.0.0.1', free_port()
    return box.path(box.unique('listen') + '.sock')


def uri_of(address):
    """What migrate calls it."""
    if isinstance(address, str):
        return f'unix:{address}'
    return f'tcp:{address[0]}:{address[1]}'


def _socket(address):
    return socket.socket(socket.AF_UNIX if isinstance(address, str)
                         else socket.AF_INET)


class Link:
    """Listens at `address`, for a destination at @target."""

    def __init__(self, box, target):
        self.target = target
        self.address = new_address(box, not isinstance(target, str))
        self.counts = {}            # sections by name
        self.log = []
        self.hello = b''            # the last one
        self.triggers = []
        self._open = threading.Event()
        self._open.set()            # cleared: nothing is forwarded
        self._lock = threading.Lock()
        self._connections = []
        self._threads = []
        self._closed = False
        self._sock = _socket(self.address)
        self._sock.bind(self.address)
        self._sock.listen(64)
        self._start(self._accept)
        box.on_exit(self.close)

    @property
    def uri(self):
        return uri_of(self.address)

    # What a test does

    def on(self, name, action, nth=1, where='before'):
        """A Trigger; @nth counts from now on."""
        trigger = Trigger(name, action, nth + self.counts.get(name, 0), where)
        self.triggers.append(trigger)
        return trigger

    def cut(self, _section=None):
        """Ends all connections; new ones are welcome."""
        with self._lock:
            connections = list(self._connections)
            self._connections.clear()
        for connection in connections:
            connection.cut()

    @staticmethod
    def cut_channel(section):
        """Ends the connection that @section is on."""
        section.connection.cut()

    def hold(self, _section=None):
        """From now on nothing gets through; connections stay open."""
        self._open.clear()

    def release(self):
        self._open.set()

    def close(self):
        self._closed = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self.cut()
        self.release()
        for thread in list(self._threads):
            thread.join(10)
        self._sock.close()

    # Inside

    def _start(self, function, *args):
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while not self._closed:
            try:
                near = self._sock.accept()[0]
            except OSError:
                return
            far = _socket(self.target)
            connection = _Connection(near, far)
            try:
                far.connect(self.target)
            except OSError:
                connection.close()
                continue
            with self._lock:
                self._connections.append(connection)
            self._start(self._from_source, connection)

    def _from_source(self, connection):
        hello = _receive(connection.near, HELLO_SIZE)
        if len(hello) == HELLO_SIZE:
            connection.channel = struct.unpack('>H', hello[16:18])[0]
            self.hello = hello
            self._send(connection.far, hello)
        back = threading.Thread(
            target=self._pump, daemon=True,
            args=(connection, connection.far, connection.near))
        back.start()
        self._pump(connection, connection.near, connection.far)
        back.join()
        connection.close()

    def _send(self, sock, data):
        self._open.wait()
        with contextlib.suppress(OSError):
            sock.sendall(data)

    def _pump(self, connection, near, far):
        while True:
            header = _receive(near, HEADER.size)
            if len(header) < HEADER.size:
                break
            section = Section(connection, connection.channel, header)
            payload = _receive(near, section.payload_size)
            self._note(section)
            self._forward(section, header + payload, far)
        self._open.wait()
        # What was sent before the end arrives; a cut is none of ours.
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_WR)

    def _note(self, section):
        with self._lock:
            section.nth = self.counts.get(section.name, 0) + 1
            self.counts[section.name] = section.nth
            self.log.append(section)

    def _fire(self, section, where):
        for trigger in list(self.triggers):
            trigger.at(section, where)

    def _forward(self, section, data, far):
        self._fire(section, 'before')
        half = len(data) // 2
        self._send(far, data[:half])
        self._fire(section, 'within')
        self._send(far, data[half:])
        self._fire(section, 'after')
