# SPDX-License-Identifier: GPL-2.0-or-later
"""qapi-visit-*.h and .c: walking the C types with a visitor."""

import cgen
from cgen import code
from entities import BUILTINS, QTYPE, AlternateType, EnumType, ObjectType


def generate(schema, module):
    """{file name: text}"""
    types = schema.of_module(schema.types, module)
    stem = 'qapi-visit-' + module.name
    includes = ['qapi/qapi-builtin-visit.h',
                f'qapi/qapi-types-{module.name}.h']
    includes += [f'qapi/qapi-visit-{other.name}.h'
                 for other in module.includes if other.items]
    head = ''.join(f'#include "{name}"\n' for name in includes)
    body = head + '\n' + ''.join(_declarations(type_) for type_ in types)
    return {
        stem + '.h': cgen.header(stem, module, body),
        stem + '.c': cgen.source(
            module, [f'qapi/{stem}.h'],
            ''.join(_definitions(type_) for type_ in types)),
    }


def generate_builtin():
    stem = 'qapi-builtin-visit'
    head = code('''
        #include "qapi/qapi-builtin-types.h"
        #include "qapi/visitor.h"

    ''')
    lists = [type_.c_name + 'List' for type_ in BUILTINS + [QTYPE]]
    declarations = _declare_visit('QType', 'QType *')
    declarations += ''.join(_declare_visit(name, name + ' **')
                            for name in lists)
    definitions = _enum(QTYPE)
    definitions += ''.join(_list(type_.c_name)
                           for type_ in BUILTINS + [QTYPE])
    return {
        stem + '.h': cgen.header(stem, None, head + declarations),
        stem + '.c': cgen.source(None, [f'qapi/{stem}.h'], definitions),
    }


def visit_prototype(c_name, pointer):
    return cgen.call(f'bool visit_type_{c_name}',
                     ['Visitor *v', 'const char *name', pointer + 'obj',
                      'Error **errp'], '')


def members_prototype(c_name):
    return cgen.call(f'bool visit_type_{c_name}_members',
                     ['Visitor *v', f'{c_name} *obj', 'Error **errp'], '')


def _declare_visit(c_name, pointer):
    return visit_prototype(c_name, pointer).rstrip('\n') + ';\n'


def _declarations(type_):
    text = ''
    if isinstance(type_, ObjectType):
        text += members_prototype(type_.c_name).rstrip('\n') + ';\n'
        if type_.implicit:
            return text
    pointer = ' *' if isinstance(type_, EnumType) else ' **'
    text += _declare_visit(type_.c_name, type_.c_name + pointer)
    return text + _declare_visit(type_.c_name + 'List',
                                 type_.c_name + 'List **')


def _definitions(type_):
    if isinstance(type_, EnumType):
        text = _enum(type_)
    elif isinstance(type_, AlternateType):
        text = _alternate(type_)
    else:
        text = _members(type_)
        if type_.implicit:
            return text
        text += _object(type_.c_name)
    return text + _list(type_.c_name)


def _enum(enum):
    name = enum.c_name
    return code('''
        $prototype
        {
            int value = *obj;
            bool ok = visit_type_enum(v, name, &value, &${name}_lookup, errp);

            *obj = value;
            return ok;
        }

    ''', name=name, prototype=visit_prototype(name, name + ' *'))


def _object(name):
    return code('''
        $prototype
        {
            bool ok;

            if (!visit_start_struct(v, name, (void **)obj, sizeof($name),
                                    errp)) {
                return false;
            }
            ok = !*obj || (visit_type_${name}_members(v, *obj, errp) &&
                           visit_check_struct(v, errp));
            visit_end_struct(v, (void **)obj);
            if (!ok && visit_is_input(v)) {
                qapi_free_$name(*obj);
                *obj = NULL;
            }
            return ok;
        }

    ''', name=name, prototype=visit_prototype(name, name + ' **'))


def _members(type_):
    flags = ''.join(
        f'bool has_{member.c_name} = !!obj->{member.c_name};\n'
        for member in type_.members
        if member.optional and not member.has_flag)
    base = ''
    if type_.base:
        base = code('''
            if (!visit_type_${base}_members(v, ($base *)obj, errp)) {
                return false;
            }
        ''', base=type_.base.c_name)
    return code('''
        $prototype
        {
            $flags
            $gap
            $base
            $members
            $branches
            return true;
        }

    ''', prototype=members_prototype(type_.c_name), flags=flags,
                gap='\n' if flags else '', base=base,
                members=''.join(_member(member)
                                for member in type_.members),
                branches=_branches(type_))


def _member(member):
    visit = code('''
        if (!$visit(v, "$name", &obj->$c_name, errp)) {
            return false;
        }
    ''', visit=member.type.c_visit, name=member.name, c_name=member.c_name)
    if not member.optional:
        return visit
    flag = 'obj->has_' if member.has_flag else 'has_'
    return code('''
        if (visit_optional(v, "$name", &$flag$c_name)) {
            $visit
        }
    ''', name=member.name, flag=flag, c_name=member.c_name, visit=visit)


def _branches(type_):
    if not type_.branches:
        return ''
    cases = ''
    for branch in type_.branches:
        cases += code('''
            case $const:
                return visit_type_${type}_members(v, &obj->u.$name, errp);
        ''', const=type_.tag.type.c_const(branch.name),
                      type=branch.type.c_name, name=branch.c_name)
    return code('''
        switch (obj->$tag) {
        $cases
        default:
            break;
        }
    ''', tag=type_.tag.c_name, cases=cases)


def _list(element):
    name = element + 'List'
    return code('''
        $prototype
        {
            bool ok = true;
            $name *tail;

            if (!visit_start_list(v, name, (GenericList **)obj, sizeof(**obj),
                                  errp)) {
                return false;
            }
            for (tail = *obj; tail;
                 tail = ($name *)visit_next_list(v, (GenericList *)tail,
                                                 sizeof(**obj))) {
                ok = visit_type_$element(v, NULL, &tail->value, errp);
                if (!ok) {
                    break;
                }
            }
            visit_end_list(v, (void **)obj);
            if (!ok && visit_is_input(v)) {
                qapi_free_$name(*obj);
                *obj = NULL;
            }
            return ok;
        }

    ''', name=name, element=element,
                prototype=visit_prototype(name, name + ' **'))


def _alternate(type_):
    name = type_.c_name
    cases = ''.join(_alternate_case(branch) for branch in type_.branches)
    return code('''
        $prototype
        {
            bool ok = true;

            if (!visit_start_alternate(v, name, (void **)obj, sizeof($name),
                                       errp)) {
                return false;
            }
            switch (*obj ? (*obj)->type : QTYPE_NONE) {
            $cases
            default:
                ok = visit_other_alternate(v, name, "$name", errp);
                break;
            }
            visit_end_alternate(v, (void **)obj);
            if (!ok && visit_is_input(v)) {
                qapi_free_$name(*obj);
                *obj = NULL;
            }
            return ok;
        }

    ''', prototype=visit_prototype(name, name + ' **'), cases=cases,
                name=name)


def _alternate_case(branch):
    if isinstance(branch.type, ObjectType):
        visit = code('''
            ok = visit_start_struct(v, name, NULL, 0, errp);
            if (ok) {
                ok = visit_type_${type}_members(v, &(*obj)->u.$name, errp) &&
                     visit_check_struct(v, errp);
                visit_end_struct(v, NULL);
            }
        ''', type=branch.type.c_name, name=branch.c_name)
    else:
        visit = f'ok = {branch.type.c_visit}(v, name, ' \
                f'&(*obj)->u.{branch.c_name}, errp);\n'
    return code('''
        case $qtype:
            $visit
            break;
    ''', qtype=branch.type.qtype, visit=visit)
