# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a yank of many socket chardevs takes, and what many of them cost
each."""

import statistics
import time

from common import Row
from daemon import Daemon
from instances import SPARE, Chardevs, costs, raise_file_limit

COUNTS = (10, 100, 1000, 4000)
# Instances of which each must cost about as much as one of fewer.
FEW, MANY = 1000, 10000
COSTS = ('add', 'status', 'yank', 'remove')
# At most this many times the cost of one of few.
COST_RATIO = 1.5


def run(box, kinds, counts, rounds, say):
    """Rows of the time of a yank."""
    limit = raise_file_limit()
    rows = []
    for count in counts:
        row = Row(f'yank-{count}', 'ms', False)
        rows.append(row)
        if limit < count + SPARE:
            row.note = f'left out: ulimit -n is {limit}'
            continue
        for turn in range(rounds):
            say(f'round {turn + 1} of {rounds}: {row.name}')
            for who, kind in kinds.items():
                # A new process each time: what others leave behind in
                # stock (a warm cache, a long list) is nobody's merit.
                daemon = Daemon(box, kind)
                with daemon.qmp(seconds=60) as qmp:
                    path = box.path(box.unique('peers') + '.sock')
                    chardevs = Chardevs(qmp, count, path)
                    begin = time.perf_counter()
                    chardevs.yank()
                    spent = time.perf_counter() - begin
                    chardevs.check_cut()
                    row.samples[who].append(spent * 1e3)
                    chardevs.close()
                daemon.process.destroy()
    return rows


def _cost_ratio(box, count):
    """{'add': (of one of few, of one of @count), ...}"""
    with Daemon(box) as daemon, daemon.qmp(seconds=60) as qmp:
        # The first instances pay for what the process sets up once.
        costs(daemon, qmp, FEW, box.path(box.unique('warm') + '.sock'))
        few = costs(daemon, qmp, FEW, box.path(box.unique('few') + '.sock'))
        many = costs(daemon, qmp, count,
                     box.path(box.unique('many') + '.sock'))
    return {name: (few[name], many[name]) for name in COSTS}


def run_costs(box, wanted, rounds, say):
    """Rows of the processor time for each of MANY instances, with its ratio
    to that for each of FEW."""
    limit = raise_file_limit()
    rows = [Row(f'cost-{name}', 'us', False) for name in COSTS]
    if limit < MANY + SPARE:
        for row in rows:
            row.note = f'left out: ulimit -n is {limit}'
        return rows
    seen = []
    for turn in range(rounds):
        say(f'round {turn + 1} of {rounds}: costs of {MANY} instances')
        seen.append(_cost_ratio(box, MANY))
    for row, name in zip(rows, COSTS):
        row.samples['yankd'] = [costs[name][1] for costs in seen]
        ratio = statistics.median(costs[name][1] / costs[name][0]
                                  for costs in seen)
        row.note = (f'each of {MANY:,}: {ratio:.2f} times one of {FEW:,}'
                    + (f', more than {COST_RATIO}' if ratio > COST_RATIO
                       else ''))
    return [row for row in rows if row.name in wanted]
