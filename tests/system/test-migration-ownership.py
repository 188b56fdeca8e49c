#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# timeout: 400
# parallel-safe
"""At every moment at most one side serves writes, whatever dies.

A migration is broken at each step of its protocol: the link is cut, falls
silent or loses a channel, or a process is killed.  Clients write all the
while.  Whoever owns the volumes afterwards must have every write that was
acknowledged.

MIGRATION_SEED=... repeats the random breaks of a seed that was printed, and
with MIGRATION_POINT=... one of them.
"""

import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from hang import FifoHang
from migration_break import HOWS, Break, Outcome, break_it, yank
from migration_pair import Pair
from qmp import QmpError
from sandbox import wait_for
from suite import run, slowness, test

FIXED_SEED = 20
#: Random breaks by the fixed seed, and by another one.
POINTS = (60, 40) if slowness() == 1 else (16, 16)

#: Steps before which the source owns the volumes, whatever happens.
EARLY = ['volume', 'setup-end', 'accept', 'zero', 'pass-end', 'pass-ack',
         'data', 'hand-over', 'ready']
LATE = ['go', 'started', 'bye']
POSTCOPY = ['missing', 'fetch', 'push-end', 'complete']


WHERE = ['before', 'within', 'after']
#: Steps of a recovery.
RESUME = ['ready', 'started', 'lacks', 'lacks-end', 'go', 'data', 'fetch',
          'push-end', 'complete', 'bye']


def broken(box, how, seed, capabilities=(), parameters=None, again=0,
           tcp=False):
    """Breaks a migration; returns what became of it."""
    chance = random.Random(seed)
    pair = Pair(box, capabilities, parameters, tcp=tcp)
    pair.start_clients(seed)

    def begin():
        pair.migrate()
        if 'postcopy-blocks' in capabilities and chance.random() < 0.8:
            try:
                pair.start_postcopy()
            except (QmpError, OSError, EOFError):
                pass            # It is over already, or the process is.

    def break_recovery():
        if chance.random() >= again:
            return None
        return Break(chance.choice(HOWS), chance.choice(RESUME),
                     where=chance.choice(WHERE))

    break_it(pair, how, chance, begin)
    outcome = Outcome(pair, chance, break_recovery)
    result = outcome.check()
    pair.finish()
    return result


# ---- Each step. ----

def expect(how, step, result):
    """What is on its way when a process dies arrives still."""
    early = step in EARLY
    if how == 'kill source':
        early = early and step not in ('hand-over', 'ready')
        wanted = ['had everything'] if early else ['destination']
    elif how == 'kill destination':
        wanted = ['source serves'] if early else ['had everything']
        if not early or step == 'ready':
            wanted.append('source continues')
    else:
        wanted = ['source serves'] if early else ['paused', 'destination']
    assert any(text in result for text in wanted), (result, wanted)


def test_step(how, step):
    @test(f'{how} before {step}')
    def _(box):
        expect(how, step, broken(box, Break(how, step), f'{how} {step}'))


for _step in EARLY + LATE:
    for _how in 'cut', 'hold', 'kill source', 'kill destination':
        if slowness() == 1 or _how == 'cut':
            test_step(_how, _step)


# ---- Nobody dies. ----

def served_by_destination(pair):
    for side in pair.sides:
        side.wait_status('completed')
    pair.stop_clients()
    pair.model.check_roles('source', 'destination')
    pair.check(pair.destination)
    pair.finish()


@test('the disk of the destination is full: the source serves')
def _(box):
    pair = Pair(box)
    pair.start_clients('full')
    pair.destination.limit_files(512 << 10)
    for _ in range(2):
        pair.migrate()
        assert pair.wait_quiet() == ('failed', 'failed')
        for side in pair.sides:
            assert 'File too large' in side.query()['error-desc'], side.query()
        assert not pair.model.acks_of('destination')
    pair.destination.limit_files(None)
    pair.migrate()
    served_by_destination(pair)


for _hung in 'source', 'destination':
    def _main_loop(box, hung=_hung):
        pair = Pair(box, ['multifd'])
        pair.start_clients(f'hung {hung}')
        side = getattr(pair, hung)
        trigger = pair.link.on('data', pair.link.hold)
        pair.migrate()
        wait_for('data', trigger.fired.is_set, 10 * slowness())
        with side.daemon.qmp(seconds=15 * slowness()) as qmp:
            hang = FifoHang(box, side.daemon.pid, qmp)
            pair.link.release()
            for each in pair.sides:
                each.wait_status('completed')
            hang.release()
        served_by_destination(pair)
    test(f'the main loop of the {_hung} hangs once it has begun')(_main_loop)


@test('the main loop of the destination hangs before it has begun')
def _(box):
    pair = Pair(box)
    pair.start_clients('hung early')
    with pair.destination.daemon.qmp(seconds=15 * slowness()) as qmp:
        hang = FifoHang(box, pair.destination.daemon.pid, qmp)
        for side in pair.sides:
            before = pair.link.counts.get('setup-end', 0)
            pair.migrate()
            wait_for('setup', lambda before=before: pair.link.counts.get(
                'setup-end', 0) > before, 10 * slowness())
            assert pair.source.status() == 'setup'
            yank(side)
            pair.source.wait_status('failed')
            if side is pair.destination:
                side.wait_status('failed')
        hang.release()
    assert not pair.model.acks_of('destination')
    pair.migrate()
    served_by_destination(pair)


# ---- At random. ----

#: How many of a kind there are at least, where it is more than one.
OFTEN = {'volume': 2, 'zero': 5, 'data': 8, 'pass-end': 3, 'pass-ack': 3,
         'missing': 3, 'fetch': 2}


def random_break(chance, postcopy):
    name = chance.choice(chance.choice([EARLY, LATE, POSTCOPY] if postcopy
                                       else [EARLY, LATE]))
    return Break(chance.choice(HOWS), name,
                 chance.randint(1, OFTEN.get(name, 1)),
                 chance.choice(WHERE))


def random_point(box, seed):
    chance = random.Random(seed)
    capabilities = [name for name in ('multifd', 'return-path',
                                      'postcopy-blocks')
                    if chance.random() < 0.5]
    parameters = {
        'downtime-limit': chance.choice([1, 10, 300]),
        'multifd-channels': chance.randint(1, 3),
        'max-bandwidth': chance.choice([0, 20 << 20]),
        'max-postcopy-bandwidth': chance.choice([0, 4 << 20]),
        'multifd-compression': chance.choice(['none', 'zstd']),
    }
    how = random_break(chance, 'postcopy-blocks' in capabilities)
    tcp = chance.random() < 0.5
    text = f'{how}; {" ".join(capabilities)} {parameters} tcp={tcp}'
    try:
        result = broken(box, how, seed, capabilities, parameters, 0.7, tcp)
        return f'{text}: {result}'
    except BaseException:
        print(f'# {text}')
        raise


def test_point(seed, number):
    @test(f'random break MIGRATION_SEED={seed} MIGRATION_POINT={number}')
    def _(box):
        print(f'# {random_point(box, f"{seed} {number}")}')


_given = os.environ.get('MIGRATION_SEED')
for _seed, _count in ([(_given, 100)] if _given else
                      zip((FIXED_SEED, int(time.time())), POINTS)):
    for _number in range(_count):
        if os.environ.get('MIGRATION_POINT', str(_number)) == str(_number):
            test_point(_seed, _number)

run()
