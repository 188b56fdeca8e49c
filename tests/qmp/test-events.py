#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# parallel-safe
"""Events: who gets them, and when."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, 'lib'))

from daemon import Daemon
from suite import run, test


def chardev(path):
    return {'id': 'c0', 'backend': {'type': 'socket', 'data': {
        'server': True, 'wait': False,
        'addr': {'type': 'unix', 'data': {'path': path}}}}}


YANK = {'instances': [{'type': 'chardev', 'id': 'c0'}]}


@test('an event goes to all sessions of all monitors')
def _(box):
    with Daemon(box, monitors=2) as daemon:
        clients = [daemon.qmp(n % 2, oob=n < 3) for n in range(4)]
        clients[0].cmd('chardev-add', chardev(box.path('c0.sock')))
        clients[0].oob('yank', YANK)
        for qmp in clients:
            event = qmp.event('YANK')
            yanked = event['data']['yanked']
            assert [y['name'] for y in yanked] == ['chardev:c0'], event
            stamp = event['timestamp']
            assert abs(stamp['seconds'] - time.time()) < 60, event
            assert 0 <= stamp['microseconds'] < 1000000, event
            assert not qmp.events
            qmp.close()


@test('nobody is told before negotiation')
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        with daemon.connect() as raw:
            raw.greet()
            qmp.cmd('chardev-add', chardev(box.path('c0.sock')))
            qmp.cmd('yank', YANK)
            qmp.event('YANK')
            raw.negotiate()
            raw.cmd('query-name')
            assert raw.events == [], raw.events


@test('a yank that fails, or yanks nothing, is no event')
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        message = qmp.reply(qmp.submit('yank', {'instances': [
            'chardev:none']}, oob=True))
        assert message['error']['class'] == 'DeviceNotFound', message
        qmp.oob('yank', {'instances': []})
        qmp.cmd('query-name')
        assert qmp.events == [], qmp.events


@test('one yank of an instance named twice cuts it once')
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        qmp.cmd('chardev-add', chardev(box.path('c0.sock')))
        result = qmp.oob('yank', {'instances': [
            'chardev:c0', {'type': 'chardev', 'id': 'c0'}]})
        assert len(result['yanked']) == 1, result
        assert qmp.event('YANK')['data'] == result
        status = qmp.oob('query-yank-status')
        assert [s['yanks'] for s in status] == [1], status


@test('all or nothing')
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        qmp.cmd('chardev-add', chardev(box.path('c0.sock')))
        message = qmp.reply(qmp.submit('yank', {'instances': [
            'chardev:c0', 'chardev:none']}, oob=True))
        error = message['error']
        assert error['class'] == 'DeviceNotFound', message
        assert error['desc'] == 'Instance not found: chardev:none', message
        status = qmp.oob('query-yank-status')
        assert [s['yanks'] for s in status] == [0], status


@test('an export that is deleted is told')
def _(box):
    options = ['--blockdev', 'null-co,node-name=n0', '--nbd-server',
               f"addr.type=unix,addr.path={box.path('e.sock')}",
               '--export', 'nbd,id=e0,node-name=n0']
    with Daemon(box, options=options) as daemon:
        with daemon.qmp() as qmp, daemon.qmp() as other:
            qmp.cmd('block-export-del', {'id': 'e0'})
            for client in qmp, other:
                event = client.event('BLOCK_EXPORT_DELETED')
                assert event['data'] == {'id': 'e0'}, event


run()
