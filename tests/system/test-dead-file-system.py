#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# parallel-safe
"""Files on a file system that does not answer: each command that touches one
ends within bounds, and only what is on that file system is delayed.

The commands of each test run at the same time on daemons of their own, as
each takes its bound of ten seconds.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon
from fuse_folder import Folder
from nbd import CMD_READ, NbdClient
from qmp import QmpError
from sandbox import wait_for
from suite import run, test

SIZE = 8 << 20
READS = 20


class Victim:
    """A daemon with a node 'dead' on a file system, and 'well' in memory."""

    def __init__(self, box, *options):
        self.fs = Folder(box)
        self.file = self.fs.file('disk')
        with open(self.file, 'wb') as f:
            f.truncate(SIZE)
        self.socket = box.path(box.unique('nbd') + '.sock')
        self.daemon = Daemon(box, options=[
            '--blockdev', f'file,node-name=dead,filename={self.file}',
            '--blockdev', 'ram,node-name=well,size=1M',
            '--nbd-server', f'addr.type=unix,addr.path={self.socket}',
            '--export', 'nbd,id=e0,node-name=dead,writable=on',
            '--export', 'nbd,id=e1,node-name=well,writable=on', *options])
        self.qmp = self.daemon.qmp()
        self.client = NbdClient(self.socket, 'dead')

    def freeze(self, reads=0):
        self.fs.freeze()
        for n in range(reads):
            self.client.request(CMD_READ, n << 16, 4096)

    def delete_export(self):
        self.client.close()
        self.qmp.cmd('block-export-del', {'id': 'e0', 'mode': 'hard'})
        self.qmp.event('BLOCK_EXPORT_DELETED')

    def status(self):
        """What query-yank-status says of the node."""
        return next(s for s in self.qmp.oob('query-yank-status')
                    if s['name'] == 'blockdev:dead')

    def finish(self):
        self.client.close()
        self.fs.thaw()
        # Messages about calls that took too long are expected here.
        self.daemon.process.terminate()
        assert self.daemon.process.wait(20) == 0
        self.qmp.close()


def failure(victim, number):
    """The error of a command; other commands are answered after it."""
    try:
        victim.qmp.result(number, seconds=25)
    except QmpError as error:
        assert victim.qmp.cmd('query-version')
        return str(error)
    raise AssertionError('the command succeeded')


@test('other nodes go on, and a query tells which one hangs', seconds=60)
def _(box):
    v = Victim(box)
    v.freeze(READS)
    wait_for('the reads', lambda: v.status()['in-flight'] == READS)
    with NbdClient(v.socket, 'well') as well:
        well.write(0, b'x' * 4096)
        assert well.read(0, 1) == b'x'
    for _ in range(2):
        info = next(n for n in v.qmp.cmd('query-named-block-nodes')
                    if n['node-name'] == 'dead')
        assert info['image']['virtual-size'] == SIZE, info
    # A file node cannot be yanked, so it is not an instance.
    assert v.qmp.oob('query-yank') == []
    event = v.qmp.event('YANK_INSTANCE_STALLED', seconds=20)
    status = event['data']['status']
    assert status['name'] == 'blockdev:dead', status
    assert status['functions'] == 0, status
    assert status['oldest-ms'] >= 5000, status
    assert status['peer'] == v.file, status
    v.fs.thaw()
    wait_for('the reads', lambda: v.status()['in-flight'] == 0)
    v.finish()


@test('commands end at their bound', seconds=120)
def _(box):
    add, delete, resize, stop = [Victim(box) for _ in range(4)]
    delete.client.write(0, b'x' * 4096)
    delete.delete_export()
    resize.delete_export()
    add.delete_export()
    add.qmp.cmd('blockdev-del', {'node-name': 'dead'})
    for v in add, delete, resize:
        v.freeze()
    stop.freeze(1)
    wait_for('the read', lambda: stop.status()['in-flight'] == 1)
    numbers = [
        add.qmp.submit('blockdev-add', {'driver': 'file', 'node-name': 'n',
                                        'filename': add.file}),
        delete.qmp.submit('blockdev-del', {'node-name': 'dead'}),
        resize.qmp.submit('block_resize', {'node-name': 'dead',
                                           'size': 1 << 20}),
        stop.qmp.submit('nbd-server-stop')]
    errors = [failure(v, n) for v, n in
              zip((add, delete, resize, stop), numbers)]
    assert f"opening '{add.file}'" in errors[0], errors
    assert "Node 'dead' cannot be deleted: The flush of" in errors[1], errors
    assert f"resizing '{resize.file}'" in errors[2], errors
    assert "export 'e0' have not ended" in errors[3], errors

    # The failed commands changed nothing, and work when files answer again.
    for v in add, delete, resize, stop:
        v.fs.thaw()
    stop.qmp.event('BLOCK_EXPORT_DELETED', match=lambda d: d['id'] == 'e0')
    stop.qmp.cmd('blockdev-del', {'node-name': 'dead'})
    delete.qmp.cmd('blockdev-del', {'node-name': 'dead'})
    add.qmp.cmd('blockdev-add', {'driver': 'file', 'node-name': 'n',
                                 'filename': add.file})
    for v in add, delete, resize, stop:
        v.finish()


@test('a latency that is longer than anybody waits', seconds=60)
def _(box):
    path = box.path('nbd')
    daemon = Daemon(box, options=[
        '--shutdown-timeout', '1',
        '--blockdev', f'null-co,node-name=n,latency-ns={10 ** 15}',
        '--nbd-server', f'addr.type=unix,addr.path={path}',
        '--export', 'nbd,id=e0,node-name=n'])
    with daemon.qmp() as qmp, NbdClient(path, 'n') as client:
        client.request(CMD_READ, 0, 512)
        # The reply to an invalid request shows that the previous one arrived.
        client.request(CMD_READ, 1 << 50, 512)
        client.reply()
        number = qmp.submit('nbd-server-stop')
        try:
            qmp.result(number, seconds=25)
            raise AssertionError('it waited for no request')
        except QmpError as error:
            assert "export 'e0' have not ended" in str(error), error
        assert qmp.cmd('query-block-exports')[0]['shutting-down']
        daemon.process.terminate()
        assert daemon.process.wait(20) == 1


@test('a node that was never written is not flushed', seconds=60)
def _(box):
    v = Victim(box)
    v.client.read(0, 4096)
    v.delete_export()
    v.freeze()
    # Closing the file may take up to its time limit.
    v.qmp.cmd('blockdev-del', {'node-name': 'dead'}, seconds=25)
    v.finish()


@test('the end of the process', seconds=60)
def _(box):
    v = Victim(box, '--shutdown-timeout', '1')
    v.freeze(1)
    wait_for('the read', lambda: v.status()['in-flight'] == 1)
    v.daemon.process.terminate()
    assert v.daemon.process.wait(20) == 1
    assert 'ending the hard way' in v.daemon.process.output()
    v.fs.end()
    v.qmp.close()
    v.client.close()


run()
