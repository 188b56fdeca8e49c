# SPDX-License-Identifier: GPL-2.0-or-later
"""What all that moves a disk has in common: QMP of migration, and the check
of the bytes that arrived."""

import os

import paths
from sandbox import wait_for

CHANNELS = 4
# Stock's limit of bandwidth must be some number; this one is no limit.
_UNLIMITED = 100 * 10**9


def helper(name):
    """The path of a program that is built for the benchmarks."""
    return os.path.join(os.path.dirname(paths.yankd()), 'tests', 'bench', name)


def writer():
    """The program that writes to exports and compares them."""
    return helper('paced-writer')


def check_content(box, uri, disk):
    """Fails unless the export has the disk's bytes."""
    box.run([writer(), '--verify', uri, disk.path])


def set_up(qmp, channels, **parameters):
    """Sets capabilities and parameters, the same on both sides."""
    capabilities = ['events'] + (['multifd'] if channels > 1 else [])
    qmp.cmd('migrate-set-capabilities', {'capabilities': [
        {'capability': name, 'state': True} for name in capabilities]})
    parameters['max-bandwidth'] = _UNLIMITED
    if channels > 1:
        parameters['multifd-channels'] = channels
    qmp.cmd('migrate-set-parameters', parameters)


def listen(qmp):
    """Makes the destination listen; returns the URI for the source."""
    qmp.cmd('migrate-incoming', {'uri': 'tcp:127.0.0.1:0'})

    def address():
        info = qmp.cmd('query-migrate')
        if info.get('status') == 'failed':
            raise RuntimeError(f'destination: {info}')
        return info.get('socket-address')
    port = wait_for('destination listens', address)[0]['port']
    return f'tcp:127.0.0.1:{port}'


def outcome(qmp, peer, seconds=60):
    """What query-migrate says of a migration that has ended well.

    @peer: the destination, whose view of a failure is told too
    """
    def ended():
        info = qmp.cmd('query-migrate')
        if info['status'] in ('failed', 'cancelled'):
            raise RuntimeError(f'source: {info}, destination: '
                               f"{peer.cmd('query-migrate')}")
        # Stock says completed a little before it says how long it took.
        return info['status'] == 'completed' and info['total-time'] and info
    qmp.event('MIGRATION', seconds,
              lambda data: data['status'] in ('completed', 'failed'))
    return wait_for('end of the migration', ended)
