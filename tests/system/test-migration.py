#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""Volumes move to another process, which serves them: what arrives, what
clients see, and what query-migrate tells."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import nbd
from migration import (GRANULE, KIB, MIB, Pair, Side, Volume, Writer, noise,
                       tcp_uri, unix_uri)
from qmp import QmpError
from sandbox import wait_for
from servers import Nbdkit
from suite import run, slowness, test


def filled(pair, seed=1):
    """Every volume of the source gets noise; {name: content}."""
    content = {}
    for i, volume in enumerate(pair.source.volumes):
        if volume.driver != 'nbd' and not volume.read_only:
            content[volume.name] = noise(volume.size, seed + i)
            pair.source.write(content[volume.name], volume.name)
    return content


def check_content(side, content):
    for name, data in content.items():
        assert side.read(name) == data, f'{name} differs'


# ---- Ways to the destination. ----

@test('tcp: URI')
def _(box):
    with Pair(box, uri=tcp_uri()) as pair:
        content = filled(pair)
        pair.run()
        check_content(pair.destination, content)


@test('tcp: URI of an IPv6 address, and one of all addresses')
def _(box):
    uri = tcp_uri('[::1]')
    port = uri.rpartition(':')[2]
    with Pair(box, uri=uri, incoming=f'tcp::{port}') as pair:
        content = filled(pair)
        pair.run()
        check_content(pair.destination, content)


@test('fd: URI of connected sockets')
def _(box):
    here, there = socket.socketpair()
    with here, there:
        with Pair(box, uri=f'fd:{here.fileno()}',
                  incoming=f'fd:{there.fileno()}',
                  pass_fds=(here.fileno(), there.fileno())) as pair:
            content = filled(pair)
            pair.run()
            check_content(pair.destination, content)


@test('fd: URI of a listening socket')
def _(box):
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen()
        port = listener.getsockname()[1]
        with Pair(box, uri=f'tcp:127.0.0.1:{port}',
                  incoming=f'fd:{listener.fileno()}',
                  pass_fds=(listener.fileno(),)) as pair:
            content = filled(pair)
            pair.run()
            check_content(pair.destination, content)


@test('--incoming defer: nothing until migrate-incoming, then as usual')
def _(box):
    with Pair(box, incoming='defer') as pair:
        assert pair.destination.info() == {}
        assert not pair.destination.serves()
        pair.migrate()
        info = pair.source.wait_status('failed')
        assert 'onnect' in info['error-desc'], info
        pair.destination.control.oob('migrate-incoming', {'uri': pair.uri})
        assert 'socket-address' in pair.destination.info()
        content = filled(pair)
        pair.run()
        check_content(pair.destination, content)


# ---- What moves. ----

ODD_SIZES = (512, GRANULE - 512, GRANULE, GRANULE + 512, MIB - 512, MIB,
             MIB + 512, 3 * MIB + GRANULE + 1536, 2 * MIB)


def odd_volumes(driver):
    return [Volume(f'{driver}{i}', size, driver)
            for i, size in enumerate(ODD_SIZES)]


for drivers in (('ram', 'ram'), ('file', 'file'), ('ram', 'file'),
                ('file', 'ram')):
    def odd(box, drivers=drivers):
        there = odd_volumes(drivers[1])
        for volume in there:
            volume.name = volume.name.replace(*reversed(drivers))
        with Pair(box, odd_volumes(drivers[0]), there) as pair:
            content = filled(pair)
            pair.run()
            check_content(pair.destination, content)
    test(f'volumes of odd sizes, {drivers[0]} to {drivers[1]}')(odd)


@test('no volumes, and those without content')
def _(box):
    with Pair(box, []) as pair:
        pair.run()
        assert pair.source.info()['percent'] == 100
    with Pair(box, [Volume('d0', 0, 'file')]) as pair:
        pair.run()
        assert pair.destination.read() == b''


@test('a file that ends in the midst of a sector')
def _(box):
    def volume(side):
        path = box.write(f'{side}.img', noise(MIB + 100, len(side)))
        return Volume('d0', driver='file', path=path)
    with Pair(box, [volume('source')], [volume('there')]) as pair:
        data = pair.source.read()
        pair.run()
        assert pair.destination.read() == data


@test('what was never written costs nothing, and what was there is gone')
def _(box):
    size = 256 * MIB
    data = noise(MIB)
    for driver in 'ram', 'file':
        with Pair(box, [Volume('d0', size, driver)]) as pair:
            # Content that a destination has from before is replaced.
            if driver == 'file':
                path = box.path(f'{pair.destination.name}-d0.img')
                with open(path, 'r+b') as f:
                    f.seek(100 * MIB)
                    f.write(data)
            pair.source.write(data, offset=200 * MIB)
            pair.run()
            disk = pair.source.info()['disk']
            assert disk['transferred'] < 3 * MIB, disk
            assert disk['duplicate'] * GRANULE > size - 3 * MIB, disk
            assert pair.destination.read(offset=200 * MIB,
                                         length=MIB) == data
            assert pair.destination.read(offset=100 * MIB,
                                         length=MIB) == bytes(MIB)
            if driver == 'file':
                assert os.stat(path).st_blocks * 512 < 4 * MIB


@test('written zeroes cost nothing, discards and zeroes on the way arrive')
def _(box):
    size = 8 * MIB
    with Pair(box, [Volume('d0', size)]) as pair:
        data = bytearray(noise(size))
        pair.source.write(data)
        pair.source.write(bytes(2 * MIB), offset=MIB)
        data[MIB:3 * MIB] = bytes(2 * MIB)
        pair.source.set(max_bandwidth=4 * MIB)
        pair.migrate()
        wait_for('content', lambda: pair.source.info().get(
            'disk', {}).get('transferred', 0) > 3 * MIB)
        with pair.source.client() as client:
            client.simple(nbd.CMD_WRITE_ZEROES, 4 * KIB, 64 * KIB)
            client.simple(nbd.CMD_TRIM, 5 * MIB, MIB)
            client.simple(nbd.CMD_WRITE_ZEROES, size - 512, 512)
            data[4 * KIB:68 * KIB] = bytes(64 * KIB)
            trimmed = client.read(5 * MIB, MIB)
        data[5 * MIB:6 * MIB] = trimmed
        data[-512:] = bytes(512)
        pair.source.set(max_bandwidth=0)
        pair.complete()
        assert pair.source.info()['disk']['transferred'] < size
        assert pair.destination.read() == data


@test('NBD nodes stay where they are, on both sides')
def _(box):
    kit = Nbdkit(box, 'memory', '4M')
    volumes = [Volume('d0'), Volume('far', driver='nbd', upstream=kit.path)]
    with Pair(box, volumes) as pair:
        data = noise(MIB)
        pair.source.write(data, 'far')
        content = filled(pair)
        pair.run()
        assert pair.source.info()['disk']['total'] == 4 * MIB
        check_content(pair.destination, content)
        assert pair.destination.read('far', 0, MIB) == data
        pair.destination.write(data, 'far', MIB)
        assert not pair.source.serves('far')


# ---- Clients. ----

def with_writers(box, *capabilities, volumes=None, **parameters):
    """Writers on all volumes go on while those move, and at the other side
    when they have moved."""
    with Pair(box, volumes) as pair:
        pair.set(*capabilities, **parameters)
        content = filled(pair)
        writers = [Writer(pair.source, name, seed=i, content=data)
                   for i, (name, data) in enumerate(content.items())]
        for writer in writers:
            writer.wait_answers(50)
        pair.run()
        for writer in writers:
            writer.wait_closed()
            found = pair.destination.read(writer.name_of_volume)
            writer.compare(found)
            again = Writer(pair.destination, writer.name_of_volume,
                           content=found)
            again.wait_answers(50)
            again.stop()
        print('# longest gap of a client: %.1f ms' % max(
            writer.longest_gap * 1e3 for writer in writers))
        return pair.source.info()


@test('clients that write see a pause and no error, and lose nothing')
def _(box):
    with_writers(box, volumes=[Volume('a', 8 * MIB), Volume('b', 3 * MIB),
                               Volume('c', 4 * MIB, 'file')])


for channels in 1, 2, 4, 16:
    def multifd(box, channels=channels):
        info = with_writers(box, 'multifd', multifd_channels=channels,
                            volumes=[Volume('a', 20 * MIB),
                                     Volume('b', MIB + 512)])
        assert info['disk']['multifd-bytes'] > 20 * MIB, info
    test(f'multifd, {channels} channels')(multifd)


@test('each side has its own number of channels; the source decides')
def _(box):
    with Pair(box) as pair:
        pair.source.set('multifd', multifd_channels=3)
        content = filled(pair)
        pair.run()
        check_content(pair.destination, content)


@test('every pass is confirmed with return-path')
def _(box):
    with_writers(box, 'return-path', 'multifd', volumes=[Volume('a', 8 * MIB)])


@test('zstd, plain and with multifd; what does not compress is sent as it is')
def _(box):
    text = b'what can be said in fewer words ' * (MIB // 32)
    for capabilities in (), ('multifd',):
        with Pair(box, [Volume('d0', 8 * MIB)]) as pair:
            pair.source.set(*capabilities, multifd_compression='zstd')
            data = text * 6 + noise(2 * MIB)
            pair.source.write(data)
            pair.run()
            disk = pair.source.info()['disk']
            assert 2 * MIB < disk['transferred'] < 2.5 * MIB, disk
            assert disk['normal-bytes'] == 8 * MIB, disk
            assert pair.destination.read() == data
    with_writers(box, multifd_compression='zstd',
                 volumes=[Volume('a', 8 * MIB)])


@test('max-bandwidth limits what goes over the link, not what it says')
def _(box):
    size = 32 * MIB
    text = b'what can be said in fewer words ' * (MIB // 32)
    volumes = [Volume('f', size, driver='file'), Volume('r', size)]
    with Pair(box, volumes) as pair:
        pair.source.set('multifd', multifd_compression='zstd',
                        multifd_channels=2, max_bandwidth=MIB)
        for volume in volumes:
            for i in range(0, size, MIB):
                pair.source.write(text, volume.name, i)
        pair.source.write(noise(MIB), 'f')
        pair.run()
        info = pair.source.info()
        # One second for the noise, and a minute for what is told of the rest.
        assert 500 < info['total-time'] < 10000 * slowness(), info


@test('zstd, a volume in a file and the next in memory')
def _(box):
    volumes = [Volume('f', 8 * MIB, driver='file'), Volume('r', 8 * MIB)]
    with Pair(box, volumes) as pair:
        pair.source.set(multifd_compression='zstd')
        content = filled(pair)
        pair.run()
        check_content(pair.destination, content)


@test('the source has nothing to serve any more')
def _(box):
    with Pair(box) as pair:
        idle = pair.source.client()
        idle.write(0, b'x' * 512)
        content = filled(pair)
        pair.run()
        idle.wait_closed()
        idle.close()
        assert not pair.source.serves()
        exports = pair.source.cmd('query-block-exports')
        assert [e['shutting-down'] for e in exports] == [True], exports
        try:
            pair.source.cmd('block-export-add', type='nbd', id='late',
                            node_name='d0', name='late')
            raise AssertionError('clients of that would wait for ever')
        except QmpError as error:
            assert error.desc == ("Cannot export inactive node 'd0': it was "
                                  'migrated away from here'), error.desc
        assert pair.source.cmd('query-block-exports') == exports
        for command in (
                {'uri': pair.uri}, {'uri': pair.uri, 'resume': True}):
            reply = pair.source.control.reply(
                pair.source.control.submit('migrate', command))
            assert 'error' in reply, reply
        assert pair.source.status() == 'completed'
        # What is local to it goes on: nodes can be looked at and deleted.
        assert len(pair.source.cmd('query-named-block-nodes')) == 1
        pair.source.cmd('block-export-del', id='e-d0', mode='hard')
        pair.source.cmd('blockdev-del', node_name='d0')
        check_content(pair.destination, content)


@test('on to a third process, and clients write all the while')
def _(box):
    uri = unix_uri(box)
    with Pair(box) as pair, Side(box, incoming=uri) as third:
        content = filled(pair)
        pair.run()
        writer = Writer(pair.destination, content=content['d0'])
        writer.wait_answers(50)
        assert pair.destination.cmd('query-yank') == []
        # Nothing of its time as a destination is in the way.
        pair.destination.control.oob('migrate_cancel')
        pair.destination.cmd('migrate', uri=uri)
        pair.destination.wait_status('completed')
        third.wait_status('completed')
        writer.wait_closed()
        writer.compare(third.read())


run()
