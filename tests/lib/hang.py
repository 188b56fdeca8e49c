# SPDX-License-Identifier: GPL-2.0-or-later
"""Hangs the main loop on purpose."""

import ctypes
import os

from sandbox import wait_for


# Numbers of openat() on x86-64 and on the newer architectures.
_OPENAT = ('257', '56')


def _read(path):
    try:
        with open(path) as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ''


def waits_in_open(pid):
    """Whether a thread of the process waits for the other end of a FIFO."""
    for task in os.listdir(f'/proc/{pid}/task'):
        folder = f'/proc/{pid}/task/{task}'
        if (_read(f'{folder}/wchan') == 'wait_for_partner' or
                _read(f'{folder}/syscall').split(' ')[0] in _OPENAT):
            return True
    return False


class FifoHang:
    """The main loop, blocked in blockdev-add by a FIFO that nobody writes.

    release() ends this hang, and so does a yank of the node, which is an
    instance for that long.
    """

    def __init__(self, box, pid, qmp):
        self.qmp = qmp
        self.node = box.unique('hang')
        self.fifo = box.path(f'{self.node}.fifo')
        os.mkfifo(self.fifo)
        self.request = qmp.submit('blockdev-add', {
            'driver': 'blkdebug', 'node-name': self.node,
            'config': self.fifo,
            'image': {'driver': 'null-co', 'node-name': self.node + 'i'}})
        wait_for('main loop hangs', lambda: waits_in_open(pid))
        box.on_exit(self.let_go)

    def let_go(self):
        """Ends the hang; for those whose session is gone."""
        if self.fifo is None:
            return
        try:
            os.close(os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            pass                # Nobody reads it any more.
        self.fifo = None

    def release(self):
        """Ends the hang; returns the reply to the blocked command."""
        self.let_go()
        return self.qmp.reply(self.request)


_PTRACE_DETACH, _PTRACE_SEIZE, _PTRACE_INTERRUPT = 17, 0x4206, 0x4207
_WALL = 0x40000000


class StoppedMainThread:
    """The main thread of a child process, stopped as a debugger does it.

    Nothing that the process can do by itself ends this hang.
    """

    def __init__(self, pid):
        self._pid = pid
        self._ptrace(_PTRACE_SEIZE)
        self._ptrace(_PTRACE_INTERRUPT)
        os.waitpid(pid, _WALL)

    def _ptrace(self, request):
        ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p,
                           ctypes.c_void_p]
        if ptrace(request, self._pid, None, None) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    def release(self):
        self._ptrace(_PTRACE_DETACH)


def block_main_loop(box, daemon, qmp):
    return FifoHang(box, daemon.pid, qmp)
