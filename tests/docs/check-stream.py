#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables and examples of docs/interop/migration-stream.rst are what the
code and its tests say."""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
DOC = (TOP / 'docs' / 'interop' / 'migration-stream.rst').read_text()


def source(name):
    return (TOP / name).read_text()


HEADER = source('migration/stream.h')
HELLO = source('migration/stream-hello.c')
SECTION = source('migration/stream-section.c')
VOLUME = source('migration/stream-volume.c')


# ---- The document.

def tables():
    """Each table as a list of rows, the first of which has the titles."""
    lines = DOC.split('\n')
    rules = [i for i, line in enumerate(lines)
             if re.fullmatch(r'=+(  =+)+', line)]
    for top, middle, bottom in zip(*[iter(rules)] * 3):
        columns = [m.span() for m in re.finditer('=+', lines[top])]
        yield [[line[start:end if end != columns[-1][1] else None].strip()
                for start, end in columns]
               for line in [lines[top + 1]] + lines[middle + 1:bottom]]


def table_with(*fields):
    """The table whose third column has all @fields."""
    for rows in tables():
        if set(fields) <= {row[2] for row in rows}:
            return rows[1:]
    raise LookupError('no table has the fields ' + ', '.join(fields))


def examples():
    """Blocks of bytes in hexadecimal."""
    blocks = re.findall(r'::\n\n((?:    [0-9a-f ]+\n)+)', DOC)
    return [bytes.fromhex(''.join(block.split())) for block in blocks]


# ---- The code.

def number(text):
    names = {'KiB': 1 << 10, 'MiB': 1 << 20, 'UINT16_MAX': 0xffff}
    return eval(text, {'__builtins__': {}}, names)


def constant(name, text=HEADER):
    """The value of a #define, in which other constants of it may stand."""
    value = re.search(r'^#define %s (.*?)(?: */\*.*)?$' % name, text, re.M)[1]
    value = re.sub(r'STREAM_\w+', lambda m: str(constant(m[0])), value)
    return number(value)


def enumeration(first, text):
    """The enum in which @first is the first name, as {name: value}."""
    body = re.search(r'enum(?: \w+)? \{([^}]*\b%s\b[^}]*)\}' % first, text)[1]
    body = re.sub(r'/\*.*?\*/', '', body, flags=re.S)
    result, last = {}, -1
    for item in filter(None, (item.strip() for item in body.split(','))):
        name, _, value = item.partition('=')
        last = number(value) if value else last + 1
        result[name.strip()] = last
    return result


def section_kinds():
    """The table in the code as {number: (name, side, uses, flags, from, to)};
    the last four as the code writes them."""
    numbers = enumeration('SECTION_VOLUME', HEADER)
    body = re.search(r'kinds\[\] = \{(.*?)\n\};', SECTION, re.S)[1]
    kinds = {}
    for name, members in re.findall(r'\[(SECTION_\w+)\] = \{(.*?)\}', body,
                                    re.S):
        members = [member.strip() for member in members.split(',')]
        members += ['0'] * (6 - len(members))
        kinds[numbers.pop(name)] = members
    assert not numbers, 'no line in the table for %s' % ', '.join(numbers)
    return kinds


def golden_bytes(test):
    """What the unit test of the layout expects."""
    text = re.search(r'expected\[\] =(.*?);', source(test), re.S)[1]
    pieces = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
    return b''.join(piece.encode().decode('unicode_escape').encode('latin-1')
                    for piece in pieces)


# ---- The tests.

def check_layout(rows, total, prefix, offsets):
    """The fields follow each other, where the code has them."""
    at = 0
    for offset, size, field, _ in rows:
        assert int(offset) == at, '%s is at %d, not %s' % (field, at, offset)
        name = prefix + field.upper()
        assert offsets.pop(name) == at, '%s is elsewhere' % name
        at += int(size) if size != '...' else 0
    assert not offsets, 'not told of: ' + ', '.join(offsets)
    assert at == total, '%d bytes instead of %d' % (at, total)


def test_hello():
    check_layout(table_with('session', 'attempt'),
                 constant('STREAM_HELLO_SIZE'), 'HELLO_',
                 enumeration('HELLO_MAGIC', HELLO))


def test_header():
    offsets = enumeration('SECTION_MAGIC', SECTION)
    offsets['SECTION_VOLUME'] = offsets.pop('SECTION_VOLUME_INDEX')
    check_layout(table_with('payload_size', 'payload_checksum'),
                 constant('STREAM_HEADER_SIZE'), 'SECTION_', offsets)


def test_volume():
    rows = table_with('name_len', 'name')
    check_layout(rows, constant('STREAM_VOLUME_MIN_SIZE') - 1, 'VOLUME_',
                 enumeration('VOLUME_SIZE', VOLUME))


def test_types():
    flags = {'0': 0, 'SECTION_FLAG_ZSTD': 1, 'SECTION_FLAG_POSTCOPY': 2}
    uses = {'0': '', 'USES_VOLUME': 'volume', 'USES_OFFSET': 'offset',
            'USES_LENGTH': 'length', 'USES_RANGE': 'range'}
    rows = next(rows for rows in tables() if rows[0][0] == 'type')[1:]
    kinds = section_kinds()
    for row in rows:
        name, side, used, flag, low, high = kinds.pop(int(row[0]))
        limits = [constant(limit) if limit.startswith('STREAM_')
                  else int(limit) for limit in (low, high)]
        expected = [row[0], name.strip('"'), side.lower(), uses[used],
                    str(flags[flag])] + [str(limit) for limit in limits]
        assert row == expected, '%s, but the code has %s' % (row, expected)
    assert not kinds, 'not told of: %s' % kinds


def test_names_are_explained():
    for name in (kind[0].strip('"') for kind in section_kinds().values()):
        assert re.search(r'^``(\w+``, ``)?%s``' % name, DOC, re.M), name


def test_flags():
    said = {name: value for first in ('SECTION_FLAG_ZSTD',
                                      'STREAM_HELLO_RESUME')
            for name, value in _flags(first).items()}
    assert said == {'SECTION_FLAG_ZSTD': 1, 'SECTION_FLAG_POSTCOPY': 2,
                    'STREAM_HELLO_RESUME': 1}, said


def _flags(first):
    """Those of an enum of bits, without the mask of all."""
    return {name: value for name, value in enumeration(first, HEADER).items()
            if not name.endswith('__ALL')}


def test_limits():
    for name, words in {
            'STREAM_VERSION': 'This is version %d.',
            'STREAM_MAX_CHANNELS': 'up to %d more',
            'STREAM_MAX_VOLUMES': '%d at most',
            'STREAM_STRIPE': '%d bytes each',
            'STREAM_BLOCK': 'whole blocks of %d bytes',
            'STREAM_MAX_NAME': 'bytes of the name, 1 to %d',
    }.items():
        assert words % constant(name) in ' '.join(DOC.split()), name
    assert constant('STREAM_BLOCK') == constant(
        'VOLUME_GRANULARITY', source('migration/volume.h'))


def test_timeouts():
    hello = constant('HELLO_TIMEOUT_MS',
                     source('migration/destination-hello.c'))
    assert 'within %d seconds' % (hello // 1000) in ' '.join(DOC.split())
    for name in 'source.c', 'destination-session.c':
        assert constant('LAST_WORDS_MS', source('migration/' + name)) == 500


def test_examples():
    hello, header = examples()
    assert hello == golden_bytes('tests/unit/test-migration-hello.c')
    assert header == golden_bytes('tests/unit/test-migration-stream.c')


def main():
    tests = [(name, fn) for name, fn in globals().items()
             if name.startswith('test_')]
    failed = 0
    print('1..%d' % len(tests))
    for n, (name, fn) in enumerate(tests, 1):
        try:
            fn()
            print('ok %d - %s' % (n, name))
        except Exception as e:
            failed += 1
            print('not ok %d - %s' % (n, name))
            print('# %s: %s' % (type(e).__name__, e))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
