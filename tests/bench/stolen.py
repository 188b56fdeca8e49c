# SPDX-License-Identifier: GPL-2.0-or-later
"""What a hypervisor took of a measurement.

Where a virtual machine has less than its processors could do, its host stops
all of them for a while, every tenth of a second.  Who keeps all processors
busy is hit then, and who does not is spared.
"""

import os

_TICK_MS = 1000 / os.sysconf('SC_CLK_TCK')
# Of the first line of /proc/stat.
_STEAL = 8


def _ticks():
    with open('/proc/stat') as f:
        return int(f.readline().split()[_STEAL])


class Stolen:
    """`ms`: how long processors were ready and did not run, all of them
    together, while in the context."""

    def __enter__(self):
        self._begin = _ticks()
        return self

    def __exit__(self, *exc):
        self.ms = (_ticks() - self._begin) * _TICK_MS
