# SPDX-License-Identifier: GPL-2.0-or-later
"""qapi-introspect.c: the schema as query-qmp-schema replies it."""

import json

import cgen
from cgen import code
from entities import (AlternateType, ArrayType, BuiltinType, Command,
                      EnumType, ObjectType)


def generate(schema):
    """{file name: text}"""
    lines = ''
    infos = SchemaInfos(schema).infos
    for number, info in enumerate(infos):
        text = json.dumps(info)
        text += ',' if number + 1 < len(infos) else ''
        lines += json.dumps(text) + '\n'
    return {'qapi-introspect.c': cgen.source(
        None, ['qapi/qmp-command.h'], code('''
            const char qmp_schema_json[] =
                "["
                $lines
                "]";
        ''', lines=lines))}


class SchemaInfos:
    """
    @infos: the list of SchemaInfo

    Only what commands and events can reach is told.  Names of types are no
    promise, so numbers take their place.
    """

    def __init__(self, schema):
        self._names = {}
        self._count = 0
        self._empty = ObjectType('q_empty')
        self._todo = []
        self.infos = []
        for call in schema.commands + schema.events:
            self._call(call)
        while self._todo:
            self.infos.append(self._type(self._todo.pop(0)))

    def _ref(self, type_):
        """The name under which @type_ is told."""
        if type_ is None:
            type_ = self._empty
        if isinstance(type_, BuiltinType) and type_.json_type == 'int':
            key, name = 'int', 'int'
        elif isinstance(type_, BuiltinType):
            key, name = type_.name, type_.name
        elif isinstance(type_, ArrayType):
            name = f'[{self._ref(type_.element)}]'
            key = name
        else:
            key, name = type_, None
        if key not in self._names:
            if name is None:
                name = str(self._count)
                self._count += 1
            self._names[key] = name
            self._todo.append(type_)
        return self._names[key]

    def _call(self, call):
        info = {'name': call.name}
        if isinstance(call, Command):
            info['ret-type'] = self._ref(call.returns)
            info['meta-type'] = 'command'
            if call.allow_oob:
                info['allow-oob'] = True
        else:
            info['meta-type'] = 'event'
        info['arg-type'] = self._ref(call.arg)
        self.infos.append(info)

    def _type(self, type_):
        info = {'name': self._ref(type_)}
        if isinstance(type_, BuiltinType):
            info['json-type'] = type_.json_type
            info['meta-type'] = 'builtin'
        elif isinstance(type_, ArrayType):
            info['element-type'] = self._ref(type_.element)
            info['meta-type'] = 'array'
        elif isinstance(type_, EnumType):
            info['members'] = [{'name': value} for value in type_.values]
            info['meta-type'] = 'enum'
            info['values'] = type_.values
        elif isinstance(type_, AlternateType):
            info['members'] = [{'type': self._ref(branch.type)}
                               for branch in type_.branches]
            info['meta-type'] = 'alternate'
        else:
            self._object(type_, info)
        return info

    def _object(self, type_, info):
        if type_.tag:
            info['tag'] = type_.tag.name
            branches = {branch.name: branch.type
                        for branch in type_.branches}
            info['variants'] = [
                {'case': value, 'type': self._ref(branches.get(value))}
                for value in type_.tag.type.values]
        info['members'] = [self._member(member)
                           for member in type_.all_members()]
        info['meta-type'] = 'object'

    def _member(self, member):
        info = {'name': member.name}
        if member.optional:
            info['default'] = None
        info['type'] = self._ref(member.type)
        return info
