# SPDX-License-Identifier: GPL-2.0-or-later
"""What a checked schema consists of."""

import names


class Member:
    """A member of an object, or a branch of a union or an alternate."""

    def __init__(self, name, type_, optional=False):
        self.name = name
        self.type = type_
        self.optional = optional

    @property
    def c_name(self):
        return names.c_name(self.name)

    @property
    def has_flag(self):
        """Whether C needs a has_FOO beside it: NULL says it for pointers."""
        return self.optional and not self.type.is_pointer


class Type:
    """
    @c_type: how C spells a variable of it (without const)
    @is_pointer: whether NULL can stand for an absent one
    @qtype: the QType of its JSON values, None when there are several
    @implicit: made of arguments written in place
    """

    is_pointer = False
    qtype = None
    implicit = False

    def __init__(self, name, definition=None):
        self.name = name
        self.definition = definition
        self.module = definition.module if definition else None

    @property
    def c_name(self):
        return names.c_name(self.name, False)

    @property
    def c_type(self):
        return self.c_name

    @property
    def c_param(self):
        """How C spells a parameter of it."""
        return self.c_type

    @property
    def c_visit(self):
        return f'visit_type_{self.c_name}'


class BuiltinType(Type):
    def __init__(self, name, json_type, c_type, qtype):
        super().__init__(name)
        self.json_type = json_type
        self._c_type = c_type
        self.qtype = qtype
        self.is_pointer = c_type.endswith('*')

    @property
    def c_type(self):
        return self._c_type

    @property
    def c_param(self):
        return 'const char *' if self.name == 'str' else self._c_type


class EnumType(Type):
    qtype = 'QTYPE_QSTRING'

    def __init__(self, name, values, prefix=None, definition=None):
        super().__init__(name, definition)
        self.values = values
        self.prefix = prefix or names.c_upper(name)

    def c_const(self, value):
        return names.c_enum_const(self.prefix, value)


class PointerType(Type):
    is_pointer = True

    @property
    def c_type(self):
        return self.c_name + ' *'


class ArrayType(PointerType):
    qtype = 'QTYPE_QLIST'

    def __init__(self, element):
        super().__init__(element.name + 'List')
        self.element = element
        self.module = element.module


class ObjectType(PointerType):
    """
    A struct, a union, or the arguments of a command or event.

    @base: ObjectType or None
    @members: Member of its own, including those of an anonymous base
    @tag: the Member that says which branch holds, None for a struct
    @branches: Member, by tag value
    """

    qtype = 'QTYPE_QDICT'

    def __init__(self, name, definition=None, implicit=False):
        super().__init__(name, definition)
        self.implicit = implicit
        self.base = None
        self.members = []
        self.tag = None
        self.branches = []

    def all_members(self):
        """With those of its bases, which come first."""
        inherited = self.base.all_members() if self.base else []
        return inherited + self.members

    def by_value(self):
        """The types that its C struct contains, other than by pointer."""
        result = [branch.type for branch in self.branches]
        return ([self.base] if self.base else []) + result


class AlternateType(PointerType):
    def __init__(self, name, definition):
        super().__init__(name, definition)
        self.branches = []

    def by_value(self):
        return [branch.type for branch in self.branches
                if isinstance(branch.type, ObjectType)]


class Call:
    """
    A command or an event.

    @arg: ObjectType of its arguments, None without any
    @boxed: whether C gets them as one pointer
    """

    def __init__(self, definition):
        self.name = definition.name
        self.definition = definition
        self.module = definition.module
        self.arg = None
        self.boxed = False

    @property
    def c_name(self):
        return names.c_name(self.name, False)

    def parameters(self):
        """(C type, C name) of each, in order."""
        if self.arg is None:
            return []
        if self.boxed:
            return [(self.arg.c_type, 'arg')]
        result = []
        for member in self.arg.all_members():
            if member.has_flag:
                result.append(('bool', 'has_' + member.c_name))
            result.append((member.type.c_param, member.c_name))
        return result


class Command(Call):
    def __init__(self, definition):
        super().__init__(definition)
        self.returns = None
        self.allow_oob = definition.expr.get('allow-oob', False)


class Event(Call):
    pass


QTYPE = EnumType('QType', ['none', 'qnull', 'qnum', 'qstring', 'qdict',
                           'qlist', 'qbool'])

BUILTINS = [
    BuiltinType('str', 'string', 'char *', 'QTYPE_QSTRING'),
    BuiltinType('number', 'number', 'double', 'QTYPE_QNUM'),
    BuiltinType('bool', 'boolean', 'bool', 'QTYPE_QBOOL'),
    BuiltinType('null', 'null', 'QNull *', 'QTYPE_QNULL'),
    BuiltinType('any', 'value', 'json_object *', None),
] + [
    BuiltinType(name, 'int', c_type, 'QTYPE_QNUM') for name, c_type in [
        ('int', 'int64_t'), ('int8', 'int8_t'), ('int16', 'int16_t'),
        ('int32', 'int32_t'), ('int64', 'int64_t'), ('uint8', 'uint8_t'),
        ('uint16', 'uint16_t'), ('uint32', 'uint32_t'),
        ('uint64', 'uint64_t'), ('size', 'uint64_t')]
]
