# SPDX-License-Identifier: GPL-2.0-or-later
"""A man in the middle of a migration: it passes sections on, and can hold
any, so that a test stops a migration exactly where it wants to."""

import contextlib
import socket
import struct
import threading

from suite import slowness

_HELLO_SIZE = 64
_HEADER_SIZE = 48
_NAMES = {1: 'volume', 2: 'setup-end', 3: 'data', 4: 'zero', 5: 'pass-end',
          6: 'missing', 7: 'hand-over', 8: 'go', 9: 'push-end', 10: 'abort',
          11: 'bye', 32: 'accept', 33: 'pass-ack', 34: 'ready',
          35: 'started', 36: 'fetch', 37: 'lacks', 38: 'lacks-end',
          39: 'complete', 40: 'error', 41: 'again'}


class Relay:
    """Listens at .uri and connects to the unix socket @target.

    .seen names all sections that came, in order, also those that are held.
    """

    def __init__(self, box, target):
        self.target = target.removeprefix('unix:')
        path = box.path(box.unique('relay') + '.sock')
        self.uri = 'unix:' + path
        self.seen = []
        self.hello = b''        # the last one
        self._changed = threading.Condition()
        self._held = set()      # names to hold
        self._waiting = set()   # names that are being held
        self._steps = []        # names of which one may go
        self._sockets = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        box.on_exit(self.close)

    # What a test does

    def hold(self, *names):
        """Keeps sections of those types, and what comes after them in the
        same direction of a channel."""
        with self._changed:
            self._held.update(names)

    def release(self, *names):
        """Lets go; all, without names."""
        with self._changed:
            self._held.difference_update(names or set(self._held))
            self._changed.notify_all()

    def step(self, name, seconds=10.0):
        """Lets the one that is held go, and holds the next."""
        self.wait_held(name, seconds)
        with self._changed:
            self._steps.append(name)
            self._waiting.discard(name)
            self._changed.notify_all()

    def wait_held(self, name, seconds=10.0):
        """Until a section of that type has come and is held."""
        with self._changed:
            assert self._changed.wait_for(lambda: name in self._waiting,
                                          seconds * slowness()), (
                                              f'no {name} came')

    def cut(self):
        """Ends all connections; new ones are still taken."""
        with self._changed:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            self._sockets = []
            self._held.clear()
            self._changed.notify_all()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    # Inside

    def _accept(self):
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self.target)
            except OSError:
                near.close()
                continue
            with self._changed:
                self._sockets += [near, far]
            for pair in (near, far, True), (far, near, False):
                threading.Thread(target=self._pump, args=pair,
                                 daemon=True).start()

    def _pump(self, here, there, has_hello):
        with contextlib.suppress(OSError, EOFError):
            if has_hello:
                self.hello = _receive(here, _HELLO_SIZE)
                there.sendall(self.hello)
            while True:
                self._pass_section(here, there)
        for sock in here, there:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _pass_section(self, here, there):
        header = _receive(here, _HEADER_SIZE)
        kind, left = struct.unpack('>4xH6xI', header[:16])
        name = _NAMES[kind]
        with self._changed:
            self.seen.append(name)
            if name in self._held:
                self._waiting.add(name)
                self._changed.notify_all()
                self._changed.wait_for(lambda: name not in self._held or
                                       name in self._steps)
                self._waiting.discard(name)
                if name in self._steps:
                    self._steps.remove(name)
        there.sendall(header)
        while left:
            data = here.recv(min(left, 1 << 16))
            if not data:
                raise EOFError
            there.sendall(data)
            left -= len(data)


def _receive(sock, count):
    data = b''
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data
