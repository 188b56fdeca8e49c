#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares the speed of a migration with that of the stock programs.

All move the same random disk, over the loopback from memory to memory, in
one run and in turn, so that what else the machine does hits them alike; a
round in which the host of a virtual machine took processors away is repeated.
What arrived is compared with what was sent.

    tests/bench/migration.py                   everything, about 4 minutes
    tests/bench/migration.py --list            names for --only
    tests/bench/migration.py --only yankd      all that begin so
    tests/bench/migration.py --rounds 1 --size 128   quick and rough
    YANKD=build-x/yankd tests/bench/migration.py     another build

The exit status says whether all could be measured and all bytes arrived,
never how fast that was.
"""

import os
import signal
import sys

import common

import copies
import disk
import moves
import stockram
import yankdmove
from common import say
from daemon import program
from sandbox import Sandbox

# Stock's limit, unless told otherwise; and one for those who are in a hurry.
LIMITS = (300, 20)
# What is to be reached.
SPEEDUP = 1.5
DOWNTIME = 30
SHORTER = 5
# Rounds in which the host stopped this machine are repeated so many times.
PATIENCE = 3
# What a client must still be able to write, of what it wants to.
STEADY = 0.9


def options():
    parser = common.parser(__doc__, rounds=3)
    parser.add_argument('--size', type=int, default=1024, metavar='MIB',
                        help='size of the disk (1024)')
    parser.add_argument('--link-rate', type=float, metavar='MB/S',
                        help='a quarter of it is dirtied, instead of a '
                        'quarter of what was measured')
    return parser.parse_args()


class Result:
    """The samples of one competitor.

    @samples: {'rate': [...], ...}, in MB/s and ms; those of which the
        hypervisor took nothing
    @robbed: the same for the others
    @note: why there are none, or fewer
    """

    def __init__(self, competitor):
        self.competitor = competitor
        self.name = competitor.name
        self.who = competitor.who
        self.samples = {}
        self.robbed = {}
        self.note = ''
        self.failed = False

    def measure(self, blocks):
        """One round; what failed once is not tried again."""
        if self.note:
            return
        try:
            with Sandbox('yankd-bench-') as box:
                sample = self.competitor.measure(box, blocks)
        except Exception as error:  # a row that fails, not the whole run
            self.note = f'FAILED: {error}'.strip()
            self.failed = True
            return
        samples = self.robbed if sample['stolen'] else self.samples
        for key, value in sample.items():
            samples.setdefault(key, []).append(value)

    def lacks(self, rounds):
        """Whether it has less good samples than that."""
        return len(self.samples.get('stolen', [])) < rounds

    def settle(self):
        """When no more come: bad samples are better than none."""
        robbed = len(self.robbed.get('stolen', []))
        if robbed and not self.samples:
            self.samples = self.robbed
            self.note = 'the host stopped this machine in all rounds'
        elif robbed:
            self.note = self.note or f'+{robbed} rounds disturbed by the host'

    def median(self, key):
        return common.median(self.samples.get(key))

    def as_dict(self):
        return {'name': self.name, 'who': self.who, 'samples': self.samples,
                'medians': {key: self.median(key) for key in self.samples},
                'robbed': self.robbed,
                'note': self.note}


class Bench:
    """All competitors; what the later ones do depends on the first."""

    def __init__(self, link_rate=None):
        self._link_rate = link_rate
        self.speeds = [Result(c) for c in
                       copies.copies() + stockram.migrations() +
                       yankdmove.migrations()]
        self.downtimes = []
        for limit in LIMITS:
            self.downtimes += [
                Result(stockram.RamDowntime(
                    f'QEMU, RAM, multifd, limit {limit} ms', limit,
                    lambda: self.link_rate('stock'))),
                Result(yankdmove.Downtime(
                    f'yankd, ram, 4 channels, limit {limit} ms', limit,
                    lambda: self.link_rate('yankd')))]

    def results(self):
        return self.speeds + self.downtimes

    def choose(self, only):
        def wanted(result):
            return any(result.name.startswith(prefix) for prefix in only)
        self.speeds = list(filter(wanted, self.speeds))
        self.downtimes = list(filter(wanted, self.downtimes))
        if not self.results():
            sys.exit(f"bench: --only {' '.join(only)}: no such name; --list "
                     'lists them')

    def link_rate(self, who):
        """What its RAM over 4 channels was moved with, in MB/s."""
        if self._link_rate:
            return self._link_rate
        name = {'stock': 'QEMU, RAM, multifd',
                'yankd': 'yankd, ram, 4 channels'}[who]
        for result in self.speeds:
            if result.name == name and result.median('rate'):
                return result.median('rate')
        raise RuntimeError(f'needs the rate of "{name}", or '
                           '--link-rate')

    def run(self, rounds, size):
        with disk.random_disk(size) as blocks:
            for group in (self.speeds, self.downtimes):
                for turn in range(rounds * PATIENCE):
                    for result in group:
                        if turn < rounds or result.lacks(rounds):
                            say(f'round {turn + 1}: {result.name}')
                            result.measure(blocks)
                for result in group:
                    result.settle()
        say('')


def cells(result, keys):
    """The medians, and the spread of the first."""
    texts = [common.number(result.median(key)) for key in keys]
    texts.insert(1, common.spread(result.samples.get(keys[0])))
    return [result.name] + texts


def best_stock(results):
    rated = [r for r in results if r.who == 'stock' and r.median('rate')]
    return max(rated, key=lambda r: r.median('rate'), default=None)


def ceiling(bench):
    """A line on what anybody could reach here, where that was measured."""
    best = best_stock(bench.speeds)
    bare = next((r for r in bench.speeds
                 if r.who == 'kernel' and r.median('rate')), None)
    if not best or not bare:
        return []
    ratio = bare.median('rate') / best.median('rate')
    return [f'{bare.name}, to {best.name}: {common.number(ratio)}, more than '
            'that is not to be had']


def speed_table(results):
    best = best_stock(results)
    rows = []
    for result in results:
        rate = result.median('rate')
        ratio = f"{rate / best.median('rate'):.2f}" if best and rate else '-'
        rows.append(cells(result, ['rate', 'downtime']) +
                    [ratio, result.note])
    return common.markdown(
        ['', 'MB/s', 'from - to', 'downtime ms', 'to best stock', ''], rows)


def downtime_table(results):
    """The gap of before is what the machine does without a migration."""
    rows = [cells(result, ['gap', 'move-gap', 'idle-gap', 'downtime',
                           'dirtied', 'wanted', 'total']) +
            [result.note] for result in results]
    return common.markdown(
        ['', 'longest gap ms', 'from - to', 'at the move', 'before',
         'downtime ms', 'dirtied MB/s', 'wanted', 'total ms', ''], rows)


def verdict(text, value, reached, goal):
    mark = 'reached' if reached else 'missed'
    return f'{text}: {common.number(value)}, to reach {goal}: {mark}'


def verdicts(bench):
    """What was to be reached, and whether it was."""
    lines = ceiling(bench)
    best = best_stock(bench.speeds)
    mine = [r for r in bench.speeds
            if r.who == 'yankd' and r.competitor.channels == moves.CHANNELS
            and not r.competitor.tls and r.median('rate')]
    for result in mine if best else []:
        ratio = result.median('rate') / best.median('rate')
        lines.append(verdict(f'{result.name}, to {best.name}', ratio,
                             ratio >= SPEEDUP, SPEEDUP))
    found = {(r.who, r.competitor.limit): r for r in bench.downtimes}
    for limit in LIMITS:
        stock, yankd = (found.get((who, limit)) for who in ('stock', 'yankd'))
        gap = yankd and yankd.median('gap')
        if gap is None:
            continue
        lines.append(verdict(f'longest gap, limit {limit} ms', gap,
                             gap < DOWNTIME, f'less than {DOWNTIME} ms'))
        share = yankd.median('dirtied') / yankd.median('wanted')
        lines.append(verdict(
            f'what the client could write, limit {limit} ms', share,
            share >= STEADY, STEADY))
        if stock and stock.median('downtime') is not None:
            ratio = stock.median('downtime') / gap
            lines.append(verdict(
                f"stock's downtime to that gap, limit {limit} ms", ratio,
                ratio >= SHORTER, SHORTER))
    return lines


def main():
    args = options()
    bench = Bench(args.link_rate)
    if args.list:
        print('\n'.join(result.name for result in bench.results()))
        return 0
    if args.only:
        bench.choose(args.only)
    load = os.getloadavg()[0]
    # An end by a signal leaves nothing behind, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('bench: ended'))
    bench.run(args.rounds, args.size << 20)
    if args.json != '-':
        parts = [f'Load of the machine before: {load:.1f}, of '
                 f'{os.cpu_count()} processors.',
                 bench.speeds and speed_table(bench.speeds),
                 bench.downtimes and downtime_table(bench.downtimes),
                 '\n'.join(verdicts(bench))]
        print('\n\n'.join(filter(None, parts)))
    if args.json:
        common.write_json(bench.results(), args.json)
    return any(result.failed for result in bench.results())


if __name__ == '__main__':
    sys.exit(main())
