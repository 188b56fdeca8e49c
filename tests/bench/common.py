# SPDX-License-Identifier: GPL-2.0-or-later
"""What benchmarks have in common: options, rows, and their table."""

import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                os.pardir, 'lib'))


def parser(doc, rounds):
    """The options that all benchmarks have."""
    made = argparse.ArgumentParser(
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('--only', action='append', metavar='NAME',
                      help='only what begins with NAME; may be repeated')
    made.add_argument('--list', action='store_true', help='list the names')
    made.add_argument('--rounds', type=int, default=rounds,
                      help=f'rounds, of which the median counts ({rounds})')
    made.add_argument('--json', metavar='FILE',
                      help='also write all samples to FILE, - for stdout')
    return made


class Row:
    """One measurement of stock and yankd, each a list of samples.

    @more_is_better: what the ratio means: it is above 1 when yankd is better
    @backend: samples of the backend alone, where there is one
    """

    def __init__(self, name, unit, more_is_better):
        self.name = name
        self.unit = unit
        self.more_is_better = more_is_better
        self.samples = {'stock': [], 'yankd': [], 'backend': []}
        self.note = ''

    def median(self, who):
        return median(self.samples[who])

    def ratio(self):
        stock, yankd = self.median('stock'), self.median('yankd')
        if not stock or not yankd:
            return None
        return yankd / stock if self.more_is_better else stock / yankd

    def as_dict(self):
        return {'name': self.name, 'unit': self.unit,
                'more_is_better': self.more_is_better,
                'stock': self.median('stock'),
                'yankd': self.median('yankd'),
                'backend': self.median('backend'),
                'ratio': self.ratio(), 'samples': self.samples,
                'note': self.note}


def median(samples):
    return statistics.median(samples) if samples else None


def number(value):
    if value is None:
        return '-'
    if value >= 1000:
        return f'{value:,.0f}'
    return f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def table(rows):
    """The rows as text, the ratio last; above 1 yankd is better."""
    lines = [f"{'':34} {'unit':>6} {'backend':>10} {'stock':>10} "
             f"{'yankd':>10}  ratio"]
    for row in rows:
        ratio = row.ratio()
        text = '    -' if ratio is None else f'{ratio:5.2f}'
        mark = ' <' if ratio is not None and ratio < 1 else ''
        lines.append(f"{row.name:34} {row.unit:>6} "
                     f"{number(row.median('backend')):>10} "
                     f"{number(row.median('stock')):>10} "
                     f"{number(row.median('yankd')):>10}  {text}{mark}"
                     + (f'  {row.note}' if row.note else ''))
    return '\n'.join(lines)


def spread(samples):
    """The least and the greatest."""
    if not samples:
        return '-'
    return f'{number(min(samples))} - {number(max(samples))}'


def markdown(head, rows):
    """A table that can be read as it is, too; all but the first and the last
    column are numbers."""
    widths = [max(len(row[i]) for row in [head] + rows)
              for i in range(len(head))]
    last = len(head) - 1

    def line(row):
        return '| ' + ' | '.join(
            text.ljust(width) if i in (0, last) else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths))) + ' |'
    rule = '|' + '|'.join(
        '-' * (width + 2) if i in (0, last) else '-' * (width + 1) + ':'
        for i, width in enumerate(widths)) + '|'
    return '\n'.join([line(head), rule] + [line(row) for row in rows])


def write_json(rows, path):
    """Writes all samples to a file, - for stdout."""
    text = json.dumps([row.as_dict() for row in rows], indent=1)
    if path == '-':
        print(text)
    else:
        with open(path, 'w') as f:
            f.write(text + '\n')


def say(text):
    """Shows what goes on, where somebody watches."""
    if sys.stderr.isatty():
        print(f'\r\033[K{text}', end='', file=sys.stderr, flush=True)
