#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# builds: build
"""While one node hangs, the I/O of another goes on at full speed."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from nbd import NbdClient
from rescue import Rescuer, node
from servers import Gateway, Nbdkit, nbd_option
from suite import run, test


def reads_a_second(client, windows=6, seconds=0.2):
    """The best of some short windows: other load only ever takes away."""
    best = 0
    for _ in range(windows):
        count = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            client.read((count % 256) * 4096, 4096)
            count += 1
        best = max(best, count / seconds)
    return best


def full_speed(box, options, export):
    """Reads of @export, before and during the hang of nbd0."""
    stuck = Nbdkit(box, name='stuck')
    gateway = Gateway(box, stuck.path, options=options +
                      nbd_option(stuck.path, 'spare'))
    with gateway, Rescuer(gateway) as rescuer, gateway.qmp() as qmp:
        with NbdClient(gateway.nbd_path, export) as healthy, \
                NbdClient(gateway.nbd_path, 'disk') as client:
            before = reads_a_second(healthy)
            stuck.freeze()
            for n in range(32):
                client.request(0, n * 4096, 4096)
            qmp.submit('blockdev-del', {'node-name': 'spare'})
            rescuer.see_hang()
            during = 0
            # Other load on the machine takes away for a while only.
            deadline = time.monotonic() + 10
            while during <= 0.5 * before and time.monotonic() < deadline:
                during = max(during, reads_a_second(healthy))
            print(f'# {before:.0f} reads a second before, {during:.0f} '
                  'during the hang')
            rescuer.yank(node('spare'))
            assert during > 0.5 * before, (before, during)
        stuck.thaw()


@test('a node in memory', needs=['nbdkit'])
def _(box):
    full_speed(box, ['--blockdev', 'ram,node-name=ok,size=1M', '--export',
                     'type=nbd,id=ok,node-name=ok'], 'ok')


@test('a node of another server', needs=['nbdkit'])
def _(box):
    healthy = Nbdkit(box, name='healthy')
    full_speed(box, nbd_option(healthy.path, 'ok') + [
        '--export', 'type=nbd,id=ok,node-name=ok'], 'ok')


@test('a node on an I/O thread of its own', needs=['nbdkit'])
def _(box):
    healthy = Nbdkit(box, name='healthy')
    full_speed(box, ['--object', 'iothread,id=io1'] +
               nbd_option(healthy.path, 'ok') + [
                   '--export', 'type=nbd,id=ok,node-name=ok,iothread=io1'],
               'ok')


@test('a new client of a healthy export is served during the hang',
      needs=['nbdkit'])
def _(box):
    stuck = Nbdkit(box, name='stuck')
    gateway = Gateway(box, stuck.path, options=[
        '--blockdev', 'ram,node-name=ok,size=1M', '--export',
        'type=nbd,id=ok,node-name=ok'] + nbd_option(stuck.path, 'spare'))
    with gateway, Rescuer(gateway) as rescuer, gateway.qmp() as qmp:
        with NbdClient(gateway.nbd_path, 'disk') as client:
            stuck.freeze()
            client.request(0, 0, 4096)
            qmp.submit('blockdev-del', {'node-name': 'spare'})
            rescuer.see_hang()
            try:
                with NbdClient(gateway.nbd_path, 'ok', seconds=2) as late:
                    late.read(0, 512)
            finally:
                rescuer.yank(node('spare'))
        stuck.thaw()


run()
