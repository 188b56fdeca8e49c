# SPDX-License-Identifier: GPL-2.0-or-later
"""Documentation comments: what is said of whom."""

import re
import textwrap

from source import SchemaError

SYMBOL = re.compile(r'@([A-Za-z0-9_.-]+):(?:\s+(.*))?$')
TAG = re.compile(
    r'(Returns|Errors|Since|Notes?|Examples?):(?:\s+(.*))?$')
HEADING = re.compile(r'(==?)\s+(.*)$')
OVERLINE = re.compile(r'\*{3,}$')


class Section:
    """
    Text under one tag, one member, one heading, or none of these.

    @tag: such as "Since", "@member" or "=", None for none
    @head: what is on the line of the tag
    @lines: the lines that follow
    """

    def __init__(self, source, tag=None, head=None):
        self.source = source
        self.tag = tag
        self.head = head or ''
        self.lines = []

    def rest(self):
        """The lines after the head, without their common indentation."""
        return textwrap.dedent('\n'.join(self.lines)).strip('\n')

    def text(self):
        return f'{self.head}\n{self.rest()}'.strip('\n')


def _marked(lines):
    """@lines with each heading between two lines of asterisks, the form that
    every QEMU takes, in the form "= HEADING"."""
    lines = list(lines)
    for i in range(len(lines) - 2):
        if OVERLINE.match(lines[i]) and lines[i] == lines[i + 2]:
            lines[i:i + 3] = ['= ' + lines[i + 1], '', '']
    return lines


class Doc:
    """
    One documentation comment.

    @symbol: the definition it is for, None for free text
    @body: list of Section without tag, or with a heading's mark as tag
    @members: Section by member name
    @sections: Section with a tag, and free text that follows one
    """

    def __init__(self, token):
        self.source = token.source
        self.symbol = None
        self.body = []
        self.members = {}
        self.sections = []
        self._parse(token.value)

    @staticmethod
    def _error(source, message):
        raise SchemaError(source, message)

    def _parse(self, lines):
        if not any(lines):
            self._error(self.source, 'documentation comment is empty')
        current = None
        blank = True
        for number, line in enumerate(_marked(lines), self.source.line + 1):
            here = self.source._replace(line=number)
            started = self._start(here, line)
            if started:
                current = started
            else:
                if line and (current is None
                             or blank and self._ends(current, line)):
                    current = Section(here)
                    (self.sections or self.body).append(current)
                if current:
                    current.lines.append(line)
            blank = not line

    @staticmethod
    def _ends(section, line):
        """Whether @line, which follows an empty one, is free text again."""
        if section.tag is None or section.tag.startswith('Example'):
            return False
        return section.text() and not line.startswith(' ')

    def _start(self, here, line):
        """The section that @line begins, None when it goes on."""
        if match := SYMBOL.match(line):
            return self._start_symbol(here, *match.groups())
        if match := TAG.match(line):
            return self._start_tag(here, *match.groups())
        if line.startswith('@') and ':' in line.split(' ')[0]:
            self._error(here, f"'{line.split(' ')[0]}' is not a name")
        if not self.symbol and (match := HEADING.match(line)):
            self.body.append(Section(here, *match.groups()))
            return self.body[-1]
        return None

    def _start_symbol(self, here, name, text):
        if self.symbol is None:
            if self.body:
                self._error(here, f"'@{name}:' must come first")
            self.symbol = name
            self.body.append(Section(here, None, text))
            return self.body[-1]
        if self.sections:
            self._error(here, f"'@{name}:' follows "
                        f"'{self.sections[0].tag}:'")
        if name in self.members:
            self._error(here, f"'@{name}' is documented twice")
        self.members[name] = Section(here, '@' + name, text)
        return self.members[name]

    def _start_tag(self, here, tag, text):
        if self.symbol is None:
            self._error(here, f"'{tag}:' needs a definition")
        if tag in ('Returns', 'Errors', 'Since') and \
                any(section.tag == tag for section in self.sections):
            self._error(here, f"'{tag}:' comes twice")
        self.sections.append(Section(here, tag, text))
        return self.sections[-1]

    def check(self, meta, documentable):
        """Whether it fits a definition of kind @meta that has members
        @documentable, a list of names."""
        for section in self.sections:
            if section.tag in ('Returns', 'Errors') and meta != 'command':
                self._error(section.source,
                            f"'{section.tag}:' is only for commands")
            if not section.text():
                self._error(section.source, f"'{section.tag}:' is empty")
        for name, section in self.members.items():
            if name not in documentable:
                self._error(section.source, f"'@{name}' is documented, "
                            f"but '{self.symbol}' has no such member")
            if not section.text():
                self._error(section.source,
                            f"'@{name}' has no description")
        for name in documentable:
            if name not in self.members:
                self._error(self.source,
                            f"member '{name}' of '{self.symbol}' "
                            "is not documented")
