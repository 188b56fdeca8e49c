# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of the protocol: what is done, and what each program is seen to do.

A case observes a program and tells what it saw in a few words.  What yankd
must show is part of the case; where the stock program shows something else,
the case says what and why.  The same cases run against both, and the
differences are the table in docs/interop/stock-differences.rst.
"""

import json

ALL = []


class Case:
    """@observe: function of a Target; returns words
    @expect: what yankd must show
    @stock: what the stock program shows; None for the same
    @why: the reason of the difference
    @program: the stock program to compare with: 'qemu' or 'qsd'; None when
        stock has nothing like it
    """

    def __init__(self, name, observe, expect, stock=None, why=None,
                 program='qemu'):
        assert (stock is None) == (why is None), name
        assert all(name != other.name for other in ALL), name
        self.name = name
        self.observe = observe
        self.expect = expect
        self.stock = stock
        self.why = why
        self.program = program
        ALL.append(self)

    @property
    def expect_stock(self):
        return self.expect if self.stock is None else self.stock


def case(name, expect, stock=None, why=None, program='qemu'):
    """Makes a case of a function."""
    def mark(function):
        Case(name, function, expect, stock, why, program)
        return function
    return mark


def _words_of_error(error):
    # Texts of syntax errors are for people, and there are many ways to
    # count them; that there is one is what matters.
    if error['desc'].startswith('JSON'):
        return 'syntax error'
    return f"{error['class']}: {error['desc']}"


def words(message, hide=()):
    """A message in words; @hide: pairs of texts and what to put there."""
    if 'not-json' in message:
        return 'invalid JSON'
    if 'error' in message:
        text = _words_of_error(message['error'])
    elif message.get('return') == {}:
        text = 'ok'
    else:
        text = 'ok ' + json.dumps(message['return'], sort_keys=True)
    if 'id' in message:
        text += f" id={json.dumps(message['id'])}"
    for secret, name in hide:
        text = text.replace(secret, name)
    return text


def summary(messages, hide=()):
    """Several messages in words; syntax errors in a row are one."""
    texts = []
    for message in messages:
        text = words(message, hide)
        if text != 'syntax error' or texts[-1:] != [text]:
            texts.append(text)
    return '; '.join(texts) or 'nothing'
