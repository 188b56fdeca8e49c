# SPDX-License-Identifier: GPL-2.0-or-later
"""A test script: functions marked as tests, run in order, told as TAP.

    @test('a node can be deleted', needs=['nbdkit'])
    def _(box):
        ...

    run()

Each test gets a Sandbox of its own, and a deadline.  It fails when it raises,
and also when it leaves a process that it did not start through the sandbox.
"""

import re
import signal
import sys
import traceback

import paths
import sandbox

_tests = []


class Skip(Exception):
    """Raised by a test that cannot run here; the text says why."""


class Deadline(Exception):
    """A test ran too long."""


class _Test:
    def __init__(self, name, function, seconds, needs):
        self.name = name
        self.function = function
        self.seconds = seconds
        self.needs = needs


def test(name, seconds=30, needs=()):
    """Marks a function as a test.  @needs: programs that must be there."""
    def mark(function):
        _tests.append(_Test(name, function, seconds * slowness(), needs))
        return function
    return mark


def slowness():
    """How much longer deadlines of builds with checks are."""
    return 5 if re.search('debug|tsan', paths.yankd()) else 1


def _alarm(_signal, _frame):
    raise Deadline('the test ran too long')


def _end(_signal, _frame):
    sys.exit(1)


def _say(text):
    print(text, flush=True)


def _explain(box):
    """What went wrong and what the programs said, as comments."""
    lines = traceback.format_exc().splitlines()
    for process in box.processes:
        output = process.output().splitlines()
        lines += [f'{process.log}: {line}' for line in output[-60:]]
    for line in lines:
        _say(f'# {line}')


def _strays(box):
    known = {process.pid for process in box.processes}
    known.update(box.daemons)
    return [pid for pid in sandbox.children() if pid not in known]


def _check_strays(box):
    """What was told to end may take a moment to be gone."""
    try:
        sandbox.wait_for('end of all', lambda: not _strays(box), 2)
    except TimeoutError:
        raise AssertionError('left over: ' + ', '.join(
            sandbox.command_of(pid) for pid in _strays(box))) from None


def _run_one(number, t):
    for program in t.needs:
        if paths.tool(program) is None:
            _say(f'ok {number} - {t.name} # SKIP {program} is not installed')
            return True
    with sandbox.Sandbox() as box:
        signal.setitimer(signal.ITIMER_REAL, t.seconds)
        try:
            t.function(box)
            _check_strays(box)
        except Skip as skip:
            _say(f'ok {number} - {t.name} # SKIP {skip}')
            return True
        except Exception:
            _say(f'not ok {number} - {t.name}')
            _explain(box)
            return False
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    _say(f'ok {number} - {t.name}')
    return True


def run():
    """Runs the tests, or those that have an argument in their names."""
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGTERM, _end)
    wanted = [t for t in _tests if len(sys.argv) < 2 or
              any(word in t.name for word in sys.argv[1:])]
    _say(f'1..{len(wanted)}')
    fine = [_run_one(number, t) for number, t in enumerate(wanted, 1)]
    sys.exit(0 if all(fine) else 1)
