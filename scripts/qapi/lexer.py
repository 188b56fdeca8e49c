# SPDX-License-Identifier: GPL-2.0-or-later
"""Splits a schema file into tokens."""

import re
from typing import NamedTuple

from source import SchemaError, Source


class Token(NamedTuple):
    """@kind: a punctuation mark, 'string', 'bool', 'doc' or 'end'."""

    kind: str
    value: object
    source: Source

    def __str__(self):
        if self.kind == 'string':
            return f"'{self.value}'"
        if self.kind == 'bool':
            return str(self.value).lower()
        if self.kind == 'doc':
            return 'documentation comment'
        if self.kind == 'end':
            return 'end of file'
        return f"'{self.kind}'"


SKIP = re.compile(r'[ \r\t]+|#(?!#).*')
MARK = re.compile(r'[{}\[\],:]')
STRING = re.compile(r"'([^'\n]*)(['\n]|$)")
WORD = re.compile(r'[A-Za-z0-9_.-]+')


def _doc_comment(lines, number, path):
    """The lines between ## and ##; returns them and where they end."""
    start = Source(path, number + 1)
    text = []
    for offset, line in enumerate(lines[number + 1:], number + 1):
        here = Source(path, offset + 1)
        if line == '##':
            return Token('doc', text, start), offset + 1
        if line.startswith('##') or not line.startswith('#'):
            break
        if line[1:2] not in ('', ' '):
            raise SchemaError(here, "missing space after '#'")
        text.append(line[2:].rstrip())
    raise SchemaError(start, "documentation comment does not end with '##'")


def _string(match, here):
    if match.group(2) != "'":
        raise SchemaError(here, "missing terminating \"'\"")
    value = match.group(1)
    for char in value:
        if not ' ' <= char <= '~' or char == '\\':
            raise SchemaError(here, f'character {char!r} in a string')
    return Token('string', value, here)


def _line_tokens(line, here):
    pos = 0
    while pos < len(line):
        if match := SKIP.match(line, pos):
            pass
        elif match := MARK.match(line, pos):
            yield Token(match.group(), None, here)
        elif match := STRING.match(line, pos):
            yield _string(match, here)
        elif match := WORD.match(line, pos):
            if match.group() not in ('true', 'false'):
                raise SchemaError(here, f"stray '{match.group()}'")
            yield Token('bool', match.group() == 'true', here)
        else:
            raise SchemaError(here, f'stray {line[pos]!r}')
        pos = match.end()


def tokens(text, path):
    """All tokens of @text, ended by one of kind 'end'."""
    lines = text.split('\n')
    result = []
    number = 0
    while number < len(lines):
        here = Source(path, number + 1)
        line = lines[number]
        if line.startswith('##'):
            if line != '##':
                raise SchemaError(here, "junk after '##'")
            token, number = _doc_comment(lines, number, path)
            result.append(token)
            continue
        result += _line_tokens(line, here)
        number += 1
    end = max(len(lines) - (lines[-1] == ''), 1)
    result.append(Token('end', None, Source(path, end)))
    return result
