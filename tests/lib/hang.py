# SPDX-License-Identifier: GPL-2.0-or-later
"""Hangs the main loop on purpose."""

import os

from sandbox import wait_for


def opens_file(pid, path):
    """Whether a thread of the process waits to open the FIFO @path: its name
    is no open file yet, so look for a thread that sleeps in open()."""
    for task in os.listdir(f'/proc/{pid}/task'):
        try:
            with open(f'/proc/{pid}/task/{task}/wchan') as f:
                if f.read() == 'wait_for_partner':
                    return True
            with open(f'/proc/{pid}/task/{task}/syscall') as f:
                number = f.read().split()[0]
            if number in ('257', '2', '56') and path:
                return True
        except (FileNotFoundError, ProcessLookupError):
            pass
    return False


class FifoHang:
    """The main loop, blocked in blockdev-add by a FIFO that nobody writes.

    No yank ends this hang; release() does.
    """

    def __init__(self, box, pid, qmp, oob=True):
        self.qmp = qmp
        self.node = box.unique('hang')
        self.fifo = box.path(f'{self.node}.fifo')
        os.mkfifo(self.fifo)
        self.request = qmp.submit('blockdev-add', {
            'driver': 'blkdebug', 'node-name': self.node,
            'config': self.fifo,
            'image': {'driver': 'null-co', 'node-name': self.node + 'i'}})
        wait_for('main loop hangs', lambda: opens_file(pid, self.fifo))
        self._writer = None
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


def block_main_loop(box, daemon, qmp):
    return FifoHang(box, daemon.pid, qmp)
