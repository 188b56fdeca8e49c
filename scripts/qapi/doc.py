# SPDX-License-Identifier: GPL-2.0-or-later
"""Documentation comments: what is said of whom."""

import re

from source import SchemaError

SYMBOL = re.compile(r'@([A-Za-z0-9_.-]+):(?:\s+(.*))?$')
TAG = re.compile(
    r'(Returns|Errors|Since|Notes?|Examples?):(?:\s+(.*))?$')
HEADING = re.compile(r'(==?)\s+(.*)$')


class Section:
    """Lines of text under one tag, one member, or none."""

    def __init__(self, source, tag=None, first=None):
        self.source = source
        self.tag = tag
        self.lines = [first] if first else []

    def text(self):
        """Without the indentation that the lines after the first share."""
        lines = list(self.lines)
        while lines and not lines[-1]:
            lines.pop()
        rest = [len(line) - len(line.lstrip())
                for line in lines[1:] if line]
        cut = min(rest, default=0)
        if lines and lines[0].startswith(' ' * cut):
            first = lines[0][min(cut, len(lines[0])
                                 - len(lines[0].lstrip())):]
        else:
            first = lines[0] if lines else ''
        return '\n'.join([first] + [line[cut:] for line in lines[1:]]
                         ).strip('\n')


class Doc:
    """
    One documentation comment.

    @symbol: the definition it is for, None for free text
    @body: list of Section without tag, or (mark, text) headings
    @members: Section by member name
    @sections: Section with a tag
    """

    def __init__(self, token):
        self.source = token.source
        self.symbol = None
        self.body = []
        self.members = {}
        self.sections = []
        self._parse(token.value)

    def _error(self, source, message):
        raise SchemaError(source, message)

    def _parse(self, lines):
        if not any(lines):
            self._error(self.source, 'documentation comment is empty')
        current = None
        blank = True
        for number, line in enumerate(lines, self.source.line + 1):
            here = self.source._replace(line=number)
            started = self._start(here, line)
            if started:
                current = started
            elif line:
                if self._leaves(current, line, blank):
                    current = Section(here)
                    self.body.append(current)
                current.lines.append(line)
            elif current and current.lines:
                current.lines.append(line)
            blank = not line

    @staticmethod
    def _leaves(current, line, blank):
        """Whether @line is free text again: text about a member or a short
        tag ends at an empty line that unindented text follows."""
        if current is None:
            return True
        if current.tag is None or current.tag.startswith('Example'):
            return False
        return blank and current.lines and not line.startswith(' ')

    def _start(self, here, line):
        """The section that @line begins, None when it goes on."""
        if match := SYMBOL.match(line):
            return self._start_symbol(here, *match.groups())
        if match := TAG.match(line):
            return self._start_tag(here, *match.groups())
        if line.startswith('@') and ':' in line.split(' ')[0]:
            self._error(here, f"'{line.split(' ')[0]}' is not a name")
        if not self.symbol and (match := HEADING.match(line)):
            section = Section(here, match.group(1), match.group(2))
            self.body.append(section)
            return Section(here)
        return None

    def _start_symbol(self, here, name, text):
        if self.symbol is None:
            if self.body:
                self._error(here, f"'@{name}:' must come first")
            self.symbol = name
            section = Section(here, None, text)
            self.body.append(section)
            return section
        if self.sections:
            self._error(here, f"'@{name}:' follows "
                        f"'{self.sections[-1].tag}:'")
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
