# SPDX-License-Identifier: GPL-2.0-or-later
"""Speed as an NBD gateway: fio in front, nbdkit's memory behind."""

import json
import os

from common import Row
from nbd import NbdClient
from servers import Gateway, Nbdkit

MIB = 1 << 20
DISK = 256 * MIB

# name: fio's rw, block size, queue depth
JOBS = {
    'randread-4k-qd64': ('randread', '4k', 64),
    'randwrite-4k-qd64': ('randwrite', '4k', 64),
    'randread-4k-qd1': ('randread', '4k', 1),
    'seqread-256k-qd16': ('read', '256k', 16),
    'seqwrite-256k-qd16': ('write', '256k', 16),
}


def fill(path):
    """Fills a disk with random data, so that no page is shared zeroes."""
    with NbdClient(path) as nbd:
        block = os.urandom(4 * MIB)
        for offset in range(0, DISK, len(block)):
            # Shifted, so that no two blocks are the same.
            shift = offset >> 20
            nbd.write(offset, block[shift:] + block[:shift])


def fio(box, uri, job, seconds):
    """Runs one job; returns its speed in IOPS or MiB/s."""
    rw, bs, depth = JOBS[job]
    done = box.run(
        ['fio', f'--name={job}', '--ioengine=nbd', f'--uri={uri}',
         f'--rw={rw}', f'--bs={bs}', f'--iodepth={depth}', '--time_based',
         f'--runtime={seconds}', f'--size={DISK}', '--output-format=json'],
        seconds=seconds + 60)
    result = json.loads(done.stdout[done.stdout.index('{'):])['jobs'][0]
    side = result['write' if 'write' in rw else 'read']
    return side['bw_bytes'] / MIB if bs == '256k' else side['iops']


def run(box, jobs, rounds, seconds, say, stock=True, yankd=True):
    """Runs @jobs in turn on each; returns rows."""
    server = Nbdkit(box, 'memory', f'{DISK}', name='backend')
    fill(server.path)
    targets = {'backend': server.uri()}
    if stock:
        targets['stock'] = Gateway(box, server.path, 'qsd').uri()
    if yankd:
        targets['yankd'] = Gateway(box, server.path, 'yankd').uri()
    rows = []
    for job in jobs:
        row = Row(job, 'MiB/s' if 'seq' in job else 'IOPS', True)
        rows.append(row)
    for turn in range(rounds):
        for row in rows:
            say(f'round {turn + 1} of {rounds}: {row.name}')
            for who, uri in targets.items():
                row.samples[who].append(fio(box, uri, row.name, seconds))
    return rows
