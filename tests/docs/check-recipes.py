#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each recipe of docs/devel/client-threads.rst is the code that
tests/unit/test-client-recipes.c compiles and runs, and none is missing."""

import pathlib
import re
import sys
import textwrap

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
DOC = TOP / 'docs' / 'devel' / 'client-threads.rst'
CODE = TOP / 'tests' / 'unit' / 'test-client-recipes.c'


def in_code():
    found = re.findall(r'^/\* recipe: (.*?) \*/\n(.*?)^/\* end \*/$',
                       CODE.read_text(), re.M | re.S)
    return {name: code.strip() for name, code in found}


def in_doc():
    found = re.findall(r'^\.\. code-block:: c\n   :name: (.*?)\n\n'
                       r'((?:(?:   .*)?\n)+)', DOC.read_text(), re.M)
    return {name: textwrap.dedent(code).strip() for name, code in found}


def main():
    code, doc = in_code(), in_doc()
    print('1..%d' % (1 + len(code)))
    same = set(code) == set(doc) and code
    print('%s 1 - the page has each recipe, and no other'
          % ('ok' if same else 'not ok'))
    for name in sorted(set(code) ^ set(doc)):
        print('# only in one of the two: ' + name)
    failed = not same
    for number, name in enumerate(sorted(code), 2):
        good = code[name] == doc.get(name)
        failed |= not good
        print('%s %d - the page has the code of: %s'
              % ('ok' if good else 'not ok', number, name))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
