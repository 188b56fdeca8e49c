# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the verbs of yankctl, and stands in for the servers they talk to."""

import json
import os
import socket
import threading
import time

from suite import slowness
from watch import yankctl

# What a run may take beside the deadlines that it was given.
MARGIN = 2.0
# A deadline that is going to pass: the same in all builds.
SILENCE = 0.5

OK, FAILED, USAGE, NOT_FOUND, UNREACHABLE, TIMEOUT, STUCK, NO_LANE, REFUSED, \
    GUEST_SILENT, GUEST_FAILED = range(11)


class Fleet:
    """yankctl with some domains.

    @options: those that name the domains
    @control: the control socket of a service; None: none is asked
    @timeout: for each answer, in seconds; SILENCE where it is waited out
    """

    def __init__(self, box, *options, control=None, timeout=None):
        self.box = box
        control = ['--control', control] if control else ['--no-control']
        self.argv = [yankctl(), *options, *control, '--timeout',
                     str(timeout or 3 * slowness())]
        self.took = 0

    @staticmethod
    def of(box, control=None, timeout=None, **sockets):
        """Each domain by the path of its socket."""
        options = [f'--socket={name}={path}'
                   for name, path in sockets.items()]
        return Fleet(box, *options, control=control, timeout=timeout)

    def run(self, *argv, code=OK, seconds=20, **kwargs):
        """Standard output; the code to exit with must be @code."""
        start = time.monotonic()
        done = self.box.run([*self.argv, *argv], check=False,
                            seconds=seconds * slowness(), **kwargs)
        self.took = time.monotonic() - start
        assert done.returncode == code, (argv, done)
        self.stderr = done.stderr
        return done.stdout

    def json(self, *argv, code=OK, **kwargs):
        return json.loads(self.run(*argv, '--json', code=code, **kwargs))

    def fails(self, code, *argv, **kwargs):
        """What it says on standard error, one line."""
        self.run(*argv, code=code, **kwargs)
        said = self.stderr
        assert said.startswith('yankctl: ') and said.count('\n') == 1, said
        return said

    def states(self):
        return {d['name']: d['state'] for d in self.json('list')}


class FakeServer:
    """A server that does to each client what @script says: a function of the
    socket, which is run on a thread of its own."""

    def __init__(self, box, script, name='fake'):
        self.path = box.path(box.unique(name) + '.sock')
        self.script = script
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.clients = []
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        box.on_exit(self._end)

    def _serve(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            thread = threading.Thread(target=self._client, args=[sock])
            self.clients.append((sock, thread))
            thread.start()

    def _client(self, sock):
        try:
            self.script(sock)
        except (OSError, ValueError):
            pass                # The client has left, or we have.

    def _end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        for sock, thread in self.clients:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            thread.join()
            sock.close()


def hold(sock):
    """Says nothing more, until the client leaves."""
    while sock.recv(65536):
        pass


GREETING = {'QMP': {'version': {'qemu': {'major': 7, 'minor': 2, 'micro': 0},
                                'package': ''}, 'capabilities': ['oob']}}


def send(sock, message):
    sock.sendall(json.dumps(message).encode() + b'\r\n')


def qmp(answers):
    """A script: QMP that answers the command NAME with answers[NAME], a value
    or a function of socket and request, and others with an error."""
    def script(sock):
        send(sock, GREETING)
        for line in sock.makefile('rb'):
            request = json.loads(line)
            command = request.get('execute') or request.get('exec-oob')
            answer = answers.get(command)
            if callable(answer):
                answer(sock, request)
            elif answer is None and command != 'qmp_capabilities':
                send(sock, {'id': request.get('id'), 'error': {
                    'class': 'CommandNotFound', 'desc': f'no {command}'}})
            else:
                send(sock, {'id': request.get('id'),
                            'return': {} if answer is None else answer})
    return script
