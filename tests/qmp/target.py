# SPDX-License-Identifier: GPL-2.0-or-later
"""The program that a case observes."""

import daemon
from hang import FifoHang
from suite import slowness

# An answer that has not come after so long does not come before the hang
# ends.  Only stock ever waits for it.
NEVER = 1.0


class Target:
    """Starts the program when it is first needed; one a case."""

    def __init__(self, box, kind, program='qemu'):
        self.box = box
        self.kind = kind if kind == 'yankd' else program
        self._daemon = None

    @property
    def is_stock(self):
        return self.kind != 'yankd'

    @property
    def daemon(self):
        if self._daemon is None:
            self.start()
        return self._daemon

    def start(self, *options, monitors=2):
        self._daemon = daemon.Daemon(self.box, self.kind, options,
                                     monitors=monitors)
        return self._daemon

    def qmp(self, monitor=0, oob=True):
        """A negotiated client."""
        return self.daemon.qmp(monitor, oob)

    def connect(self, monitor=0):
        """A client that has read the greeting."""
        qmp = self.daemon.connect(monitor)
        qmp.greet()
        return qmp

    def hang(self, qmp):
        """Blocks the main loop by a command of @qmp."""
        return FifoHang(self.box, self.daemon.pid, qmp)

    def answered(self, qmp, number):
        """The reply to @number, None when it does not come."""
        seconds = NEVER if self.is_stock else NEVER * 2 * slowness()
        try:
            return qmp.reply(number, seconds)
        except TimeoutError:
            return None

    def finish(self):
        if self._daemon is not None and not self.is_stock:
            self._daemon.finish()
