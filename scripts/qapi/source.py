# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a piece of schema comes from, and errors that say so."""

from typing import NamedTuple, Optional


class Source(NamedTuple):
    """A line of a schema file; @entity is such as "command 'quit'"."""

    path: str
    line: int
    entity: Optional[str] = None

    def within(self, entity):
        return self._replace(entity=entity)

    def __str__(self):
        return f'{self.path}:{self.line}'


class SchemaError(Exception):
    """The schema is wrong; its text is one line for the user."""

    def __init__(self, source, message):
        super().__init__(source, message)
        self.source = source
        self.message = message

    def __str__(self):
        if self.source.entity:
            return f'{self.source}: in {self.source.entity}: {self.message}'
        return f'{self.source}: {self.message}'
