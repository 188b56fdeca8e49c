# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of differences from the stock programs, as documentation."""

import os

import paths

PATH = os.path.join(paths.TOP, 'docs', 'interop', 'stock-differences.rst')

_HEAD = """\
.. SPDX-License-Identifier: GPL-2.0-or-later

Where yankd and the stock programs differ
=========================================

The cases in ``tests/qmp/`` are run against yankd and against QEMU 7.2
(``qemu-system-x86_64`` for the protocol, ``qemu-storage-daemon`` for the
commands).  In these both show the same, but for what this table lists.
A test fails when the table is not what was measured;
``tests/qmp/test-stock.py --update`` writes it anew.

.. list-table::
   :header-rows: 1
   :widths: 25 25 25 25

"""


def _row(*cells):
    lines = []
    for i, cell in enumerate(cells):
        lines.append(f"   {'* -' if i == 0 else '  -'} {cell}\n")
    return ''.join(lines)


def _literal(text):
    return f'``{text}``'


def document(cases):
    """The text of the document."""
    text = _HEAD + _row('case', 'stock', 'yankd', 'why')
    for case in cases:
        if case.stock is not None:
            text += _row(case.name, _literal(case.stock),
                         _literal(case.expect), case.why)
    text += '\nOnly yankd has these, and only it is asked:\n\n'
    for case in cases:
        if case.program is None:
            text += f'- {case.name}: {_literal(case.expect)}\n'
    return text


def current():
    try:
        with open(PATH) as f:
            return f.read()
    except FileNotFoundError:
        return ''


def update(cases):
    with open(PATH, 'w') as f:
        f.write(document(cases))
