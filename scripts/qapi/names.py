# SPDX-License-Identifier: GPL-2.0-or-later
"""Names: which ones a schema may use, and what they become in C."""

import re

from source import SchemaError

# Words that C, GNU C or C++ keep for themselves, and macros that compilers
# define on some hosts.
RESERVED_WORDS = frozenset('''
auto break case char const continue default do double else enum extern float
for goto if int long register return short signed sizeof static struct switch
typedef union unsigned void volatile while
inline restrict _Bool _Complex _Imaginary
_Alignas _Alignof _Atomic _Generic _Noreturn _Static_assert _Thread_local
asm typeof
and and_eq bitand bitor bool catch class compl const_cast delete dynamic_cast
explicit export false friend mutable namespace new not not_eq operator or
or_eq private protected public reinterpret_cast static_cast template this
throw true try typeid typename using virtual wchar_t xor xor_eq
errno i386 linux mips sparc unix
'''.split())

DOWNSTREAM = r'(__[a-z0-9.-]+_)?'
TYPE_NAME = re.compile(DOWNSTREAM + r'[A-Z][A-Za-z0-9]*$')
LOWER_NAME = re.compile(DOWNSTREAM + r'(x-)?[a-z][a-z0-9_-]*$')
VALUE_NAME = re.compile(DOWNSTREAM + r'(x-)?[a-z0-9][a-z0-9_-]*$')
EVENT_NAME = re.compile(DOWNSTREAM.replace('a-z', 'A-Z')
                        + r'[A-Z][A-Z0-9_]*$')


def c_name(name, protect=True):
    """@name as a C identifier; with @protect never a reserved word."""
    name = re.sub(r'[^A-Za-z0-9_]', '_', name)
    if protect and (name in RESERVED_WORDS or name[0].isdigit()):
        return 'q_' + name
    return name


def c_upper(type_name):
    """
    YankInstanceType -> YANK_INSTANCE_TYPE, BlkdebugIOType ->
    BLKDEBUG_IO_TYPE; a leading Q is no word: QType -> QTYPE
    """
    name = c_name(type_name, False)
    name = re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name)
    name = re.sub(r'(?<!^Q)(?<=[A-Z])(?=[A-Z][a-z])', '_', name)
    return name.upper()


def c_enum_const(prefix, value):
    return f'{prefix}_{c_name(value, False).upper()}'


def check_name(source, name, what, pattern, rule):
    if not isinstance(name, str):
        raise SchemaError(source, f'{what} must be a string')
    if not name:
        raise SchemaError(source, f'{what} must not be empty')
    if c_name(name, False).lower().startswith('q_'):
        raise SchemaError(
            source, f"{what} '{name}' uses the reserved prefix 'q_'")
    if not pattern.match(name):
        raise SchemaError(source, f"{what} '{name}' must be {rule}")


def check_type_name(source, name):
    check_name(source, name, 'type name', TYPE_NAME, 'CamelCase')
    if name.endswith('List'):
        raise SchemaError(
            source, f"type name '{name}' uses the reserved suffix 'List'")


def check_command_name(source, name):
    check_name(source, name, 'command name', LOWER_NAME,
               'lower case letters, digits, - and _')


def check_event_name(source, name):
    check_name(source, name, 'event name', EVENT_NAME,
               'upper case letters, digits and _')


def check_member_name(source, name, what='member name'):
    check_name(source, name, what, LOWER_NAME,
               'lower case letters, digits, - and _')
    if name == 'u' or c_name(name, False).startswith('has_'):
        raise SchemaError(source, f"{what} '{name}' is reserved")


def check_value_name(source, name):
    check_name(source, name, 'enum value', VALUE_NAME,
               'lower case letters, digits, - and _')
