#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits of a session, and what reaching them does to the others."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, 'lib'))

from daemon import Daemon
from hang import block_main_loop
from qmp import Qmp, QmpClosed
from sandbox import wait_for
from suite import run, slowness, test

MIB = 1 << 20


@test('a client that does not read is closed, nobody else notices',
      seconds=60)
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as other:
        deaf = daemon.qmp()
        before = daemon.rss()
        # Each reply is as long as the id.  Ask until we are thrown out, but
        # never read.
        request = '{"execute":"query-name","id":"%s"}' % ('x' * MIB)
        asked = 0
        try:
            for asked in range(200):
                deaf.send_raw(request, 2)
        except (OSError, TimeoutError):
            pass
        other.cmd('query-version', seconds=5)
        wait_for('session to be closed', lambda: len(
            other.oob('query-dispatch')['sessions']) == 1)
        print(f'# asked for {asked} MiB, resident memory grew by '
              f'{(daemon.rss() - before) // MIB} MiB')
        assert 10 < asked < 100, asked
        deaf.close()


@test('a client that does not read is closed during a hang too', seconds=60)
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as other:
        with daemon.qmp() as blocked:
            hang = block_main_loop(box, daemon, blocked)
            deaf = daemon.qmp()
            request = '{"exec-oob":"query-yank","id":"%s"}' % ('x' * MIB)
            try:
                for _ in range(100):
                    deaf.send_raw(request, 2)
            except (OSError, TimeoutError):
                pass
            wait_for('session to be closed', lambda: len(
                other.oob('query-dispatch')['sessions']) == 2)
            hang.release()
            deaf.close()


@test('a slow reader gets all of it')
def _(box):
    with Daemon(box) as daemon, daemon.qmp(seconds=30) as qmp:
        numbers = [qmp.submit('query-qmp-schema') for _ in range(30)]
        schema = qmp.result(numbers[0])
        for number in numbers[1:]:
            assert qmp.result(number) == schema


@test('a message beyond 64 MiB is an error, the next one works', seconds=60)
def _(box):
    with Daemon(box) as daemon, daemon.qmp(seconds=60) as qmp:
        qmp.send_raw(b'{"execute":"query-name","id":"')
        for _ in range(66):
            qmp.send_raw(b'x' * MIB)
        message = qmp.next()
        assert message['error']['class'] == 'GenericError', message
        assert '64' in message['error']['desc'], message
        print(f"# {message['error']['desc']}")
        # How much of it was taken as something else is not our concern.
        qmp.send_raw(b'"}\xff{"execute":"query-name","id":"after"}')
        assert 'return' in qmp.reply('after')
        assert daemon.rss() < 1024 * MIB, daemon.rss()


@test('a long message does not occupy the monitor thread, and its memory is '
      'given back', seconds=120)
def _(box):
    messages = {
        'a long string': b'"' + b'a' * (30 * MIB) + b'"',
        'many keys': b'{' + b','.join(b'"k%d":0' % i
                                      for i in range(100000)) + b'}',
        'many objects': b'[' + b'{},' * 100000 + b'{}]'}
    with Daemon(box) as daemon, daemon.qmp(seconds=60) as qmp:
        before = daemon.rss()
        for execute in b'exec-oob', b'execute':
            for name, value in messages.items():
                monitor = daemon.processor_time('monitor')
                bulk = daemon.processor_time('monitor-bulk')
                qmp.send_raw(b'{"%b":"query-yank","id":"x","control":%b}'
                             % (execute, value))
                # Legal JSON, which QMP refuses, and says so in short.
                assert 'error' in qmp.reply('x'), name
                monitor = daemon.processor_time('monitor') - monitor
                bulk = daemon.processor_time('monitor-bulk') - bulk
                assert monitor < bulk / 4, (name, monitor, bulk)
                # The checked build keeps freed memory for a while.
                if slowness() == 1:
                    wait_for('memory to be given back', lambda: (
                        daemon.rss() < before + 40 * MIB), 10)


@test('a queue that its client leaves behind is freed elsewhere', seconds=60)
def _(box):
    request = ('{"execute":"query-name","id":[%s]}\n'
               % ','.join(['{}'] * 3000))

    def queued():
        return max(session['queued'] for session in
                   other.oob('query-dispatch')['sessions'])

    with Daemon(box) as daemon, daemon.qmp(seconds=30) as other, \
            daemon.qmp() as blocked, daemon.qmp(seconds=30) as leaver:
        hang = block_main_loop(box, daemon, blocked)
        for _ in range(200):
            leaver.send_raw(request)
        wait_for('queue to fill', lambda: queued() >= 200, 10 * slowness())
        monitor = daemon.processor_time('monitor')
        bulk = daemon.processor_time('monitor-bulk')
        leaver.close()
        wait_for('session to end', lambda: queued() < 200, 10 * slowness())
        # The bulk thread is done once it has run what was posted to it.
        wait_for('memory to be freed', lambda: (
            daemon.processor_time('monitor-bulk') - bulk >
            2 * (daemon.processor_time('monitor') - monitor)), 10)
        hang.release()


@test('a token without an end does not eat memory', seconds=60)
def _(box):
    with Daemon(box) as daemon, daemon.qmp(seconds=60) as qmp:
        for start in b'"', b"'", b'1', b'a':
            try:
                qmp.send_raw(start)
                for _ in range(130):
                    qmp.send_raw(b'1' * MIB)
                qmp.send_raw(b'\xff{"execute":"query-name","id":"after"}')
                assert 'return' in qmp.reply('after')
            except (QmpClosed, OSError):
                raise AssertionError(f'{start} ended the session') from None
            assert daemon.rss() < 1024 * MIB, daemon.rss()
            qmp.pending()


@test('nested deeply, again and again')
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        before = daemon.rss()
        for _ in range(20):
            qmp.send_raw(b'[' * 100000 + b'\xff')
            qmp.send_raw(b'{"a":' * 100000 + b'\xff')
        qmp.send_raw('{"execute":"query-name","id":"after"}')
        assert 'return' in qmp.reply('after', 20)
        # The checked build keeps freed memory for a while.
        room = (64 if slowness() == 1 else 1024) * MIB
        assert daemon.rss() < before + room, (before, daemon.rss())


@test('sessions come and go', seconds=60)
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        daemon.qmp().close()
        wait_for('one session', lambda: len(
            qmp.oob('query-dispatch')['sessions']) == 1)
        before = daemon.fds(), daemon.threads()
        for n in range(300):
            if n % 3 == 0:
                daemon.connect().close()
            elif n % 3 == 1:
                with daemon.connect() as raw:
                    raw.send_raw('{"execute":')
            else:
                # Gone before the replies.
                with daemon.qmp() as raw:
                    raw.send_raw('{"execute":"query-qmp-schema"}' * 5)
        wait_for('one session', lambda: len(
            qmp.oob('query-dispatch')['sessions']) == 1, 10 * slowness())
        after = daemon.fds(), daemon.threads()
        assert after == before, (before, after)


@test('a session that goes away during its command', seconds=30)
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as other:
        gone = daemon.qmp()
        hang = block_main_loop(box, daemon, gone)
        for _ in range(100):
            gone.submit('query-name')
        gone.submit('blockdev-add', {'driver': 'null-co',
                                     'node-name': 'late'})
        gone.close()
        other.oob('query-yank')
        hang.let_go()
        other.cmd('query-version')
        wait_for('one session', lambda: len(
            other.oob('query-dispatch')['sessions']) == 1)


@test('pretty output says the same over several lines')
def _(box):
    path = box.path('pretty.sock')
    options = ['--chardev', f'socket,id=p,path={path},server=on,wait=off',
               '--monitor', 'chardev=p,pretty=on']
    with Daemon(box, options=options), Qmp(path) as qmp:
        qmp.send_raw('{"execute":"qmp_capabilities","id":{"a":[1]}}')
        text = ''
        while text.count('\n}') < 2:
            text = qmp.read_raw()
        greeting, end = json.JSONDecoder().raw_decode(text)
        assert 'QMP' in greeting, text
        reply = json.loads(text[end:])
        assert reply == {'return': {}, 'id': {'a': [1]}}, text
        assert '\n    "' in text, text


run()
