#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# builds: build build-debug
# timeout: 300
"""yankctl watch before a folder of 3,000 sockets, 2,900 of which are stale."""

import os
import resource
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import daemon
from hang import FifoHang
from sandbox import wait_for
from suite import run, slowness, test
from watch import Watch

STALE = 2900
LIVE = 100


def make_stale(folder):
    """What a process that was killed leaves behind."""
    for i in range(STALE):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(os.path.join(folder, f'stale{i}.sock'))


def threads(pid):
    return len(os.listdir(f'/proc/{pid}/task'))


@test('3,000 sockets, few threads and descriptors at the start', seconds=250)
def _(box):
    folder = box.path('f')
    os.mkdir(folder)
    make_stale(folder)
    server = daemon.Daemon(box, 'yankd', monitors=LIVE + 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    options = [o for i in range(LIVE)
               for o in ('-s', f'vm{i}={server.sockets[i]}')]
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        watch = Watch(box, '-d', folder, *options, policy="""
interval: 0.5
rules: [{domains: "*", threshold: 1}]
""")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with watch.connect() as control:
        def connected():
            domains = control.call(op='list')['domains']
            return len(domains) >= STALE + LIVE and sum(
                d['connected'] for d in domains) >= LIVE
        wait_for('all are known', connected, 60 * slowness())
        # Attempts to connect may have a thread of their own for a moment.
        wait_for('few threads', lambda: threads(watch.process.pid) < 64,
                 20 * slowness())
        # All of the living hang at once.
        qmp = server.qmp(LIVE)
        hang = FifoHang(box, server.pid, qmp)
        wait_for('all are told to hang', lambda: len({
            line['domain'] for line in watch.journal(event='begin')}) == LIVE,
            30 * slowness())
        assert control.call(op='list')['domains']
        hang.release()
        wait_for('all are told to be back', lambda: len({
            line['domain'] for line in watch.journal(event='end')}) == LIVE,
            30 * slowness())
        wait_for('few threads', lambda: threads(watch.process.pid) < 64,
                 20 * slowness())
    qmp.close()
    watch.finish()
    server.finish()


run()
