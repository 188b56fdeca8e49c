# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs yankctl, and the service that is its verb watch."""

import json
import os
import signal
import socket
import time

import daemon
import paths
from sandbox import wait_for
from servers import Nbdkit
from suite import slowness

READ = {'command-line': 'qemu-io nbd0 "read 0 4k"'}


def yankctl():
    """The yankctl that was built with the yankd under test."""
    return os.environ.get('YANKCTL') or os.path.join(
        os.path.dirname(paths.yankd()), 'tools', 'yankctl')


class Watch:
    """yankctl watch, over sockets or whatever @options name.

    @policy: the text of a policy, or None
    @stderr: a file descriptor for its log, or None
    """

    def __init__(self, box, *options, policy=None, env=None, wait=True,
                 stderr=None):
        self.box = box
        self.control = box.path('control')
        self.journal_path = box.path('journal')
        argv = [yankctl(), 'watch', '--control', self.control,
                '--journal', self.journal_path, *options]
        if policy is not None:
            argv += ['--policy', box.write('policy.yaml', policy)]
        others = {} if stderr is None else {'stderr': stderr}
        self.process = box.spawn(argv, env=dict(os.environ, **(env or {})),
                                 **others)
        if wait:
            wait_for('the service listens', self._listens)

    def _listens(self):
        if self.process.poll() is not None:
            raise RuntimeError(f'watch ended: {self.process.output()}')
        return daemon.listens(self.control)

    def run(self, *argv, check=False, seconds=20):
        """Runs another verb, which finds this service."""
        return self.box.run([yankctl(), '--control', self.control, *argv],
                            check=check, seconds=seconds)

    def connect(self):
        return Control(self.box, self.control)

    def wait_connected(self, count):
        """Until so many domains are connected."""
        with self.connect() as control:
            return wait_for(f'{count} domains', lambda: sum(
                d['connected'] for d in control.call(op='list')['domains']
            ) == count, 20 * slowness())

    def wait_known(self, count, name='vm', domains=1):
        """Waits until the peers of this many instances of a stock QEMU are
        known; the service yanks no instance whose peer is unknown."""
        self.wait_connected(domains)
        wait_for(f'{count} peers', lambda: (
            f"domain '{name}': the peers of {count} of " in
            self.process.output()), 20 * slowness())

    def journal(self, **match):
        """The lines of the journal that have these values."""
        with open(self.journal_path) as f:
            lines = [json.loads(line) for line in f]
        return [line for line in lines
                if all(line.get(key) == value
                       for key, value in match.items())]

    @staticmethod
    def metric(path, name, **labels):
        """The value of a sample, served at the unix socket @path."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10 * slowness())
            sock.connect(path)
            sock.sendall(b'GET /metrics HTTP/1.0\r\n\r\n')
            text = sock.makefile().read()
        sample = name + '{' + ','.join(
            f'{key}="{value}"' for key, value in labels.items()) + '} '
        return float([line for line in text.splitlines()
                      if line.startswith(sample)][0].removeprefix(sample))

    def wait_journal(self, seconds=10, **match):
        return wait_for(f'{match} in the journal',
                        lambda: self.journal(**match),
                        seconds * slowness())[0]

    def finish(self, seconds=3):
        """Ends it, promptly and cleanly."""
        start = time.monotonic()
        status = self.process.end()
        took = time.monotonic() - start
        assert status == 0, f'watch ended with {status}'
        assert took < seconds * slowness(), f'watch took {took} s to end'
        assert not os.path.exists(self.control)
        assert 'runtime error' not in self.process.output()


class Control:
    """A client of the control socket, by hand."""

    def __init__(self, box, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10 * slowness())
        self.sock.connect(path)
        self.file = self.sock.makefile('rb')
        box.on_exit(self.close)
        self.greeting = self.read()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def read(self):
        """The next object; None at the end."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    def ask(self, **request):
        """The answer to a request, whatever it is."""
        self.send(json.dumps(dict(request, id=1)).encode() + b'\n')
        answer = self.read()
        assert answer['id'] == 1, answer
        return answer

    def call(self, **request):
        answer = self.ask(**request)
        assert 'return' in answer, answer
        return answer['return']


class Hang:
    """A process whose main loop hangs on a frozen NBD server.

    It has a monitor for the service (`qmp_path`) and another, over which it
    is driven into the hang.
    """

    def __init__(self, box, kind, disks=1):
        self.box = box
        self.kind = kind
        self.server = daemon.Daemon(box, kind, monitors=2)
        self.qmp_path = self.server.qmp_path
        self.disks = [Nbdkit(box, name=box.unique('disk'))
                      for _ in range(disks)]
        self.qmp = self.server.qmp(1, seconds=20 * slowness())
        if kind == 'qemu':
            for i in range(disks):
                self.add(i)
        self.start = None
        self.request = None

    def add(self, i):
        return self.qmp.result(self.submit_add(i))

    def submit_add(self, i):
        return self.qmp.submit('blockdev-add', {
            'driver': 'nbd', 'node-name': f'nbd{i}',
            'server': {'type': 'unix', 'path': self.disks[i].path}})

    def hang(self, i=0):
        """Freezes the server and hangs on it."""
        self.disks[i].freeze()
        self.start = time.monotonic()
        if self.kind == 'qemu':
            self.request = self.qmp.submit('human-monitor-command', {
                'command-line': f'qemu-io nbd{i} "read 0 4k"'})
        else:
            self.request = self.submit_add(i)

    def rescued(self):
        """Waits until the main loop answers; returns how long it hung."""
        self.qmp.reply(self.request)
        return time.monotonic() - self.start

    def finish(self):
        for disk in self.disks:
            disk.thaw()
        self.qmp.close()
        self.server.finish()


def notify_socket(box):
    """A socket for NOTIFY_SOCKET, and its path."""
    path = box.path('notify')
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    box.on_exit(sock.close)
    sock.bind(path)
    sock.settimeout(10 * slowness())
    return sock, path


def hang_up(watch):
    watch.process.send_signal(signal.SIGHUP)
