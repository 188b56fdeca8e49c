#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# parallel-safe
"""query-qmp-schema: whole, true, and what a client of stock looks for."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, 'lib'))

import daemon
from daemon import Daemon
from suite import Skip, run, test

# Commands that need no main loop.
OUT_OF_BAND = {'migrate-incoming', 'migrate-pause', 'migrate-recover',
               'migrate_cancel', 'query-abandoned-calls', 'query-dispatch',
               'query-migrate', 'query-name', 'query-yank', 'query-yank-status', 'quit',
               'yank'}
# Commands that stock has not.
OURS = {'blockdev-reconnect', 'chardev-write', 'query-abandoned-calls',
        'query-dispatch', 'query-yank-status'}
# Types of which stock has more kinds than yankd needs.
KEYS = {'builtin': {'json-type'}, 'enum': {'members', 'values'},
        'array': {'element-type'}, 'object': {'members', 'tag', 'variants'},
        'alternate': {'members'},
        'command': {'arg-type', 'ret-type', 'allow-oob'},
        'event': {'arg-type'}}


class Schema:
    def __init__(self, entities):
        self.all = {e['name']: e for e in entities}
        assert len(self.all) == len(entities), 'a name twice'

    def of_kind(self, kind):
        return {name: e for name, e in self.all.items()
                if e['meta-type'] == kind}

    def references(self, entity):
        """Names of the types that an entity mentions."""
        for key in 'arg-type', 'ret-type', 'element-type':
            if key in entity:
                yield entity[key]
        members = entity.get('members', [])
        if entity['meta-type'] != 'enum':
            for member in members + entity.get('variants', []):
                yield member['type']

    def members(self, type_name):
        """{name: member} of an object, its variants' included."""
        entity = self.all[type_name]
        found = {m['name']: m for m in entity.get('members', [])}
        for variant in entity.get('variants', []):
            for name, member in self.members(variant['type']).items():
                found.setdefault(name, member)
        return found


def schema_of(box, kind):
    d = Daemon(box, kind)
    with d.qmp() as qmp:
        schema = Schema(qmp.cmd('query-qmp-schema'))
        commands = {c['name'] for c in qmp.cmd('query-commands')}
    return schema, commands


@test('every type that is mentioned is there')
def _(box):
    schema, _ = schema_of(box, 'yankd')
    for name, entity in schema.all.items():
        for reference in schema.references(entity):
            assert reference in schema.all, (name, reference)


@test('every type that is there is mentioned')
def _(box):
    schema, _ = schema_of(box, 'yankd')
    used = {r for e in schema.all.values() for r in schema.references(e)}
    roots = set(schema.of_kind('command')) | set(schema.of_kind('event'))
    left = set(schema.all) - used - roots - set(schema.of_kind('builtin'))
    assert not left, left


@test('entities have the members of their kind')
def _(box):
    schema, _ = schema_of(box, 'yankd')
    for entity in schema.all.values():
        extra = (set(entity) - {'name', 'meta-type', 'features'} -
                 KEYS[entity['meta-type']])
        assert not extra, entity
    for entity in schema.of_kind('object').values():
        assert ('tag' in entity) == ('variants' in entity), entity
        if 'tag' in entity:
            names = [m['name'] for m in entity['members']]
            assert entity['tag'] in names, entity
    for entity in schema.of_kind('enum').values():
        assert [m['name'] for m in entity['members']] == entity['values']


@test('commands are those of query-commands')
def _(box):
    schema, commands = schema_of(box, 'yankd')
    assert set(schema.of_kind('command')) == commands


@test('commands that may run out-of-band')
def _(box):
    schema, _ = schema_of(box, 'yankd')
    found = {name for name, e in schema.of_kind('command').items()
             if e.get('allow-oob')}
    assert found == OUT_OF_BAND, found
    for entity in schema.of_kind('command').values():
        assert entity.get('allow-oob') in (None, True), entity


@test('events')
def _(box):
    schema, _ = schema_of(box, 'yankd')
    assert set(schema.of_kind('event')) == {
        'BLOCK_CONNECTION_LOST', 'BLOCK_CONNECTION_REFUSED',
        'BLOCK_CONNECTION_REGAINED', 'BLOCK_EXPORT_DELETED',
        'COMMAND_DROPPED', 'MAIN_LOOP_RESUMED', 'MAIN_LOOP_STALLED',
        'MIGRATION', 'MIGRATION_PASS', 'SHUTDOWN', 'YANK',
        'YANK_INSTANCE_STALLED'}


def both(box):
    """Schemas of yankd and of stock, the emulator's where it has more."""
    if not daemon.program('qsd') or not daemon.program('qemu'):
        raise Skip('the stock programs are not installed')
    return (schema_of(box, 'yankd')[0], schema_of(box, 'qsd')[0],
            schema_of(box, 'qemu')[0])


@test('commands that stock has too take what stock takes')
def _(box):
    ours, qsd, qemu = both(box)
    for name, command in ours.of_kind('command').items():
        stock = qsd if name in qsd.all else qemu
        if name in OURS:
            assert name not in qsd.all and name not in qemu.all, name
            continue
        mine = ours.members(command['arg-type'])
        theirs = stock.members(stock.all[name]['arg-type'])
        extra = set(mine) - set(theirs)
        # What a RAM disk and a delay need, stock has under other names.
        extra -= {'delay'}
        # Newer QEMU has it.
        extra -= {'handshake-max-seconds'}
        assert not extra, (name, extra)
        for member in theirs:
            if member in mine and 'default' in theirs[member]:
                assert 'default' in mine[member], (name, member)


@test('commands that stock has too return what stock returns')
def _(box):
    ours, qsd, qemu = both(box)
    for name, command in ours.of_kind('command').items():
        stock = qsd if name in qsd.all else qemu
        # An object of a yank has more members, and the list of devices is
        # always empty.
        if name in OURS or name in ('yank', 'query-block'):
            continue
        check_return(name, ours, command['ret-type'], stock,
                     stock.all[name]['ret-type'], set())


def check_return(where, ours, mine, stock, theirs, seen):
    """All members that stock always has, yankd has too, of the same kind."""
    if (mine, theirs) in seen:
        return
    seen.add((mine, theirs))
    mine, theirs = ours.all[mine], stock.all[theirs]
    kinds = mine['meta-type'], theirs['meta-type']
    if kinds == ('array', 'array'):
        check_return(where + '[]', ours, mine['element-type'], stock,
                     theirs['element-type'], seen)
    elif kinds == ('object', 'object'):
        own = {m['name']: m for m in mine['members']}
        for member in theirs['members']:
            name = member['name']
            if name in own:
                check_return(f'{where}.{name}', ours, own[name]['type'],
                             stock, member['type'], seen)
            else:
                assert 'default' in member, f'{where}.{name} is missing'
    else:
        assert kinds[0] == kinds[1] or mine.get('json-type') == 'value', (
            where, kinds)


run()
