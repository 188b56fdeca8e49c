#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# timeout: 300
"""An instance costs as much among thousands as among a few."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon
from instances import SPARE, costs, raise_file_limit
from suite import Skip, run, slowness, test

FEW = 200
MANY = 6000 if slowness() == 1 else 1500
# With costs that grow with the number of the others it would be about
# MANY / FEW.
RATIO = 3


@test('costs of many instances and of a few', seconds=120)
def _(box):
    limit = raise_file_limit()
    if limit < MANY + SPARE:
        raise Skip(f'ulimit -n is {limit}')
    with Daemon(box) as daemon, daemon.qmp(seconds=60) as qmp:
        costs(daemon, qmp, FEW, box.path('warm.sock'))
        few = costs(daemon, qmp, FEW, box.path('few.sock'))
        many = costs(daemon, qmp, MANY, box.path('many.sock'))
    for name, cost in many.items():
        assert cost < RATIO * few[name], \
            f'{name}: {few[name]:.1f} us, and {cost:.1f} us of {MANY}'


run()
