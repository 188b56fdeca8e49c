# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules about a linked schema: what may be combined with what."""

from entities import AlternateType, ArrayType, EnumType, ObjectType
from source import SchemaError


def check(schema):
    for type_ in schema.types:
        if isinstance(type_, EnumType):
            _check_enum(type_)
        elif isinstance(type_, ObjectType) and not type_.implicit:
            _check_object_parts(type_)
        elif isinstance(type_, AlternateType):
            _check_alternate(type_)
    _check_containment(schema)
    for type_ in schema.types:
        if isinstance(type_, ObjectType) and not type_.implicit:
            _check_object(type_)
    for call in schema.commands + schema.events:
        _check_call(call)
    for module in schema.modules:
        for definition in module.definitions():
            definition.doc.check(definition.meta, _documentable(definition))


def _fail(entity, message):
    raise SchemaError(entity.definition.source, message)


def _is_plain_struct(type_):
    return isinstance(type_, ObjectType) and not type_.branches


def _check_enum(enum):
    seen = {}
    for value in enum.values:
        const = enum.c_const(value)
        if const in seen:
            _fail(enum, f"value '{value}' collides with value "
                  f"'{seen[const]}'")
        seen[const] = value


def _check_object_parts(type_):
    """What must hold before members of bases are looked at."""
    if type_.base and not _is_plain_struct(type_.base):
        _fail(type_, f"'base' names '{type_.base.name}', which is not a "
              'struct')
    for branch in type_.branches:
        if not _is_plain_struct(branch.type):
            _fail(type_, f"branch '{branch.name}' has type "
                  f"'{branch.type.name}', which is not a struct")


def _check_containment(schema):
    """No C struct contains itself."""
    done = set()

    def visit(type_, path):
        if type_ in path:
            _fail(type_, f"'{type_.name}' contains itself")
        if type_ in done:
            return
        for part in type_.by_value():
            visit(part, path + [type_])
        done.add(type_)

    for type_ in schema.types:
        if isinstance(type_, (ObjectType, AlternateType)):
            visit(type_, [])


def _check_object(type_):
    members = _collect(type_, {}, type_)
    if type_.definition.meta != 'union':
        return
    _find_tag(type_)
    for branch in type_.branches:
        if branch.name not in type_.tag.type.values:
            _fail(type_, f"branch '{branch.name}' is not a value of "
                  f"'{type_.tag.type.name}'")
        _collect(branch.type, dict(members), type_)


def _collect(type_, seen, owner):
    """Adds the members of @type_ to @seen, by C name; no two may share
    one."""
    for member in type_.all_members():
        other = seen.get(member.c_name)
        if other:
            _fail(owner, f"member '{member.name}' of '{type_.name}' "
                  f"collides with member '{other}'")
        seen[member.c_name] = member.name
    return seen


def _find_tag(union):
    wanted = union.definition.expr['discriminator']
    for member in union.all_members():
        if member.name == wanted:
            union.tag = member
    if union.tag is None:
        _fail(union, f"discriminator '{wanted}' is not a member of 'base'")
    if not isinstance(union.tag.type, EnumType):
        _fail(union, f"discriminator '{wanted}' must be an enum, not "
              f"'{union.tag.type.name}'")
    if union.tag.optional:
        _fail(union, f"discriminator '{wanted}' must not be optional")


def _check_alternate(alternate):
    seen = {}
    for branch in alternate.branches:
        if branch.type.qtype is None:
            _fail(alternate, f"branch '{branch.name}' must not be "
                  f"'{branch.type.name}'")
        for qtype in _readings(branch.type):
            if qtype in seen:
                _fail(alternate, f"branch '{branch.name}' can't be told "
                      f"from branch '{seen[qtype]}'")
        for qtype in _readings(branch.type):
            seen[qtype] = branch.name


def _readings(type_):
    """The JSON types that a value of @type_ may have, also on a command
    line, where all scalars are strings."""
    if type_.name == 'str':
        return {'QTYPE_QSTRING', 'QTYPE_QNUM', 'QTYPE_QBOOL'}
    result = {type_.qtype}
    if isinstance(type_, EnumType):
        if {'on', 'off'} & set(type_.values):
            result.add('QTYPE_QBOOL')
        if any(value[0].isdigit() for value in type_.values):
            result.add('QTYPE_QNUM')
    return result


def _check_call(call):
    if call.arg:
        if not isinstance(call.arg, ObjectType):
            _fail(call, f"'data' names '{call.arg.name}', which is not a "
                  'struct')
        if call.arg.branches and not call.boxed:
            _fail(call, f"'data' names union '{call.arg.name}', which needs "
                  "'boxed'")
    returns = getattr(call, 'returns', None)
    while isinstance(returns, ArrayType):
        returns = returns.element
    if isinstance(returns, AlternateType):
        _fail(call, f"'returns' must not be alternate '{returns.name}'")


def _documentable(definition):
    """The names that its documentation must explain."""
    expr = definition.expr
    if definition.meta == 'enum':
        return [value['name'] if isinstance(value, dict) else value
                for value in expr['data']]
    data = expr['base'] if definition.meta == 'union' else expr.get('data')
    if not isinstance(data, dict):
        return []
    return [key.lstrip('*') for key in data]
