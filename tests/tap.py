# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads TAP, the Test Anything Protocol, and judges what it says.

A program that dies, says nothing, or ran fewer tests than it had planned has
failed, however many of its lines say "ok".
"""

import re

LINE = re.compile(r"(?P<not>not )?ok\b(?: (?P<number>\d+))?(?: -)?\s*"
                  r"(?P<name>[^#]*)(?:#\s*(?P<directive>\S+)\s*(?P<why>.*))?$")
PLAN = re.compile(r"1\.\.(?P<count>\d+)\s*(?:#\s*SKIP\s*(?P<why>.*))?$",
                  re.IGNORECASE)


class Verdict:
    """What the tests of one program came to."""

    def __init__(self):
        self.passed = 0
        self.failed = []    # of names or reasons
        self.skipped = []   # of (name, why)

    @property
    def ok(self):
        return not self.failed


def judge(output, status):
    """The Verdict on a program's standard output and exit status.

    @status is None for a program that ran out of time.
    """
    verdict = Verdict()
    planned = None
    seen = 0
    for line in output.splitlines():
        if line.startswith("Bail out!"):
            verdict.failed.append(line)
        plan = PLAN.match(line)
        if plan:
            planned = int(plan["count"])
            if planned == 0:
                verdict.skipped.append(("all", plan["why"] or ""))
            continue
        match = LINE.match(line)
        if match:
            seen += 1
            _count_line(verdict, match)
    _judge_whole(verdict, planned, seen, status)
    return verdict


def _count_line(verdict, match):
    name = match["name"].strip() or "test %s" % match["number"]
    directive = (match["directive"] or "").upper()
    if directive == "SKIP" and not match["not"]:
        verdict.skipped.append((name, match["why"]))
    elif match["not"]:
        verdict.failed.append(name)
    else:
        verdict.passed += 1


def _judge_whole(verdict, planned, seen, status):
    if status is None:
        verdict.failed.append("(ran out of time)")
    elif status < 0:
        verdict.failed.append("(killed by signal %d)" % -status)
    elif planned is None:
        verdict.failed.append("(printed no plan)")
    elif planned != seen:
        verdict.failed.append("(planned %d tests, ran %d)" % (planned, seen))
    elif status and verdict.ok:
        verdict.failed.append("(exit status %d)" % status)
