#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The cases of the protocol against the stock programs, and whether the table
# of differences in the documentation is what was measured.
#
# builds: build
# parallel-safe
"""See case.py; with --update, writes the documentation."""

import os
import sys

sys.path[0:0] = [os.path.dirname(os.path.abspath(__file__)),
                 os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              os.pardir, 'lib')]

import cases  # noqa: E402
import daemon  # noqa: E402
import differences  # noqa: E402
from suite import Skip, run, test  # noqa: E402
from target import Target  # noqa: E402


def check(case):
    def body(box):
        if daemon.program(case.program) is None:
            raise Skip(f'{case.program} is not installed')
        seen = case.observe(Target(box, 'stock', case.program))
        assert seen == case.expect_stock, (
            f'saw {seen}, not {case.expect_stock}')
    test(case.name)(body)


def document(_box):
    assert differences.current() == differences.document(cases.ALL), (
        'the document is out of date: run tests/qmp/test-stock.py --update')


if '--update' in sys.argv:
    differences.update(cases.ALL)
    sys.exit()
for one in cases.ALL:
    if one.program is not None:
        check(one)
test('the table in the documentation is true')(document)
run()
