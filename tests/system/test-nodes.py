#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# parallel-safe
"""Local nodes behind an export: what is written is there."""

import json
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon, free_port
from hang import block_main_loop
from nbd import (CMD_FLUSH, CMD_TRIM, CMD_WRITE_ZEROES, EIO, EPERM, NbdClient,
                 NbdError)
from qmp import QmpError
from servers import Nbdkit
from sandbox import wait_for
from suite import run, test

SIZE = 1 << 20


class Disk:
    """A daemon that exports one node, made of @blockdev options."""

    def __init__(self, box, *blockdevs, writable=True, node='n0', name=None):
        self.path = box.path('e.sock')
        options = [word for b in blockdevs for word in ('--blockdev', b)]
        options += ['--nbd-server', f'addr.type=unix,addr.path={self.path}',
                    '--export', f'nbd,id=e0,node-name={node},name=disk,'
                    f"writable={'on' if writable else 'off'}"]
        self.daemon = Daemon(box, options=options)

    def __enter__(self):
        self.qmp = self.daemon.qmp()
        self.client = NbdClient(self.path, 'disk')
        return self

    def __exit__(self, kind, *rest):
        self.qmp.close()
        self.client.close()
        if kind is None:
            self.daemon.finish()

    def error(self, function, *arguments):
        try:
            function(*arguments)
            return 0
        except NbdError as error:
            return error.errno


def node_info(qmp, name):
    return next(n for n in qmp.cmd('query-named-block-nodes')
                if n['node-name'] == name)


def plain(filename):
    """With JSON as an object, whose members have no order."""
    start = 'json:'
    return (json.loads(filename[len(start):]) if filename.startswith(start)
            else filename)


@test('nbd: the file name is the same as in stock',
      needs=['nbdkit', 'qemu-storage-daemon'])
def _(box):
    port = free_port()
    server = Nbdkit(box, port=port)
    local = Nbdkit(box, name='local')
    tcp = {'type': 'inet', 'host': 'localhost', 'port': str(port)}
    more = [{'server': tcp}, {'server': tcp, 'export': 'an export'},
            {'server': {**tcp, 'keep-alive': True}, 'reconnect-delay': 3},
            {'server': {**tcp, 'ipv4': True, 'to': port}, 'export': 'x'},
            {'server': {**tcp, 'ipv6': False, 'keep-alive': False}},
            {'server': local.address()},
            {'server': local.address(), 'export': 'x', 'open-timeout': 2}]

    def names(kind):
        with Daemon(box, kind) as daemon, daemon.qmp() as qmp:
            for i, options in enumerate(more):
                qmp.cmd('blockdev-add', {'driver': 'nbd',
                                         'node-name': f'n{i}', **options})
            return [plain(node_info(qmp, f'n{i}')['file'])
                    for i in range(len(more))]

    assert names('yankd') == names('qsd')
    server.process.end()
    local.process.end()


@test('file: what is written is in the file')
def _(box):
    path = box.write('disk', bytes(SIZE))
    with Disk(box, f'file,node-name=n0,filename={path},discard=unmap') as d:
        data = os.urandom(300000)
        d.client.write(12345, data)
        d.client.simple(CMD_WRITE_ZEROES, 20000, 5000)
        d.client.simple(CMD_TRIM, 65536, 65536)
        d.client.simple(CMD_FLUSH)
        image = bytearray(SIZE)
        image[12345:312345] = data
        image[20000:25000] = bytes(5000)
        with open(path, 'rb') as f:
            got = f.read()
        assert got[:65536] == image[:65536]
        assert got[131072:] == image[131072:]
        assert got[65536:131072] in (bytes(65536), image[65536:131072])
        info = node_info(d.qmp, 'n0')
        assert info['image']['virtual-size'] == SIZE, info
        assert info['file'] == path and info['drv'] == 'file', info


@test('file: read-only')
def _(box):
    path = box.write('disk', b'x' * SIZE)
    os.chmod(path, 0o400)
    with Disk(box, f'file,node-name=n0,filename={path},read-only=on',
              writable=False) as d:
        assert d.client.read(0, 4) == b'xxxx'
        assert d.error(d.client.write, 0, b'y') == EPERM
        assert node_info(d.qmp, 'n0')['ro']


@test('file: resized, the clients of tomorrow see it')
def _(box):
    path = box.write('disk', bytes(SIZE))
    with Disk(box, f'file,node-name=n0,filename={path}') as d:
        d.qmp.cmd('block_resize', {'node-name': 'n0', 'size': 2 * SIZE})
        assert os.path.getsize(path) == 2 * SIZE
        with NbdClient(d.path, 'disk') as client:
            assert client.size == 2 * SIZE
            client.write(SIZE, b'beyond')
        try:
            d.qmp.cmd('block_resize', {'node-name': 'n0', 'size': -1})
            raise AssertionError('resized to -1')
        except QmpError:
            pass


@test('ram: written, read, resized')
def _(box):
    with Disk(box, f'ram,node-name=n0,size={SIZE}') as d:
        assert d.client.read(0, SIZE) == bytes(SIZE)
        data = os.urandom(SIZE)
        d.client.write(0, data)
        assert d.client.read(0, SIZE) == data
        d.qmp.cmd('block_resize', {'node-name': 'n0', 'size': 2 * SIZE})
        with NbdClient(d.path, 'disk') as client:
            assert client.read(0, 2 * SIZE) == data + bytes(SIZE)


@test('null-co: takes time when told to')
def _(box):
    with Disk(box, f'null-co,node-name=n0,size={SIZE},read-zeroes=on,'
              'latency-ns=200000000') as d:
        begin = time.monotonic()
        assert d.client.read(0, 512) == bytes(512)
        assert time.monotonic() - begin >= 0.19


@test('blkdebug: injects an error, once, at a sector')
def _(box):
    with Disk(box, f'ram,node-name=r0,size={SIZE}',
              'driver=blkdebug,node-name=n0,image=r0,'
              'inject-error.0.event=none,inject-error.0.iotype=read,'
              'inject-error.0.errno=5,inject-error.0.sector=8,'
              'inject-error.0.once=on') as d:
        assert d.error(d.client.read, 0, 4096) == 0
        assert d.error(d.client.read, 0, 8192) == EIO
        assert d.error(d.client.read, 0, 8192) == 0


def as_told(value):
    """@value, with file names that contain options parsed, since the order of
    the options differs, and without generated node names."""
    if isinstance(value, list):
        return [as_told(item) for item in value]
    if isinstance(value, dict):
        return {key: as_told(item) for key, item in value.items()
                if not (key == 'node-name' and item.startswith('#'))}
    if isinstance(value, str) and value.startswith('json:'):
        return json.loads(value[5:])
    return value


@test('queries tell of nodes what stock tells',
      needs=['qemu-storage-daemon', 'nbdkit'])
def _(box):
    remote = {'driver': 'nbd', 'reconnect-delay': 3,
              'server': Nbdkit(box).address()}
    image = box.write('image', bytes(SIZE))
    config = box.write('config', b'[inject-error]\nevent = "read_aio"\n')
    file = {'driver': 'file', 'filename': image}
    null = {'driver': 'null-co', 'read-zeroes': True}
    rules = [{'event': 'none', 'iotype': 'read', 'errno': 5, 'sector': 3},
             {'event': 'write_aio', 'once': True}]
    blkdebug = {'driver': 'blkdebug', 'image': null}
    nodes = [
        {'driver': 'null-co'},
        {'driver': 'null-co', 'size': 1 << 30},
        {'driver': 'null-co', 'latency-ns': 5},
        {**null, 'size': 512},
        {**null, 'read-zeroes': False, 'read-only': True},
        {**file, 'cache': {'direct': True}, 'discard': 'unmap'},
        {**file, 'read-only': True},
        blkdebug,
        {**blkdebug, 'image': file},
        {**blkdebug, 'image': file, 'config': config},
        {**blkdebug, 'image': null, 'config': config},
        {**blkdebug, 'image': file, 'inject-error': rules},
        {**blkdebug, 'image': remote, 'inject-error': rules},
        {**blkdebug, 'image': {**blkdebug, 'inject-error': rules}},
        {**blkdebug, 'image': {**blkdebug, 'image': {'driver': 'null-co'}}}]
    daemons = [Daemon(box, kind) for kind in ('qsd', 'yankd')]
    for node in nodes:
        for flat in False, True:
            told = []
            for daemon in daemons:
                with daemon.qmp() as qmp:
                    qmp.cmd('blockdev-add', {**node, 'node-name': 'n'})
                    told.append(as_told(qmp.cmd('query-named-block-nodes',
                                                {'flat': flat})))
                    qmp.cmd('blockdev-del', {'node-name': 'n'})
            assert told[1] == told[0], (node, told)
    for daemon in daemons:
        daemon.finish()


@test('blkdebug: delays')
def _(box):
    with Disk(box, f'ram,node-name=r0,size={SIZE}',
              'driver=blkdebug,node-name=n0,image=r0,'
              'delay.0.event=none,delay.0.iotype=read,'
              'delay.0.latency-ns=200000000') as d:
        begin = time.monotonic()
        d.client.write(0, b'x')
        assert time.monotonic() - begin < 0.15
        assert d.client.read(0, 1) == b'x'
        assert time.monotonic() - begin >= 0.19


@test('blkdebug: a yank ends the wait for its config file')
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        hang = block_main_loop(box, daemon, qmp)
        name = f'blockdev:{hang.node}'
        yanked, = qmp.oob('yank', {'instances': [name]})['yanked']
        assert yanked['cut'] == ['wait for the config file'], yanked
        try:
            qmp.result(hang.request)
            raise AssertionError('added without its config')
        except QmpError as error:
            assert hang.fifo in str(error), error
        assert qmp.oob('query-yank') == []
        assert qmp.cmd('query-named-block-nodes') == []
        # The side thread remains in open() until the FIFO is opened.
        abandoned, = qmp.oob('query-abandoned-calls')
        assert hang.fifo in abandoned['what'], abandoned
        hang.let_go()
        wait_for('its end', lambda: qmp.oob('query-abandoned-calls') == [])


@test('statistics count what was done')
def _(box):
    with Disk(box, f'ram,node-name=n0,size={SIZE}') as d:
        for n in range(3):
            d.client.write(n * 4096, bytes(4096))
        for _ in range(5):
            d.client.read(0, 512)
        d.client.simple(CMD_FLUSH)
        d.error(d.client.read, SIZE, 512)
        stats = next(s['stats'] for s in d.qmp.cmd(
            'query-blockstats', {'query-nodes': True})
            if s['node-name'] == 'n0')
        assert stats['wr_operations'] == 3, stats
        assert stats['wr_bytes'] == 3 * 4096, stats
        assert stats['rd_operations'] == 5, stats
        assert stats['rd_bytes'] == 5 * 512, stats
        assert stats['wr_highest_offset'] == 3 * 4096, stats


@test('nodes and exports come and go', seconds=60)
def _(box):
    path = box.write('disk', bytes(SIZE))
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        where = {'type': 'unix', 'data': {'path': box.path('e.sock')}}

        def cycle():
            qmp.cmd('object-add', {'qom-type': 'iothread', 'id': 'io1'})
            qmp.cmd('blockdev-add', {'driver': 'file', 'node-name': 'n0',
                                     'filename': path})
            qmp.cmd('nbd-server-start', {'addr': where})
            qmp.cmd('block-export-add', {
                'type': 'nbd', 'id': 'e0', 'node-name': 'n0',
                'iothread': 'io1'})
            with NbdClient(where['data']['path'], 'n0') as client:
                client.read(0, 512)
                qmp.cmd('block-export-del', {'id': 'e0', 'mode': 'hard'})
                qmp.event('BLOCK_EXPORT_DELETED')
            qmp.cmd('nbd-server-stop')
            qmp.cmd('blockdev-del', {'node-name': 'n0'})
            qmp.cmd('object-del', {'id': 'io1'})
            assert not os.path.exists(where['data']['path'])

        cycle()
        before = daemon.fds(), daemon.threads()
        for _ in range(30):
            cycle()
        # A side thread ends a moment after its command.
        wait_for('no more than before', lambda: daemon.fds() <= before[0] and
                 daemon.threads() <= before[1])


@test('block-export-del is safe unless told otherwise')
def _(box):
    with Disk(box, f'ram,node-name=n0,size={SIZE}') as d:
        d.client.read(0, 512)
        try:
            d.qmp.cmd('block-export-del', {'id': 'e0'})
            raise AssertionError('deleted under a client')
        except QmpError as error:
            assert 'e0' in str(error) or 'client' in str(error), error
        d.client.read(0, 512)
        d.qmp.cmd('block-export-del', {'id': 'e0', 'mode': 'hard'})
        d.client.wait_closed()


run()
