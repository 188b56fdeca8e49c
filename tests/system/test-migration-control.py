#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""Migration as QMP controls it: what is refused, what can be set, what is
told about it, and that the process ends whenever it is told to."""

import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import free_port, program
from fuse_folder import Folder
from hang import block_main_loop
from migration import (GRANULE, MIB, MIGRATION, Pair, Side, Volume, Writer,
                       noise, tcp_uri, unix_uri)
from peers import SilentResolver
from qmp import QmpError
from relay import Relay
from sandbox import wait_for
from servers import Nbdkit
from suite import Skip, run, slowness, test


def refused(function, *args, **kwargs):
    """The text of the error that must come."""
    try:
        function(*args, **kwargs)
    except QmpError as error:
        return error.desc
    raise AssertionError(f'{args} {kwargs} was not refused')


class Held(Pair):
    """A pair whose migration stops at a section of type @name."""

    def __init__(self, box, name, *args, **kwargs):
        super().__init__(box, *args, **kwargs)
        self.relay = Relay(box, self.uri)
        self.relay.hold(name)
        self.name = name

    def reach(self):
        self.migrate(self.relay.uri)
        self.relay.wait_held(self.name)

    def go_on(self):
        self.relay.release()
        self.complete()


# ---- Volumes that do not fit. ----

def check_mismatch(box, here, there, text, extra=()):
    """@there does not fit @here: both sides say @text, nothing has changed,
    and when the destination is set right the next try succeeds."""
    uri = unix_uri(box)
    with Side(box, here, options=extra) as source:
        with Side(box, there, uri, options=extra) as destination:
            source.cmd('migrate', uri=uri)
            info = source.wait_status('failed')
            assert f'The destination says: {text}' == info['error-desc'], info
            told = destination.wait_status('failed')
            assert told['error-desc'] == text, told
            assert source.serves() and not destination.serves()
            # Both are as good as new.
            source.cmd('migrate', uri=uri)
            assert source.wait_status('failed')['error-desc'] == (
                info['error-desc'])
            destination.cmd('nbd-server-stop')
            for volume in there:
                destination.cmd('blockdev-del', node_name=volume.name)
            for volume in here:
                destination.cmd('blockdev-add', driver='ram',
                                node_name=volume.name, size=volume.size)
            source.cmd('migrate', uri=uri)
            source.wait_status('completed')
            assert 'error-desc' not in source.info()
            destination.wait_status('completed')
            assert 'error-desc' not in destination.info()


@test('a volume that the destination does not have')
def _(box):
    check_mismatch(box, [Volume('d0'), Volume('d1')], [Volume('d0')],
                   "There is no volume 'd1' here")


@test('a volume of another size')
def _(box):
    check_mismatch(box, [Volume('d0', MIB)], [Volume('d0', MIB + 512)],
                   "Volume 'd0' has 1048576 bytes at the source, but 1049088 "
                   'here')


@test('a volume that is read-only at the destination')
def _(box):
    check_mismatch(box, [Volume('d0')], [Volume('d0', read_only=True)],
                   "Volume 'd0' is read-only here")


@test('a volume that is local here and remote there')
def _(box):
    kit = Nbdkit(box, 'memory', '4M')
    check_mismatch(box, [Volume('d0')],
                   [Volume('d0', driver='nbd', upstream=kit.path)],
                   "Volume 'd0' is local at the source, but not here")


@test('a volume that is remote here and local there')
def _(box):
    kit = Nbdkit(box, 'memory', '4M')
    uri = unix_uri(box)
    far = [Volume('d0', driver='nbd', upstream=kit.path)]
    with Side(box, far) as source, Side(box, None, uri) as destination:
        source.cmd('migrate', uri=uri)
        text = "Volume 'd0' is remote at the source, but not here"
        assert text in source.wait_status('failed')['error-desc']
        assert destination.wait_status('failed')['error-desc'] == text
        assert source.serves()


@test('what the destination has beside the volumes is its own')
def _(box):
    with Pair(box, [Volume('d0')], [Volume('x', MIB), Volume('d0'),
                                    Volume('y', MIB)]) as pair:
        pair.run()
        assert pair.destination.serves('y')


# ---- What cannot be done. ----

@test('while a migration runs: no other, no fixed options, no end of nodes')
def _(box):
    with Held(box, 'hand-over') as pair:
        pair.reach()
        source = pair.source
        running = "There's a migration process in progress"
        assert refused(source.cmd, 'migrate', uri=pair.uri) == running
        assert refused(source.set, 'multifd') == running
        for fixed in ({'multifd_channels': 3}, {'tls_creds': 'x'},
                      {'tls_hostname': 'x'}, {'multifd_compression': 'zstd'}):
            assert running in refused(source.set, **fixed)
            assert running in refused(pair.destination.set, **fixed)
        source.set(downtime_limit=10, max_bandwidth=0)
        assert 'incoming' in refused(pair.destination.cmd, 'migrate',
                                        uri=unix_uri(box))
        assert 'already been started' in refused(
            pair.destination.cmd, 'migrate-incoming', uri=unix_uri(box))
        assert 'postcopy is paused' in refused(
            pair.destination.cmd, 'migrate-recover', uri=unix_uri(box))
        for side in pair.sides:
            assert 'not in expected state: active' in refused(
                side.cmd, 'migrate-continue', state='pre-switchover') or (
                    side.status() == 'device')
            assert 'postcopy-active' in refused(side.cmd, 'migrate-pause')
            side.cmd('block-export-del', id='e-d0', mode='hard')
            text = refused(side.cmd, 'blockdev-del', node_name='d0')
            assert 'd0 is in use' in text, text
            text = refused(side.cmd, 'block_resize', node_name='d0',
                           size=8 * MIB)
            print(f'# {text}')
        pair.go_on()
        pair.source.cmd('blockdev-del', node_name='d0')


@test('a process that waits for a migration starts none')
def _(box):
    for incoming in 'defer', unix_uri(box):
        with Side(box, incoming=incoming) as side:
            text = refused(side.cmd, 'migrate', uri=unix_uri(box))
            assert 'waits for an incoming migration' in text, text


@test('a process that waits for none takes none')
def _(box):
    with Side(box) as side:
        for command in 'migrate-incoming', 'migrate-recover':
            refused(side.cmd, command, uri=unix_uri(box))
            refused(side.control.oob, command, {'uri': unix_uri(box)})
        refused(side.cmd, 'migrate-pause')
        refused(side.cmd, 'migrate-start-postcopy')
        refused(side.cmd, 'migrate-continue', state='pre-switchover')
        assert side.cmd('migrate_cancel') == {}
        assert side.info() == {}
        assert 'Instance not found' in refused(side.yank)


@test('URIs that are none')
def _(box):
    with Side(box) as side:
        for uri in ('', 'tcp', 'tcp:', 'tcp:x', 'unix:', 'fd:', 'fd:x',
                    'exec:true', 'rdma:x:1', 'tcp:h:1,colour=blue'):
            refused(side.cmd, 'migrate', uri=uri)
        assert side.status() == 'none'


@test('destinations that are not there are told by query-migrate')
def _(box):
    with Side(box) as side:
        for uri in (f'tcp:127.0.0.1:{free_port()}', unix_uri(box),
                    'tcp:host.invalid:4444', 'fd:777', 'fd:0',
                    'unix:' + 'x' * 200):
            side.cmd('migrate', uri=uri)
            info = side.await_status('failed', seconds=30)
            assert info['error-desc'], info
            print(f'# {info["error-desc"]}')
        assert side.serves()


@test('places where nobody can listen: one line and status 1')
def _(box):
    taken = free_port()
    with socket.socket() as s:
        s.bind(('127.0.0.1', taken))
        s.listen()
        for uri in ('exec:true', 'tcp:', f'tcp:127.0.0.1:{taken}',
                    'unix:/nowhere/at/all', 'fd:777', 'tcp:192.0.2.1:4444'):
            done = box.run([program('yankd'), '--incoming', uri],
                           check=False)
            output = done.stdout + done.stderr
            assert done.returncode == 1, (uri, done.returncode, output)
            assert output.count('\n') == 1, output
            assert '--incoming' in output, output
            print(f'# {output.strip()}')


@test('migrate-incoming to such a place: told, and can be tried again')
def _(box):
    with Pair(box, incoming='defer') as pair:
        there = pair.destination
        assert 'protocol' in refused(there.cmd, 'migrate-incoming',
                                     uri='exec:true')
        for text, command in (
                ('/nowhere/at/all: No such', there.cmd),
                ('/nowhere/at/all: No such', lambda name, uri:
                 there.control.oob(name, {'uri': uri}))):
            said = refused(command, 'migrate-incoming',
                           uri='unix:/nowhere/at/all')
            assert text in said, said
            info = there.info()
            assert info['status'] == 'failed', info
            assert text in info['error-desc'], info
            assert 'socket-address' not in info, info
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            s.listen()
            said = refused(there.control.oob, 'migrate-incoming', {
                'uri': f'tcp:127.0.0.1:{s.getsockname()[1]}'})
            assert 'available port' in said, said
        there.cmd('migrate-incoming', uri=pair.uri)
        info = there.info()
        assert info['status'] == 'setup', info
        assert info['socket-address'][0]['path'] == pair.uri[5:], info
        assert 'error-desc' not in info, info
        pair.run()


@test('a listener is there when the command that asked for it has replied')
def _(box):
    for kind in unix_uri, lambda box: tcp_uri():
        for oob in False, True:
            with Side(box, incoming='defer') as there, Side(box) as source:
                uri = kind(box)
                if oob:
                    with there.qmp() as qmp:
                        hang = block_main_loop(box, there, qmp)
                        there.control.oob('migrate-incoming', {'uri': uri})
                        knock(uri).close()
                        hang.release()
                else:
                    there.cmd('migrate-incoming', uri=uri)
                    knock(uri).close()
                source.cmd('migrate', uri=uri)
                source.await_status('completed')


@test('a place to listen at on a dead file system')
def _(box):
    folder = Folder(box)
    dead = 'unix:' + folder.file('move.sock')
    with Side(box, incoming='defer') as there, there.qmp() as other:
        folder.freeze()
        for oob in False, True:
            request = there.control.submit('migrate-incoming', {'uri': dead},
                                           oob)
            wait_for('the attempt', lambda: other.oob('query-yank-status'))
            status, = other.oob('query-yank-status')
            assert status['phase'] == 'bind', status
            if oob:     # the session serves other commands meanwhile
                there.control.oob('query-migrate')
            cut = other.oob('yank', {'instances': [MIGRATION]})
            assert dead[5:] in cut['yanked'][0]['cut'][0], cut
            error = there.control.reply(request)['error']
            assert error['desc'] == 'The migration was yanked', error
            assert there.status() == 'failed'
        uri = unix_uri(box)
        there.control.oob('migrate-incoming', {'uri': uri})
        knock(uri).close()
        folder.thaw()


def knock(uri):
    kind, _, where = uri.partition(':')
    if kind == 'unix':
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(where)
        return sock
    host, _, port = where.partition(':')
    return socket.create_connection((host, int(port)))


@test('migrate-incoming of a name: listening is what it says, and can be '
      'yanked', needs=['unshare'])
def _(box):
    try:
        resolver = SilentResolver(box)
    except (OSError, RuntimeError) as error:
        raise Skip(f'no silent name server: {error}') from None
    with Side(box, incoming='defer', wrapper=resolver.wrapper) as there:
        for oob in False, True:
            if oob:
                there.control.oob('migrate-incoming',
                                  {'uri': 'tcp:yankd.example:0'})
            else:
                there.cmd('migrate-incoming', uri='tcp:yankd.example:0')
            resolver.wait_asked()
            assert there.status() == 'setup'
            status, = there.cmd('query-yank-status')
            assert status['phase'] == 'resolve', status
            assert 'yankd.example' in there.yank()['cut'][0]
            info = there.await_status('failed')
            assert info['error-desc'] == 'The migration was yanked', info
        there.cmd('migrate-incoming', uri=unix_uri(box))
        status, = there.cmd('query-yank-status')
        assert status['phase'] == 'listening', status
        there.cmd('quit')


# ---- What can be set. ----

@test('capabilities and parameters: all are told, wrong ones change nothing')
def _(box):
    with Side(box) as side:
        names = [c['capability'] for c in
                 side.cmd('query-migrate-capabilities')]
        assert names == ['multifd', 'postcopy-blocks',
                         'pause-before-switchover', 'events', 'return-path']
        side.set(*names)
        assert all(c['state'] for c in side.cmd('query-migrate-capabilities'))
        values = {'max-bandwidth': 1000, 'downtime-limit': 20,
                  'multifd-channels': 255, 'multifd-compression': 'zstd',
                  'tls-creds': 'tls0', 'tls-hostname': 'h',
                  'max-postcopy-bandwidth': 5}
        side.cmd('migrate-set-parameters', **values)
        for wrong in ({'multifd_channels': 0}, {'multifd_channels': 256},
                      {'downtime_limit': 2000001}, {'max_bandwidth': -1},
                      {'multifd_compression': 'zip'}):
            refused(side.set, max_postcopy_bandwidth=9, **wrong)
        assert side.cmd('query-migrate-parameters') == values


@test('max-bandwidth is kept, and may be raised on the way')
def _(box):
    size, rate = 16 * MIB, 16 * MIB
    for capabilities in (), ('multifd',):
        with Pair(box, [Volume('d0', size)]) as pair:
            pair.source.set(*capabilities, max_bandwidth=rate)
            pair.source.write(noise(size))
            begin = time.monotonic()
            pair.migrate()
            transferred = 0
            while transferred < size / 4:
                info = pair.source.info()
                transferred = info.get('disk', {}).get('transferred', 0)
                time.sleep(0.01)
            spent = time.monotonic() - begin
            # 4 MiB at 16 MiB a second, less what may be sent at once.
            assert 0.1 < spent < 1 * slowness(), spent
            assert abs(info['disk']['mbps'] * 1e6 / 8 / rate - 1) < 0.7, info
            pair.source.set(max_bandwidth=MIB)
            time.sleep(0.3)
            before = pair.source.info()['disk']['transferred']
            time.sleep(0.4)
            slow = pair.source.info()['disk']['transferred'] - before
            assert slow < 4 * MIB, slow
            pair.source.set(max_bandwidth=0)
            begin = time.monotonic()
            pair.complete()
            assert time.monotonic() - begin < 2 * slowness()


@test('a limit of a byte a second holds up neither cancel nor quit')
def _(box):
    with Pair(box) as pair:
        pair.source.set(max_bandwidth=1)
        pair.source.write(noise(4 * MIB))
        pair.migrate()
        pair.source.wait_status('active')
        time.sleep(0.1)
        pair.source.control.oob('migrate_cancel')
        pair.source.wait_status('cancelled')
        pair.migrate()
        pair.source.await_status('active')
        time.sleep(0.1)


@test('downtime-limit 0: only what is at rest is handed over')
def _(box):
    with Held(box, 'pass-ack') as pair:
        source = pair.source
        source.set('return-path', downtime_limit=0)
        pair.reach()
        pair.relay.step('pass-ack')     # of what has no storage
        for number in range(1, 6):
            pair.relay.wait_held('pass-ack')
            assert source.info()['disk']['dirty-sync-count'] == number
            source.write(b'x' * 512, offset=number * MIB // 2)
            pair.relay.step('pass-ack')
        pair.relay.wait_held('pass-ack')
        assert source.status() == 'active'
        pair.go_on()
        assert source.info()['disk']['dirty-sync-count'] >= 6


@test('pause-before-switchover waits for migrate-continue')
def _(box):
    with Pair(box) as pair:
        pair.source.set('pause-before-switchover')
        writer = Writer(pair.source)
        writer.wait_answers(50)
        pair.migrate()
        pair.source.wait_status('pre-switchover')
        assert pair.destination.status() == 'active'
        assert not pair.source.serves() and not pair.destination.serves()
        refused(pair.source.cmd, 'migrate-continue', state='device')
        pair.source.cmd('migrate-continue', state='pre-switchover')
        pair.complete()
        writer.wait_closed()
        writer.compare(pair.destination.read())


# ---- What is told. ----

def expect_statuses(side, wanted):
    """Those events, in that order, and no others."""
    def seen():
        side.control.pending()
        return [event['data']['status'] for event in side.control.events
                if event['event'] == 'MIGRATION']
    wait_for(f'{wanted[-1]}', lambda: len(seen()) >= len(wanted))
    assert seen() == wanted, seen()


@test('events come in order, with the capability only')
def _(box):
    with Pair(box) as pair:
        pair.run()
        assert pair.source.control.events == []
    with Pair(box) as pair:
        pair.set('events', 'pause-before-switchover')
        pair.source.set(downtime_limit=0)
        pair.migrate()
        pair.source.wait_status('pre-switchover')
        pair.source.cmd('migrate-continue', state='pre-switchover')
        pair.complete()
        expect_statuses(pair.source, ['setup', 'active', 'pre-switchover',
                                      'device', 'completed'])
        passes = [event['data']['pass'] for event in
                  pair.source.control.events
                  if event['event'] == 'MIGRATION_PASS']
        assert passes == list(range(1, len(passes) + 1)), passes
        assert len(passes) == (
            pair.source.info()['disk']['dirty-sync-count']) >= 2
        expect_statuses(pair.destination, ['active', 'device', 'completed'])


@test('events of a failure')
def _(box):
    with Pair(box, [Volume('d0')], [Volume('d1')]) as pair:
        pair.set('events')
        pair.migrate()
        for side in pair.sides:
            side.wait_status('failed')
        expect_statuses(pair.source, ['setup', 'failed'])
        expect_statuses(pair.destination, ['failed'])


@test('query-migrate tells how far it is')
def _(box):
    size = 8 * MIB
    with Held(box, 'hand-over', [Volume('d0', size, 'file')],
              uri=unix_uri(box)) as pair:
        source = pair.source
        source.set(max_bandwidth=8 * MIB)
        source.write(noise(size))
        there = pair.destination.info()
        assert there == {'status': 'setup', 'socket-address': [
            {'type': 'unix', 'path': pair.uri[5:]}]}, there
        pair.migrate(pair.relay.uri)
        seen = []

        def done():
            seen.append(source.info())
            return seen[-1]['status'] == 'device'
        wait_for('switch-over', done, 20)
        pair.relay.wait_held('hand-over')
        moving = [i for i in seen if i['status'] == 'active' and 'disk' in i]
        percents = [i['percent'] for i in moving]
        assert percents == sorted(percents), percents
        assert percents[0] < 50 and max(percents) > 80, percents
        for info in moving:
            disk = info['disk']
            assert disk['total'] == size
            assert disk['page-size'] == GRANULE
            assert disk['remaining'] <= size
            assert abs(info['percent'] - 100 + 100 *
                       disk['remaining'] / size) < 0.01, info
        middle = moving[len(moving) // 2]
        # At 8 MiB a second.
        left = middle['disk']['remaining'] / (8 * MIB) * 1000
        assert left / 3 < middle['expected-remaining-time'] < left * 3, middle
        assert 'setup-time' in middle and 'downtime' not in middle, middle
        time.sleep(0.05)
        pair.go_on()
        info = source.info()
        assert info['percent'] == 100
        assert info['expected-remaining-time'] == 0
        assert info['disk']['remaining'] == 0
        assert 50 <= info['downtime'] < 5000 * slowness(), info
        assert info['total-time'] >= 700, info
        assert info['disk']['normal-bytes'] >= size
        assert info['disk']['normal'] >= size // GRANULE
        disk = info['disk']
        assert disk['transferred'] == (disk['precopy-bytes'] +
                                       disk['downtime-bytes'] +
                                       disk['postcopy-bytes'])
        assert source.info() == info, 'times go on after the end'


@test('socket-address names the port that was chosen')
def _(box):
    with Side(box) as source, Side(box, incoming='tcp:127.0.0.1:0') as there:
        address, = there.info()['socket-address']
        assert address['type'] == 'inet' and address['port'] != '0', address
        source.cmd('migrate', uri=f'tcp:{address["host"]}:{address["port"]}')
        source.wait_status('completed')
        there.wait_status('completed')
        assert 'socket-address' not in there.info()


@test('query-yank-status tells phase and peer')
def _(box):
    with Held(box, 'hand-over') as pair:
        def phase(side):
            found, = [s for s in side.control.oob('query-yank-status')
                      if s['name'] == 'migration']
            assert found['instance'] == MIGRATION, found
            return found['phase'], found.get('peer')
        assert pair.source.cmd('query-yank') == []
        assert pair.destination.cmd('query-yank') == [MIGRATION]
        assert phase(pair.destination)[0] == 'listening'
        pair.reach()
        assert phase(pair.source) == ('switch-over', pair.relay.uri)
        assert phase(pair.destination)[0] == 'active'
        pair.go_on()
        for side in pair.sides:
            wait_for('end', lambda side=side:
                     side.cmd('query-yank') == [])


# ---- The end of the process. ----

for name in ('volume', 'accept', 'data', 'hand-over', 'ready', 'go',
             'started'):
    def quits(box, name=name):
        for by_signal in False, True:
            with Held(box, name) as pair:
                pair.source.write(noise(MIB))
                pair.reach()
                for side in pair.sides:
                    begin = time.monotonic()
                    if by_signal:
                        side.process.send_signal(signal.SIGTERM)
                    else:
                        side.cmd('quit')
                    side.check_ended()
                    spent = time.monotonic() - begin
                    assert spent < 2 * slowness(), spent
    test(f'quit while {name} is on its way')(quits)


@test('quit of the other side: told, and the source serves')
def _(box):
    for name in 'accept', 'data', 'ready':
        with Held(box, name) as pair:
            pair.source.write(noise(MIB))
            pair.reach()
            pair.destination.finish()
            pair.relay.cut()
            info = pair.source.wait_status('failed')
            print(f'# {info["error-desc"]}')
            assert pair.source.serves()


run()
