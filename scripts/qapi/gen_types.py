# SPDX-License-Identifier: GPL-2.0-or-later
"""qapi-types-*.h and .c: the C types, and how to free them."""

import cgen
from cgen import code
from entities import BUILTINS, QTYPE, AlternateType, EnumType, ObjectType


def generate(schema, module):
    """{file name: text}"""
    types = schema.of_module(schema.types, module)
    stem = 'qapi-types-' + module.name
    includes = ['qapi/qapi-builtin-types.h']
    includes += [f'qapi/qapi-types-{other.name}.h'
                 for other in module.includes if other.items]
    head = ''.join(f'#include "{name}"\n' for name in includes)
    body = head + '\n' + _header_body(types)
    return {
        stem + '.h': cgen.header(stem, module, body),
        stem + '.c': cgen.source(
            module, [f'qapi/qapi-visit-{module.name}.h'],
            _source_body(types)),
    }


def generate_builtin():
    lists = ''
    for type_ in BUILTINS + [QTYPE]:
        name = type_.c_name + 'List'
        lists += f'typedef struct {name} {name};\n\n'
        lists += _list_struct(type_.c_name, type_.c_type)
        lists += _free_declarations([name])
    frees = ''.join(_free_function(type_.c_name + 'List')
                    for type_ in BUILTINS + [QTYPE])
    head = code('''
        #include <json-c/json.h>
        #include "qapi/util.h"

    ''') + _enum_names(QTYPE)
    stem = 'qapi-builtin-types'
    return {
        stem + '.h': cgen.header(stem, None, head + lists),
        stem + '.c': cgen.source(None, ['qapi/qapi-builtin-visit.h'],
                                 _enum_lookup(QTYPE) + frees),
    }


def _header_body(types):
    enums = [type_ for type_ in types if isinstance(type_, EnumType)]
    structs = [type_ for type_ in types if not isinstance(type_, EnumType)]
    text = ''.join(_enum(enum) for enum in enums)
    for type_ in types:
        text += _typedefs(type_)
    text += '\n'
    done = set()
    for type_ in structs:
        text += _struct_after_parts(type_, done, structs)
    for type_ in types:
        if type_.implicit:
            continue
        text += _list_struct(type_.c_name, type_.c_type)
        text += _free_declarations(_freeable(type_))
    return text


def _typedefs(type_):
    names = [] if isinstance(type_, EnumType) else [type_.c_name]
    if not type_.implicit:
        names.append(type_.c_name + 'List')
    return ''.join(f'typedef struct {name} {name};\n' for name in names)


def _source_body(types):
    text = ''
    for type_ in types:
        if isinstance(type_, EnumType):
            text += _enum_lookup(type_)
        if not type_.implicit:
            text += ''.join(_free_function(name)
                            for name in _freeable(type_))
    return text


def _freeable(type_):
    """The C types of which @type_ needs a free function."""
    own = [] if isinstance(type_, EnumType) else [type_.c_name]
    return own + [type_.c_name + 'List']


def _enum(enum):
    values = ''.join(f'{enum.c_const(value)},\n' for value in enum.values)
    return code('''
        typedef enum $name {
            $values
            $last,
        } $name;

    ''', name=enum.c_name, values=values,
                last=enum.prefix + '__MAX') + _enum_names(enum)


def _enum_names(enum):
    return code('''
        #define ${name}_str(value) \\
            qapi_enum_lookup(&${name}_lookup, (value))

        extern const QEnumLookup ${name}_lookup;

    ''', name=enum.c_name)


def _enum_lookup(enum):
    values = ''.join(f'[{enum.c_const(value)}] = "{value}",\n'
                     for value in enum.values)
    return code('''
        const QEnumLookup ${name}_lookup = {
            .array = (const char *const[]){
                $values
                NULL,
            },
            .size = $last,
        };

    ''', name=enum.c_name, values=values, last=enum.prefix + '__MAX')


def _struct_after_parts(type_, done, own):
    """The C structs that @type_ contains by value, then its own."""
    if type_ in done or type_ not in own:
        return ''
    done.add(type_)
    text = ''.join(_struct_after_parts(part, done, own)
                   for part in type_.by_value())
    if isinstance(type_, AlternateType):
        return text + _alternate(type_)
    return text + _struct(type_)


def _struct(type_):
    fields = ''.join(_fields(member) for member in type_.all_members())
    if type_.branches:
        fields += _union_field(type_.branches)
    return code('''
        struct $name {
            $fields
        };

        $base
    ''', name=type_.c_name, base=_base_function(type_),
                fields=fields or 'char qapi_dummy_for_empty_struct;\n')


def _fields(member):
    flag = f'bool has_{member.c_name};\n' if member.has_flag else ''
    return flag + cgen.declaration(member.type.c_type, member.c_name) + ';\n'


def _union_field(branches):
    """Objects lie in the union themselves, other types as they are."""
    fields = ''
    for branch in branches:
        inside = isinstance(branch.type, ObjectType)
        c_type = branch.type.c_name if inside else branch.type.c_type
        fields += cgen.declaration(c_type, branch.c_name) + ';\n'
    return code('''
        union {
            $fields
        } u;
    ''', fields=fields)


def _base_function(type_):
    if not type_.base:
        return ''
    return code('''
        static inline $base *qapi_${name}_base(const $name *obj)
        {
            return ($base *)obj;
        }

    ''', base=type_.base.c_name, name=type_.c_name)


def _alternate(type_):
    return code('''
        struct $name {
            QType type;
            $union
        };

    ''', name=type_.c_name, union=_union_field(type_.branches))


def _list_struct(c_name, c_type):
    return code('''
        struct ${name}List {
            ${name}List *next;
            $value;
        };

    ''', name=c_name, value=cgen.declaration(c_type, 'value'))


def _free_declarations(c_names):
    return ''.join(code('''
        void qapi_free_$name($name *obj);
        G_DEFINE_AUTOPTR_CLEANUP_FUNC($name, qapi_free_$name)

    ''', name=name) for name in c_names)


def _free_function(c_name):
    return code('''
        void qapi_free_$name($name *obj)
        {
            Visitor *v;

            if (!obj) {
                return;
            }
            v = qapi_dealloc_visitor_new();
            visit_type_$name(v, NULL, &obj, NULL);
            visit_free(v);
        }

    ''', name=c_name)
