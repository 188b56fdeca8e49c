# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads schema files into modules of raw definitions."""

import os

import lexer
from doc import Doc
from source import SchemaError, Source

METAS = ('enum', 'struct', 'union', 'alternate', 'command', 'event')
MAX_NESTING = 32


class Definition:
    """One definition as it was written; expr.py checks its shape."""

    def __init__(self, meta, expr, doc, source, module):
        self.meta = meta
        self.expr = expr
        self.doc = doc
        self.source = source
        self.module = module

    @property
    def name(self):
        return self.expr[self.meta]


class Module:
    """
    One schema file.

    @name: "yank" for qapi/yank.json
    @includes: the modules it includes itself
    @items: Definition, and Doc without a definition, in order
    """

    def __init__(self, path):
        self.path = path
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.includes = []
        self.items = []

    def definitions(self):
        return [item for item in self.items if isinstance(item, Definition)]

    def reach(self):
        """Itself and all it includes, at any depth."""
        seen = {}
        todo = [self]
        while todo:
            module = todo.pop()
            if module not in seen:
                seen[module] = True
                todo += module.includes
        return seen


class _FileParser:
    def __init__(self, text, path):
        self.tokens = lexer.tokens(text, path)
        self.pos = 0

    def peek(self):
        return self.tokens[self.pos]

    def next(self):
        token = self.tokens[self.pos]
        if token.kind != 'end':
            self.pos += 1
        return token

    def expect(self, kind, wanted):
        token = self.next()
        if token.kind != kind:
            raise SchemaError(token.source,
                              f'expected {wanted}, found {token}')
        return token

    def value(self, depth=0):
        if depth > MAX_NESTING:
            raise SchemaError(self.peek().source, 'nested too deeply')
        token = self.next()
        if token.kind in ('string', 'bool'):
            return token.value
        if token.kind == '{':
            return self.members(depth + 1)
        if token.kind == '[':
            return self.elements(depth + 1)
        raise SchemaError(token.source,
                          "expected a string, boolean, '[' or '{', "
                          f'found {token}')

    def members(self, depth):
        result = {}
        if self.peek().kind == '}':
            self.next()
            return result
        while True:
            key = self.expect('string', 'a string')
            if key.value in result:
                raise SchemaError(key.source, f"duplicate key '{key.value}'")
            self.expect(':', "':'")
            result[key.value] = self.value(depth)
            if not self.more('}'):
                return result

    def elements(self, depth):
        result = []
        if self.peek().kind == ']':
            self.next()
            return result
        while True:
            result.append(self.value(depth))
            if not self.more(']'):
                return result

    def more(self, end):
        token = self.next()
        if token.kind not in (',', end):
            raise SchemaError(token.source,
                              f"expected ',' or '{end}', found {token}")
        return token.kind == ','

    def items(self):
        """Doc and (dict, Source), in order."""
        while self.peek().kind != 'end':
            token = self.peek()
            if token.kind == 'doc':
                yield Doc(self.next())
                continue
            self.expect('{', "'{'")
            yield self.members(1), token.source


class Loader:
    """Loads a file and all it includes; modules in order of their end."""

    def __init__(self):
        self.modules = []
        self._by_file = {}
        self._open = []

    def load(self, path, included_at=None):
        identity = os.path.realpath(path)
        if identity in self._open:
            raise SchemaError(included_at, f"inclusion loop for '{path}'")
        if identity in self._by_file:
            return self._by_file[identity]
        module = Module(path)
        text = self._read(path, included_at)
        self._open.append(identity)
        self._fill(module, text)
        self._open.pop()
        self._by_file[identity] = module
        self._check_unique(module, included_at)
        self.modules.append(module)
        return module

    @staticmethod
    def _read(path, included_at):
        try:
            with open(path, encoding='utf-8') as file:
                return file.read()
        except OSError as err:
            raise SchemaError(included_at or Source(path, 1),
                              f"can't read '{path}': {err.strerror}"
                              ) from err
        except UnicodeDecodeError as err:
            raise SchemaError(Source(path, 1), 'is not UTF-8') from err

    def _check_unique(self, module, included_at):
        for other in self.modules:
            if other.name == module.name:
                raise SchemaError(included_at, f"module '{module.name}' is "
                                  f"also the name of '{other.path}'")

    def _fill(self, module, text):
        doc = None
        for item in _FileParser(text, module.path).items():
            if isinstance(item, Doc):
                self._check_used(doc)
                doc = item
                if doc.symbol is None:
                    module.items.append(doc)
                    doc = None
                continue
            expr, source = item
            if 'include' in expr:
                self._check_used(doc)
                self._include(module, expr, source)
            else:
                module.items.append(
                    self._definition(expr, doc, source, module))
                doc = None
        self._check_used(doc)

    @staticmethod
    def _check_used(doc):
        if doc:
            raise SchemaError(doc.source, f"documentation of '{doc.symbol}' "
                              'is not followed by its definition')

    def _include(self, module, expr, source):
        if len(expr) != 1 or not isinstance(expr['include'], str):
            raise SchemaError(source, "'include' takes one file name")
        path = os.path.join(os.path.dirname(module.path), expr['include'])
        other = self.load(path, source)
        if other not in module.includes:
            module.includes.append(other)

    @staticmethod
    def _definition(expr, doc, source, module):
        metas = [meta for meta in METAS if meta in expr]
        if not metas:
            raise SchemaError(source, 'is none of ' + ', '.join(METAS)
                              + ' and include')
        if len(metas) > 1:
            raise SchemaError(source, f"is both '{metas[0]}' "
                              f"and '{metas[1]}'")
        meta = metas[0]
        name = expr[meta]
        if not isinstance(name, str):
            raise SchemaError(source, f"'{meta}' must be a name")
        if doc is None:
            raise SchemaError(source, f"{meta} '{name}' has no "
                              'documentation comment')
        if doc.symbol != name:
            raise SchemaError(source, f"documentation is for '{doc.symbol}',"
                              f" but the {meta} is '{name}'")
        return Definition(meta, expr, doc,
                          source.within(f"{meta} '{name}'"), module)
