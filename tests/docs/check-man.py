#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages say what the programs do: every option of yankd, every
command and event of its QMP, every key of yankctl's files, and none that is
not there.  (check-yankctl.py has the verbs and options of yankctl.)

  check-man.py YANKD YANKCTL FOLDER    with the pages that were built
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
SOURCES = TOP / 'docs' / 'man'
YANKD, YANKCTL, BUILT = (pathlib.Path(name).resolve() for name in sys.argv[1:])

sys.path.insert(0, str(TOP / 'scripts' / 'qapi'))
from schema import Schema  # noqa: E402

PAGES = ['yankctl.1', 'yankctl.conf.5', 'yankd.1', 'yankd-qmp.7']


def output_of(*command, **kwargs):
    return subprocess.run(command, text=True, capture_output=True,
                          **kwargs).stdout


def source(page):
    return (SOURCES / (page + '.rst')).read_text()


def sections(text):
    """{title: text} of a page, in its order."""
    found = re.split(r'^([A-Z][A-Z ]+)\n={3,}\n', text, flags=re.M)
    return dict(zip(found[1::2], found[2::2]))


def same(name, program, page):
    """A check: the programs and the page name the same things."""
    return (name, program == page and program,
            f'only of the program: {sorted(program - page)}; '
            f'only on the page: {sorted(page - program)}')


def covered(name, program, page):
    """A check: the page names at least what the program does."""
    return (name, program and program <= page,
            f'not on the page: {sorted(program - page)}')


# Every page

def form_checks(page):
    titles = [title for title in sections(source(page)) if title != 'SYNOPSIS']
    yield (f'{page} opens with examples', titles[0] == 'EXAMPLES', titles)
    others = set(re.findall(r'\*\*(yank[\w.-]+)\*\*\\ \((\d)\)', source(page)))
    gone = {'.'.join(other) for other in others} - set(PAGES)
    yield f'{page} refers to pages that are there', not gone, gone
    if not shutil.which('man'):
        yield f'{page} is shown # SKIP no man', True, ''
        return
    shown = subprocess.run(['man', '--warnings', '-l', BUILT / page],
                           text=True, capture_output=True)
    yield (f'{page} is shown without warnings',
           shown.stdout and not shown.stderr, shown.stderr)


# yankd(1)

def options_on_page(text):
    return {option for line in text.splitlines() if line.startswith('**-')
            for option in re.findall(r'\*\*(--?[\w-]+)', line)}


def keys_of_options(text):
    lines = [line for line in text.splitlines() if line.startswith('  ')]
    return set(re.findall(r'([\w.-]+)=[<\w]', '\n'.join(lines)))


def schema_keys(type_):
    """The names of the options that @type_ describes, at any depth; those of
    addresses are many, and the page of QMP has them."""
    keys = set()
    for part in [type_, *(branch.type for branch in type_.branches)]:
        for member in part.all_members():
            inner = getattr(member.type, 'element', member.type)
            if hasattr(inner, 'all_members') and inner.name != 'SocketAddress':
                keys |= schema_keys(inner)
            else:
                keys.add(member.name)
    return keys


def schema_values(schema, *names):
    return {value for entity in schema.types if entity.name in names
            for value in entity.values}


#: What --blockdev, --export, --nbd-server and --object take.
OPTION_TYPES = ('BlockdevOptions', 'BlockExportOptions', 'NbdServerOptions',
                'ObjectOptions')


def yankd_checks(schema):
    text = output_of(YANKD, '--help')
    page = sections(source('yankd.1'))['OPTIONS']
    named = {name for pair in
             re.findall(r'^  (?:(-\w), )?(--[\w-]+)', text, re.M)
             for name in pair if name}
    words = set(re.findall(r'\*([\w.-]+)\*', page))
    yield same('the options of yankd', named, options_on_page(page))
    keys = set().union(*(schema_keys(entity) for entity in schema.types
                         if entity.name in OPTION_TYPES))
    implied = {'driver', 'qom-type'}
    yield covered('the keys of the schema in --help', keys - implied,
                  {word for key in keys_of_options(text)
                   for word in key.split('.')})
    yield covered('the keys of options of yankd',
                  keys_of_options(text), words)
    yield covered('the kinds of nodes, devices and objects',
                  schema_values(schema, 'BlockdevDriver', 'ObjectType',
                                'ChardevBackendKind', 'BlockExportType'),
                  words)


# yankd-qmp(7)

def qmp_schema():
    """What yankd itself says that it has."""
    requests = ''.join(json.dumps({'execute': name}) for name in
                       ('qmp_capabilities', 'query-qmp-schema', 'quit'))
    lines = output_of(YANKD, '--chardev', 'stdio,id=m', '--monitor', 'm',
                      input=requests, timeout=30).splitlines()
    answers = [json.loads(line).get('return') for line in lines]
    return next(answer for answer in answers if isinstance(answer, list))


def entries(text):
    """{name: what stands behind it} of a list of a page."""
    return dict(re.findall(r'^``([\w-]+)``(.*)$', text, re.M))


def qmp_checks():
    schema = qmp_schema()
    commands = {entity['name']: entity.get('allow-oob', False)
                for entity in schema if entity['meta-type'] == 'command'}
    events = {entity['name'] for entity in schema
              if entity['meta-type'] == 'event'}
    oob = {name for name in commands if commands[name]}
    text = (BUILT / 'yankd-qmp.7.rst').read_text()
    page = sections(text)
    listed = entries(page['COMMANDS'])
    yield same('the commands of QMP', set(commands), set(listed))
    yield same('which commands go out-of-band', oob,
               {name for name in listed if listed[name]})
    yield same('the events of QMP', events, set(entries(page['EVENTS'])))
    yield from reference_checks(page['REFERENCE'], commands, events)
    yield from example_checks(text, set(commands), oob, events)


def reference_checks(text, commands, events):
    for kind, names in (('Command', set(commands)), ('Event', events)):
        yield same(f'the reference of each {kind.lower()}', names,
                   set(re.findall(rf'^([\w-]+) \({kind}\)$', text, re.M)))


def example_checks(text, commands, oob, events):
    for key, names in (('execute', commands), ('exec-oob', oob),
                       ('event', events)):
        used = set(re.findall(rf'"{key}": "([\w-]+)"', text))
        yield (f'{key} in examples is of what there is',
               used and used <= names, used - names)


# yankctl.conf(5)

def keys_on_page(text):
    return set(re.findall(r'^\*\*([\w-]+)\*\*$', text, re.M))


def keys_allowed(message, what):
    """The keys that an error about an unknown one tells."""
    found = re.search(rf"unknown key 'no'{what}; allowed are (.*)", message)
    return set(re.split(r', | and ', found.group(1))) if found else set()


def complaints(folder, *command, text):
    path = pathlib.Path(folder) / 'file'
    path.write_text(textwrap.dedent(text))
    return subprocess.run([YANKCTL, '--no-control', *command, path],
                          text=True, capture_output=True).stderr


def key_checks(folder):
    page = sections(source('yankctl.conf.5'))
    message = complaints(folder, 'list', '--config', text='[a]\nno = 1\n')
    yield same('the keys of a domain', keys_allowed(message, ''),
               keys_on_page(page['KEYS OF A DOMAIN']))
    message = complaints(folder, 'watch', '--check', text='''\
        no: 1
        rules:
          - no: 1
            instances:
              - no: 1
            hook:
              no: 1
        ''')
    for title, what in (('THE POLICY', 'the policy'), ('A RULE', 'a rule'),
                        ('AN INSTANCE', 'an instance'), ('A HOOK', 'hook')):
        yield same(f'the keys of {what}', keys_allowed(message, ' in ' + what),
                   keys_on_page(page['KEYS OF ' + title]))


def file_checks(folder):
    code = (TOP / 'tools' / 'domains.c').read_text()
    usual = re.search(r'#define SYSTEM_CONFIG "(.*)"', code).group(1)
    for page in ('yankctl.1', 'yankctl.conf.5'):
        yield (f'{page} has the usual file', f'*{usual}*' in source(page),
               usual)
    examples = sections(source('yankctl.conf.5'))['EXAMPLES']
    for text in re.findall(r'::\n\n((?:    .*\n|\n)+)', examples):
        text = textwrap.dedent(text)
        if text.startswith('['):
            message = complaints(folder, 'list', '--names', '-c', text=text)
        elif 'rules:' in text:
            message = complaints(folder, 'watch', '--check', text=text)
        else:
            continue
        yield 'an example is what the program takes', not message, message


def all_checks():
    for page in PAGES:
        yield from form_checks(page)
    yield from yankd_checks(Schema(str(TOP / 'qapi' / 'qapi-schema.json')))
    yield from qmp_checks()
    with tempfile.TemporaryDirectory() as folder:
        yield from key_checks(folder)
        yield from file_checks(folder)


def main():
    failed = False
    checks = list(all_checks())
    print(f'1..{len(checks)}')
    for number, (name, good, what) in enumerate(checks, 1):
        failed |= not good
        print('%s %d - %s' % ('ok' if good else 'not ok', number, name))
        if not good:
            print(f'# {what}'.replace('\n', '\n# '))
    return failed


sys.exit(main())
