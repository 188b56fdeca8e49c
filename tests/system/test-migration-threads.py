#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""The system refuses threads: a migration that needs one fails with an error,
the source goes on serving, and the next migration works."""

import itertools
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from migration import (MIB, Pair, Side, noise, tcp_uri, threads_named,
                       unix_uri)
from qmp import QmpError
from sandbox import wait_for
from suite import Skip, run, test

CHANNELS = 3


_users = itertools.count(1000000 + os.getpid() * 10)


def poor(box):
    """Runs a program as a user with no other process: the limit counts all
    threads of the user, and does not apply to root."""
    if os.getuid():
        raise Skip('only root can run programs as other users')
    os.chmod(os.path.dirname(box.path('x')), 0o777)
    user = next(_users)
    copy = box.path(f'program-{user}')
    # Only root may be able to read the build folder.
    return ['sh', '-c', f'cp "$0" {copy} && exec setpriv --reuid={user} '
            f'--regid={user} --clear-groups {copy} "$@"']


class PoorPair(Pair):
    """Source and destination, each as a user of its own."""

    def __init__(self, box):
        self.uri = tcp_uri()
        self.source = Side(box, wrapper=poor(box))
        self.destination = Side(box, incoming=self.uri, wrapper=poor(box))
        self.sides = self.source, self.destination


def limit(side, more=None):
    """At most @more threads may be added; None: any number."""
    with open(f'/proc/{side.pid}/limits') as f:
        most = re.search(r'^Max processes +\S+ +(\S+)', f.read(), re.M)[1]
    user = os.stat(f'/proc/{side.pid}').st_uid
    count = most if more is None else len(threads_named(side.pid, '')) + more
    # The own user may lower the limit without privileges.
    side.box.run(['setpriv', f'--reuid={user}', f'--regid={user}',
                  '--clear-groups', 'prlimit',
                  f'--pid={side.pid}', f'--nproc={count}:{most}'])


def at_rest(side):
    """Checks that no thread of a migration is left."""
    wait_for('end of threads', lambda: not [
        t for name in ('mig-send', 'mig-reply', 'mig-recv', 'mig-speak')
        for t in threads_named(side.pid, name)])


def failed(side):
    info = side.await_status('failed')
    assert 'thread' in info['error-desc'], info


@test('the source has no more threads', needs=['setpriv', 'prlimit'])
def _(box):
    data = noise(4 * MIB)
    with PoorPair(box) as pair:
        here = pair.source
        here.set('multifd', multifd_channels=CHANNELS)
        here.write(data)
        limit(here, 0)
        try:
            pair.migrate()
            raise AssertionError('migrate without a thread succeeded')
        except QmpError as error:
            assert 'thread' in error.desc, error.desc
        assert here.status() == 'none' and here.serves()
        assert here.cmd('query-yank') == []
        # The coordinator, the reader, and the senders.
        for n in range(1, CHANNELS + 2):
            # The last thread ends when the main thread joins it.
            wait_for('end', lambda: not threads_named(here.pid, 'migration'))
            limit(here, n)
            pair.migrate()
            failed(here)
            assert here.serves()
            limit(here)
            at_rest(here)
        pair.run()
        assert pair.destination.read() == data


@test('the destination has no more threads', needs=['setpriv', 'prlimit'])
def _(box):
    data = noise(4 * MIB)
    with PoorPair(box) as pair:
        there = pair.destination
        pair.source.set('multifd', multifd_channels=CHANNELS)
        pair.source.write(data)
        for n in range(CHANNELS):
            limit(there, n)
            pair.migrate()
            failed(there)
            info = pair.source.await_status('failed')
            assert 'thread' in info['error-desc'], info
            assert pair.source.serves()
            limit(there)
            at_rest(there)
        pair.run()
        assert there.read() == data


@test('a postcopy for which there is no thread is resumed',
      needs=['setpriv', 'prlimit'])
def _(box):
    data = noise(4 * MIB)
    with PoorPair(box) as pair:
        here, there = pair.sides
        pair.set('postcopy-blocks')
        here.write(data)
        here.set(max_bandwidth=1, max_postcopy_bandwidth=1)
        limit(there, 0)
        pair.migrate()
        here.cmd('migrate-start-postcopy')
        info = there.await_status('postcopy-paused')
        assert 'thread' in info['error-desc'], info
        here.await_status('postcopy-paused')
        here.set(max_postcopy_bandwidth=0)
        # At first, the source cannot start threads either.
        uri = tcp_uri()
        limit(there)
        there.control.oob('migrate-recover', {'uri': uri})
        limit(here, 0)
        here.cmd('migrate', uri=uri, resume=True)
        info = here.await_status('postcopy-paused')
        assert 'thread' in info['error-desc'], info
        there.await_status('postcopy-paused')
        limit(here)
        here.cmd('migrate', uri=uri, resume=True)
        pair.complete()
        assert there.read() == data


@test('no thread to listen at a path', needs=['setpriv', 'prlimit'])
def _(box):
    with Side(box, incoming='defer', wrapper=poor(box)) as there:
        uri = unix_uri(box)
        limit(there, 0)
        for command in there.cmd, lambda name, uri: there.control.oob(
                name, {'uri': uri}):
            try:
                command('migrate-incoming', uri=uri)
                raise AssertionError('it listens without a thread')
            except QmpError as error:
                assert 'thread' in error.desc, error.desc
        limit(there)
        there.cmd('migrate-incoming', uri=uri)
        assert there.status() == 'setup'


run()
