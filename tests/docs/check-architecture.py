#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The map in docs/devel/architecture.rst names every source file, and none
that is gone."""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ['block', 'chardev', 'client', 'include', 'io', 'migration', 'monitor',
           'qapi', 'qobject', 'qom', 'scripts', 'storage-daemon', 'tests',
           'tools', 'util']
ENDINGS = {'.c', '.h', '.py', '.sh', '.json'}
CORPUS = TOP / 'tests' / 'qapi-schema'    # its schemas are data


def source_files():
    for folder in FOLDERS:
        for path in (TOP / folder).rglob('*'):
            if path.suffix not in ENDINGS or '__pycache__' in path.parts:
                continue
            if CORPUS in path.parents and path.suffix != '.py':
                continue
            yield str(path.relative_to(TOP))


def main():
    text = (TOP / 'docs' / 'devel' / 'architecture.rst').read_text()
    named = set(re.findall(r'^``([^`]+\.\w+)``$', text, re.M))
    there = set(source_files())
    wrong = ['%s is not in the map' % name for name in sorted(there - named)]
    wrong += ['%s is in the map, but is gone' % name
              for name in sorted(named - there)]
    print('1..1')
    print('ok 1 - every source file is in the map' if not wrong else
          'not ok 1 - every source file is in the map')
    for line in wrong:
        print('# ' + line)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
