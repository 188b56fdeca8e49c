#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
# builds: build build-debug
"""What is wrong in a policy file is told by line and column."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from suite import run, test
from watch import Watch, yankctl

# The text of a file, and all that is to be said of it.
WRONG = [
    ('interval: fast\n',
     ["1:11: interval 'fast' is wrong; allowed are 0.02 to 60 seconds"]),
    ('interval: nan\n',
     ["1:11: interval 'nan' is wrong; allowed are 0.02 to 60 seconds"]),
    ('intervall: 1\n',
     ["1:1: unknown key 'intervall' in the policy; allowed are interval and "
      "rules"]),
    ('interval: 1\ninterval: 2\n',
     ["2:1: 'interval' is given twice in the policy"]),
    ('rules: everything\n',
     ['1:8: rules is a single value; allowed is a list']),
    ('- 1\n', ['1:1: the policy is a list; allowed is keys with values']),
    ('rules: &a [*a]\n',
     ['1:8: a rule is a list; allowed is keys with values']),
    ('rules:\n  - action: yank\n',
     ["2:5: 'domains', a pattern, is missing"]),
    ('rules:\n  - domains: "*"\n    action: shoot\n    threshold: 0\n',
     ["3:13: unknown action 'shoot'; allowed are report and yank",
      "4:16: threshold '0' is wrong; allowed are 0.1 to 86400 seconds"]),
    ('rules:\n  - domains: "*"\n    instances: [block-node, disk]\n',
     ["3:29: unknown type 'disk'; allowed are block-node, chardev and "
      "migration"]),
    ('rules:\n  - domains: "*"\n    instances: []\n',
     ["3:16: instances is empty; leave it out for all, or use "
      "'action: report' for none"]),
    ('rules:\n  - domains: "*"\n    instances: [{name: a}]\n',
     ["3:17: 'type' is missing"]),
    ('rules:\n  - domains: "*"\n    yanks-per-hour: -1\n',
     ["3:21: yanks-per-hour '-1' is wrong; allowed are 0 to 10000"]),
    ('rules:\n  - domains: "*"\n    hook: {command: [page]}\n',
     ['3:21: command is wrong; allowed is a list that begins with the '
      'absolute path of a program']),
    ('rules:\n  - domains: "*"\n    hook: {timeout: 3}\n',
     ["3:11: 'command' is missing"]),
    ('rules:\n  - domains: ""\n', ['2:14: domains is empty']),
    ('rules:\n  - domains: "a*"\n  - domains: "*"\n  - domains: b\n',
     ["4:14: the rule for 'b' can never match: the rule for '*' in line 3 "
      "matches all of these domains"]),
    ('interval: [1\n', None),
    ('\tinterval: 1\n', None),
    ('interval: 1\n---\ninterval: 2\n',
     ['3:1: a second document; allowed is one']),
    ('interval: \xff\n'.encode('latin-1'), None),
    ('a\x1b[31mb: 1\n', None),
]

FINE = """
# All that there is.
interval: 0.25
rules:
  - domains: "db-*"
    threshold: 3
    action: yank
    instances:
      - type: block-node
        name: "nbd*"
        threshold: 4.5
      - migration
    verify: 1
    yanks-per-hour: 0
    hook:
      command: [/bin/true, "a b"]
      timeout: 10
  - {domains: "*", action: report}
"""


def check(box, text, *options):
    path = box.write('policy.yaml', text)
    return path, box.run([yankctl(), 'watch', '--check', path, *options],
                         check=False)


@test('what is wrong, and where')
def _(box):
    for text, errors in WRONG:
        path, done = check(box, text)
        assert done.returncode == 2, (text, done)
        lines = done.stderr.splitlines()
        if errors is None:
            assert len(lines) == 1, (text, lines)
            where = lines[0].removeprefix(path + ':').split(':')
            assert where[0].isdigit() and where[1].isdigit(), lines
            assert '\x1b' not in lines[0], lines
        else:
            assert lines == [f'{path}:{e}' for e in errors], (text, lines)


@test('what is right')
def _(box):
    for text in ('', '# nothing\n', FINE):
        _, done = check(box, text)
        assert (done.returncode, done.stderr) == (0, ''), (text, done)


def rules(*patterns):
    return 'rules:\n' + ''.join(f"  - domains: '{p}'\n" for p in patterns)


@test('rules that can never match')
def _(box):
    for before, after in (('*', '*'), ('*', 'a'), ('a*', 'ab*'), ('a?c', 'abc'),
                          ('*b*', 'a?b'), ('??*', '*?*?'), ('?', 'ä'),
                          ('a*b*c', 'axb?bc'), ('ä*', 'äö'), ('a', 'a')):
        _, done = check(box, rules(before, after))
        assert done.returncode == 2 and '3:14:' in done.stderr, (before, after)
    for before, after in (('a', '*'), ('?', '*'), ('a?', 'a*'), ('ab*', 'a*'),
                          ('*a', '*'), ('?', 'ab'), ('??', 'ä'), ('a*b', 'a?c'),
                          ('*ab', 'a*b'), ('a', 'b'), ('*?', '*')):
        _, done = check(box, rules(before, after))
        assert done.returncode == 0, (before, after, done)
    # The useless rule does no harm, so the service starts.
    watch = Watch(box, '-s', 'a=/nowhere', policy=rules('*', 'a'))
    watch.finish()


@test('errors as JSON')
def _(box):
    path, done = check(box, WRONG[0][0], '--json')
    assert done.returncode == 2
    assert json.loads(done.stdout)['errors'] == [
        f'{path}:{WRONG[0][1][0]}']
    _, done = check(box, FINE, '--json')
    assert json.loads(done.stdout)['errors'] == []


@test('files that are none')
def _(box):
    done = box.run([yankctl(), 'watch', '--check', box.path('none')],
                   check=False)
    assert done.returncode == 2 and ':1:1: cannot be read' in done.stderr
    _, done = check(box, '#' * (1 << 20) + '\n')
    assert done.returncode == 2 and 'too many' in done.stderr, done


@test('the service does not start with a wrong policy')
def _(box):
    path = box.write('policy.yaml', 'interval: x\n')
    done = box.run([yankctl(), 'watch', '--policy', path, '--control',
                    box.path('control'), '--socket', 'a=/nowhere'],
                   check=False)
    assert done.returncode == 2, done
    assert f'{path}:1:11: ' in done.stderr, done


run()
