#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
# timeout: 200
"""Servers that are none, or lie: a clear message, the right exit code, in time.
"""

import json
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon, free_port
from suite import run, slowness, test
from yankctl import (FAILED, GREETING, GUEST_SILENT, MARGIN, NO_LANE, OK,
                     TIMEOUT, UNREACHABLE, FakeServer, Fleet, hold, qmp, send)

TIMEOUT_S = 0.25


def fleet_of(box, script, timeout=TIMEOUT_S):
    return Fleet.of(box, vm=FakeServer(box, script).path, timeout=timeout)


def answering(box, script):
    """The same of a server that does answer."""
    return fleet_of(box, script, 5 * slowness())


def null(sock, request):
    send(sock, {'id': request['id'], 'return': None})


def check_time(fleet):
    assert fleet.took < MARGIN * slowness(), fleet.took


def check_unreachable(fleet, *words, code=UNREACHABLE):
    """Every verb fails so, but list."""
    said = fleet.fails(code, 'raw', 'vm', 'query-version')
    check_time(fleet)
    assert all(word in said for word in words), said
    fleet.fails(code, 'yank', 'vm', '--all')
    check_time(fleet)
    fleet.run('status', 'vm', code=code)
    check_time(fleet)
    state = fleet.json('list')[0]
    check_time(fleet)
    assert state['state'] in ('unreachable', 'hung'), state
    assert state['error']['desc'], state


def check_script(box, script, *words, **kwargs):
    check_unreachable(fleet_of(box, script), *words, **kwargs)


@test('nobody is there')
def _(box):
    plain = box.write('plain', '')
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(box.path('dead.sock'))
    dead.close()
    for where, word in ((box.path('none'), 'No such file'),
                        (box.path('dead.sock'), 'refused'),
                        (plain, 'refused'),
                        ('127.0.0.1:%d' % free_port(), 'refused')):
        fleet = Fleet.of(box, vm=where, timeout=TIMEOUT_S)
        check_unreachable(fleet, where.rsplit('/', 1)[-1], word)
    long = box.path('x' * 200)
    Fleet.of(box, vm=long).run('status', 'vm', code=UNREACHABLE)


@test('a server that answers and is gone has answered')
def _(box):
    def leave(sock, request):
        send(sock, {'id': request['id'], 'return': {}})
        sock.shutdown(socket.SHUT_RDWR)

    fleet = answering(box, qmp({'quit': leave}))
    for _round in range(20):
        assert fleet.json('raw', 'vm', 'quit') == {'return': {}}


@test('a server that says nothing')
def _(box):
    check_script(box, hold, 'greeting')


@test('a server that hangs up')
def _(box):
    check_script(box, lambda sock: sock.shutdown(socket.SHUT_RDWR), 'closed')


@test('half a greeting')
def _(box):
    def half(sock):
        sock.sendall(b'{"QMP": {"version": ')
        hold(sock)
    check_script(box, half, 'greeting')


@test('a greeting without an end')
def _(box):
    def endless(sock):
        sock.sendall(b'{"QMP": "')
        while True:
            sock.sendall(b'x' * 65536)
    check_script(box, endless)


@test('greetings of another kind')
def _(box):
    for greeting in (b'HTTP/1.1 400 Bad Request\r\n\r\n', b'220 mail\r\n',
                     b'{"QMP": 1}\r\n', b'[]\r\n', b'NBDMAGICIHAVEOPT\0\3',
                     b'\xff\xfe\0\0', b'{"hello": "\x1b[31mred"}\r\n'):
        def other(sock):
            sock.sendall(greeting)
            hold(sock)
        said = fleet_of(box, other).fails(UNREACHABLE, 'raw', 'vm', 'stop')
        assert '\x1b' not in said, said


@test('a negotiation that is not answered, and one that is refused')
def _(box):
    def silent(sock):
        send(sock, GREETING)
        hold(sock)
    check_script(box, silent, code=NO_LANE)

    def refuses(sock):
        send(sock, GREETING)
        sock.recv(4096)
        send(sock, {'error': {'class': 'GenericError', 'desc': 'no'}})
        hold(sock)
    answering(box, refuses).run('raw', 'vm', 'stop', code=UNREACHABLE)


@test('answers to what nobody asked')
def _(box):
    def confused(sock, request):
        for number in (0, -1, 'x', None, {}, 1 << 70):
            send(sock, {'id': number, 'return': 'wrong'})
        send(sock, {'return': 'wrong'})
        send(sock, {'event': 'E', 'timestamp': 'never', 'data': 3})
        send(sock, {'id': request['id'], 'return': 'right'})
    fleet = answering(box, qmp({'query-version': confused}))
    assert fleet.json('raw', 'vm', 'query-version') == {'return': 'right'}


@test('no answer at all')
def _(box):
    fleet = fleet_of(box, qmp({name: lambda sock, request: None for name in (
        'query-version', 'query-yank', 'query-status')}))
    said = fleet.fails(TIMEOUT, 'raw', 'vm', 'query-version')
    assert 'query-version' in said, said
    check_time(fleet)
    fleet.run('status', 'vm', code=UNREACHABLE)
    fleet.fails(TIMEOUT, 'yank', 'vm', '--all')
    check_time(fleet)


@test('answers of the wrong type')
def _(box):
    for wrong in ('text', 7, True, {'a': 1}, [1, None, {'type': 3}],
                  [{'type': 'block-node'}], [{'type': 'new', 'x': 'y'}],
                  null):
        answers = {'query-yank': wrong, 'query-version': wrong,
                   'query-status': wrong, 'query-block': wrong}
        fleet = answering(box, qmp(answers))
        assert fleet.json('status', 'vm')['state'] == 'running'
        assert 'vm' in fleet.run('list')
        fleet.run('raw', 'vm', 'query-version',
                  code=UNREACHABLE if wrong is null else OK)


@test('a repair with answers that are wrong')
def _(box):
    node = {'node-name': 'a', 'drv': 'nbd', 'file': 'json:[]'}
    device = {'qdev': '/a', 'node-name': 'b', 'parent': {'node-name': 'a'}}
    for nodes, stats in (
            ('text', 'text'), ([], []), ([1], [None]), ({}, [{}]),
            ([node], []), ([node], [device]), ([{}], [device]),
            ([node], [{'qdev': 1, 'node-name': 'a'}]),
            ([{}, node], [{'qdev': 'x', 'parent': {'node-name': 'a'}}]),
            ([dict(node, file=7)], []), ([dict(node, drv=None)], []),
            ([dict(node, file='json:{"server": 3, "server.path": 4}')], [])):
        fleet = answering(box, qmp({
            'query-yank': [{'type': 'block-node', 'node-name': 'a'}],
            'yank': {}, 'query-version': {}, 'query-blockstats': stats,
            'query-named-block-nodes': nodes, 'blockdev-del': {}}))
        report = json.loads(fleet.box.run(
            [*fleet.argv, 'yank', 'vm', 'blockdev:a', '--repair', '--json'],
            check=False).stdout)
        assert report['recovered'] and report['repair-error'], report


@test('names that a terminal must not see')
def _(box):
    evil = '\x1b]0;title\x07\u202e\u009b31m'
    fleet = answering(box, qmp({
        'query-yank': [{'type': 'block-node', 'node-name': evil}],
        'query-version': {'evil': evil},
        'query-status': {'status': evil}}))
    for verb in (['list'], ['status', 'vm'], ['raw', 'vm', 'query-version'],
                 ['yank', 'vm', '--all', '-n']):
        for text in (fleet.run(*verb), fleet.run(*verb, '--json')):
            assert not set('\x1b\x07\u202e\x9b') & set(text), repr(text)
    assert fleet.json('raw', 'vm', 'query-version')['return']['evil'] == evil


@test('a huge answer, and one that is too large', seconds=60)
def _(box):
    def answer(size):
        def script(sock, request):
            sock.sendall(b'{"id": %d, "return": "' % request['id'])
            for _ in range(size >> 20):
                sock.sendall(b'x' * (1 << 20))
            sock.sendall(b'"}\r\n')
        return script
    fleet = Fleet.of(box, timeout=20, vm=FakeServer(box, qmp({
        'large': answer(8 << 20), 'too-large': answer(80 << 20)})).path)
    assert len(fleet.json('raw', 'vm', 'large')['return']) == 8 << 20
    said = fleet.fails(UNREACHABLE, 'raw', 'vm', 'too-large')
    assert '64' in said or 'too large' in said or 'long' in said, said


@test('a server that vanishes in the midst')
def _(box):
    def vanish(sock, request):
        sock.sendall(b'{"id": %d, "ret' % request['id'])
        sock.shutdown(socket.SHUT_RDWR)
    fleet = answering(box, qmp({
        'query-yank': vanish, 'yank': vanish, 'query-version': vanish}))
    fleet.fails(UNREACHABLE, 'raw', 'vm', 'query-version')
    fleet.fails(UNREACHABLE, 'yank', 'vm', '--all')
    fleet.fails(UNREACHABLE, 'yank', 'vm', 'migration')
    fleet.run('status', 'vm', code=UNREACHABLE)

    def later(sock, request):
        send(sock, {'id': request['id'], 'return': {}})
        send(sock, {'event': 'BYE', 'data': {},
                    'timestamp': {'seconds': 1, 'microseconds': 2}})
        sock.shutdown(socket.SHUT_RDWR)
    fleet = answering(box, qmp({'qmp_capabilities': later}))
    fleet.run('events', 'vm', '--for', '30', code=UNREACHABLE)
    check_time(fleet)


@test('a server without out-of-band')
def _(box):
    def old(sock, request):
        send(sock, {'id': request['id'], 'return': []})

    def script(sock):
        greeting = {'QMP': dict(GREETING['QMP'], capabilities=[])}
        sock.sendall(b'')
        real = qmp({'query-version': old, 'query-yank': old})

        class Patched:
            """The socket, with another greeting."""
            first = True

            def sendall(self, data):
                sent, Patched.first = Patched.first, False
                if sent:
                    return send(sock, greeting)
                return sock.sendall(data)

            def makefile(self, mode):
                return sock.makefile(mode)
        real(Patched())
    fleet = answering(box, script)
    assert fleet.json('status', 'vm')['oob'] is False
    said = fleet.fails(FAILED, 'yank', 'vm', 'migration')
    assert 'out-of-band' in said, said


@test('a guest agent that is silent, or none')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        silent = FakeServer(box, hold).path
        for agent in (silent, box.path('none')):
            config = box.write('domains.conf', f'[vm]\nmonitor='
                               f'{daemon.qmp_path}\nagent={agent}\n')
            fleet = Fleet(box, '--config', config, timeout=TIMEOUT_S)
            status = fleet.json('status', 'vm', code=GUEST_SILENT)
            assert status['state'] == 'guest-silent', status
            assert 'guest silent' in fleet.run('list')
            check_time(fleet)


@test('a control socket that is none')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        def fleet(script, timeout=10):
            path = FakeServer(box, script, name='control').path
            return Fleet.of(box, control=path, vm=daemon.qmp_path,
                            timeout=timeout)

        def greets(more):
            def script(sock):
                send(sock, {'yankctl': {'protocol': 1, 'version': 'x'}})
                more(sock)
            return script

        # A service that does not answer keeps nobody from the domain.
        for silent in hold, greets(hold):
            assert 'running' in fleet(silent, TIMEOUT_S).run('list')
        fleet(qmp({})).fails(UNREACHABLE, 'list')
        fleet(lambda sock: sock.sendall(b'x\n')).fails(UNREACHABLE, 'list')
        fleet(lambda sock: send(sock, {'yankctl': {'protocol': 2}})).fails(
            UNREACHABLE, 'list')
        fleet(greets(lambda sock: sock.shutdown(2))).fails(UNREACHABLE, 'list')
        fleet(greets(lambda sock: send(sock, {'id': 1}))).fails(FAILED, 'list')
        Fleet.of(box, control=box.path('none'), vm=daemon.qmp_path).fails(
            UNREACHABLE, 'list')
        assert Fleet.of(box, vm=daemon.qmp_path).states() == {'vm': 'running'}


run()
