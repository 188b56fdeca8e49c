# SPDX-License-Identifier: GPL-2.0-or-later
"""A place for one test: a folder and processes, and nothing left of them.

Every process is a descendant of this one, also those that go to the
background (this process is made their reaper), so that what is left over can
be found, reported and ended without a look at what others run.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SIG_DFL = 0
_libc = ctypes.CDLL(None, use_errno=True)


def _before_exec():
    """The child dies with us.  It takes signals, also where we were started
    in the background and ignore some."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in signal.SIGHUP, signal.SIGINT, signal.SIGQUIT:
        _libc.signal(number, _SIG_DFL)


def become_reaper():
    """Makes orphans of our children ours."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children():
    """The pids of our children, dead ones that wait to be reaped excepted."""
    pids = []
    for task in os.listdir('/proc/self/task'):
        try:
            with open(f'/proc/self/task/{task}/children') as f:
                pids += [int(pid) for pid in f.read().split()]
        except FileNotFoundError:
            pass
    return [pid for pid in pids if state(pid) not in (None, 'Z')]


def state(pid):
    """The letter of a process's state ('S', 'T', 'Z'); None when gone."""
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def command_of(pid):
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as f:
            return f.read().replace(b'\0', b' ').decode(errors='replace')
    except (FileNotFoundError, ProcessLookupError):
        return '?'


def wait_for(what, condition, seconds=10.0):
    """Returns what @condition gives once that is true; it is asked often."""
    deadline = time.monotonic() + seconds
    pause = 0.0005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f'{what}: not within {seconds} s')
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


class Process(subprocess.Popen):
    """A child whose output goes to a file, and that is ended with us."""

    def __init__(self, argv, log, **kwargs):
        # The parent-death signal is that of the thread that forks.
        assert threading.current_thread() is threading.main_thread()
        self.log = log
        kwargs.setdefault('stdin', subprocess.DEVNULL)
        with open(log, 'wb') as out:
            kwargs.setdefault('stdout', out)
            kwargs.setdefault('stderr', subprocess.STDOUT)
            super().__init__(argv, preexec_fn=_before_exec, **kwargs)

    def output(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    def freeze(self):
        """Stops the process as a whole; its sockets stay open and silent."""
        freeze(self.pid)

    def thaw(self):
        self.send_signal(signal.SIGCONT)

    def end(self, seconds=10.0):
        """Asks the process to end; returns its exit status."""
        self.terminate()
        return self.wait(seconds)

    def destroy(self):
        if self.poll() is None:
            self.kill()
        self.wait()
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe:
                pipe.close()


def freeze(pid):
    os.kill(pid, signal.SIGSTOP)
    wait_for('stop', lambda: state(pid) == 'T')


class Sandbox:
    """A context: on leaving it every process is ended, the folder removed."""

    def __init__(self, prefix='yankd-test-'):
        become_reaper()
        self.dir = tempfile.mkdtemp(prefix=prefix)
        self.processes = []
        self.daemons = []
        self._undo = []
        self._names = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        while self._undo:
            self._undo.pop()()
        for process in reversed(self.processes):
            process.destroy()
        self.end_strays()
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def unique(self, name):
        """@name with a number that no other has."""
        self._names += 1
        return f'{name}{self._names}'

    def on_exit(self, function):
        """Runs @function when the sandbox is left, the last one first."""
        self._undo.append(function)

    def spawn(self, argv, **kwargs):
        name = self.unique(os.path.basename(argv[0]) + '-log')
        process = Process(argv, self.path(name), **kwargs)
        self.processes.append(process)
        return process

    def adopt(self, pidfile):
        """Takes in a program that went to the background by itself; it is
        ended with the sandbox."""
        def written():
            with contextlib.suppress(FileNotFoundError), open(pidfile) as f:
                return f.read().strip()
            return None
        pid = int(wait_for(pidfile, written))
        assert pid in children(), 'no child of ours'
        self.daemons.append(pid)
        return pid

    def run(self, argv, seconds=60, check=True, **kwargs):
        """Runs a program to its end; returns the CompletedProcess."""
        done = subprocess.run(
            argv, stdin=kwargs.pop('stdin', subprocess.DEVNULL),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=seconds, preexec_fn=_before_exec, **kwargs)
        if check and done.returncode != 0:
            raise RuntimeError(f'{argv[0]} failed ({done.returncode}): '
                               f'{done.stderr or done.stdout}')
        return done

    def write(self, name, data):
        path = self.path(name)
        with open(path, 'wb') as f:
            f.write(data.encode() if isinstance(data, str) else data)
        return path

    @staticmethod
    def end_strays():
        """Ends children that nobody waits for, such as daemons."""
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return
