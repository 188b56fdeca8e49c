# SPDX-License-Identifier: GPL-2.0-or-later
"""qapi-events-*.h and .c: functions that send events."""

import cgen
from cgen import code
from gen_commands import visit_wrapper


def generate(schema, module):
    """{file name: text}"""
    events = schema.of_module(schema.events, module)
    stem = 'qapi-events-' + module.name
    head = f'#include "qapi/qapi-types-{module.name}.h"\n\n'
    includes = [f'qapi/{stem}.h', f'qapi/qapi-visit-{module.name}.h',
                'qapi/qmp-marshal.h']
    body = head + ''.join(_prototype(event).rstrip('\n') + ';\n\n'
                          for event in events)
    return {
        stem + '.h': cgen.header(stem, module, body),
        stem + '.c': cgen.source(
            module, includes,
            ''.join(_definition(event) for event in events)),
    }


def _prototype(event):
    parameters = [cgen.declaration(*pair) for pair in event.parameters()]
    return cgen.call(f'void qapi_event_send_{event.c_name.lower()}',
                     parameters or ['void'], '')


def _definition(event):
    if event.arg is None:
        return code('''
            $prototype
            {
                qmp_event_send("$name", NULL, NULL);
            }

        ''', prototype=_prototype(event), name=event.name)
    args, pointer = '', 'arg'
    if not event.boxed:
        args = _args_struct(event)
        pointer = '&q_args'
    return visit_wrapper(event) + code('''
        $prototype
        {
            $args
            qmp_event_send("$name", visit_args_$c_name, $pointer);
        }

    ''', prototype=_prototype(event), name=event.name, args=args,
                                       c_name=event.c_name, pointer=pointer)


def _args_struct(event):
    """A struct of the parameters; sending does not write to it."""
    fields = ''
    for c_type, name in event.parameters():
        cast = '(char *)' if c_type == 'const char *' else ''
        fields += f'.{name} = {cast}{name},\n'
    return code('''
        $type q_args = {
            $fields
        };

    ''', type=event.arg.c_name, fields=fields)
