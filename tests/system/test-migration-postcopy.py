#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# timeout: 300
# parallel-safe
"""Postcopy: the destination serves at once, and what it lacks comes later.

The link is lost, in all ways and again and again; requests for what is not
there wait, others are served, and recovery needs no main loop.
"""

import contextlib
import os
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import nbd
import tls
from hang import FifoHang
from migration_break import yank
from migration_link import Link, uri_of
from migration_model import BLOCK, content
from migration_pair import Pair
from peers import SilentResolver
from qmp import QmpError
from sandbox import wait_for
from suite import Skip, run, slowness, test

#: Bytes a second: after its first piece the push stands still.
STILL = 1
GRANULE_BLOCKS = 4
#: Blocks with content, of the second volume, which the push comes to last.
FAR = [200, 240, 280]


def postcopy(box, bandwidth=STILL, capabilities=(), **more):
    """A pair in postcopy-active, with nothing there but what was pushed."""
    pair = Pair(box, ['postcopy-blocks', 'events', *capabilities],
                {'max-postcopy-bandwidth': bandwidth}, **more)
    pair.migrate_postcopy()
    for side in pair.sides:
        side.wait_status('postcopy-active')
    return pair


def fetches(pair):
    return pair.source.query()['disk']['postcopy-requests']


def is_silent(client, seconds=0.1):
    return not select.select([client.sock], [], [], seconds)[0]


def read(pair, client, block, volume=1):
    """Reads a block and compares it."""
    pair.model.check_block(volume, block, client.read(block * BLOCK, BLOCK))


def begin_read(client, block):
    return client.request(nbd.CMD_READ, block * BLOCK, BLOCK)


def end_read(pair, client, cookie, block, volume=1):
    assert client.reply() == (cookie, 0)
    pair.model.check_block(volume, block, client.recv(BLOCK))


def write(pair, client, block, volume=1):
    number = pair.model.new_number()
    client.write(block * BLOCK, content(volume, block, number))
    pair.model.may[volume][block] = {number}


def lose_link(pair):
    pair.link.cut()
    paused(pair)


def paused(pair):
    for side in pair.sides:
        side.wait_status('postcopy-paused')


def active(pair):
    for side in pair.sides:
        side.wait_status('postcopy-active', 'completed')


def complete(pair):
    """Lets it come to its end, and compares all."""
    pair.hurry()
    for side in pair.sides:
        side.wait_status('completed')
    pair.stop_clients()
    pair.model.check_roles('source', 'destination')
    pair.check(pair.destination)
    # It has heard goodbye: nothing of the migration is left.
    wait_for('goodbye',
             lambda: not pair.destination.qmp.oob('query-yank'), 5)
    pair.finish()


def refused(text, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except QmpError as error:
        assert text in error.desc, error.desc
    else:
        raise AssertionError(f'not refused: {text}')


# ---- What is missing is fetched. ----

@test('a missing block is fetched, and only that')
def _(box):
    pair = postcopy(box)
    with pair.destination.connect('f0') as client:
        for n, block in enumerate(FAR, 1):
            read(pair, client, block)
            assert fetches(pair) == n, fetches(pair)
            # Its neighbours came with it, and nobody asks twice.
            read(pair, client, block + GRANULE_BLOCKS - 1)
            read(pair, client, block)
            assert fetches(pair) == n
    assert pair.source.query()['disk']['remaining'] > 0
    complete(pair)


@test('one request over much that is missing')
def _(box):
    pair = postcopy(box)
    with pair.destination.connect('f0') as client:
        data = client.read(0, pair.sizes['f0'] * BLOCK)
    for block in range(pair.sizes['f0']):
        pair.model.check_block(1, block, data[block * BLOCK:][:BLOCK])
    complete(pair)


@test('writes, zeroes, discards and flushes where blocks are missing')
def _(box):
    pair = postcopy(box)
    may = pair.model.may
    with pair.destination.connect('r0') as r0, \
            pair.destination.connect('f0') as f0:
        f0.simple(nbd.CMD_FLUSH)
        write(pair, f0, FAR[0] + 1)
        f0.simple(nbd.CMD_WRITE_ZEROES, (FAR[1] + 1) * BLOCK, 2 * BLOCK)
        may[1][FAR[1] + 1] = may[1][FAR[1] + 2] = {0}
        for volume, client in enumerate((r0, f0)):
            # Not a granule as a whole, nor one alone.
            client.simple(nbd.CMD_TRIM, (FAR[2] + 2) * BLOCK, 8 * BLOCK)
            for block in range(FAR[2] + 2, FAR[2] + 10):
                may[volume][block] = may[volume][block] | {0}
        # Whole granules, which need nothing of the source.
        f0.write(300 * BLOCK - 44 * BLOCK, b''.join(
            content(1, block, 77) for block in range(256, 264)),
            nbd.CMD_FLAG_FUA)
        for block in range(256, 264):
            may[1][block] = {77}
        for block in *FAR, *range(FAR[0], FAR[2] + 12):
            read(pair, f0, block)
    complete(pair)


for _capabilities in [], ['multifd'], ['multifd', 'return-path']:
    def _stress(box, capabilities=_capabilities):
        pair = Pair(box, ['postcopy-blocks', *capabilities],
                    {'max-postcopy-bandwidth': 4 << 20})
        pair.start_clients('stress', n=3, pause=0)
        pair.migrate_postcopy()
        for side in pair.sides:
            side.wait_status('postcopy-active', 'completed')
        pair.destination.wait_status('completed')
        complete(pair)
    test(f'clients write all over while the rest comes: {_capabilities}'
         )(_stress)


# ---- The link is lost. ----

@test('link lost: missing blocks are waited for, others are served')
def _(box):
    pair = postcopy(box)
    with pair.destination.connect('f0') as here, \
            pair.destination.connect('f0') as waiting:
        read(pair, here, FAR[0])
        lose_link(pair)
        cookie = begin_read(waiting, FAR[2])
        assert is_silent(waiting)
        read(pair, here, FAR[0])
        write(pair, here, FAR[0] + 1)
        here.simple(nbd.CMD_FLUSH)
        assert is_silent(waiting)
        pair.recover()
        pair.resume()
        end_read(pair, waiting, cookie, FAR[2])
    active(pair)
    complete(pair)


@test('migrate-pause on either side, and recovery, again and again')
def _(box):
    pair = postcopy(box, capabilities=['multifd'])
    pair.start_clients('pauses', sticky=False, n=2)
    for n in range(6):
        who = [pair.source, pair.destination, None][n % 3]
        if who:
            who.qmp.oob('migrate-pause')
        else:
            pair.link.cut()
        paused(pair)
        for side in pair.sides:
            refused('only supported during', side.qmp.oob, 'migrate-pause')
        pair.recover()
        pair.resume()
        active(pair)
    complete(pair)


@test('yank in postcopy on either side, and in recovery')
def _(box):
    pair = postcopy(box)
    yank(pair.source)
    paused(pair)
    pair.recover()
    pair.resume()
    active(pair)
    yank(pair.destination)
    paused(pair)
    pair.recover()
    for side in pair.sides:
        # The destination does not hear of the source.
        pair.link.hold()
        pair.resume()
        pair.source.wait_status('postcopy-recover')
        if side is pair.source:
            yank(side)
        else:
            # It has the connection, but no hello.
            wait_for('a connection', lambda: pair.link.log is not None)
            yank(pair.source)
            yank(side)
        pair.source.wait_status('postcopy-paused')
        pair.link.cut()
        pair.link.release()
        pair.destination.wait_status('postcopy-paused')
    # The destination hears, but not the source.
    trigger = pair.link.on('lacks-end', pair.link.hold)
    pair.resume()
    wait_for('lacks-end', trigger.fired.is_set)
    pair.destination.wait_status('postcopy-active')
    yank(pair.destination)
    pair.destination.wait_status('postcopy-paused')
    assert pair.source.status() == 'postcopy-recover'
    yank(pair.source)
    paused(pair)
    pair.link.cut()
    pair.link.release()
    pair.recover()
    pair.resume()
    active(pair)
    complete(pair)


# ---- The main loop of the destination waits for a missing block. ----

class Hang:
    """nbd-server-stop waits for the requests of clients."""

    def __init__(self, pair):
        self.pair = pair
        self.side = pair.destination
        self.client = self.side.connect('f0')
        begin_read(self.client, FAR[1])
        assert is_silent(self.client)
        self.qmp = self.side.daemon.qmp(seconds=15 * slowness())
        self.request = self.qmp.submit('nbd-server-stop')
        self.client.wait_closed()
        assert self.qmp.is_silent(0.05)

    def over(self):
        assert self.qmp.result(self.request) == {}
        self.qmp.close()
        self.client.close()

    def serve_again(self):
        qmp = self.side.qmp
        self.side.nbd += '2'
        qmp.cmd('nbd-server-start', {'addr': {
            'type': 'unix', 'data': {'path': self.side.nbd}}})
        for name in self.pair.sizes:
            qmp.cmd('block-export-add', {
                'type': 'nbd', 'id': f'again-{name}', 'node-name': name,
                'writable': True})


for _tries in 1, 3:
    def _hung(box, tries=_tries):
        pair = postcopy(box, capabilities=['multifd'])
        lose_link(pair)
        hang = Hang(pair)
        for _ in range(tries - 1):
            pair.recover()
            # It gets to know what is missing, and is lost again.
            trigger = pair.link.on('fetch', pair.link.cut)
            pair.resume()
            wait_for('fetch', trigger.fired.is_set, 10 * slowness())
            paused(pair)
            assert hang.qmp.is_silent(0.05)
        pair.recover()
        pair.resume()
        hang.over()
        active(pair)
        hang.serve_again()
        complete(pair)
    test(f'recovery with a main loop that waits for it, try {_tries}')(_hung)


class Straight:
    """In place of a link: the way to @target with nobody in the middle."""

    def __init__(self, target):
        self.target = target

    @property
    def uri(self):
        return uri_of(self.target)


@test('recovery over TLS with a main loop that waits for it',
      needs=['psktool'])
def _(box):
    folder = box.path('keys')
    tls.make_psk(folder, 'qemu')
    pair = Pair(box, ['postcopy-blocks', 'multifd'],
                {'max-postcopy-bandwidth': STILL}, options=[
                    '--object', tls.psk('ours', 'client', folder),
                    '--object', tls.psk('theirs', 'server', folder)])
    for side, creds in zip(pair.sides, ('ours', 'theirs')):
        side.set(parameters={'tls-creds': creds})
    pair.link = Straight(pair.link.target)
    pair.migrate_postcopy()
    active(pair)
    pair.source.qmp.oob('migrate-pause')
    paused(pair)
    hang = Hang(pair)
    for _ in range(2):
        pair.recover()
        pair.resume()
        active(pair)
        pair.destination.qmp.oob('migrate-pause')
        paused(pair)
    pair.recover()
    pair.resume()
    active(pair)
    hang.over()
    hang.serve_again()
    complete(pair)


@test('the main loops of both sides hang, and the rest arrives')
def _(box):
    pair = postcopy(box)
    hangs = [FifoHang(box, side.daemon.pid, side.daemon.qmp())
             for side in pair.sides]
    with pair.destination.connect('f0') as client:
        read(pair, client, FAR[0])
        hangs[0].release()
        pair.hurry()
        pair.destination.wait_status('completed')
        pair.source.wait_status('completed')
        read(pair, client, FAR[1])
    hangs[1].release()
    complete(pair)


# ---- Resumes that go wrong. ----

@test('resume: to a process that knows nothing, and to none')
def _(box):
    pair = postcopy(box)
    other = Pair(box)
    lose_link(pair)
    right = pair.link
    for uri, text in ((other.link.uri, 'nothing to resume'),
                      (f'unix:{box.path("nobody")}', 'No such file')):
        pair.source.qmp.cmd('migrate', {'uri': uri, 'resume': True})
        pair.source.wait_status('postcopy-paused')
        wait_for('the reason',
                 lambda: text in pair.source.query().get('error-desc', ''))
        pair.destination.wait_status('postcopy-paused')
    # The other process is as before.
    other.migrate()
    other.destination.wait_status('completed')
    other.finish()
    pair.link = right
    pair.recover()
    pair.resume()
    active(pair)
    complete(pair)


@test('a place to listen at that is taken, and another one')
def _(box):
    pair = postcopy(box)
    lose_link(pair)
    side = pair.destination
    for uri, text in (('unix:/nowhere/at/all', '/nowhere/at/all: No such'),
                      ('fd:77', "'77' is not a socket")):
        refused(text, side.qmp.oob, 'migrate-recover', {'uri': uri})
        assert text in side.query()['error-desc'], side.query()
        assert side.status() == 'postcopy-paused'
    refused('', side.qmp.oob, 'migrate-recover', {'uri': 'carrier-pigeon:'})
    # One after the other, the last one counts.
    for _ in range(20):
        side.qmp.oob('migrate-recover', {'uri': f'unix:{box.path("many")}'})
    pair.recover()
    pair.resume()
    active(pair)
    complete(pair)


@test('a name server that keeps silent, and another place', needs=['unshare'])
def _(box):
    try:
        resolver = SilentResolver(box)
    except (OSError, RuntimeError) as error:
        raise Skip(f'no network namespace: {error}') from None
    pair = postcopy(box, wrapper=resolver.wrapper)
    lose_link(pair)
    silent = {'uri': 'tcp:yankd.example:0'}
    side = pair.destination
    side.qmp.oob('migrate-recover', silent)
    resolver.wait_asked()
    cut = side.qmp.oob('yank', {'instances': [{'type': 'migration'}]})
    assert 'yankd.example' in cut['yanked'][0]['cut'][0], cut
    wait_for('yank', lambda: 'was yanked' in side.query()['error-desc'], 10)
    assert side.status() == 'postcopy-paused'
    side.qmp.oob('migrate-recover', silent)
    resolver.wait_asked()
    pair.recover()
    pair.resume()
    active(pair)
    lose_link(pair)
    pair.destination.qmp.oob('migrate-recover', silent)
    resolver.wait_asked()
    for side in pair.sides:
        side.qmp.submit('quit')
        ends(side)


@test('resume is refused where nothing is paused')
def _(box):
    pair = Pair(box)
    refused('no paused migration', pair.resume)
    for side in pair.sides:
        refused('only be run when postcopy is paused', side.qmp.oob,
                'migrate-recover', {'uri': 'tcp:127.0.0.1:0'})
    pair.finish()
    pair = postcopy(box)
    refused('no paused migration', pair.resume)
    refused('only be run when postcopy is paused', pair.destination.qmp.oob,
            'migrate-recover', {'uri': 'tcp:127.0.0.1:0'})
    lose_link(pair)
    refused('in progress', pair.migrate)
    refused('only a resume', pair.source.qmp.cmd, 'migrate-continue',
            {'state': 'postcopy-paused'})
    refused('only a resume', pair.destination.qmp.cmd, 'migrate-continue',
            {'state': 'postcopy-paused'})
    refused('taken over', pair.source.qmp.oob, 'migrate_cancel')
    refused('given up its role', pair.destination.qmp.oob, 'migrate_cancel')
    pair.recover()
    pair.resume()
    active(pair)
    complete(pair)


@test('resume while the destination has not noticed that the link is lost')
def _(box):
    pair = postcopy(box)
    for _ in range(2):
        dead = pair.link
        dead.hold()
        pair.source.qmp.oob('migrate-pause')
        pair.source.wait_status('postcopy-paused')
        assert pair.destination.status() == 'postcopy-active'
        # Another way to the same place.
        pair.link = Link(box, dead.target)
        pair.resume()
        active(pair)
        with pair.destination.connect('f0') as client:
            read(pair, client, FAR[0])
    complete(pair)


@test('a resume that stalls halfway gives way to another')
def _(box):
    pair = postcopy(box, capabilities=['multifd'])
    lose_link(pair)
    for step in 'started', 'lacks', 'lacks-end':
        trigger = pair.link.on(step, pair.link.hold)
        pair.resume()
        wait_for(step, trigger.fired.is_set, 10 * slowness())
        pair.source.wait_status('postcopy-recover')
        yank(pair.source)
        pair.source.wait_status('postcopy-paused')
        pair.link = Link(box, pair.link.target)
    pair.resume()
    active(pair)
    complete(pair)


# ---- The disk of the destination is full. ----

@test('disk full: paused, and on when there is room')
def _(box):
    pair = postcopy(box, capabilities=['multifd'])
    side = pair.destination
    with side.connect('f0') as here, side.connect('f0') as waiting:
        read(pair, here, FAR[0])
        side.limit_files(FAR[1] * BLOCK)
        cookie = begin_read(waiting, FAR[2])
        paused(pair)
        for said in side, pair.source:
            wait_for('the reason', lambda said=said: 'File too large' in
                     said.query().get('error-desc', ''), 5 * slowness())
        assert is_silent(waiting)
        read(pair, here, FAR[0])
        write(pair, here, FAR[0] + 1)
        # There is no room yet.
        pair.recover()
        pair.resume()
        pair.source.wait_status('postcopy-paused')
        side.wait_status('postcopy-paused')
        assert is_silent(waiting)
        side.limit_files(None)
        pair.recover()
        pair.resume()
        end_read(pair, waiting, cookie, FAR[2])
    active(pair)
    complete(pair)


# ---- The source dies at the end. ----

def without_goodbye(box, *capabilities):
    """Has everything, and a source that died before it said so."""
    pair = Pair(box, capabilities)
    pair.link.on('bye', pair.link.hold)
    step = 'complete' if 'postcopy-blocks' in capabilities else 'started'
    if capabilities:
        pair.migrate_postcopy()
    else:
        pair.migrate()
    wait_for(step, lambda: step in pair.link.counts, 10 * slowness())
    pair.source.kill()
    pair.source.daemon.process.wait()
    pair.link.cut()
    pair.link.release()
    pair.destination.wait_status('completed')
    return pair


for _capabilities in [], ['postcopy-blocks'], ['postcopy-blocks', 'multifd']:
    def _no_goodbye(box, capabilities=_capabilities):
        pair = without_goodbye(box, *capabilities)
        side = pair.destination
        pair.check(side)
        # It still listens for a source that has not heard of its end.
        assert side.qmp.oob('query-yank')
        side.qmp.cmd('block-export-del', {'id': 'e-r0', 'mode': 'hard'})
        wait_for('r0 is free', lambda: freed(side, 'r0'), 5 * slowness())
        side.qmp.oob('migrate_cancel')
        wait_for('the end', lambda: not side.qmp.oob('query-yank'),
                 5 * slowness())
        assert side.status() == 'completed'
        side.finish()
    test(f'a source that died before its goodbye: {_capabilities}'
         )(_no_goodbye)


@test('the last word of the destination counts, also when the link is lost')
def _(box):
    for step, capabilities in (('started', []), ('started', ['multifd']),
                               ('complete', ['postcopy-blocks'])):
        pair = Pair(box, capabilities)
        trigger = pair.link.on(step, pair.link.cut, where='after')
        if 'postcopy-blocks' in capabilities:
            pair.migrate_postcopy()
        else:
            pair.migrate()
        for side in pair.sides:
            side.wait_status('completed')
        wait_for(step, trigger.fired.is_set, 10 * slowness())
        pair.check(pair.destination)
        pair.finish()


@test('a source that has missed the end learns it by a resume')
def _(box):
    for step, capabilities in (('started', []), ('started', ['multifd']),
                               ('complete', ['postcopy-blocks']),
                               ('complete', ['postcopy-blocks', 'multifd'])):
        pair = Pair(box, capabilities)
        pair.link.on(step, pair.link.cut)
        if 'postcopy-blocks' in capabilities:
            pair.migrate_postcopy()
        else:
            pair.migrate()
        pair.destination.wait_status('completed')
        for _ in range(2):
            pair.source.wait_status('postcopy-paused')
            again = pair.link.on(step, pair.link.cut)
            pair.resume()
            wait_for(step, again.fired.is_set, 10 * slowness())
        pair.source.wait_status('postcopy-paused')
        pair.resume()
        complete(pair)


def freed(side, node):
    try:
        return side.qmp.cmd('blockdev-del', {'node-name': node}) == {}
    except QmpError as error:
        assert 'in use' in error.desc, error
        return False


@test('on to a third process, whatever became of the first')
def _(box):
    pair = without_goodbye(box, 'postcopy-blocks')
    pair.source = pair.destination
    pair.source.name = 'source'
    pair.new_destination()
    pair.migrate()
    pair.destination.wait_status('completed')
    complete(pair)


@test('on to a third process, with a first that is frozen')
def _(box):
    pair = Pair(box)
    pair.link.on('bye', pair.link.hold)
    pair.migrate()
    wait_for('bye', lambda: 'bye' in pair.link.counts, 10 * slowness())
    first, old = pair.source, pair.link
    pair.source = pair.destination
    pair.new_destination()
    pair.migrate()
    pair.destination.wait_status('completed')
    complete(pair)
    old.release()
    first.finish()


# ---- The end of a process. ----

def ends(side, seconds=3.0):
    """By itself, with status 0, and soon."""
    begin = time.monotonic()
    side.daemon.check_ended(seconds * slowness())
    print(f'# {side.name} ended after {time.monotonic() - begin:.2f} s')


@test('quit while paused: requests that wait fail, the processes end')
def _(box):
    pair = postcopy(box)
    with pair.destination.connect('f0') as here, \
            pair.destination.connect('f0') as waiting:
        read(pair, here, FAR[0])
        lose_link(pair)
        cookie = begin_read(waiting, FAR[2])
        assert is_silent(waiting)
        for side in pair.sides:
            side.qmp.submit('quit')
            ends(side)
        try:
            assert waiting.reply() == (cookie, nbd.EIO)
        except (nbd.NbdClosed, ConnectionResetError):
            pass


@test('quit while paused: nobody sees what is not there')
def _(box):
    pair = postcopy(box)
    lose_link(pair)
    with pair.destination.connect('f0') as client:
        begin_read(client, FAR[0])
        pair.destination.qmp.submit('quit')
        with contextlib.suppress(nbd.NbdClosed, OSError):
            while True:
                assert client.reply()[1] == nbd.EIO
                begin_read(client, FAR[1])
    ends(pair.destination)
    pair.source.finish()


@test('quit with the main loop waiting for a missing block')
def _(box):
    pair = postcopy(box, options=['--shutdown-timeout', '1'])
    lose_link(pair)
    hang = Hang(pair)
    pair.destination.qmp.oob('quit')
    status = pair.destination.daemon.process.wait(5 * slowness())
    assert status == 0, (status, pair.destination.daemon.process.output())
    hang.qmp.close()
    pair.source.finish()


run()
