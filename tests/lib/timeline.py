# SPDX-License-Identifier: GPL-2.0-or-later
"""A timeline for people: what happened, when, and how long it took."""

import os
import sys
import time

_STYLES = {'bold': '1', 'dim': '2', 'red': '31', 'green': '32',
           'yellow': '33', 'cyan': '36'}
# Symbols, and what stands for them where the terminal has ASCII only.
_SYMBOLS = {'do': ('›', '>'), 'good': ('✓', '+'), 'bad': ('✗', 'x'),
            'note': ('·', '-')}
_COLOURS = {'do': 'cyan', 'good': 'green', 'bad': 'red', 'note': 'dim'}


class Broken(Exception):
    """A step did not hold."""


def duration(seconds):
    """A time in words: "0.4 ms", "31 ms", "2.1 s"."""
    if seconds < 0.01:
        return f'{seconds * 1e3:.1f} ms'
    if seconds < 1:
        return f'{seconds * 1e3:.0f} ms'
    return f'{seconds:.1f} s'


class Timeline:
    def __init__(self, out=sys.stdout):
        self._out = out
        self._begin = time.monotonic()
        self._colours = out.isatty() and 'NO_COLOR' not in os.environ
        encoding = (out.encoding or '').lower().replace('-', '')
        self._ascii = encoding != 'utf8'

    def _style(self, text, *names):
        if not self._colours:
            return text
        codes = ';'.join(_STYLES[name] for name in names)
        return f'\033[{codes}m{text}\033[0m'

    def _print(self, text):
        print(text, file=self._out, flush=True)

    def title(self, text):
        self._print('\n' + self._style(text, 'bold'))

    def chapter(self, text):
        rule = ('-' if self._ascii else '─') * max(2, 66 - len(text))
        self._print('\n' + self._style(f'  {text} ', 'bold') +
                    self._style(rule, 'dim'))

    def _line(self, kind, text):
        spent = time.monotonic() - self._begin
        symbol = _SYMBOLS[kind][1 if self._ascii else 0]
        self._print(self._style(f'{spent:8.3f} s', 'dim') + '  ' +
                    self._style(symbol, _COLOURS[kind]) + ' ' + text)

    def do(self, text):
        """Something is done."""
        self._line('do', text)

    def note(self, text):
        """Something is seen, neither good nor bad."""
        self._line('note', text)

    def bad(self, text):
        """Something bad is seen, as it should be."""
        self._line('bad', text)

    def check(self, condition, text, otherwise):
        """Shows @text when @condition holds; else it is the end."""
        if not condition:
            self._line('bad', self._style(otherwise, 'red', 'bold'))
            raise Broken(otherwise)
        self._line('good', text)
