#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# builds: build build-debug build-tsan
# timeout: 300
# parallel-safe
"""Yanks, cancellations and deletions at random moments of every phase of every
instance type: each command ends, and the out-of-band lane always answers.

What this looks for is a post between threads that touches what the other
thread has freed; the builds with sanitizers see it at once.
"""

import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon
from peers import Blackhole, Listener, SilentResolver
from sandbox import wait_for
from servers import Nbdkit
from suite import run, slowness, test

# How often each phase is met; builds with checks are slower.
ROUNDS = {1: 60}.get(slowness(), 15)
SECONDS = 20 * slowness()


class Storm:
    """An in-band session that gives commands, and an out-of-band session that
    yanks until they end."""

    def __init__(self, box, daemon):
        self.inband = daemon.qmp(seconds=SECONDS)
        self.lane = daemon.qmp(seconds=SECONDS)
        box.on_exit(self.inband.close)
        box.on_exit(self.lane.close)

    def yank_all(self):
        """An instance may disappear between the query and the yank."""
        instances = self.lane.oob('query-yank')
        number = self.lane.submit('yank', {'instances': instances}, oob=True)
        reply = self.lane.reply(number)
        assert ('return' in reply or
                reply['error']['class'] == 'DeviceNotFound'), reply

    def until_done(self, number, also=()):
        """Yanks, and gives the out-of-band commands @also, until the in-band
        command has its reply, which is returned."""
        deadline = time.monotonic() + SECONDS
        while True:
            for message in self.inband.pending(random.random() * 0.002):
                if message.get('id') == number:
                    return message
            for command in also:
                self.lane.reply(self.lane.submit(command, oob=True))
            self.yank_all()
            assert time.monotonic() < deadline, 'the yanks do not end it'

    def run(self, command, arguments=None, also=()):
        """One command under yanks; its reply."""
        number = self.inband.submit(command, arguments)
        threading.Event().wait(random.random() * 0.002)
        return self.until_done(number, also)


def nbd(address, **more):
    return {'driver': 'nbd', 'node-name': 'n', 'server': address, **more}


def node_rounds(storm, options):
    """The node is added, revived and deleted under yanks."""
    for i in range(ROUNDS):
        storm.run('object-add', {'qom-type': 'iothread', 'id': 'io'})
        added = storm.run('blockdev-add', options)
        if 'return' in added:
            storm.run('x-blockdev-set-iothread',
                      {'node-name': 'n', 'iothread': 'io'})
            storm.run('blockdev-reconnect', {'node-name': 'n'})
            if i % 2:
                # Move the node off the I/O thread that will be deleted.
                storm.run('x-blockdev-set-iothread',
                          {'node-name': 'n', 'iothread': None})
            gone = storm.run('blockdev-del', {'node-name': 'n'})
            assert 'return' in gone, gone
        deleted = storm.run('object-del', {'id': 'io'})
        assert 'return' in deleted, deleted


def device_rounds(storm, backend):
    """The device is added, changed and removed under yanks."""
    for _ in range(ROUNDS):
        arguments = {'id': 'c', 'backend': backend}
        if 'return' in storm.run('chardev-add', arguments):
            storm.run('chardev-change', arguments)
            gone = storm.run('chardev-remove', {'id': 'c'})
            assert 'return' in gone, gone


def migration_rounds(storm, uri):
    """The migration begins, and is yanked and cancelled at once."""
    for _ in range(ROUNDS):
        storm.run('migrate', {'uri': uri}, also=('migrate_cancel',))
        storm.lane.reply(storm.lane.submit('migrate_cancel', oob=True))

        def over():
            storm.yank_all()
            status = storm.lane.oob('query-migrate').get('status', 'none')
            return status in ('none', 'failed', 'cancelled', 'completed')
        wait_for('the migration to end', over, SECONDS)


def socket_backend(address, **more):
    return {'type': 'socket', 'data': {'addr': address, **more}}


class RefusesAll:
    """A path where clients are accepted and sent away."""

    def __init__(self, box):
        self.listener = Listener(box, 'refuses')
        self.listener.sock.settimeout(None)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                self.listener.sock.accept()[0].close()
            except OSError:
                return


def start(box, wrapper=()):
    return Daemon(box, options=['--blockdev', 'ram,node-name=r,size=4M'],
                  monitors=1, wrapper=wrapper)


def one_at_a_time(box, body, wrapper=()):
    seed = random.randrange(1 << 32)
    random.seed(seed)
    print(f'# seed {seed}')
    with start(box, wrapper) as daemon:
        storm = Storm(box, daemon)
        body(storm)
        storm.inband.cmd('query-version')
        assert storm.lane.oob('query-yank') == []
        assert storm.lane.oob('query-yank-status') == []


@test('nodes: name resolution', seconds=60)
def _(box):
    resolver = SilentResolver(box)
    one_at_a_time(box, lambda storm: node_rounds(storm, nbd(
        {'type': 'inet', 'host': 'silent.test', 'port': '1'})),
        resolver.wrapper)


@test('nodes: connect', seconds=60)
def _(box):
    hole = Blackhole(box)
    one_at_a_time(box, lambda storm: node_rounds(storm, nbd(hole.address())))


@test('nodes: handshake', seconds=60)
def _(box):
    silent = Listener(box, 'silent', backlog=4096)
    one_at_a_time(box, lambda storm: node_rounds(storm, nbd(silent.address())))


@test('nodes: transmission and the wait to reconnect', seconds=60,
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    one_at_a_time(box, lambda storm: node_rounds(storm, nbd(
        server.address(), **{'reconnect-delay': 60})))


@test('nodes: open-timeout with a server that sends clients away', seconds=60)
def _(box):
    server = RefusesAll(box)
    one_at_a_time(box, lambda storm: node_rounds(storm, nbd(
        server.listener.address(), **{'open-timeout': 60})))


@test('devices: connect, connected, and the wait to reconnect', seconds=90)
def _(box):
    hole, silent = Blackhole(box), Listener(box, 'silent', backlog=4096)
    backends = [socket_backend(peer.legacy_address(), server=False, **more)
                for peer in (hole, silent, RefusesAll(box).listener)
                for more in ({}, {'reconnect': 1})]

    def body(storm):
        for backend in backends:
            device_rounds(storm, backend)
    one_at_a_time(box, body)


@test('devices: the wait for a client', seconds=60)
def _(box):
    address = {'type': 'unix', 'data': {'path': box.path('waits.sock')}}
    one_at_a_time(box, lambda storm: device_rounds(storm, socket_backend(
        address, server=True, wait=True)))


@test('migration: name resolution', seconds=60)
def _(box):
    resolver = SilentResolver(box)
    one_at_a_time(box, lambda storm: migration_rounds(
        storm, 'tcp:silent.test:1'), resolver.wrapper)


@test('migration: connect', seconds=60)
def _(box):
    hole = Blackhole(box)
    one_at_a_time(box, lambda storm: migration_rounds(
        storm, f'tcp:127.0.0.1:{hole.port}'))


@test('migration: hello', seconds=60)
def _(box):
    silent = Listener(box, 'silent', backlog=4096)
    one_at_a_time(box, lambda storm: migration_rounds(
        storm, f'unix:{silent.path}'))


run()
