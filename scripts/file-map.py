#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints each source file with the first sentence of its first comment.

  scripts/file-map.py [FOLDER...]     all folders when left out

Exits with status 1 and names the files that have no such comment.
"""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ['block', 'chardev', 'client', 'include', 'io', 'migration',
           'monitor', 'qapi', 'qobject', 'qom', 'scripts', 'storage-daemon',
           'tests', 'tools', 'util']
ENDINGS = {'.c', '.h', '.py', '.sh', '.json'}
DATA = TOP / 'tests' / 'qapi-schema'    # its schemas are test cases

COMMENTS = {
    '.c': r'/\*(.*?)\*/',
    '.h': r'/\*(.*?)\*/',
    '.py': r'"""(.*?)"""',
    '.sh': r'((?:^#(?!!)[^\n]*\n)+)',
    '.json': r'^##\n(.*?)^##$|((?:^#[^\n]*\n)+)',
}


def files(folder):
    for path in sorted((TOP / folder).rglob('*')):
        if path.suffix not in ENDINGS or '__pycache__' in path.parts:
            continue
        if DATA in path.parents and path.suffix != '.py':
            continue
        yield path


def first_sentence(path):
    """None when there is no comment to take it from."""
    for found in re.finditer(COMMENTS[path.suffix], path.read_text(),
                             re.S | re.M):
        comment = next(group for group in found.groups() if group)
        text = ' '.join(line.strip(' *#=') for line in
                        comment.strip().split('\n\n')[0].splitlines()
                        if 'SPDX' not in line and '-*-' not in line)
        sentence = re.match(r'.*?\.(?= |$)|.*', text.strip())[0].rstrip('.:')
        if sentence:
            return sentence
    return None


def main():
    missing = []
    for folder in sys.argv[1:] or FOLDERS:
        for path in files(folder):
            name = path.relative_to(TOP)
            sentence = first_sentence(path)
            if sentence:
                print('%s: %s' % (name, sentence))
            else:
                missing.append(name)
    for name in missing:
        print('%s: its first comment should say what the file is for' % name,
              file=sys.stderr)
    return 1 if missing else 0


if __name__ == '__main__':
    sys.exit(main())
