# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for a QEMU tree: a git tree with the files of QEMU that the
yank core replaces or touches, and the rules of a QEMU release for what is
built there.

The core's files are compiled with headers that offer nothing but what that
release has; generated code and libraries are this project's.
"""

import os
import pathlib
import re
import subprocess
import sys

from paths import TOP

SCHEMA = 'qapi/yank.json'
HEADERS = ('io/channel.h', 'qapi/clone-visitor.h', 'qapi/error.h',
           'qapi/util.h', 'qapi/visitor.h', 'qemu/lockable.h',
           'qemu/osdep.h', 'qemu/thread.h')
# Functions that these headers declare here, but in no QEMU tree.
OURS_ALONE = ('error_class_name', 'qemu_mutex_init_slow', 'qemu_mutex_is_mine',
              'qemu_thread_give_way')
THREAD_CREATE = '''void qemu_thread_create(QemuThread *thread, const char *name,
                        void *(*start_routine)(void *), void *arg, int mode);
'''
FILES = {
    'VERSION': '{version}\n',
    'MAINTAINERS': '''\
Yank feature
M: Grüße <greetings@example.org>
S: Odd fixes
F: util/yank.c
F: tests/unit/test-yank.c
F: include/qemu/yank.h
F: qapi/yank.json
''',
    'docs/devel/index-internals.rst': '''\
Internals
---------

.. toctree::
   :maxdepth: 2

   qom
   writing-monitor-commands
   virtio-backends
''',
    'tests/unit/meson.build': '''\
if have_system
  tests += {{
    'test-vmstate': [migration, io],
    'test-yank': ['socket-helpers.c', qom, io, chardev]
  }}
endif
''',
    'qapi/qapi-schema.json': "{{ 'include': 'yank.json' }}\n",
    SCHEMA: '''\
##
# @YankInstanceType:
#
# @block-node: a
# @chardev: b
# @migration: c
##
{{ 'enum': 'YankInstanceType',
  'data': [ 'block-node', 'chardev', 'migration' ] }}

##
# @YankInstanceBlockNode:
#
# @node-name: a
##
{{ 'struct': 'YankInstanceBlockNode', 'data': {{ 'node-name': 'str' }} }}

##
# @YankInstanceChardev:
#
# @id: a
##
{{ 'struct': 'YankInstanceChardev', 'data': {{ 'id': 'str' }} }}

##
# @YankInstance:
#
# @type: a
##
{{ 'union': 'YankInstance',
  'base': {{ 'type': 'YankInstanceType' }},
  'discriminator': 'type',
  'data': {{ 'block-node': 'YankInstanceBlockNode',
            'chardev': 'YankInstanceChardev' }} }}

##
# @yank:
#
# @instances: a
##
{{ 'command': 'yank', 'data': {{ 'instances': ['YankInstance'] }},
  'allow-oob': true }}

##
# @query-yank:
#
# Since: 6.0
##
{{ 'command': 'query-yank', 'returns': ['YankInstance'],
  'allow-oob': true }}
''',
    'include/qemu/yank.h': '''\
#ifndef YANK_H
#define YANK_H
#include "qapi/error.h"
#include "qapi/qapi-types-yank.h"
typedef void (YankFn)(void *opaque);
bool yank_register_instance(const YankInstance *instance, Error **errp);
void yank_unregister_instance(const YankInstance *instance);
void yank_register_function(const YankInstance *instance, YankFn *func,
                            void *opaque);
void yank_unregister_function(const YankInstance *instance, YankFn *func,
                              void *opaque);
#define BLOCKDEV_YANK_INSTANCE(the_node_name) (&(YankInstance) {{ \\
    .type = YANK_INSTANCE_TYPE_BLOCK_NODE, \\
    .u.block_node.node_name = (the_node_name) }})
#define CHARDEV_YANK_INSTANCE(the_id) (&(YankInstance) {{ \\
    .type = YANK_INSTANCE_TYPE_CHARDEV, .u.chardev.id = (the_id) }})
#define MIGRATION_YANK_INSTANCE (&(YankInstance) {{ \\
    .type = YANK_INSTANCE_TYPE_MIGRATION }})
#endif
''',
    'util/yank.c': '''\
#include "qemu/osdep.h"
#include "qapi/qapi-commands-yank.h"
#include "qemu/yank.h"
bool yank_register_instance(const YankInstance *instance, Error **errp)
{{
    return true;
}}
void yank_unregister_instance(const YankInstance *instance)
{{
}}
void yank_register_function(const YankInstance *instance, YankFn *func,
                            void *opaque)
{{
}}
void yank_unregister_function(const YankInstance *instance, YankFn *func,
                              void *opaque)
{{
}}
void qmp_yank(YankInstanceList *instances, Error **errp)
{{
}}
YankInstanceList *qmp_query_yank(Error **errp)
{{
    return NULL;
}}
''',
    'tests/unit/test-yank.c': '''\
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-yank.h"
int main(void)
{{
    qapi_free_YankInstanceList(qmp_query_yank(&error_abort));
    return 0;
}}
''',
    'block/nbd.c': '''\
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/yank.h"
typedef struct State {{
    char node_name[32];
    char *label;
}} State;
static void cut(void *opaque)
{{
}}
bool state_open(State *s, Error **errp);
void state_close(State *s);
bool state_open(State *s, Error **errp)
{{
    if (!yank_register_instance(BLOCKDEV_YANK_INSTANCE(s->node_name), errp)) {{
        return false;
    }}
    yank_register_function(BLOCKDEV_YANK_INSTANCE(s->node_name), cut, s);
    return yank_register_instance(CHARDEV_YANK_INSTANCE(s->label), errp) &&
           yank_register_instance(MIGRATION_YANK_INSTANCE, errp);
}}
void state_close(State *s)
{{
    yank_unregister_function(BLOCKDEV_YANK_INSTANCE(s->node_name), cut, s);
    yank_unregister_instance(BLOCKDEV_YANK_INSTANCE(s->node_name));
    yank_unregister_instance(CHARDEV_YANK_INSTANCE(s->label));
    yank_unregister_instance(MIGRATION_YANK_INSTANCE);
}}
''',
}
CALLERS = ('block/nbd.c',)
SECTION = re.compile(r'(Returns|Since|Errors|Features|Notes?|Examples?|TODO):'
                     r'(?!:) *(.*)')


def _run(argv, **kwargs):
    result = subprocess.run(argv, stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.STDOUT, check=False, **kwargs)
    assert result.returncode == 0, f'{argv}: {result.stdout}'
    return result.stdout


def _flags(*options):
    return _run(['pkg-config', *options]).split()


class _Comment:
    """A documentation comment, line by line, by the rules of one release."""

    def __init__(self, modern):
        self.modern = modern
        self.after_section = self.late_text = False
        self.section = None     # section of the current lines, or None
        self.indent = 0         # indentation they need; 0: unknown
        self.text = True        # whether the section has text
        self.blank = False

    def fault(self, line):
        """Returns why @line is refused, or None if it is valid."""
        if self.modern and len(line) > 68:
            return 'longer than 70 columns'
        if self.modern and re.search(r'[.!?] [A-Z0-9(]', line):
            return 'one space between sentences'
        if not line:
            self.blank = True
            return None
        result = self._fault_of_text(line)
        self.blank = False
        return result

    def _fault_of_text(self, line):
        if match := re.match(r'@[^:]*: *(.*)', line):
            return self._start('member', line, match[1])
        match = SECTION.match(line)
        if match and (self.modern or match[1] != 'Errors'):
            return self._start(match[1], line, match[2])
        have = len(line) - len(line.lstrip())
        if self.section and (have or not self.blank or not self.modern):
            if self.section == 'member' and self.blank and not have:
                return self._end()
            if self.modern and self.indent == 0:
                self.indent = have
            if have < self.indent or self.modern and not have:
                return 'not indented as the lines before'
            self.text = True
            return None
        return self._end()

    def _start(self, section, line, text):
        missing = None if self.text else 'a section without text'
        if section == 'member':
            if self.after_section and self.section != 'member':
                return 'a member after a section'
        elif self.modern and re.match('Note|Example', section):
            return f'a section {section}'
        elif (self.modern and self.late_text
              and section in ('Returns', 'Errors', 'Features')):
            return f'{section} after text that follows a section'
        self.after_section = True
        self.section = section
        self.text = bool(text)
        self.indent = (len(line) - len(text) if text and not self.modern
                       else 0)
        return missing

    def _end(self):
        missing = None if self.text else 'a section without text'
        self.section = None
        self.late_text |= self.after_section
        return missing


class QemuTree:
    """
    The stand-in in @folder, as clean as after a clone.

    @version: "7.2.0" or "10.2.0"
    """

    def __init__(self, folder, version):
        self.path = pathlib.Path(folder)
        self.modern = int(version.split('.')[0]) >= 10
        self._generated = {}    # text of a schema -> folder, object files
        for name, text in FILES.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(version=version), encoding='utf-8')
        self.git('init', '--quiet', '--initial-branch=master')
        self.git('config', 'user.name', 'Jörg Ünal')
        self.git('config', 'user.email', 'joerg@example.org')
        self.git('add', '--all')
        self.git('commit', '--quiet', '--message=base')

    @staticmethod
    def environment():
        """Ignores the git configuration of the user who runs the tests."""
        env = {name: value for name, value in os.environ.items()
               if not name.startswith('GIT_')}
        return dict(env, GIT_CONFIG_GLOBAL='/dev/null',
                    GIT_CONFIG_NOSYSTEM='1')

    def git(self, *arguments):
        return _run(['git', '-C', str(self.path), *arguments],
                    env=self.environment())

    def faults(self, text=None):
        """The errors that the release's generator reports in the comments."""
        if text is None:
            text = (self.path / SCHEMA).read_text(encoding='utf-8')
        found = []
        comment = None
        for number, line in enumerate(text.splitlines(), 1):
            if line == '##':
                comment = None if comment else _Comment(self.modern)
                first = number + 1
            elif comment and number == first and line.startswith('# @'):
                continue    # the name that the comment documents
            elif comment:
                if fault := comment.fault(line[2:]):
                    found.append(f'{number}: {fault}')
        return found

    def write_headers(self, folder):
        """Makes headers with those functions that the release has."""
        for name in HEADERS:
            text = pathlib.Path(TOP, 'include', name).read_text()
            if not self.modern:
                text = text.replace(
                    'G_DEFINE_AUTOPTR_CLEANUP_FUNC(Error, error_free)', '')
            for gone in OURS_ALONE:
                text = re.sub(rf'^[^\n/*]*\b{gone}\([^;]*;\n', '', text,
                              flags=re.M)
            text = re.sub(r'^\w+ qemu_thread_create\([^;]*;\n', THREAD_CREATE,
                          text, flags=re.M)
            path = folder / 'include' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def tests(self):
        """The names of the tests of yank that the tree builds."""
        text = (self.path / 'tests/unit/meson.build').read_text()
        return re.findall(r"'(test-yank[a-z-]*)': \[", text)

    def build(self, folder, libraries):
        """Builds what is checked out, in @folder, with this project's
        @libraries, and runs the tests; returns what each of them says."""
        assert not self.faults(), self.faults()
        folder = pathlib.Path(folder)
        self.write_headers(folder)
        schema = (self.path / SCHEMA).read_text(encoding='utf-8')
        if schema not in self._generated:
            self._generated[schema] = self._generate(folder, libraries)
        made, parts = self._generated[schema]
        theirs = [f'-I{self.path}/include', f'-I{folder}/include',
                  f'-I{made}', f'-I{made}/qapi', f'-I{libraries}']
        parts = parts + [self._compile(folder, self.path / name, theirs)
                         for name in ('util/yank.c', *CALLERS)]
        return {name: self._test(folder, name, theirs, parts, libraries)
                for name in self.tests()}

    def _generate(self, folder, libraries):
        """The folder of the code generated from the schema, and its objects."""
        made = folder / 'qapi'
        made.mkdir()
        _run([sys.executable, '-B', os.path.join(TOP, 'scripts/qapi/main.py'),
              str(self.path / 'qapi/qapi-schema.json'), '--modules', 'yank',
              '--c-dir', str(made)])
        includes = [f'-I{folder}', f'-I{made}', f'-I{libraries}',
                    f'-I{TOP}/include']
        return folder, [self._compile(folder, path, includes)
                        for path in sorted(made.glob('qapi-*-yank.c'))]

    @staticmethod
    def _compile(folder, source, includes):
        target = folder / (source.stem + '.o')
        _run(['cc', '-std=gnu11', '-Wall', '-Werror', '-c', str(source), '-o',
              str(target), *includes,
              *_flags('--cflags', 'glib-2.0', 'json-c')])
        return str(target)

    def _test(self, folder, name, includes, parts, libraries):
        main = self._compile(folder, self.path / f'tests/unit/{name}.c',
                             includes)
        libs = [os.path.join(libraries, part) for part in
                ('io/libio.a', 'qapi/libqapi.a', 'qobject/libqobject.a',
                 'util/libutil.a')]
        program = str(folder / name)
        _run(['cc', '-o', program, main, *parts, '-Wl,--start-group', *libs,
              '-Wl,--end-group', '-pthread',
              *_flags('--libs', 'glib-2.0', 'json-c', 'gnutls')])
        return _run([program])
