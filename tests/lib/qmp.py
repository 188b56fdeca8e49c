# SPDX-License-Identifier: GPL-2.0-or-later
"""A QMP client on one thread, with a deadline on every wait."""

import itertools
import json
import select
import socket
import time


class QmpError(Exception):
    """A command failed."""

    def __init__(self, error):
        super().__init__(f"{error['class']}: {error['desc']}")
        self.cls = error['class']
        self.desc = error['desc']


class QmpClosed(EOFError):
    """The peer closed the connection."""


def decode(line):
    """A message; what is no JSON becomes an object that says so."""
    try:
        return json.loads(line)
    except ValueError:
        return {'not-json': line.decode(errors='backslashreplace')}


class Qmp:
    """A connection to a QMP socket.

    Messages are kept in order of arrival: events in `events`, all others
    until somebody asks for them by id or takes the next one.
    """

    def __init__(self, address, seconds=10.0):
        self.default_seconds = seconds
        unix = isinstance(address, str)
        self.sock = socket.socket(
            socket.AF_UNIX if unix else socket.AF_INET)
        self.sock.settimeout(seconds)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        self.sock.setblocking(False)
        self.events = []
        self.greeting = None
        self.raw = b''
        self._inbox = []
        self._ids = itertools.count(1)

    @classmethod
    def negotiated(cls, address, oob=True, seconds=10.0):
        qmp = cls(address, seconds)
        try:
            qmp.greet()
            qmp.negotiate(oob)
        except BaseException:
            qmp.close()
            raise
        return qmp

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    # Sending

    def send_raw(self, data, seconds=None):
        """Sends bytes as they are."""
        view = memoryview(data.encode() if isinstance(data, str) else data)
        deadline = self._deadline(seconds)
        while view:
            try:
                view = view[self.sock.send(view):]
            except BlockingIOError:
                self._wait(deadline, write=True)

    def send(self, request):
        self.send_raw(json.dumps(request) + '\n')

    def submit(self, command, arguments=None, oob=False):
        """Sends a command without waiting for it; returns its id."""
        number = next(self._ids)
        request = {'exec-oob' if oob else 'execute': command, 'id': number}
        if arguments is not None:
            request['arguments'] = arguments
        self.send(request)
        return number

    # Receiving

    def next(self, seconds=None):
        """The next message that is no event."""
        return self._take(lambda message: True, seconds, 'message')

    def reply(self, number, seconds=None):
        """The reply with that id, as it came."""
        return self._take(lambda message: message.get('id') == number,
                          seconds, f'reply to {number!r}')

    def result(self, number, seconds=None):
        """What the command with that id returned."""
        message = self.reply(number, seconds)
        if 'error' in message:
            raise QmpError(message['error'])
        return message['return']

    def event(self, name, seconds=None, match=lambda data: True):
        """The first event of that name, taken out of those that came."""
        deadline = self._deadline(seconds)
        while True:
            for i, event in enumerate(self.events):
                if event['event'] == name and match(event.get('data', {})):
                    return self.events.pop(i)
            self._receive(deadline, f'event {name}')

    def pending(self, seconds=0.0):
        """Takes in what is there within @seconds; messages but no events."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self._receive(deadline, '')
        except (TimeoutError, QmpClosed):
            pass
        taken, self._inbox = self._inbox, []
        return taken

    def read_raw(self, seconds=None):
        """All that was not taken yet, as text, after waiting for more."""
        self._wait(self._deadline(seconds), what='more output')
        self.raw += self.sock.recv(1 << 20)
        return self.raw.decode()

    def is_silent(self, seconds):
        """Whether nothing but events comes for so long."""
        deadline = time.monotonic() + seconds
        while not self._inbox:
            try:
                self._receive(deadline, '')
            except TimeoutError:
                return True
        return False

    def wait_closed(self, seconds=None):
        """Waits until the peer closed the connection."""
        deadline = self._deadline(seconds)
        try:
            while True:
                self._receive(deadline, 'end of the connection')
        except (QmpClosed, ConnectionResetError):
            pass

    # Commands

    def greet(self, seconds=None):
        self.greeting = self.next(seconds)
        return self.greeting

    def negotiate(self, oob=True, seconds=None):
        arguments = {'enable': ['oob']} if oob else None
        return self.result(self.submit('qmp_capabilities', arguments),
                           seconds)

    def cmd(self, command, arguments=None, seconds=None):
        """Runs a command in-band."""
        return self.result(self.submit(command, arguments), seconds)

    def oob(self, command, arguments=None, seconds=None):
        """Runs a command out-of-band."""
        return self.result(self.submit(command, arguments, oob=True),
                           seconds)

    # Inside

    def _deadline(self, seconds):
        if seconds is None:
            seconds = self.default_seconds
        return time.monotonic() + seconds

    def _take(self, wanted, seconds, what):
        deadline = self._deadline(seconds)
        while True:
            for i, message in enumerate(self._inbox):
                if wanted(message):
                    return self._inbox.pop(i)
            self._receive(deadline, what)

    def _wait(self, deadline, write=False, what='room to send'):
        left = deadline - time.monotonic()
        fds = [self.sock]
        ready = select.select([] if write else fds, fds if write else [],
                              [], max(left, 0))
        if not ready[0] and not ready[1]:
            raise TimeoutError(f'{what}: not in time')

    def _receive(self, deadline, what):
        """Takes in at least one line, or raises."""
        while b'\n' not in self.raw:
            self._wait(deadline, what=what)
            data = self.sock.recv(1 << 20)
            if not data:
                raise QmpClosed(f'closed while waiting for {what}')
            self.raw += data
        lines = self.raw.split(b'\n')
        self.raw = lines.pop()
        for line in lines:
            message = decode(line)
            if 'event' in message:
                self.events.append(message)
            else:
                self._inbox.append(message)
