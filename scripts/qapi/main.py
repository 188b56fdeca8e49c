# SPDX-License-Identifier: GPL-2.0-or-later
"""
Makes C and documentation of a QAPI schema.

Meson has to know the files beforehand, so --modules says which modules the
schema is expected to have.
"""

import argparse
import os
import sys

import gen_commands
import gen_doc
import gen_events
import gen_introspect
import gen_types
import gen_visit
from schema import Schema
from source import SchemaError, Source


def check_modules(schema, expected, path):
    """The modules that define anything are exactly those @expected."""
    found = {module.name: module for module in schema.modules
             if module.definitions()}
    for name, module in found.items():
        if name not in expected:
            raise SchemaError(Source(module.path, 1), f"module '{name}' is "
                              'missing in the list of qapi/meson.build')
    for name in expected:
        if name not in found:
            raise SchemaError(Source(path, 1), f"module '{name}' is not "
                              'included, or empty')


def c_files(schema):
    """{file name: text}"""
    files = {}
    files.update(gen_types.generate_builtin())
    files.update(gen_visit.generate_builtin())
    for module in schema.modules:
        if module.definitions():
            for generator in (gen_types, gen_visit, gen_commands,
                              gen_events):
                files.update(generator.generate(schema, module))
    files.update(gen_commands.generate_table(schema))
    files.update(gen_introspect.generate(schema))
    return files


def write(path, text):
    """Leaves a file alone that is the same, so that its users are not built
    again."""
    if os.path.exists(path):
        with open(path, encoding='utf-8') as file:
            if file.read() == text:
                return
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def reference(schema, frame):
    if frame is None:
        return gen_doc.generate(schema)
    with open(frame, encoding='utf-8') as file:
        return gen_doc.generate_page(schema, file.read())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('schema', help='the file that includes all others')
    parser.add_argument('--modules', help='modules to expect, by comma')
    parser.add_argument('--c-dir', help='write C files here')
    parser.add_argument('--doc', help='write a reStructuredText reference '
                        'to this file')
    parser.add_argument('--frame', help='a text that the reference goes into')
    return parser.parse_args()


def main():
    args = arguments()
    try:
        schema = Schema(args.schema)
        if args.modules is not None:
            check_modules(schema, args.modules.split(','), args.schema)
    except SchemaError as err:
        print(err, file=sys.stderr)
        return 1
    if args.c_dir:
        for name, text in c_files(schema).items():
            write(os.path.join(args.c_dir, name), text)
    if args.doc:
        write(args.doc, reference(schema, args.frame))
    return 0


if __name__ == '__main__':
    sys.exit(main())
