#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# builds: build
# parallel-safe
"""NBD servers that people use, behind yankd: what is written arrives."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import daemon
from daemon import Daemon, free_port
from nbd import (CMD_FLAG_FUA, CMD_FLUSH, CMD_TRIM, CMD_WRITE_ZEROES,
                 NbdClient)
from sandbox import wait_for
from servers import Nbdkit, address
from suite import run, test

SIZE = 8 << 20


def connects(place):
    """Whether somebody serves at @place."""
    try:
        NbdClient(place, export=None, seconds=2).close()
        return True
    except OSError:
        return False


class FileServer:
    """A server of the file "disk"; it may be asked for an export's name."""

    def __init__(self, box, name, port):
        self.file = box.write('disk', os.urandom(SIZE))
        self.path = None if port else box.path('server.sock')
        self.port = port
        self.export = ''
        getattr(self, '_' + name.replace('-', '_'))(box)
        wait_for(f'{name} serves', self._ready)

    def _ready(self):
        if self.path:
            return daemon.listens(self.path)
        return connects(('127.0.0.1', self.port))

    def _nbdkit(self, box):
        Nbdkit(box, 'file', self.file, name='server', port=self.port)

    def _nbdkit_without_zeroes_and_trim(self, box):
        Nbdkit(box, '--filter=nozero', '--filter=fua', 'file', self.file,
               'fuamode=emulate', name='server', port=self.port)

    def _nbdkit_blocks_of_4k(self, box):
        Nbdkit(box, '--filter=blocksize-policy', 'file', self.file,
               'blocksize-minimum=4096', 'blocksize-preferred=65536',
               'blocksize-maximum=1M', 'blocksize-error-policy=error',
               name='server', port=self.port)

    def _qemu_nbd(self, box):
        where = (['-b', '127.0.0.1', '-p', str(self.port)] if self.port
                 else ['-k', self.path])
        self.export = 'disk'
        box.spawn(['qemu-nbd', '-t', '-f', 'raw', '-x', 'disk', '-e', '4',
                   '--discard=unmap'] + where + [self.file])

    def _nbd_server(self, box):
        self.export = 'disk'
        # It wants a port even when it listens on a unix socket.
        where = (f'listenaddr = 127.0.0.1\nport = {self.port or free_port()}'
                 '\n')
        if self.path:
            where += f'unixsock = {self.path}\n'
        config = box.write('nbd-server.conf', (
            f'[generic]\n{where}allowlist = true\n'
            f'[disk]\nexportname = {self.file}\nflush = true\nfua = true\n'
            'trim = true\n'))
        # In the foreground it serves one client only.
        pidfile = box.path('nbd-server.pid')
        box.run(['nbd-server', '-C', config, '-p', pidfile])
        box.adopt(pidfile)

    def content(self):
        with open(self.file, 'rb') as f:
            return f.read()


def exercise(box, server):
    """Reads, writes, zeroes, trims and flushes through yankd."""
    path = box.path('e.sock')
    blockdev = {'driver': 'nbd', 'node-name': 'n0', 'export': server.export,
                'server': address(server.path, server.port),
                'discard': 'unmap'}
    options = ['--blockdev', json.dumps(blockdev), '--nbd-server',
               f'addr.type=unix,addr.path={path}', '--export',
               'type=nbd,id=e,node-name=n0,writable=on']
    with Daemon(box, options=options), NbdClient(path, 'n0') as client:
        assert client.size == SIZE, client.size
        image = bytearray(server.content())
        for offset in range(0, SIZE, 1 << 20):
            assert client.read(offset, 1 << 20) == \
                image[offset:offset + (1 << 20)]
        for turn, (offset, length) in enumerate((
                (0, 4096), (SIZE - 4096, 4096), (1 << 20, 2 << 20),
                (8192, 65536))):
            data = os.urandom(length)
            client.write(offset, data, CMD_FLAG_FUA if turn % 2 else 0)
            image[offset:offset + length] = data
        client.simple(CMD_WRITE_ZEROES, 16384, 8192)
        image[16384:16384 + 8192] = bytes(8192)
        client.simple(CMD_WRITE_ZEROES, 4 << 20, 1 << 20)
        image[4 << 20:5 << 20] = bytes(1 << 20)
        client.simple(CMD_FLUSH)
        assert server.content() == image, 'the file has something else'
        # What was trimmed may be anything; the rest must stay.
        client.simple(CMD_TRIM, 6 << 20, 1 << 20)
        client.simple(CMD_FLUSH)
        got = server.content()
        assert got[:6 << 20] == image[:6 << 20]
        assert got[7 << 20:] == image[7 << 20:]
        client.disconnect()


def odd_sizes(box, server):
    """Requests that are not aligned to anything."""
    path = box.path('e.sock')
    blockdev = {'driver': 'nbd', 'node-name': 'n0', 'export': server.export,
                'server': address(server.path, server.port)}
    options = ['--blockdev', json.dumps(blockdev), '--nbd-server',
               f'addr.type=unix,addr.path={path}', '--export',
               'type=nbd,id=e,node-name=n0,writable=on']
    with Daemon(box, options=options), NbdClient(path, 'n0') as client:
        image = bytearray(server.content())
        for offset, length in (1, 1), (511, 2), (4095, 4098), (12345, 54321):
            data = os.urandom(length)
            client.write(offset, data)
            image[offset:offset + length] = data
            assert client.read(offset, length) == data
        client.simple(CMD_FLUSH)
        assert server.content() == image
        client.disconnect()


PROGRAMS = {'nbdkit': 'nbdkit', 'nbdkit-without-zeroes-and-trim': 'nbdkit',
            'nbdkit-blocks-of-4k': 'nbdkit', 'qemu-nbd': 'qemu-nbd',
            'nbd-server': 'nbd-server'}

for name, program in PROGRAMS.items():
    for kind in 'unix', 'TCP':
        def body(box, name=name, kind=kind):
            exercise(box, FileServer(box, name,
                                     free_port() if kind == 'TCP' else None))
        test(f'{name}: {kind}', needs=[program])(body)

for name in 'nbdkit', 'qemu-nbd', 'nbd-server':
    def body(box, name=name):
        odd_sizes(box, FileServer(box, name, None))
    test(f'{name}: odd offsets and lengths', needs=[PROGRAMS[name]])(body)

run()
