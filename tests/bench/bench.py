#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares the speed of yankd with that of the stock programs.

All are measured in one run and in turn, so that what else the machine does
hits them alike.  A ratio above 1 means that yankd is better.

    tests/bench/bench.py                          everything, 5 to 8 minutes
    tests/bench/bench.py --list                   names for --only
    tests/bench/bench.py --only randread-4k-qd64  one job
    tests/bench/bench.py --only qmp --only yank   all that begin so
    tests/bench/bench.py --no-stock --only seq    yankd and backend only
    tests/bench/bench.py --rounds 1 --seconds 1   quick and rough
    YANKD=build-x/yankd tests/bench/bench.py      another build

The exit status says whether it could measure, never how fast that was.
"""

import sys

import common

import daemon
import gateway
import roundtrip
import yanks
from common import say
from sandbox import Sandbox


def options():
    parser = common.parser(__doc__, rounds=5)
    parser.add_argument('--seconds', type=int, default=2,
                        help='length of a round of fio (2)')
    parser.add_argument('--no-stock', action='store_true',
                        help='leave the stock programs out')
    parser.add_argument('--no-yankd', action='store_true',
                        help='leave yankd out')
    return parser.parse_args()


def names():
    return (list(gateway.JOBS) + ['qmp'] +
            [f'yank-{count}' for count in yanks.COUNTS] +
            [f'cost-{name}' for name in yanks.COSTS] +
            ['greeting', 'memory'])


def chosen(only):
    if not only:
        return names()
    found = [name for name in names()
             if any(name.startswith(prefix) for prefix in only)]
    if not found:
        sys.exit(f"bench: --only {' '.join(only)}: no such name; allowed "
                 f"are {', '.join(names())}")
    return found


def present(args):
    """Which programs take part: {'qsd': 'stock', ...}"""
    want = [] if args.no_stock else ['qsd', 'qemu']
    want += [] if args.no_yankd else ['yankd']
    there = [kind for kind in want if daemon.program(kind)]
    for kind in want:
        if kind not in there:
            print(f'bench: {kind} is not there and left out',
                  file=sys.stderr)
    return there


def measure(args, wanted, kinds, say):
    mine = 'yankd' in kinds
    rows = []
    jobs = [name for name in wanted if name in gateway.JOBS]
    pair = {'stock': 'qemu', 'yankd': 'yankd'}
    pair = {who: kind for who, kind in pair.items() if kind in kinds}
    stock = [kind for kind in kinds if kind != 'yankd']
    if jobs:
        with Sandbox('yankd-bench-') as box:
            rows += gateway.run(box, jobs, args.rounds, args.seconds, say,
                                'qsd' in kinds, mine)
    if 'qmp' in wanted:
        with Sandbox('yankd-bench-') as box:
            rows += roundtrip.round_trips(box, pair, args.rounds, say)
    counts = [count for count in yanks.COUNTS if f'yank-{count}' in wanted]
    if counts:
        with Sandbox('yankd-bench-') as box:
            rows += yanks.run(box, pair, counts, args.rounds, say)
    costs = [f'cost-{name}' for name in yanks.COSTS]
    if mine and set(costs) & set(wanted):
        with Sandbox('yankd-bench-') as box:
            rows += yanks.run_costs(box, wanted, args.rounds, say)
    if 'greeting' in wanted:
        with Sandbox('yankd-bench-') as box:
            rows += roundtrip.greeting(box, stock, mine, args.rounds, say)
    if 'memory' in wanted:
        with Sandbox('yankd-bench-') as box:
            rows += roundtrip.memory(box, stock, mine, say)
    return rows


def main():
    args = options()
    if args.list:
        print('\n'.join(names()))
        return
    wanted = chosen(args.only)
    rows = measure(args, wanted, present(args), say)
    say('')
    if args.json != '-':
        print(common.table(rows))
    if args.json:
        common.write_json(rows, args.json)


if __name__ == '__main__':
    main()
