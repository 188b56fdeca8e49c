#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
# timeout: 120
"""yankctl shell, on a terminal and from a file."""

import json
import os
import pty
import re
import select
import signal
import stat
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import peers
from daemon import Daemon
from hang import FifoHang
from sandbox import wait_for
from suite import run, slowness, test
from yankctl import FAILED, OK, SILENCE, UNREACHABLE, Fleet

ESCAPES = re.compile(r'\x1b\[[0-9;?]*[a-zA-Z]|\r|\a')


class Terminal:
    """The shell, as somebody sees it who types."""

    def __init__(self, box, fleet, verb=('shell', 'vm'), prompt='vm> ', **env):
        ours, theirs = pty.openpty()
        self.fd = ours
        self.seen = ''
        self.raw = ''
        env = {'TERM': 'xterm', 'XDG_STATE_HOME': box.path('state'),
               'INPUTRC': '/dev/null', **env}
        # Ctrl-C goes to those whose terminal it is.
        self.process = box.spawn(
            ['setsid', '--ctty', *fleet.argv, *verb], stdin=theirs,
            stdout=theirs, stderr=theirs, env=dict(os.environ, **env))
        os.close(theirs)
        box.on_exit(lambda: os.close(ours))
        if prompt:
            self.expect(prompt)

    def type(self, text):
        os.write(self.fd, text.encode())

    def _read(self):
        if select.select([self.fd], [], [], 0.05)[0]:
            try:
                text = os.read(self.fd, 65536).decode()
            except OSError:
                text = ''
            self.raw += text
            self.seen = ESCAPES.sub('', self.raw)

    def expect_all(self, *texts, seconds=10):
        """Waits for them, in any order, and forgets what has been seen."""
        deadline = time.monotonic() + seconds * slowness()
        while not all(text in self.seen for text in texts):
            assert time.monotonic() < deadline, (texts, self.seen)
            self._read()
        self.seen = self.raw = ''

    def expect(self, text, seconds=10):
        """Waits for it, and forgets all up to there."""
        deadline = time.monotonic() + seconds * slowness()
        while text not in self.seen:
            assert time.monotonic() < deadline, (text, self.seen)
            self._read()
        self.seen = self.raw = self.seen.split(text, 1)[1]

    def leave(self, how='exit\r'):
        self.type(how)
        return self.wait()

    def wait(self):
        while self.process.poll() is None:
            self._read()
        return self.process.returncode


@test('requests, errors, history')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        fleet = Fleet.of(box, vm=daemon.qmp_path)
        shell = Terminal(box, fleet)
        shell.type('query-version\r')
        shell.expect('"package": "yankd')
        shell.type('blockdev-add driver=null-co size=65536 node-name=n0\r')
        shell.expect('{')
        shell.type('frob\r')
        shell.expect('The command frob has not been found')
        shell.type('query-version {\r')
        shell.expect('arguments: ')
        shell.type('quit\r')
        shell.expect('leave with exit')
        shell.type('help\r')
        shell.expect('out-of-band')
        shell.type('half of a li\x03')
        shell.expect('^C')
        assert shell.leave() == OK
        # The next one knows what was typed.
        history = box.path('state/yankctl/history')
        assert stat.S_IMODE(os.stat(history).st_mode) == 0o600
        shell = Terminal(box, fleet)
        shell.type('\x12null-co')
        shell.expect('node-name=n0')
        shell.type('\x07\x15')
        assert shell.leave('\x04') == OK


@test('completion')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        shell = Terminal(box, Fleet.of(box, vm=daemon.qmp_path))

        def completes(typed, to):
            """The schema takes a moment to come."""
            deadline = time.monotonic() + 10 * slowness()
            while True:
                shell.type(f'{typed}\t')
                try:
                    shell.expect(to, 1 / slowness())
                except AssertionError:
                    assert time.monotonic() < deadline, shell.seen
                    shell.type('\x15')
                    continue
                shell.type('\x15')
                return

        completes('query-vers', 'query-version ')
        completes('blockdev-add dri', 'driver=')
        completes('blockdev-add driver=null-', 'driver=null-co ')
        completes('blockdev-add driver=nbd server.ty', 'server.type=')
        completes('blockdev-add driver=nbd server.type=un', 'type=unix ')
        completes('blockdev-add driver=nbd server.type=unix server.pa',
                  'server.path=')
        completes('blockdev-add read-only=t', 'read-only=true ')
        completes('!query-yank-', '!query-yank-status ')
        shell.type('!blockdev-a\t')
        shell.type('x\r')
        shell.expect('blockdev-ax has not been found')
        assert shell.leave() == OK


@test('out-of-band while the main loop hangs, and events as they come')
def _(box):
    with Daemon(box, 'yankd') as daemon, daemon.qmp() as other:
        shell = Terminal(box, Fleet.of(box, vm=daemon.qmp_path, timeout=20))
        hang = FifoHang(box, daemon.pid, other)
        shell.type('query-version\r')
        shell.type('!query-dispatch\r')
        shell.expect('"running-ms"')
        shell.expect('MAIN_LOOP_STALLED')
        hang.release()
        shell.expect_all('MAIN_LOOP_RESUMED', '"package"',
                         '(query-version, after ')
        assert shell.leave() == OK


@test('who leaves does not wait for what hangs')
def _(box):
    with Daemon(box, 'yankd') as daemon, daemon.qmp() as other:
        shell = Terminal(box, Fleet.of(box, vm=daemon.qmp_path, timeout=600))
        hang = FifoHang(box, daemon.pid, other)
        shell.type('query-version\r')
        shell.type('!query-dispatch\r')
        shell.expect('"running-ms"')
        start = time.monotonic()
        shell.type('exit\r')
        shell.expect('not answered: 1; what was sent may still be carried out')
        assert shell.wait() == OK
        assert time.monotonic() - start < 5 * slowness()
        hang.release()


@test('what changes something is not sent to what hangs')
def _(box):
    with Daemon(box, 'yankd') as daemon, daemon.qmp() as other:
        fleet = Fleet.of(box, vm=daemon.qmp_path, timeout=SILENCE)
        hang = FifoHang(box, daemon.pid, other)
        text = lines(fleet, box, 'object-add qom-type=iothread id=never\n',
                     code=FAILED)
        assert 'was not sent' in text, text
        text = lines(fleet, box, 'object-add qom-type=iothread id=late\n',
                     '--force', code=FAILED)
        assert 'may still be carried out later' in text, text
        hang.release()


@test('signals: before it is ready, at the prompt, and when it was stopped')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        listener = peers.Listener(box)
        shell = Terminal(box, Fleet.of(box, vm=listener.path, timeout=600),
                         prompt=None)
        listener.accept()
        shell.type('\x03')
        assert shell.wait() == -signal.SIGINT
        shell = Terminal(box, Fleet.of(box, vm=daemon.qmp_path))
        modes = termios.tcgetattr(shell.fd)
        # What a shell does with the terminal of a job that is stopped.
        shell.process.send_signal(signal.SIGSTOP)
        other = termios.tcgetattr(shell.fd)
        other[3] |= termios.ICANON | termios.ECHO
        termios.tcsetattr(shell.fd, termios.TCSANOW, other)
        shell.process.send_signal(signal.SIGCONT)
        wait_for('the terminal is its again', lambda: shell._read() or
                 termios.tcgetattr(shell.fd) == modes)
        shell.type('query-ver\t')
        shell.expect('query-ver')
        shell.type('\x15query-name\r')
        shell.expect('}')
        shell.process.send_signal(signal.SIGTERM)
        assert shell.wait() == OK
        assert termios.tcgetattr(shell.fd)[3] & termios.ECHO
        with open(box.path('state/yankctl/history')) as f:
            assert 'query-name' in f.read()


@test('the connection is lost')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        shell = Terminal(box, Fleet.of(box, vm=daemon.qmp_path))
    wait_for('the shell ends', lambda: shell._read() or
             shell.process.poll() is not None)
    assert shell.process.returncode == UNREACHABLE
    assert 'is lost' in shell.seen, shell.seen


def lines(fleet, box, text, *options, code=OK):
    with open(box.write('in', text)) as stdin:
        return fleet.run('shell', 'vm', *options, code=code, stdin=stdin)


@test('colours on a terminal, unless they are not wanted')
def _(box):
    fleet = Fleet.of(box, vm=box.path('none'))

    def has_colours(**env):
        terminal = Terminal(box, fleet, ['list'], None, **env)
        while terminal.process.poll() is None or 'none' not in terminal.seen:
            terminal._read()
        said = terminal.raw
        assert 'unreachable' in said, said
        return '\x1b[' in said
    assert has_colours(NO_COLOR='')
    assert not has_colours(NO_COLOR='1')
    assert not has_colours(TERM='dumb')
    assert '\x1b' not in fleet.run('list')


@test('from a file')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        fleet = Fleet.of(box, vm=daemon.qmp_path)
        out = lines(fleet, box, '# a comment\n\n'
                    'blockdev-add driver=null-co size=65536 node-name=n0\n'
                    '!query-yank\nblockdev-del {"node-name": "n0"}', '--json')
        got = [json.loads(line) for line in out.splitlines()]
        assert [g['command'] for g in got] == [
            'blockdev-add', 'query-yank', 'blockdev-del'], got
        assert all('return' in g for g in got), got
        out = lines(fleet, box, 'frob\nexit\nquery-version\n', '--json',
                    code=FAILED)
        got = [json.loads(line) for line in out.splitlines()]
        assert len(got) == 1 and got[0]['error']['code'] == \
            'command-not-found', got
        lines(fleet, box, '{"execute": "quit"}\nquery-version\n',
              code=UNREACHABLE)
        daemon.check_ended()


run()
