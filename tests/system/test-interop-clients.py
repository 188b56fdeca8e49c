#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# builds: build
# parallel-safe
"""NBD clients that people use, in front of yankd: what they write arrives."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon, free_port
from nbd import (CMD_FLAG_FUA, CMD_TRIM, CMD_WRITE_ZEROES, ENOSPC,
                 NbdClient, NbdError)
from servers import Nbdkit, address, nbd_option, uri
from suite import run, test

SIZE = 16 << 20


class Exported:
    """nbdkit with a disk, behind yankd; exported over both kinds of socket,
    one after the other, so that each client is tried on each."""

    def __init__(self, box, port):
        self.server = Nbdkit(box, 'memory', f'{SIZE}', name=f'disk{port}')
        path = None if port else box.path('e.sock')
        self.path, self.port = path, port
        place = address(path, port)
        where = ','.join(f'addr.{key}={value}'
                         for key, value in place.items())
        self.daemon = Daemon(box, options=nbd_option(
            self.server.path, 'n0') + [
                '--nbd-server', where, '--export',
                'type=nbd,id=e,node-name=n0,name=disk,writable=on'])
        self.uri = uri(path, port, 'disk')
        self.address = path or ('127.0.0.1', port)

    def backend(self):
        """What the server has, past yankd."""
        with NbdClient(self.server.path) as client:
            return b''.join(client.read(offset, 1 << 20)
                            for offset in range(0, SIZE, 1 << 20))


def client(name, program):
    """A test of a client on a unix socket, and one on TCP."""
    def mark(function):
        def body(box, port):
            exported = Exported(box, port and free_port())
            function(box, exported)
            exported.daemon.finish()
        test(f'{name}: unix', needs=['nbdkit', program])(
            lambda box: body(box, 0))
        test(f'{name}: TCP', needs=['nbdkit', program])(
            lambda box: body(box, 1))
    return mark


@client('qemu-io writes and reads', 'qemu-io')
def _(box, exported):
    done = box.run(['qemu-io', '-f', 'raw', '-c', 'write -P 0x5a 4096 65536',
                    '-c', 'aio_write -P 0x5b 1048576 1048576',
                    '-c', 'aio_flush', '-c', 'flush',
                    '-c', 'write -z 8192 4096',
                    '-c', 'discard 16384 4096',
                    '-c', 'read -P 0x5b 1048576 1048576',
                    '-c', 'read -P 0 8192 4096', exported.uri])
    assert 'failed' not in done.stdout, done.stdout
    data = exported.backend()
    assert data[4096:8192] == b'\x5a' * 4096
    assert data[8192:12288] == bytes(4096)
    assert data[20480:4096 + 65536] == b'\x5a' * (4096 + 65536 - 20480)
    assert data[1 << 20:2 << 20] == b'\x5b' * (1 << 20)
    assert not any(data[:4096]) and not any(data[2 << 20:])


@client('qemu-io with FUA', 'qemu-io')
def _(box, exported):
    done = box.run(['qemu-io', '-f', 'raw', '-c', 'write -f -P 1 0 512',
                    '-c', 'write -z -f 512 512', exported.uri])
    assert 'failed' not in done.stdout, done.stdout
    assert exported.backend()[:1024] == b'\1' * 512 + bytes(512)


@client('qemu-img converts there and back', 'qemu-img')
def _(box, exported):
    image = box.write('image', os.urandom(SIZE // 2) + bytes(SIZE // 2))
    copy = box.path('copy')
    box.run(['qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', image,
             exported.uri])
    with open(image, 'rb') as f:
        assert exported.backend() == f.read()
    box.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'raw', exported.uri,
             copy])
    box.run(['cmp', image, copy])
    box.run(['qemu-img', 'compare', '-f', 'raw', '-F', 'raw', image,
             exported.uri])


@client('qemu-img tells the size', 'qemu-img')
def _(box, exported):
    done = box.run(['qemu-img', 'info', '--output=json', exported.uri])
    assert json.loads(done.stdout)['virtual-size'] == SIZE, done.stdout


@client('nbdcopy there and back', 'nbdcopy')
def _(box, exported):
    image = box.write('image', os.urandom(SIZE))
    copy = box.path('copy')
    box.run(['nbdcopy', image, exported.uri])
    with open(image, 'rb') as f:
        assert exported.backend() == f.read()
    box.run(['nbdcopy', exported.uri, copy])
    box.run(['cmp', image, copy])


@client('nbdinfo', 'nbdinfo')
def _(box, exported):
    # Without what file(1) takes the random content for.
    done = box.run(['nbdinfo', '--no-content', '--json', exported.uri])
    export = json.loads(done.stdout)['exports'][0]
    assert export['export-size'] == SIZE and not export['is_read_only']
    for able in 'can_fua', 'can_trim', 'can_zero', 'can_flush':
        assert export[able], (able, done.stdout)
    done = box.run(['nbdinfo', '--list', '--no-content', '--json',
                    exported.uri.replace('disk?', '?')
                    if exported.path else exported.uri[:-len('disk')]])
    names = [e['export-name'] for e in json.loads(done.stdout)['exports']]
    assert names == ['disk'], names


@client('fio verifies what it wrote', 'fio')
def _(box, exported):
    done = box.run(['fio', '--name=v', '--ioengine=nbd',
                    f'--uri={exported.uri}', '--rw=randwrite',
                    '--bsrange=4k-256k', '--iodepth=32', f'--size={SIZE}',
                    '--verify=crc32c', '--verify_fatal=1', '--do_verify=1',
                    '--output-format=json'], seconds=60, cwd=box.dir)
    job = json.loads(done.stdout[done.stdout.index('{'):])['jobs'][0]
    assert job['error'] == 0, job
    # The verification reads what was written.
    assert job['read']['io_bytes'] == job['write']['io_bytes'] > 0, job


@client('eight clients at once write to places of their own', 'nbdkit')
def _(_box, exported):
    clients = [NbdClient(exported.address, 'disk') for _ in range(8)]
    for turn in range(16):
        for n, c in enumerate(clients):
            c.request(1, (turn * 8 + n) * 4096, 4096,
                      data=bytes([1 + n]) * 4096)
    for c in clients:
        for _ in range(16):
            assert c.reply()[1] == 0
        c.disconnect()
        c.close()
    data = exported.backend()
    for turn in range(16):
        for n in range(8):
            at = (turn * 8 + n) * 4096
            assert data[at:at + 4096] == bytes([1 + n]) * 4096, (turn, n)


@test('sizes that are not whole sectors', needs=['nbdkit', 'qemu-img'])
def _(box):
    size, sectors = 1000001, 1000448
    content = os.urandom(size)
    image = box.path('image')
    with open(image, 'wb') as file:
        file.write(content)
    nbdkit = Nbdkit(box, 'memory', f'{size}')
    with NbdClient(nbdkit.path) as client:
        client.write(0, content)
    path = box.path('e.sock')
    options = ['--nbd-server', f'addr.type=unix,addr.path={path}',
               '--blockdev', f'file,node-name=file,filename={image}',
               *nbd_option(nbdkit.path, 'remote')]
    for node in 'file', 'remote':
        options += ['--export', f'nbd,id={node},node-name={node},writable=on']
    daemon = Daemon(box, options=options)
    for node in 'file', 'remote':
        copy = box.path('copy')
        box.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'raw',
                 uri(path, 0, node), copy])
        with open(copy, 'rb') as file:
            assert file.read() == content + bytes(sectors - size), node
        with NbdClient(path, node) as client:
            assert client.size == sectors, client.size
            client.write(size - 10, b'x' * 10 + bytes(sectors - size))
            client.simple(CMD_WRITE_ZEROES, size - 5, sectors - size + 5)
            client.simple(CMD_TRIM, size, sectors - size, CMD_FLAG_FUA)
            assert client.read(size - 10, 10) == b'x' * 5 + bytes(5)
            try:
                client.write(size, b'y')
                assert node == 'file'
            except NbdError as error:
                assert node == 'remote' and error.errno == ENOSPC, error
            assert client.read(size - 1, 2) == (
                b'\0y' if node == 'file' else bytes(2))
            client.disconnect()
    assert os.path.getsize(image) == sectors, os.path.getsize(image)
    daemon.finish()


run()
