# SPDX-License-Identifier: GPL-2.0-or-later
"""
qapi-commands-*.h and .c: handlers' prototypes and what calls them;
qmp-commands.c: the table of all commands.
"""

import cgen
from cgen import code
from entities import ArrayType, ObjectType


def generate(schema, module):
    """{file name: text}"""
    commands = schema.of_module(schema.commands, module)
    stem = 'qapi-commands-' + module.name
    head = code('''
        #include "qapi/qapi-types-$name.h"
        #include "qapi/error.h"

    ''', name=module.name)
    body = head + ''.join(_declarations(command) for command in commands)
    includes = [f'qapi/{stem}.h', f'qapi/qapi-visit-{module.name}.h',
                'qapi/qmp-marshal.h']
    return {
        stem + '.h': cgen.header(stem, module, body),
        stem + '.c': cgen.source(
            module, includes,
            ''.join(_definitions(command) for command in commands)),
    }


def generate_table(schema):
    commands = sorted(schema.commands, key=lambda command: command.name)
    modules = [module for module in schema.modules
               if schema.of_module(commands, module)]
    includes = ['qapi/qmp-command.h']
    includes += [f'qapi/qapi-commands-{module.name}.h' for module in modules]
    rows = ''.join(_row(command) for command in commands)
    return {'qmp-commands.c': cgen.source(None, includes, code('''
        const QmpCommand qmp_commands[] = {
            $rows
        };

        const size_t qmp_n_commands = G_N_ELEMENTS(qmp_commands);
    ''', rows=rows))}


def _row(command):
    options = 'QCO_ALLOW_OOB' if command.allow_oob else 'QCO_NO_OPTIONS'
    return f'{{"{command.name}", qmp_marshal_{command.c_name}, {options}}},\n'


def _c_return(command):
    return command.returns.c_type if command.returns else 'void'


def _declarations(command):
    parameters = [cgen.declaration(*pair) for pair in command.parameters()]
    handler = cgen.declaration(_c_return(command), 'qmp_' + command.c_name)
    return cgen.call(handler, parameters + ['Error **errp'], ';') + code('''
        void qmp_marshal_$name(json_object *args, GString *ret,
                               Error **errp);

    ''', name=command.c_name)


def visit_wrapper(call):
    """A function that visits the arguments of @call without their type."""
    arg = call.arg.c_name
    return code('''
        static bool visit_args_$name(Visitor *v, void *args, Error **errp)
        {
            return visit_type_${arg}_members(v, args, errp);
        }

    ''', name=call.c_name, arg=arg)


def _arguments(command):
    """The C expressions that the handler is called with."""
    if command.arg is None:
        return []
    if command.boxed:
        return ['&arg']
    return ['arg.' + name for _, name in command.parameters()]


def _definitions(command):
    text = visit_wrapper(command) if command.arg else ''
    visit = f'visit_args_{command.c_name}'
    if command.arg:
        arg = f'{command.arg.c_name} arg = {{0}};\n'
        take = f'qmp_args_take(args, {visit}, &arg, errp)'
        free = f'qmp_args_free({visit}, &arg);\n'
    else:
        arg = free = ''
        take = 'qmp_args_take(args, NULL, NULL, errp)'
    result = ''
    handler = 'qmp_' + command.c_name
    if command.returns:
        result = cgen.declaration(command.returns.c_type, 'result') + ';\n'
        handler = 'result = ' + handler
    return text + code('''
        void qmp_marshal_$name(json_object *args, GString *ret,
                               Error **errp)
        {
            Error *err = NULL;
            $arg
            $result

            if (!$take) {
                return;
            }
            $handler
            $free
            if (err) {
                error_propagate(errp, err);
                return;
            }
            $reply
        }

    ''', name=command.c_name, arg=arg, result=result, take=take, free=free,
                       handler=cgen.call(handler,
                                         _arguments(command) + ['&err'],
                                         ';'),
                       reply=_reply(command))


def _reply(command):
    if command.returns is None:
        return 'g_string_append(ret, "{}");\n'
    return code('''
        Visitor *v = json_output_visitor_new(ret);
        $visit(v, NULL, &result, errp);
        visit_free(v);
        $free
    ''', visit=command.returns.c_visit, free=_free_result(command.returns))


def _free_result(type_):
    if isinstance(type_, (ObjectType, ArrayType)):
        return f'qapi_free_{type_.c_name}(result);\n'
    if type_.name == 'str':
        return 'g_free(result);\n'
    if type_.name == 'any':
        return 'json_object_put(result);\n'
    return ''
