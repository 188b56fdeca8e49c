#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The units of systemd are right, and confine what they start.

  check-units.py BUILD    where they were built
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(sys.argv[1])
UNITS = BUILD / 'tools'
# What "systemd-analyze security" may find at most: 0 is locked up, 10 is free.
EXPOSURE = {'yankd@.service': 2.0, 'yankctl-watch.service': 3.0}
STRICT = {'NoNewPrivileges=yes', 'ProtectSystem=strict',
          'MemoryDenyWriteExecute=yes', 'RestrictNamespaces=yes',
          'SystemCallFilter=@system-service', 'SystemCallArchitectures=native'}
FAMILIES = {'yankd@.service': 'AF_UNIX AF_INET AF_INET6',
            'yankctl-watch.service': 'AF_UNIX AF_INET AF_INET6 AF_NETLINK'}


def analyze(*arguments):
    return subprocess.run(['systemd-analyze', *arguments], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def with_programs_that_exist(text):
    """The unit when it is not installed: its own programs are not there."""
    return re.sub(r'^(Exec\w+=)\S*/yank\w+', r'\1/bin/true', text, flags=re.M)


def problems(name):
    """What systemd says of a unit; pages need not be installed."""
    text = (UNITS / name).read_text()
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / name
        copy.write_text(with_programs_that_exist(text))
        result = analyze('verify', '--man=no', str(copy))
    return result.stdout if result.returncode or result.stdout else ''


def exposure(name):
    result = analyze('security', '--offline=true', str(UNITS / name))
    found = re.search(r'exposure level for \S+: ([\d.]+)', result.stdout)
    return float(found.group(1)) if found else 10


def not_installed(text):
    """What a unit starts of ours that is not where it looks for it."""
    path = BUILD / 'meson-info' / 'intro-installed.json'
    installed = json.loads(path.read_text()).values()
    return set(re.findall(r'^Exec\w+=(\S*/yank\w+)', text, re.M)
               ) - set(installed)


def checks(name):
    text = (UNITS / name).read_text()
    lines = set(text.splitlines())
    missing = not_installed(text)
    strict = STRICT | {f'RestrictAddressFamilies={FAMILIES[name]}'}
    yield f'{name} starts what is installed', not missing, missing
    yield f'{name} is confined', strict <= lines, strict - lines
    if not shutil.which('systemd-analyze'):
        yield f'{name} # SKIP no systemd-analyze', True, ''
        return
    wrong = problems(name)
    yield f'{name} is understood', not wrong, wrong
    level = exposure(name)
    yield f'{name} is not exposed', level <= EXPOSURE[name], level


def main():
    results = [result for name in EXPOSURE for result in checks(name)]
    print(f'1..{len(results)}')
    for number, (name, good, what) in enumerate(results, 1):
        print('%s %d - %s' % ('ok' if good else 'not ok', number, name))
        if not good:
            print('# ' + str(what).replace('\n', '\n# '))
    return not all(good for _name, good, _what in results)


sys.exit(main())
