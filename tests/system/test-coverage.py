#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# builds: build
# parallel-safe
"""Every command and every event is used by some test."""

import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import paths
from daemon import Daemon
from suite import run, test


def texts():
    """What the tests over QMP say, this one aside."""
    found = ''
    for folder in 'qmp', 'system', 'lib':
        for path in glob.glob(f'{paths.TOP}/tests/{folder}/*.py'):
            if os.path.basename(path) not in ('test-coverage.py',
                                              'test-schema.py'):
                with open(path) as f:
                    found += f.read()
    return found


@test('every command is used')
def _(box):
    known = texts()
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        missing = [c['name'] for c in qmp.cmd('query-commands')
                   if f"'{c['name']}'" not in known
                   and f'"{c["name"]}"' not in known]
    assert not missing, missing


@test('every event is waited for')
def _(box):
    known = texts()
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        missing = [e['name'] for e in qmp.cmd('query-qmp-schema')
                   if e['meta-type'] == 'event'
                   and f"'{e['name']}'" not in known]
    assert not missing, missing


run()
