# SPDX-License-Identifier: GPL-2.0-or-later
"""The shape of a definition: its keys, what they hold, and names."""

import names
from source import SchemaError

# Per kind: keys that must be there, keys that may.
KEYS = {
    'enum': (['data'], ['prefix']),
    'struct': (['data'], ['base']),
    'union': (['base', 'discriminator', 'data'], []),
    'alternate': (['data'], []),
    'command': ([], ['data', 'boxed', 'returns', 'allow-oob']),
    'event': ([], ['data', 'boxed']),
}


def check(definition):
    """Raises SchemaError where @definition has the wrong shape."""
    expr, meta, source = definition.expr, definition.meta, definition.source
    required, optional = KEYS[meta]
    for key in required:
        if key not in expr:
            raise SchemaError(source, f"key '{key}' is missing")
    for key in expr:
        if key not in [meta] + required + optional:
            raise SchemaError(source, f"unknown key '{key}'; {meta} takes "
                              + ', '.join([meta] + required + optional))
    if meta == 'command':
        names.check_command_name(source, definition.name)
    elif meta == 'event':
        names.check_event_name(source, definition.name)
    else:
        names.check_type_name(source, definition.name)
    CHECKS[meta](expr, source)


def enum_value(entry):
    """The name of an enum value, written 'NAME' or { 'name': 'NAME' }."""
    return entry['name'] if isinstance(entry, dict) else entry


def optional_name(key):
    """('name', whether it is optional) of a key '*name'."""
    return (key[1:], True) if key.startswith('*') else (key, False)


def _check_enum(expr, source):
    values = expr['data']
    if not isinstance(values, list):
        raise SchemaError(source, "'data' must be a list of values")
    prefix = expr.get('prefix')
    if 'prefix' in expr and (
            not isinstance(prefix, str)
            or not prefix or names.c_name(prefix) != prefix):
        raise SchemaError(source, "'prefix' must be a C name")
    for entry in values:
        if isinstance(entry, dict):
            if list(entry) != ['name']:
                raise SchemaError(source,
                                  "an enum value takes only 'name'")
        names.check_value_name(source, enum_value(entry))


def _check_struct(expr, source):
    _check_members(expr['data'], source, "'data'")
    if 'base' in expr and not isinstance(expr['base'], str):
        raise SchemaError(source, "'base' must be the name of a struct")


def _check_union(expr, source):
    if isinstance(expr['base'], dict):
        _check_members(expr['base'], source, "'base'")
    elif not isinstance(expr['base'], str):
        raise SchemaError(source, "'base' must be the name of a struct, "
                          'or members')
    if not isinstance(expr['discriminator'], str):
        raise SchemaError(source, "'discriminator' must be a member's name")
    if expr['discriminator'].startswith('*'):
        raise SchemaError(source, "'discriminator' must not be optional")
    _check_branches(expr, source)


def _check_alternate(expr, source):
    _check_branches(expr, source)
    for name in expr['data']:
        names.check_member_name(source, name, 'branch name')
    _check_distinct(expr['data'], source, 'branch')


def _check_branches(expr, source):
    branches = expr['data']
    if not isinstance(branches, dict):
        raise SchemaError(source, "'data' must be branches and their types")
    if not branches:
        raise SchemaError(source, "'data' must have a branch")
    for name, ref in branches.items():
        _check_ref(ref, source, f"branch '{name}'",
                   lists=expr.get('alternate') is not None)


def _check_command(expr, source):
    _check_call(expr, source)
    if 'returns' in expr:
        _check_ref(expr['returns'], source, "'returns'")
    _check_flag(expr, source, 'allow-oob')


def _check_call(expr, source):
    _check_flag(expr, source, 'boxed')
    data = expr.get('data')
    if 'boxed' in expr and not isinstance(data, str):
        raise SchemaError(source, "'boxed' needs 'data' to be the name of a "
                          'struct or union')
    if isinstance(data, dict):
        _check_members(data, source, "'data'")
    elif 'data' in expr and not isinstance(data, str):
        raise SchemaError(source, "'data' must be members, or the name of a "
                          'type')


def _check_flag(expr, source, key):
    if key in expr and expr[key] is not True:
        raise SchemaError(source, f"'{key}' may only be true")


def _check_members(members, source, what):
    if not isinstance(members, dict):
        raise SchemaError(source, f'{what} must be members and their types')
    for key, ref in members.items():
        name, _ = optional_name(key)
        names.check_member_name(source, name)
        _check_ref(ref, source, f"member '{name}'")
    _check_distinct([optional_name(key)[0] for key in members], source,
                    'member')


def _check_distinct(member_names, source, what):
    """No two have the same name in C."""
    seen = {}
    for name in member_names:
        other = seen.setdefault(names.c_name(name), name)
        if other != name or list(member_names).count(name) > 1:
            raise SchemaError(source, f"{what} '{name}' collides with "
                              f"{what} '{other}'")


def _check_ref(ref, source, what, lists=True):
    """A reference to a type: 'NAME' or [ 'NAME' ]."""
    if isinstance(ref, list):
        if not lists:
            raise SchemaError(source, f'{what} must not be a list')
        if len(ref) != 1 or not isinstance(ref[0], str):
            raise SchemaError(source,
                              f'{what}: a list names one element type')
    elif not isinstance(ref, str):
        raise SchemaError(source, f'{what} must be the name of a type, '
                          'or a list of one')


CHECKS = {
    'enum': _check_enum,
    'struct': _check_struct,
    'union': _check_union,
    'alternate': _check_alternate,
    'command': _check_command,
    'event': _check_call,
}
