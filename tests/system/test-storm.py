#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Freezes, yanks and revivals at random moments under many requests: yankd
comes back each time, serves again, and keeps nothing."""

import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import listens
from nbd import CMD_READ, NbdClient
from rescue import RESCUE
from sandbox import wait_for
from servers import Gateway
from suite import run, slowness, test

ROUNDS = 30
SIZE = 64 << 20


def qemu_nbd(box):
    """nbdkit 1.32 may die when a connection with many requests is cut."""
    image, path = box.path('image'), box.path('qemu-nbd.sock')
    with open(image, 'wb') as f:
        f.truncate(SIZE)
    process = box.spawn(['qemu-nbd', '-t', '-e', '20', '-k', path,
                         '-f', 'raw', image])
    wait_for('qemu-nbd listens', lambda: listens(path))
    return process, path


def pause(seconds):
    """Lets a random part of @seconds pass: a moment, not a wait for one."""
    threading.Event().wait(random.random() * seconds)


def start_requests(client, count):
    for _ in range(count):
        client.request(CMD_READ, random.randrange(SIZE >> 16) << 16, 4096)


@test('freeze, yank, thaw, reconnect, at random moments', seconds=110,
      needs=['qemu-nbd'])
def _(box):
    seed = random.randrange(1 << 32)
    random.seed(seed)
    print(f'# seed {seed}')
    server, path = qemu_nbd(box)
    with Gateway(box, path) as gateway, gateway.qmp() as qmp:
        fds, threads = gateway.fds(), gateway.threads()
        for _ in range(ROUNDS):
            with NbdClient(gateway.nbd_path, 'disk') as client:
                start_requests(client, random.randrange(1, 33))
                pause(0.02)
                server.freeze()
                pause(0.02)
                begin = time.monotonic()
                qmp.oob('yank', {'instances': ['blockdev:nbd0']})
                qmp.cmd('query-version')
                spent = time.monotonic() - begin
                assert spent < RESCUE * slowness(), spent
                server.thaw()
                qmp.cmd('blockdev-reconnect', {'node-name': 'nbd0'})
            # The clients that left took their requests with them.
            with NbdClient(gateway.nbd_path, 'disk') as client:
                client.read(0, 4096)
        wait_for('descriptors and threads to be gone', lambda: (
            gateway.fds() <= fds and gateway.threads() <= threads))
        status = qmp.oob('query-yank-status')[0]
        assert status['in-flight'] == 0, status
        assert status['yanks'] == ROUNDS, status


run()
