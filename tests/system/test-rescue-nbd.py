#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hangs on a frozen NBD server, and the rescue from each."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from nbd import EIO, NbdClient
from qmp import QmpError
from rescue import Rescuer, node
from servers import Gateway, Nbdkit, nbd_option
from suite import run, test


class Frozen:
    """A gateway whose server is frozen, with 32 reads in flight."""

    def __init__(self, box, options=()):
        self.server = Nbdkit(box)
        self.gateway = Gateway(box, self.server.path, options=options)
        self.client = NbdClient(self.gateway.nbd_path, 'disk')
        self.client.read(0, 4096)
        self.server.freeze()
        self.reads = {self.client.request(0, 4096 * n, 4096)
                      for n in range(32)}

    def reads_fail(self):
        """All reads are answered, by EIO, on the same connection."""
        left = set(self.reads)
        while left:
            cookie, error = self.client.reply()
            assert error == EIO, error
            left.remove(cookie)

    def finish(self):
        self.client.close()
        self.server.thaw()
        self.gateway.finish()


def fails(qmp, number):
    """Whether the command failed; either way it was answered."""
    try:
        qmp.result(number)
    except QmpError:
        return True
    return False


@test('blockdev-del hangs on a frozen server', needs=['nbdkit'])
def _(box):
    server_options = nbd_option(box.path('nbdkit.sock'), 'spare')
    frozen = Frozen(box, server_options)
    with Rescuer(frozen.gateway) as rescuer, frozen.gateway.qmp() as qmp:
        delete = qmp.submit('blockdev-del', {'node-name': 'spare'})
        rescuer.see_hang()
        status = rescuer.status('blockdev:nbd0')
        assert status['in-flight'] == 32, status
        assert status['phase'] == 'transmission', status
        yanked = rescuer.yank(node('spare'))
        assert yanked['functions'] == 1 and len(yanked['cut']) == 1, yanked
        qmp.result(delete)
        # The reads of the other node were left alone.
        assert rescuer.status('blockdev:nbd0')['in-flight'] == 32
        qmp.oob('yank', {'instances': [node('nbd0')]})
        frozen.reads_fail()
    frozen.finish()


@test('blockdev-del behind a block-export-del that waits', needs=['nbdkit'])
def _(box):
    frozen = Frozen(box)
    with frozen.gateway.qmp() as qmp:
        qmp.cmd('block-export-del', {'id': 'exp0', 'mode': 'hard'})
        exports = qmp.cmd('query-block-exports')
        assert [e['shutting-down'] for e in exports] == [True], exports
        # As stock: the node is used until the export is gone.
        delete = qmp.submit('blockdev-del', {'node-name': 'nbd0'})
        assert fails(qmp, delete)
        qmp.oob('yank', {'instances': [node('nbd0')]})
        qmp.event('BLOCK_EXPORT_DELETED')
        qmp.cmd('blockdev-del', {'node-name': 'nbd0'})
        assert qmp.cmd('query-yank') == []
    frozen.finish()


@test('a node without an export is deleted on a frozen server',
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    with Gateway(box, server.path) as gateway:
        with Rescuer(gateway) as rescuer, gateway.qmp() as qmp:
            qmp.cmd('blockdev-add', {'driver': 'nbd', 'node-name': 'nbd1',
                                     'server': server.address()})
            server.freeze()
            delete = qmp.submit('blockdev-del', {'node-name': 'nbd1'})
            rescuer.see_hang()
            rescuer.yank(node('nbd1'))
            qmp.result(delete)
            nodes = [n['node-name']
                     for n in qmp.cmd('query-named-block-nodes')]
            assert nodes == ['nbd0'], nodes
            # The other node of the same server was left alone.
            server.thaw()
            with NbdClient(gateway.nbd_path, 'disk') as client:
                client.read(0, 512)


@test('block-export-del hangs on a frozen server', needs=['nbdkit'])
def _(box):
    frozen = Frozen(box)
    with Rescuer(frozen.gateway) as rescuer, frozen.gateway.qmp() as qmp:
        delete = qmp.submit('block-export-del', {'id': 'exp0',
                                                 'mode': 'hard'})
        # Stock answers at once and deletes later; that is as good, but
        # then the main loop must not hang.
        if qmp.is_silent(0.2):
            rescuer.see_hang()
            rescuer.yank(node('nbd0'))
        else:
            rescuer.see_oob()
            rescuer.helper.oob('yank', {'instances': [node('nbd0')]})
        qmp.result(delete)
        event = qmp.event('BLOCK_EXPORT_DELETED')
        assert event['data'] == {'id': 'exp0'}, event
        assert qmp.cmd('query-block-exports') == []
        qmp.cmd('blockdev-del', {'node-name': 'nbd0'})
        assert qmp.cmd('query-yank') == []
    frozen.finish()


@test('nbd-server-stop hangs on a frozen server', needs=['nbdkit'])
def _(box):
    frozen = Frozen(box)
    with Rescuer(frozen.gateway) as rescuer, frozen.gateway.qmp() as qmp:
        stop = qmp.submit('nbd-server-stop')
        if qmp.is_silent(0.2):
            rescuer.see_hang()
            rescuer.yank(node('nbd0'))
        else:
            rescuer.helper.oob('yank', {'instances': [node('nbd0')]})
        qmp.result(stop)
        qmp.event('BLOCK_EXPORT_DELETED')
        assert qmp.cmd('query-block-exports') == []
    frozen.finish()


@test('quit hangs on a frozen server', needs=['nbdkit'])
def _(box):
    frozen = Frozen(box)
    with frozen.gateway.qmp() as helper, frozen.gateway.qmp() as qmp:
        quitting = qmp.submit('quit')
        helper.event('SHUTDOWN')
        assert frozen.gateway.alive()
        helper.oob('yank', {'instances': [node('nbd0')]})
        frozen.gateway.check_ended(5)
        assert qmp.result(quitting) == {}
    frozen.finish()


@test('reads in flight fail, later ones too, the client stays',
      needs=['nbdkit'])
def _(box):
    frozen = Frozen(box)
    with Rescuer(frozen.gateway) as rescuer:
        # Freezing alone hangs nothing but the reads.
        rescuer.probe.cmd('query-name')
        rescuer.see_oob()
        yanked = rescuer.helper.oob('yank', {'instances': [node('nbd0')]})
        assert yanked['yanked'][0]['name'] == 'blockdev:nbd0', yanked
        frozen.reads_fail()
        frozen.reads = {frozen.client.request(0, 0, 4096)}
        frozen.reads_fail()
        status = rescuer.status('blockdev:nbd0')
        assert status['in-flight'] == 0, status
        assert status['phase'] == 'yanked', status
        assert status['yanks'] == 1, status
    frozen.finish()


@test('a stalled instance is told', seconds=30, needs=['nbdkit'])
def _(box):
    frozen = Frozen(box)
    with Rescuer(frozen.gateway) as rescuer:
        event = rescuer.helper.event('YANK_INSTANCE_STALLED', 15)
        status = event['data']['status']
        assert status['name'] == 'blockdev:nbd0', status
        assert status['in-flight'] == 32 and status['stalled'], status
        assert status['idle-ms'] >= 4000, status
        assert rescuer.status('blockdev:nbd0')['stalled']
        frozen.server.thaw()
        for _ in range(32):
            frozen.client.reply()
            frozen.client.recv(4096)
        assert not rescuer.status('blockdev:nbd0')['stalled']
    frozen.finish()


@test('a node below another one is yanked', needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    with Gateway(box, server.path) as gateway:
        with Rescuer(gateway) as rescuer, gateway.qmp() as qmp:
            qmp.cmd('blockdev-add', {
                'driver': 'blkdebug', 'node-name': 'top', 'image': {
                    'driver': 'nbd', 'node-name': 'below',
                    'server': server.address()}})
            server.freeze()
            delete = qmp.submit('blockdev-del', {'node-name': 'top'})
            rescuer.see_hang()
            rescuer.yank(node('below'))
            fails(qmp, delete)
        server.thaw()


run()
