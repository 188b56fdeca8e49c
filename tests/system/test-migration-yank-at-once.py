#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# timeout: 300
# parallel-safe
"""A yank or a migrate_cancel that comes as soon as a state can be seen.

A second session waits for the event that tells the state and gives its command
at once, a thousand times in all.  None may be lost: whoever sees a state can
act on it.
"""

import itertools
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import migration_peer as mp
from migration import (MIB, MIGRATION, Pair, Side, noise, threads_named,
                       unix_uri)
from migration_peer import SourcePeer, section
from migration_states import listen_anew
from peers import Listener
from suite import run, slowness, test

# How often each state is met; builds with checks are slower.
ROUNDS = {1: 200}.get(slowness(), 40)
SECONDS = 10 * slowness()


class Watcher:
    """A session of @side with the capability "events", which reacts to changes
    of the state."""

    def __init__(self, box, side):
        self.qmp = side.qmp()
        box.on_exit(self.qmp.close)

    def wait(self, status):
        """Checks that the next change of the state is to @status."""
        data = self.qmp.event('MIGRATION', SECONDS)['data']
        assert data == {'status': status}, (status, data)

    def cut_at(self, status, verb='yank'):
        """When the state becomes @status, gives the command."""
        self.wait(status)
        if verb == 'yank':
            done = self.qmp.oob('yank', {'instances': [MIGRATION]}, SECONDS)
            assert done['yanked'][0]['cut'], (
                done, self.qmp.oob('query-migrate', seconds=SECONDS))
        else:
            self.qmp.oob(verb, seconds=SECONDS)


def silent_listener(box):
    """The URI of a peer that accepts and says nothing."""
    listener = Listener(box, box.unique('silent'))
    peers = []

    def accept():
        while True:
            try:
                peers.append(listener.sock.accept()[0])
                # The events of earlier migrations are consumed.
                while len(peers) > 4:
                    peers.pop(0).close()
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    return 'unix:' + listener.path


def make_late(box, side):
    """Delays the coordinator of the migration, so that the command arrives
    before the coordinator continues after a change of state."""
    cpu = min(os.sched_getaffinity(0))
    for _ in range(2):
        loop = box.spawn([sys.executable, '-c', 'while True: pass'])
        os.sched_setaffinity(loop.pid, {cpu})
    tid, = threads_named(side.pid, 'migration')
    os.setpriority(os.PRIO_PROCESS, tid, 5)
    os.sched_setaffinity(tid, {cpu})


@test('source: setup', seconds=120)
def _(box):
    uri = silent_listener(box)
    with Side(box) as side:
        side.set('events')
        watcher = Watcher(box, side)
        for i in range(ROUNDS):
            verb, end = (('yank', 'failed'),
                         ('migrate_cancel', 'cancelled'))[i % 2]
            number = side.control.submit('migrate', {'uri': uri})
            watcher.cut_at('setup', verb)
            if end == 'cancelled':
                watcher.wait('cancelling')
            watcher.wait(end)
            side.control.result(number, SECONDS)
        assert side.serves()


def paused_pair(box):
    """A postcopy that has lost its link."""
    pair = Pair(box)
    pair.set('postcopy-blocks', 'events')
    pair.source.write(noise(4 * MIB))
    pair.source.set(max_bandwidth=1, max_postcopy_bandwidth=1)
    pair.migrate()
    pair.source.cmd('migrate-start-postcopy')
    for side in pair.sides:
        side.await_status('postcopy-active', 'completed')
    pair.source.yank()
    for side in pair.sides:
        side.await_status('postcopy-paused')
    return pair


def resumes(watcher, side, uri, rounds):
    for _ in range(rounds):
        number = side.control.submit('migrate', {'uri': uri, 'resume': True})
        watcher.cut_at('postcopy-recover')
        watcher.wait('postcopy-paused')
        side.control.result(number, SECONDS)


@test('source: postcopy-recover', seconds=120)
def _(box):
    with paused_pair(box) as pair:
        side, uri = pair.source, silent_listener(box)
        watcher = Watcher(box, side)
        resumes(watcher, side, uri, ROUNDS - ROUNDS // 4)
        make_late(box, side)
        resumes(watcher, side, uri, ROUNDS // 4)
        uri = listen_anew(box, pair.destination)
        side.set(max_postcopy_bandwidth=0)
        side.cmd('migrate', uri=uri, resume=True)
        pair.complete()


@test('destination: setup', seconds=120)
def _(box):
    uri = unix_uri(box)
    with Side(box, incoming=uri) as side:
        side.set('events')
        watcher = Watcher(box, side)
        # Listening is "setup", too; after a failure the state changes.
        SourcePeer(uri[5:]).close()
        watcher.wait('failed')
        for i in range(ROUNDS):
            peer = SourcePeer(uri[5:], seconds=SECONDS)
            if i % 2:
                watcher.cut_at('setup', 'migrate_cancel')
                watcher.wait('cancelling')
                watcher.wait('cancelled')
            else:
                watcher.cut_at('setup')
                watcher.wait('failed')
            peer.expect_closed()


@test('destination: active', seconds=120)
def _(box):
    uri = unix_uri(box)
    with Side(box, incoming=uri) as side:
        side.set('events')
        watcher = Watcher(box, side)
        for i in range(ROUNDS):
            peer = SourcePeer(uri[5:], seconds=SECONDS)
            peer.send(mp.volume(0, 'd0', 4 << 20),
                      section(mp.SETUP_END, length=1))
            if i:
                watcher.wait('setup')
            watcher.cut_at('active')
            watcher.wait('failed')
            peer.expect_closed()


@test('destination: postcopy-recover', seconds=120)
def _(box):
    uri = unix_uri(box)
    attempts = itertools.count(1)
    with Side(box, incoming=uri) as side:
        side.set('events')
        peer = SourcePeer(uri[5:], attempt=next(attempts), seconds=SECONDS)
        peer.set_up()
        peer.send(section(mp.PASS_END))
        peer.expect(mp.PASS_ACK)
        peer.send(section(mp.PASS_END, offset=1))
        peer.expect(mp.PASS_ACK)
        peer.send(section(mp.HAND_OVER, offset=1))
        peer.expect(mp.READY)
        session = peer.session
        peer.close()
        side.await_status('postcopy-paused')
        watcher = Watcher(box, side)
        for _ in range(ROUNDS):
            peer = SourcePeer(uri[5:], flags=mp.RESUME, session=session,
                              attempt=next(attempts), seconds=SECONDS)
            watcher.cut_at('postcopy-recover')
            watcher.wait('postcopy-paused')
            peer.expect_closed()
        peer = SourcePeer(uri[5:], flags=mp.RESUME, session=session,
                          attempt=next(attempts), seconds=SECONDS)
        peer.expect(mp.READY)
        peer.expect(mp.LACKS_END)
        peer.send(section(mp.GO))
        peer.expect(mp.STARTED)
        side.await_status('completed')
        peer.send(section(mp.BYE))
        peer.expect_closed()


run()
