#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""Yank and migrate_cancel in every state, on both sides: the table of
docs/interop/migration.rst, row by row."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import paths
from migration_states import SITUATIONS
from qmp import QmpError
from sandbox import wait_for
from suite import run, slowness, test

# Seconds from the command to the state that it leads to.  What is promised is
# 0.2; a machine that runs other tests beside may take longer.
SOON = 2
# What this side says of itself, by the state that a command led to.
ERRORS = {'failed': 'The migration was yanked',
          'postcopy-paused': 'The migration was yanked',
          'cancelled': None}
DOCUMENT = f'{paths.TOP}/docs/interop/migration.rst'
COLUMNS = ['side', 'state', 'yank', 'migrate_cancel', 'serves', 'goes on']


def rows():
    """The rows of the table, as dicts."""
    with open(DOCUMENT) as f:
        text = f.read()
    table = re.search(r'^\.\. list-table:: yank and migrate_cancel by state\n'
                      r'((?: .*\n|\n)*)', text, re.M)[1]
    found = []
    for row in re.findall(r'^   \* - (.*(?:\n     - .*)*)', table, re.M):
        cells = [c.replace('``', '') for c in row.split('\n     - ')]
        assert len(cells) == len(COLUMNS), row
        found.append(dict(zip(COLUMNS, cells)))
    assert list(found[0].values()) == COLUMNS, found[0]
    return found[1:]


def command(side, name):
    """Gives the command to @side; the error it gets, or None."""
    try:
        if name == 'yank':
            side.yank()
        else:
            side.control.oob(name)
        return None
    except QmpError as error:
        return error.desc


def check_served(side, is_served):
    if is_served:
        wait_for(f'{side.name} to serve', side.serves)
    else:
        assert not side.serves(seconds=0.1), f'{side.name} serves'


def check(box, row, name):
    s = SITUATIONS[row['side'], row['state']](box)
    before = s.side.status()
    assert before == row['state'].partition(',')[0], before
    begin = time.monotonic()
    error = command(s.side, name)
    if row[name] == 'error':
        assert error, 'it is no error'
        assert s.side.status() == before
    else:
        assert error is None, error
        s.side.await_status(row[name], seconds=SOON)
        spent = time.monotonic() - begin
        assert spent < SOON * slowness(), spent
        print(f'# {before} to {row[name]} in {spent * 1e3:.1f} ms')
        # And it stays so, whatever else was under way.
        info = s.side.info()
        assert info.get('status', 'none') == row[name], info
        if row[name] != before:
            assert info.get('error-desc') == ERRORS[row[name]], info
        if before != row[name]:
            check_served(s.side, row['serves'] == row['side'])
    s.heal()
    settle(s, row)
    for side in 'source', 'destination':
        check_served(getattr(s, side), row['serves'] == side)
    s.go_on(row['goes on'])
    if row['goes on'] != 'nothing':
        check_served(s.source, False)
        check_served(s.destination, True)
        if s.content:
            # The first bytes were written by check_served(), as they were.
            assert s.destination.read() == s.content
    for side in s.pair.sides:
        side.finish()


def settle(s, row):
    """Both sides have seen the end of the connection."""
    moving = ('active', 'pre-switchover', 'device', 'postcopy-active',
              'postcopy-recover', 'cancelling')

    def rests(side):
        status = side.status()
        return status not in moving and not (
            status == 'setup' and side is s.source)
    for side in s.pair.sides:
        wait_for(f'rest of {side.name}', lambda side=side: rests(side))


TABLE = rows()


@test('every state of the table has a check, and the other way round')
def _(_box):
    told = [(row['side'], row['state']) for row in TABLE]
    assert len(set(told)) == len(told), 'a state is there twice'
    assert set(told) == set(SITUATIONS), set(told) ^ set(SITUATIONS)


for entry in TABLE:
    for verb in 'yank', 'migrate_cancel':
        def one(box, row=entry, name=verb):
            check(box, row, name)
        test(f'{verb} at the {entry["side"]}: {entry["state"]}')(one)

run()
