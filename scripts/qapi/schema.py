# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes entities of raw definitions and links them by name."""

import expr as shape
import names
import rules
from entities import (BUILTINS, QTYPE, AlternateType, ArrayType, Command,
                      EnumType, Event, Member, ObjectType)
from parser import Loader
from source import SchemaError


class Schema:
    """
    A checked schema.

    @modules: Module, each after those it includes
    @types, @commands, @events: entities in order of definition
    """

    def __init__(self, path):
        loader = Loader()
        loader.load(path)
        self.modules = loader.modules
        self.types = []
        self.commands = []
        self.events = []
        self._arrays = {}
        self._by_name = {type_.name: type_ for type_ in BUILTINS + [QTYPE]}
        definitions = [definition for module in self.modules
                       for definition in module.definitions()]
        self._define(definitions)
        for entity in self.types + self.commands + self.events:
            self._link(entity)
        rules.check(self)

    def of_module(self, entities, module):
        return [entity for entity in entities if entity.module is module]

    def array(self, element):
        if element not in self._arrays:
            self._arrays[element] = ArrayType(element)
        return self._arrays[element]

    def _define(self, definitions):
        seen = {}
        for definition in definitions:
            shape.check(definition)
            name, source = definition.name, definition.source
            if name in self._by_name and self._by_name[name].module is None:
                raise SchemaError(source, f"'{name}' is a built-in type")
            other = seen.setdefault(names.c_name(name, False), definition)
            if other is not definition:
                raise SchemaError(source, f"'{other.name}' is already "
                                  f'defined at {other.source.path}:'
                                  f'{other.source.line}')
            self._new_entity(definition)

    def _new_entity(self, definition):
        meta, name = definition.meta, definition.name
        if meta == 'command':
            self.commands.append(Command(definition))
            return
        if meta == 'event':
            self.events.append(Event(definition))
            return
        if meta == 'enum':
            values = [shape.enum_value(entry)
                      for entry in definition.expr['data']]
            entity = EnumType(name, values, definition.expr.get('prefix'),
                              definition)
        elif meta == 'alternate':
            entity = AlternateType(name, definition)
        else:
            entity = ObjectType(name, definition)
        self.types.append(entity)
        self._by_name[name] = entity

    def _lookup(self, ref, definition, what):
        """The type that @ref names, seen from @definition."""
        if isinstance(ref, list):
            return self.array(self._lookup(ref[0], definition, what))
        type_ = self._by_name.get(ref)
        if type_ is None:
            raise SchemaError(definition.source,
                              f"{what} has unknown type '{ref}'")
        if type_.module and type_.module not in definition.module.reach():
            raise SchemaError(definition.source,
                              f"{what} has type '{ref}' of module "
                              f"'{type_.module.name}', which is not included")
        return type_

    def _members(self, data, definition):
        result = []
        for key, ref in data.items():
            name, optional = shape.optional_name(key)
            type_ = self._lookup(ref, definition, f"member '{name}'")
            result.append(Member(name, type_, optional))
        return result

    def _link(self, entity):
        definition = entity.definition
        if isinstance(entity, AlternateType):
            entity.branches = self._members(definition.expr['data'],
                                            definition)
        elif isinstance(entity, ObjectType):
            self._link_object(entity, definition)
        elif isinstance(entity, (Command, Event)):
            self._link_call(entity, definition)

    def _link_object(self, entity, definition):
        base = definition.expr.get('base')
        if isinstance(base, str):
            entity.base = self._lookup(base, definition, "'base'")
        elif base:
            entity.members = self._members(base, definition)
        if definition.meta == 'struct':
            entity.members = self._members(definition.expr['data'],
                                           definition)
        else:
            for name, ref in definition.expr['data'].items():
                type_ = self._lookup(ref, definition, f"branch '{name}'")
                entity.branches.append(Member(name, type_))

    def _link_call(self, entity, definition):
        data = definition.expr.get('data')
        entity.boxed = definition.expr.get('boxed', False)
        if isinstance(data, str):
            entity.arg = self._lookup(data, definition, "'data'")
        elif data:
            entity.arg = ObjectType(f'q_obj_{entity.name}_arg', definition,
                                    implicit=True)
            entity.arg.members = self._members(data, definition)
            self.types.append(entity.arg)
        if 'returns' in definition.expr:
            entity.returns = self._lookup(definition.expr['returns'],
                                          definition, "'returns'")
