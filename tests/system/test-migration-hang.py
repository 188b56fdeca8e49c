#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""Peers of a migration that hang, wherever they do: the yank ends the wait,
and the next migration succeeds.  The states are test-migration-yank.py's."""

import os
import select
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import nbd
import tls
from hang import block_main_loop
from migration import (MIB, MIGRATION, Pair, Side, Volume, Writer, noise,
                       unix_uri)
from migration_states import (SIZE, FrozenDisk, postcopy_active,
                              waits_for_disk)
from namespaces import Link
from peers import Blackhole, Listener
from relay import Relay
from sandbox import wait_for
from servers import Nbdkit
from suite import run, slowness, test

# As in test-migration-yank.py.
SOON = 2


def phase(side):
    status, = [s for s in side.control.oob('query-yank-status')
               if s['name'] == 'migration']
    return status['phase']


def rescue(side, to='failed', verb='yank'):
    """@side waits for a peer; afterwards it does not, and is in state @to."""
    begin = time.monotonic()
    if verb == 'yank':
        cut = side.yank()['cut']
        assert cut, 'nothing was cut'
    else:
        side.control.oob('migrate_cancel')
    side.await_status(to)
    spent = time.monotonic() - begin
    assert spent < SOON * slowness(), spent
    print(f'# {verb}: {to} after {spent * 1e3:.1f} ms')


def rescues(side):
    """By yank and by cancel, for a loop."""
    for verb, to in ('yank', 'failed'), ('migrate_cancel', 'cancelled'):
        yield lambda verb=verb, to=to: rescue(side, to, verb)


def works(source, uri=None, destination=None):
    """A new migration right after that succeeds."""
    if destination is None:
        uri = unix_uri(source.box)
        with Side(source.box, source.volumes, uri) as destination:
            works(source, uri, destination)
            return
    assert source.serves()
    source.cmd('migrate', uri=uri)
    for side in source, destination:
        side.await_status('completed')
    assert destination.serves()


# ---- In setup. ----

@test('connect neither succeeds nor fails')
def _(box):
    hole = Blackhole(box)
    with Side(box) as source:
        for save in rescues(source):
            source.cmd('migrate', uri=f'tcp:127.0.0.1:{hole.port}')
            wait_for('connect', lambda: phase(source) == 'connect')
            time.sleep(0.05)
            save()
        works(source)


@test('the peer accepts and never reads, nor says a word')
def _(box):
    peer = Listener(box)
    with Side(box) as source:
        for save in rescues(source):
            source.cmd('migrate', uri='unix:' + peer.path)
            peer.accept()
            wait_for('setup', lambda: phase(source) == 'setup')
            save()
        works(source)


@test('so many volumes that the peer, who does not read, fills up')
def _(box):
    peer = Listener(box)
    volumes = [Volume(f'{"v" * 27}{i:04}', 512) for i in range(3000)]
    options = []
    for volume in volumes:
        options += ['--blockdev', volume.blockdev(box, '')]
    with Side(box, [], options=options) as source:
        for verb in 'yank', 'migrate_cancel':
            source.cmd('migrate', uri='unix:' + peer.path)
            peer.accept()
            wait_for('setup', lambda: phase(source) == 'setup')
            time.sleep(0.1)
            rescue(source, 'failed' if verb == 'yank' else 'cancelled', verb)


@test('TLS handshake: the destination says nothing', needs=['certtool'])
def _(box):
    creds = tls.Credentials(box.path('tls'))
    peer = Listener(box)
    with Side(box, options=['--object', tls.x509('tls0', 'client',
                                                 creds.client)]) as source:
        source.set(tls_creds='tls0')
        for save in rescues(source):
            source.cmd('migrate', uri='unix:' + peer.path)
            peer.accept()
            wait_for('handshake', lambda: phase(source) == 'tls-handshake')
            save()
        source.set(tls_creds='')
        works(source)


@test('TLS handshake: the source says nothing', needs=['certtool'])
def _(box):
    creds = tls.Credentials(box.path('tls'))
    with Pair(box, options=['--object', tls.x509(
            'tls0', 'server', creds.server)]) as pair:
        there = pair.destination
        there.set(tls_creds='tls0')
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10 * slowness())
            sock.connect(pair.uri[5:])
            wait_for('greeter', lambda: there.yank()['cut'])
            assert sock.recv(1) == b''
        # It is nobody's migration that was cut.
        assert there.status() == 'setup'
        there.set(tls_creds='')
        works(pair.source, pair.uri, there)


# ---- A frozen peer. ----

@test('the destination is frozen while content moves')
def _(box):
    with Pair(box, [Volume('d0', 64 * MIB)]) as pair:
        pair.source.write(noise(64 * MIB))
        writer = Writer(pair.source, pause=0.001,
                        content=pair.source.read())
        for save in rescues(pair.source):
            pair.source.set(max_bandwidth=64 * MIB)
            pair.migrate()
            wait_for('content', lambda: pair.source.info().get(
                'disk', {}).get('transferred', 0) > MIB)
            pair.destination.process.freeze()
            pair.source.set(max_bandwidth=0)
            wait_stuck(pair.source)
            writer.wait_answers(20)
            save()
            pair.destination.process.thaw()
            pair.destination.await_status('failed')
        writer.wait_answers(20)
        pair.run()
        writer.wait_closed()
        writer.compare(pair.destination.read())


def wait_stuck(source):
    """Until no more content gets out."""
    last = None
    while (now := source.info()['disk']['transferred']) != last:
        last = now
        time.sleep(0.1)


@test('the source is frozen while content moves')
def _(box):
    for verb, to in ('yank', 'failed'), ('migrate_cancel', 'cancelled'):
        with Pair(box) as pair:
            pair.source.write(noise(4 * MIB))
            pair.source.set(max_bandwidth=MIB)
            pair.migrate()
            pair.destination.wait_status('active')
            pair.source.process.freeze()
            rescue(pair.destination, to, verb)
            pair.source.process.thaw()
            pair.source.await_status('failed')
            pair.source.set(max_bandwidth=0)
            works(pair.source, pair.uri, pair.destination)


@test('the destination is frozen in the switch-over')
def _(box):
    with Pair(box) as pair:
        relay = Relay(box, pair.uri)
        for verb, to in ('yank', 'failed'), ('migrate_cancel', 'cancelled'):
            writer = Writer(pair.source, content=pair.source.read())
            relay.hold('hand-over')
            pair.migrate(relay.uri)
            relay.wait_held('hand-over')
            pair.destination.process.freeze()
            relay.release()
            pair.source.await_status('device')
            rescue(pair.source, to, verb)
            # Clients that were held go on.
            writer.wait_answers(20)
            writer.stop()
            pair.destination.process.thaw()
            pair.destination.await_status('failed', 'postcopy-paused')
            writer.compare(pair.source.read())
        works(pair.source, pair.uri, pair.destination)


def check_end(s):
    """Everything has arrived."""
    assert s.destination.read() == s.content
    for side in s.pair.sides:
        side.finish()


@test('the source is frozen in postcopy')
def _(box):
    s = postcopy_active(box, 'destination')
    s.source.process.freeze()
    with s.destination.client() as client:
        cookie = client.request(nbd.CMD_READ, SIZE - 512, 512)
        time.sleep(0.05)
        rescue(s.destination, 'postcopy-paused')
        # What is there is served, what is not is waited for.
        assert s.destination.serves()
        assert not select.select([client.sock], [], [], 0.1)[0]
        s.source.process.thaw()
        s.source.await_status('postcopy-paused')
        s.heal()
        s.go_on('resume')
        assert client.reply() == (cookie, 0)
        assert client.recv(512) == s.content[-512:]
    check_end(s)


@test('the destination is frozen in postcopy')
def _(box):
    s = postcopy_active(box)
    s.destination.process.freeze()
    s.source.set(max_postcopy_bandwidth=0)
    rescue(s.source, 'postcopy-paused')
    assert not s.source.serves(seconds=0.1)
    s.destination.process.thaw()
    s.destination.await_status('postcopy-paused')
    s.heal()
    s.go_on('resume')
    check_end(s)


# ---- What clients wait for. ----

def passes(side):
    """How many passes @side, which is still active, has begun."""
    info = side.info()
    assert info['status'] in ('setup', 'active'), info
    # The destination has not served.
    assert 'downtime' not in info, info
    return info.get('disk', {}).get('dirty-sync-count', 0)


@test('a request that hangs keeps its node from being handed over')
def _(box):
    kit = Nbdkit(box, 'memory', '4M')
    with Pair(box, [Volume('d0', driver='nbd', upstream=kit.path),
                    Volume('d1')]) as pair:
        with pair.source.client() as client:
            kit.freeze()
            cookie = client.request(nbd.CMD_WRITE, 0, 512, b'x' * 512)
            pair.migrate()
            # Another pass begins when the role could not be handed over.
            wait_for('a try that failed', lambda: passes(pair.source) > 1)
            kit.thaw()
            assert client.reply() == (cookie, 0)
        pair.complete()
        assert pair.source.info()['downtime'] < 1000 * slowness()
        assert pair.destination.read(length=512) == b'x' * 512


@test('a switch-over that is cancelled was no downtime')
def _(box):
    with Pair(box) as pair:
        pair.source.set('pause-before-switchover')
        pair.migrate()
        assert 'downtime' not in pair.source.wait_status('pre-switchover')
        rescue(pair.source, 'cancelled', 'migrate_cancel')
        assert 'downtime' not in pair.source.info()
        assert pair.source.serves()


# ---- The link. ----

@test('the link swallows everything', needs=['ip', 'nsenter', 'unshare'])
def _(box):
    link = Link(box)
    volumes = [Volume('d0', 64 * MIB)]
    uri = f'tcp:{link.far_address}:4444'
    with Side(box, volumes, wrapper=link.near) as source, Side(
            box, volumes, uri, wrapper=link.far) as there:
        source.write(noise(64 * MIB))
        for save in rescues(source):
            source.set(max_bandwidth=32 * MIB)
            source.cmd('migrate', uri=uri)
            wait_for('content', lambda: source.info().get(
                'disk', {}).get('transferred', 0) > MIB)
            link.swallow()
            source.set(max_bandwidth=0)
            wait_stuck(source)
            save()
            # The destination cannot know.
            assert there.status() == 'active'
            # Nor does the next connect get anywhere.
            source.cmd('migrate', uri=uri)
            wait_for('connect', lambda: phase(source) == 'connect')
            save()
            rescue(there)
            link.heal()
        works(source, uri, there)


@test('the link swallows everything, and the source connects anew: the '
      'destination takes that', needs=['ip', 'nsenter', 'unshare'])
def _(box):
    link = Link(box)
    uri = f'tcp:{link.far_address}:4444'
    with Side(box, wrapper=link.near) as source, Side(
            box, None, uri, wrapper=link.far) as there:
        source.write(noise(4 * MIB))
        source.set(max_bandwidth=MIB)
        source.cmd('migrate', uri=uri)
        there.wait_status('active')
        link.swallow()
        rescue(source)
        link.heal()
        source.set(max_bandwidth=0)
        works(source, uri, there)


# ---- More than the peer hangs. ----

@test('the main loop hangs as well, at the source')
def _(box):
    with Pair(box) as pair, pair.source.qmp() as qmp:
        pair.source.write(noise(4 * MIB))
        relay = Relay(box, pair.uri)
        for save in rescues(pair.source):
            for name in 'accept', 'pass-ack', 'ready':
                relay.hold(name)
                pair.migrate(relay.uri)
                relay.wait_held(name)
                hang = block_main_loop(box, pair.source, qmp)
                save()
                assert pair.source.serves()
                hang.release()
                relay.cut()
        works(pair.source, pair.uri, pair.destination)


def has_session(side):
    """Whether @side has heard of a source, and not of its end."""
    info = side.info()
    return 'total-time' in info and info['status'] in ('setup', 'active')


@test('the main loop hangs as well, at the destination')
def _(box):
    with Pair(box) as pair, pair.destination.qmp() as qmp:
        pair.source.write(noise(4 * MIB))
        relay = Relay(box, pair.uri)
        for save in rescues(pair.destination):
            for name in 'setup-end', 'pass-end':
                relay.hold(name)
                pair.migrate(relay.uri)
                relay.wait_held(name)
                wait_for('a session', lambda: has_session(pair.destination))
                hang = block_main_loop(box, pair.destination, qmp)
                save()
                hang.release()
                relay.cut()
                pair.source.await_status('failed')
        works(pair.source, pair.uri, pair.destination)


@test('the main loop of the destination hangs when it is to claim volumes')
def _(box):
    with Pair(box) as pair, pair.destination.qmp() as qmp:
        for save in rescues(pair.destination):
            hang = block_main_loop(box, pair.destination, qmp)
            pair.migrate()
            wait_for('setup', lambda: phase(pair.destination) == 'setup')
            time.sleep(0.05)
            save()
            pair.source.await_status('failed')
            hang.release()
        works(pair.source, pair.uri, pair.destination)


@test('the main loop hangs after the volumes are claimed: nobody notices')
def _(box):
    with Pair(box) as pair:
        with pair.source.qmp() as here, pair.destination.qmp() as there:
            pair.source.write(noise(4 * MIB))
            relay = Relay(box, pair.uri)
            relay.hold('accept')
            pair.migrate(relay.uri)
            relay.wait_held('accept')
            hangs = [block_main_loop(box, pair.source, here),
                     block_main_loop(box, pair.destination, there)]
            relay.release()
            pair.complete()
            assert pair.destination.serves()
            for hang in hangs:
                hang.release()


@test('the disk of the destination hangs', needs=['nbdfuse', 'umount'])
def _(box):
    disk = FrozenDisk(box)
    with Pair(box, [Volume('d0', SIZE)], [disk.volume()]) as pair:
        pair.source.write(noise(SIZE))
        for save in rescues(pair.source):
            disk.kit.freeze()
            pair.migrate()
            wait_for('disk', lambda: waits_for_disk(pair.destination.pid))
            save()
            assert pair.source.serves()
            # What waits for the disk there is not ended by a yank.
            pair.destination.yank()
            assert pair.destination.status() == 'active'
            assert pair.destination.cmd('query-yank') == [MIGRATION]
            disk.kit.thaw()
            pair.destination.await_status('failed')
        works(pair.source, pair.uri, pair.destination)


run()
