# SPDX-License-Identifier: GPL-2.0-or-later
"""Speed of the stock programs that copy a disk to an NBD server."""

import time

from daemon import Daemon, free_port
from disk import warm
from servers import Nbdkit
from moves import CHANNELS, check_content, helper
from stolen import Stolen

NBDCOPY = ['nbdcopy', '--connections={connections}', '{disk}', '{uri}']
CONVERT = ['qemu-img', 'convert', '-n', '-W', '-f', 'raw', '-O', 'raw',
           '{disk}', '{uri}']


def _server(box, disk):
    server = Nbdkit(box, 'memory', str(disk.size), port=free_port())
    warm(2 * disk.size)
    return server


class Copy:
    """A program that copies and ends."""

    who = 'stock'

    def __init__(self, name, argv, connections=1):
        self.name = name
        self._argv = argv
        self._connections = connections

    def measure(self, box, disk):
        server = _server(box, disk)
        argv = [arg.format(disk=disk.path, uri=server.uri(),
                           connections=self._connections)
                for arg in self._argv]
        with Stolen() as stolen:
            begin = time.perf_counter()
            box.run(argv)
            spent = time.perf_counter() - begin
        check_content(box, server.uri(), disk)
        return {'rate': disk.size / spent / 1e6, 'stolen': stolen.ms}


class Mirror:
    """The storage daemon's blockdev-mirror, until source and target are the
    same."""

    name = 'blockdev-mirror'
    who = 'stock'

    def measure(self, box, disk):
        server = _server(box, disk)
        daemon = Daemon(box, 'qsd', [
            '--blockdev', f'file,node-name=source,filename={disk.path}',
            '--blockdev', 'nbd,node-name=target,server.type=inet,'
            f'server.host=127.0.0.1,server.port={server.port}'])
        with daemon.qmp(seconds=60) as qmp:
            with Stolen() as stolen:
                begin = time.perf_counter()
                qmp.cmd('blockdev-mirror', {
                    'job-id': 'mirror', 'device': 'source',
                    'target': 'target', 'sync': 'full'})
                qmp.event('BLOCK_JOB_READY')
                spent = time.perf_counter() - begin
            qmp.cmd('job-complete', {'id': 'mirror'})
            qmp.event('JOB_STATUS_CHANGE',
                      match=lambda data: data['status'] == 'concluded')
        check_content(box, server.uri(), disk)
        return {'rate': disk.size / spent / 1e6, 'stolen': stolen.ms}


class BareSockets:
    """What the kernel alone does: memory through loopback connections into
    fresh memory.  Nobody's competitor, but where they all end."""

    name = 'bare sockets, 4 connections'
    who = 'kernel'

    def measure(self, box, disk):
        warm(2 * disk.size)
        with Stolen() as stolen:
            done = box.run([helper('bare-sockets'), disk.path, str(CHANNELS)])
        return {'rate': float(done.stdout), 'stolen': stolen.ms}


def copies():
    return [Copy('nbdcopy, 1 connection', NBDCOPY, 1),
            Copy('nbdcopy, 4 connections', NBDCOPY, 4),
            Copy('qemu-img convert', CONVERT),
            Mirror(),
            BareSockets()]
