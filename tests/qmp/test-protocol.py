#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The cases of the protocol against yankd.
#
# parallel-safe
"""See case.py."""

import os
import sys

sys.path[0:0] = [os.path.dirname(os.path.abspath(__file__)),
                 os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              os.pardir, 'lib')]

import cases  # noqa: E402
from suite import run, test  # noqa: E402
from target import Target  # noqa: E402


def check(case):
    def body(box):
        target = Target(box, 'yankd')
        seen = case.observe(target)
        assert seen == case.expect, f'saw {seen}, not {case.expect}'
        target.finish()
    test(case.name)(body)


for one in cases.ALL:
    check(one)
run()
