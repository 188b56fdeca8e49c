#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the test runner: what fails must be seen to fail."""

import os
import sys
import unittest

import check
import tap


class TestJudge(unittest.TestCase):
    """Verdicts on what programs print."""

    def verdict(self, output, status=0):
        verdict = tap.judge(output, status)
        return verdict.passed, len(verdict.failed), len(verdict.skipped)

    def test_good(self):
        self.assertEqual(self.verdict("1..2\nok 1 - a\nok 2 /b # x\n"),
                         (2, 0, 0))
        self.assertEqual(self.verdict("noise\nok\n# note\nok 2\n1..2\n"),
                         (2, 0, 0))

    def test_failed(self):
        self.assertEqual(self.verdict("1..2\nok 1 - a\nnot ok 2 - b\n", 1),
                         (1, 1, 0))
        self.assertEqual(self.verdict("1..1\nnot ok 1 - b # SKIP x\n"),
                         (0, 1, 0))

    def test_skipped(self):
        self.assertEqual(self.verdict("1..2\nok 1\nok 2 a # SKIP no tool\n"),
                         (1, 0, 1))
        self.assertEqual(self.verdict("1..0 # SKIP no tool\n"), (0, 0, 1))

    def test_died(self):
        self.assertEqual(self.verdict("1..2\nok 1\n", -6), (1, 1, 0))
        self.assertEqual(self.verdict("1..2\nok 1\n"), (1, 1, 0))
        self.assertEqual(self.verdict("1..1\nok 1\n", 1), (1, 1, 0))
        self.assertEqual(self.verdict("1..1\nok 1\n", None), (1, 1, 0))
        self.assertEqual(self.verdict("1..2\nok 1\nBail out! gone\n", 1),
                         (1, 2, 0))

    def test_said_nothing(self):
        self.assertEqual(self.verdict(""), (0, 1, 0))
        self.assertEqual(self.verdict("okay\n"), (0, 1, 0))


class TestRun(unittest.TestCase):
    """Programs that misbehave."""

    def failures(self, script, **kwargs):
        program = check.Program("test", "build",
                                [sys.executable, "-c", script], **kwargs)
        return check.run(program).verdict.failed

    def test_clean(self):
        self.assertEqual(self.failures("print('1..1\\nok 1')"), [])

    def test_exit_status_only(self):
        self.assertEqual(self.failures("", is_tap=False), [])
        self.assertEqual(self.failures("raise SystemExit(3)", is_tap=False),
                         ["(exit status 3)"])

    def test_hangs(self):
        self.assertEqual(self.failures(
            "import time; time.sleep(60)", timeout=0.5),
            ["(ran out of time)"])

    def test_leaves_file(self):
        self.assertEqual(self.failures(
            "import os; open(os.environ['TMPDIR'] + '/x', 'w');"
            "print('1..1\\nok 1')"), ["(left a file: x)"])

    def test_leaves_process(self):
        failed = self.failures(
            "import subprocess as s;"
            "s.Popen(['sleep', '60'], start_new_session=True,"
            "        stdout=s.DEVNULL, stderr=s.DEVNULL);"
            "print('1..1\\nok 1')")
        self.assertEqual(failed, ["(left a process: sleep 60)"])


if __name__ == "__main__":
    os.chdir(check.TOP)
    unittest.main()
