#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# parallel-safe
"""A process without a descriptor left says so, and lives."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon
from qmp import QmpError
from sandbox import wait_for
from suite import run, test

LIMIT = 64
NO_MORE = 'Too many open files'


class Short(Daemon):
    """Strangers take what descriptors there are, as clients of the NBD
    server, which has no limit of its own."""

    def __init__(self, box, *options):
        path = box.path('nbd.sock')
        super().__init__(box, options=[
            *options, '--nbd-server', f'addr.type=unix,addr.path={path}'],
            wrapper=['sh', '-c', f'ulimit -n {LIMIT} && exec "$0" "$@"'])
        self.client = self.qmp()
        self.strangers = []
        while len(self.strangers) < LIMIT:
            self.strangers.append(socket.socket(socket.AF_UNIX))
            self.strangers[-1].connect(path)
        wait_for('shortage', lambda: self.fds() == LIMIT)

    def refuses(self, command, arguments, text):
        try:
            self.client.cmd(command, arguments)
        except QmpError as error:
            assert text in str(error) and NO_MORE in str(error), error
        else:
            raise AssertionError(f'{command} found a descriptor')

    def __exit__(self, kind, *rest):
        for stranger in self.strangers:
            stranger.close()
        self.client.close()
        super().__exit__(kind, *rest)


@test('no I/O thread')
def _(box):
    with Short(box) as daemon:
        daemon.refuses('object-add', {'qom-type': 'iothread', 'id': 'io0'},
                       'Unable to create an event loop')


@test('no character device that connects')
def _(box):
    with Short(box) as daemon:
        daemon.refuses('chardev-add', {'id': 'c0', 'backend': {
            'type': 'socket', 'data': {'server': False, 'addr': {
                'type': 'unix', 'data': {'path': box.path('no')}}}}},
            'Unable to create an event loop')
        assert daemon.client.cmd('query-yank') == []


@test('no node that needs a timer')
def _(box):
    slow = {'driver': 'null-co', 'node-name': 'n0', 'latency-ns': 1000}
    server = {'type': 'unix', 'path': box.path('no')}
    with Short(box, '--blockdev', 'null-co,node-name=n1') as daemon:
        for node in (slow, {'driver': 'nbd', 'node-name': 'n0',
                            'server': server, 'open-timeout': 1},
                     {'driver': 'blkdebug', 'node-name': 'n0',
                      'image': 'n1'}):
            daemon.refuses('blockdev-add', node, 'Unable to create a timer')
        assert daemon.client.cmd('query-yank') == []


run()
