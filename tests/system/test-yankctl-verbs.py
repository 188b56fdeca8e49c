#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
# timeout: 120
"""yankctl: where domains come from, options, raw, events and the snippet."""

import json
import os
import socket
import subprocess
import sys
import xml.dom.minidom

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import peers
from daemon import Daemon
from sandbox import wait_for
from suite import Skip, run, test
from watch import Watch, yankctl
from yankctl import (FAILED, NOT_FOUND, OK, REFUSED, SILENCE, UNREACHABLE,
                     USAGE, FakeServer, Fleet, hold)


def names(fleet):
    return fleet.run('list', '--names').split()


@test('a configuration file')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        path = box.write('domains.conf', f"""
# all of them
[vm1]
monitor = {daemon.qmp_path}
[vm2]
monitor = unix:{box.path('none')}
agent = {box.path('agent')}
lane = {box.path('lane')}
[store]
monitor = localhost:4444
tls = /etc/tls
tls-hostname = store
""")
        fleet = Fleet(box, '--config', path)
        assert names(fleet) == ['store', 'vm1', 'vm2']
        assert fleet.json('list', '--names') == ['store', 'vm1', 'vm2']
        assert fleet.json('status', 'vm1')['state'] == 'running'
        fleet.run('status', 'vm2', code=UNREACHABLE)
        assert "'store', 'vm1', 'vm2'" in fleet.fails(NOT_FOUND, 'status', 'x')


@test('a lane of its own, while somebody holds the monitor',
      needs=['qemu-system-x86_64'])
def _(box):
    with Daemon(box, 'qemu', monitors=2) as daemon:
        path = box.write('domains.conf', f"""
[vm]
monitor = {daemon.sockets[0]}
lane = {daemon.sockets[1]}
""")
        fleet = Fleet(box, '-c', path, timeout=SILENCE)
        with daemon.qmp(0):
            fleet.run('status', 'vm', code=UNREACHABLE)
            fleet.fails(UNREACHABLE, 'raw', 'vm', 'query-version')
            assert len(fleet.json('raw', 'vm', '-o', 'query-yank')[
                'return']) == 2
        assert fleet.json('raw', 'vm', 'query-version')['return']


@test('the usual configuration file')
def _(box):
    folder = box.path('config')
    os.makedirs(f'{folder}/yankctl')
    box.write('config/yankctl/domains.conf', '[vm]\nmonitor=/none\n')
    env = dict(os.environ, XDG_CONFIG_HOME=folder)
    assert Fleet(box).run('list', '--names', env=env) == 'vm\n'
    assert Fleet(box, '-s', 'x=/y').run('list', '--names', env=env) == 'x\n'


@test('configuration files with errors')
def _(box):
    for text, word in (
            ('monitor = /a', 'group'), ('[vm]\n', 'monitor'),
            ('[vm]\nmonitor\n', 'monitor'), ('[vm]\nmonitor=\n', 'empty'),
            ('[vm]\nmonitor=/a\ncolour=red\n', 'colour'),
            ('[vm\nmonitor=/a', 'vm'), (b'[vm]\nmonitor=/\xff\n', 'UTF-8'),
            (b'\x7fELF\0\0\0\1', 'ELF'),
            ('[vm]\nmonitor=/a\n[x]\nmonitor=/b\n [vm]\nmonitor=/c\n',
             "line 5: group '[vm]' is given twice"),
            ('[vm]\nmonitor=/a\n#\n  monitor\t= /b\n',
             "line 4: key 'monitor' is given twice")):
        path = box.write('domains.conf', text)
        said = Fleet(box, '-c', path).fails(USAGE, 'list')
        assert path in said and word in said, said
    for path, word in ((box.path('none'), 'No such file'),
                       (box.path('.'), 'regular'), ('/dev/zero', 'regular')):
        said = Fleet(box, '-c', path).fails(USAGE, 'list')
        assert path in said and word in said, said


@test('a folder of sockets')
def _(box):
    folder = box.path('vms')
    os.mkdir(folder)
    with Daemon(box, 'yankd') as daemon:
        os.rename(daemon.qmp_path, f'{folder}/vm1.qmp')
        agent = FakeServer(box, hold)
        os.rename(agent.path, f'{folder}/vm1.agent')
        box.write('vms/notes', 'no socket')
        os.mkdir(f'{folder}/more')
        fleet = Fleet(box, '--dir', folder, timeout=SILENCE)
        assert names(fleet) == ['vm1']
        assert fleet.states() == {'vm1': 'guest-silent'}
        os.rename(f'{folder}/vm1.qmp', daemon.qmp_path)
    Fleet(box, '--dir', box.path('none')).fails(USAGE, 'list')


def stray(path, owner=0):
    """The socket of a process that is gone."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    if owner:
        os.chown(path, owner, -1)


@test('names in folders: those of files, where the short ones clash')
def _(box):
    for folder in ('one', 'two'):
        os.mkdir(box.path(folder))
    for name in ('a.sock', 'a.monitor', 'a.qmp', 'b', 'b.qmp', 'c.socket',
                 'c.qmp.sock', 'c.qmp', 'd.serial12', 'd.vnc', 'd.spice',
                 'd.console0', 'd.qga', '7'):
        stray(box.path(f'one/{name}'))
    one = ['7', 'a', 'a.monitor', 'a.sock', 'b', 'b.qmp', 'c', 'c.qmp.sock',
           'c.socket']
    assert names(Fleet(box, '-d', box.path('one'))) == one
    # The same names in another folder, and a socket that has a name already.
    for name in ('a.qmp', 'a.sock', 'e'):
        stray(box.path(f'two/{name}'))
    monitors = {d['name']: d['monitor'] for d in Fleet(
        box, '-d', box.path('one'), '-d', box.path('two'),
        '-s', f'f={box.path("two/e")}').json('list')}
    assert sorted(monitors) == sorted(
        one + ['a.qmp', box.path('two/a.sock'), 'f']), monitors
    assert monitors['a.qmp'] == f'unix:{box.path("two/a.qmp")}'
    assert "did you mean 'a.sock'?" in Fleet(box, '-d', box.path('one')).fails(
        NOT_FOUND, 'status', 'a.sokc')


@test('root follows no links, and trusts root and the owner of the folder')
def _(box):
    if os.geteuid() != 0:
        raise Skip('needs root, to become somebody else')
    folder = box.path('vms')
    os.mkdir(folder)
    os.chown(folder, 1234, -1)
    stray(box.path('elsewhere'))
    os.symlink(box.path('elsewhere'), f'{folder}/link.qmp')
    for name, owner in (('root', 0), ('owner', 1234), ('other', 4321)):
        stray(f'{folder}/{name}.qmp', owner)
        stray(f'{folder}/{name}.qga', owner)
    assert names(Fleet(box, '-d', folder)) == ['owner', 'root']


@test('names that clash, and sockets that are none')
def _(box):
    Fleet(box, '-s', 'a=/x', '-s', 'a=/y').fails(USAGE, 'list')
    for wrong in ('a', 'a=', '=b', ''):
        Fleet(box, '-s', wrong).fails(USAGE, 'list')
    Fleet(box, '-s', 'a=nohost').run('status', 'a', code=USAGE)


@test('libvirt')
def _(box):
    if 'without libvirt' in box.run([yankctl(), '-l', 'test:///default',
                                     'list'], check=False).stderr:
        raise Skip('built without libvirt')
    assert names(Fleet(box, '--libvirt', 'test:///default')) == []
    # libvirt's libraries leak a little when they cannot connect.
    env = dict(os.environ, ASAN_OPTIONS='detect_leaks=0')
    said = Fleet(box, '-l', f'qemu+unix:///system?socket={box.path("none")}'
                 ).fails(UNREACHABLE, 'list', env=env)
    assert 'none' in said, said


@test('the command line')
def _(box):
    fleet = Fleet(box)
    for wrong in ([], ['frob'], ['list', 'x'], ['status'], ['status', 'a', 'b'],
                  ['--frob', 'list'], ['list', '--frob'], ['list', '-t', 'x'],
                  ['list', '-t', '0.001'], ['list', '-t', 'nan'],
                  ['list', '-t', '1e9'], ['migrate', 'x'], ['list', '-s'],
                  ['yank'], ['events', 'a', '--for', '-1'],
                  ['migrate', 'a', 'b', '--yank-after', 'nan']):
        said = fleet.fails(USAGE, *wrong)
        assert said != 'yankctl: \n', wrong
    assert fleet.run('--version').startswith('yankctl ')
    assert 'Exit codes' in fleet.run('--help')
    assert 'DOMAIN' in fleet.run('yank', '--help')
    for verb in ([], ['yank'], ['help']):
        assert fleet.run('help', *verb) == fleet.run(*verb, '--help')
    assert "did you mean 'yank'?" in fleet.fails(USAGE, 'help', 'yakn')
    fleet.fails(USAGE, 'help', 'yank', 'list')
    # In front of the verb, behind it, and both.
    both = Fleet(box, '-s', 'a=/x')
    assert names(both) == ['a']
    assert both.run('list', '-s', 'b=/y', '--names').split() == ['a', 'b']
    assert 'allowed are 0.01 to' in fleet.fails(USAGE, 'list', '-t', '0')
    assert "did you mean 'status'?" in fleet.fails(USAGE, 'sttus')
    assert 'did you mean' not in fleet.fails(USAGE, 'frob')


@test('JSON on every path: of errors, too')
def _(box):
    fleet = Fleet(box)
    for wrong in (['--json'], ['--json', 'frob'], ['frob', '-j'],
                  ['list', '--frob', '--json'], ['-j', 'list', '-t', 'x'],
                  ['list', '--json', '-t', '0'], ['-j', 'list', '-c'],
                  ['-j', 'yank', 'vm'], ['-j', 'list', '-s', 'a=']):
        error = json.loads(fleet.run(*wrong, code=USAGE))['error']
        assert error['code'] == 'usage', error
        assert fleet.stderr == f'yankctl: {error["desc"]}\n', fleet.stderr
    # Those who did not ask for it get none.
    for wrong in (['frob'], ['list', '--', '--json']):
        assert fleet.run(*wrong, code=USAGE) == ''


@test('no domains')
def _(box):
    fleet = Fleet(box)
    env = dict(os.environ, XDG_CONFIG_HOME=box.path('none'))
    assert fleet.run('list', env=env) == ''
    assert '--socket' in fleet.stderr, fleet.stderr
    assert fleet.run('list', '--names', env=env) == ''
    assert json.loads(fleet.run('list', '--json', env=env)) == []


@test('a port that is none')
def _(box):
    for port in ('0', '65536', '99999', '9' * 30):
        fleet = Fleet(box, '-s', f'vm=localhost:{port}')
        said = fleet.run('status', 'vm', code=USAGE) or fleet.stderr
        assert port in said and '1 to 65535' in said, said


@test('columns, and a row that is too wide for them')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        fleet = Fleet(box, '-s', f'one={box.path("x" * 90)}', '-s',
                      f'two={daemon.qmp_path}', '-s', '\u4e8c\u4e8c=/x')
        head, one, two, wide = fleet.run('list').splitlines()
    assert head == 'DOMAIN  STATE    INSTANCES', head
    assert two == 'two     running  -', two
    assert one.index('monitor') == 8 and len(one) > 100, one
    assert wide.index('monitor') == 6, wide


@test('standard output that is full, and a reader that leaves')
def _(box):
    fleet = Fleet(box, '-s', 'vm=/none')
    for options in ([], ['--json']):
        with open('/dev/full', 'w') as full:
            done = subprocess.run([*fleet.argv, 'list', *options],
                                  stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False)
        assert done.returncode == FAILED, done
        assert 'standard output' in done.stderr, done
        there, here = os.pipe()
        os.close(there)
        done = subprocess.run([*fleet.argv, 'list', *options], stdout=here,
                              stderr=subprocess.PIPE, text=True, check=False)
        os.close(here)
        assert done.returncode == OK and done.stderr == '', done


@test('raw: ways to say a request')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        fleet = Fleet.of(box, vm=daemon.qmp_path)
        add = {'driver': 'null-co', 'size': 65536, 'node-name': 'n0'}

        def raw(*words, code=OK, **kwargs):
            return fleet.json('raw', 'vm', *words, code=code, **kwargs)

        def remove():
            assert raw('blockdev-del', 'node-name=n0') == {'return': {}}

        assert raw('blockdev-add', json.dumps(add)) == {'return': {}}
        remove()
        raw('blockdev-add', 'driver=null-co', 'node-name=n0', 'size=65536')
        remove()
        raw(json.dumps({'execute': 'blockdev-add', 'arguments': add,
                        'id': 'mine'}))
        remove()
        with open(box.write('in', json.dumps(
                {'execute': 'blockdev-add', 'arguments': add},
                indent=2))) as stdin:
            raw(stdin=stdin)
        remove()
        assert raw('{"exec-oob": "query-yank"}') == {'return': []}
        assert raw('query-yank', '--oob') == {'return': []}
        assert raw('frob', code=FAILED)['error']['class'] == 'CommandNotFound'
        assert raw('blockdev-del', 'node-name="n 1"', code=FAILED)[
            'error']['desc'].count('n 1') == 1
        assert 'not' in raw('blockdev-del', '-o', 'node-name=x',
                            code=FAILED)['error']['desc']
        for wrong in (['{'], ['{"execute": 1}'], ['{}'], ['query-yank', 'x'],
                      ['{"execute": "a", "frob": 1}'], ['x', '{"a": }'],
                      ['{"execute": "a", "exec-oob": "b"}'], ['x', '=y'],
                      ['{"execute": "a", "arguments": []}'], ['']):
            fleet.fails(USAGE, 'raw', 'vm', *wrong)
        fleet.fails(REFUSED, 'raw', 'vm', 'yank', '{"instances": []}')
        assert raw('-o', 'yank', '{"instances": []}')['return'] is not None


def events_in(process):
    return [json.loads(line) for line in process.output().splitlines()]


def check_events(box, daemon, process, domain):
    """Events of yanks are seen, once somebody listens to them."""
    listener = peers.Listener(box, name=box.unique('peer'))
    with daemon.qmp() as other:
        other.cmd('chardev-add', {'id': 'c0', 'backend': {
            'type': 'socket', 'data': {
                'addr': listener.legacy_address(), 'server': False}}})

        def seen():
            other.cmd('yank', {'instances': [{'type': 'chardev',
                                              'id': 'c0'}]})
            return events_in(process)
        event = wait_for('an event', seen)[0]
    assert event['domain'] == domain, event
    assert event['event']['event'] == 'YANK', event
    assert 'timestamp' in event['event'], event


@test('events, by a connection of its own')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        fleet = Fleet.of(box, vm=daemon.qmp_path)
        process = box.spawn([*fleet.argv, 'events', 'vm', '--json'])
        check_events(box, daemon, process, 'vm')
        fleet.run('events', 'vm', '--for', '0.1')
    assert process.wait(10) == UNREACHABLE
    assert "yankctl: the connection to 'vm' is lost" in process.output()
    last = [json.loads(line) for line in process.output().splitlines()
            if line.startswith('{')][-1]
    assert last == {'domain': 'vm', 'error': {
        'code': 'unreachable', 'desc': "the connection to 'vm' is lost"}}, last


@test('events, by the service')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        watch = Watch(box, '-s', f'held={daemon.qmp_path}')
        watch.wait_connected(1)
        fleet = Fleet(box, control=watch.control)
        process = box.spawn([*fleet.argv, 'events', 'held', '--json'])
        check_events(box, daemon, process, 'held')
        # By another name it is the same domain, for its address is.
        other = Fleet.of(box, control=watch.control, mine=daemon.qmp_path)
        assert other.json('status', 'mine')['watched'] is True
        # By another way there, too.
        os.symlink(daemon.qmp_path, box.path('link'))
        other = Fleet.of(box, control=watch.control, mine=box.path('link'))
        assert other.json('status', 'mine')['watched'] is True
        watch.finish()
        assert process.wait(10) == UNREACHABLE


@test('the snippet for libvirt')
def _(box):
    fleet = Fleet(box)
    report = fleet.json('libvirt-snippet', "a<b>'&/c,d")
    root = xml.dom.minidom.parseString(report['xml']).documentElement
    assert root.namespaceURI.endswith('/schemas/domain/qemu/1.0')
    values = [arg.getAttribute('value')
              for arg in root.getElementsByTagName('qemu:arg')]
    assert values[0::2] == ['-chardev', '-mon'], values
    assert f"path={report['socket']}," in values[1], values
    assert report['socket'].count('/') == 5, report
    assert report['xml'] in fleet.run('libvirt-snippet', "a<b>'&/c,d")
    fleet.fails(USAGE, 'libvirt-snippet', 'x' * 100)
    fleet.fails(USAGE, 'libvirt-snippet', '')


run()
