# SPDX-License-Identifier: GPL-2.0-or-later
"""yankd's migration of a disk that it exports."""

import json
import os
import subprocess
import time

from daemon import Daemon
from disk import warm
from moves import CHANNELS, check_content, listen, outcome, set_up, writer
from servers import uri as nbd_uri
from stolen import Stolen

BLOCK = 64 << 10
# How long the writer goes on where it is, before and after the migration.
_SETTLE = 0.3
# What the clock of query-migrate may lack of ours: a share, and seconds.
_CLOCK_SHARE, _CLOCK_SLACK = 0.05, 0.02


class _Side(Daemon):
    """A process with the node and its export.

    @backend: 'ram', or the path of a file
    """

    def __init__(self, box, backend, size, options=()):
        self.path = box.path(box.unique('export') + '.sock')
        node = (f'ram,node-name=disk0,size={size}' if backend == 'ram' else
                f'file,node-name=disk0,filename={backend}')
        super().__init__(box, 'yankd', [
            '--blockdev', node,
            '--nbd-server', f'addr.type=unix,addr.path={self.path}',
            '--export', 'type=nbd,id=export0,node-name=disk0,name=disk,'
            'writable=on', *options])

    def uri(self):
        return nbd_uri(self.path, None, 'disk')


def _psk(box):
    """A folder with a key for TLS."""
    folder = box.path('psk')
    os.mkdir(folder)
    box.run(['psktool', '-u', 'qemu', '-p',
             os.path.join(folder, 'keys.psk')])
    return folder


class _Pair:
    """Source and destination, ready to begin."""

    def __init__(self, box, disk, backend, channels, tls=False, **parameters):
        tls_options = {'client': [], 'server': []}
        if tls:
            folder = _psk(box)
            for endpoint, options in tls_options.items():
                options += ['--object', f'tls-creds-psk,id=tls0,dir={folder},'
                            f'endpoint={endpoint}']
            parameters['tls-creds'] = 'tls0'
        self.source = _Side(
            box, 'ram' if backend == 'ram' else disk.path, disk.size,
            tls_options['client'])
        self.destination = _Side(box, 'ram', disk.size, [
            *tls_options['server'], '--incoming', 'defer'])
        self.src = self.source.qmp(seconds=30)
        self.dst = self.destination.qmp(seconds=30)
        set_up(self.src, channels, **parameters)
        set_up(self.dst, channels, **parameters)
        if backend == 'ram':
            box.run(['nbdcopy', disk.path, self.source.uri()])
        self._uri = listen(self.dst)
        warm(2 * disk.size)

    def migrate(self):
        """Returns what query-migrate says at the end."""
        with Stolen() as stolen:
            begin = time.perf_counter()
            self.src.cmd('migrate', {'uri': self._uri})
            info = outcome(self.src, self.dst)
            spent = time.perf_counter() - begin
        self.stolen = stolen.ms
        told = info['total-time'] / 1e3
        if told < spent * (1 - _CLOCK_SHARE) - _CLOCK_SLACK:
            raise RuntimeError(f'query-migrate tells {told} s, and it took '
                               f'{spent:.3f} s')
        return info


class Migration:
    """Time from the beginning to the end, as query-migrate tells."""

    who = 'yankd'

    def __init__(self, backend, channels, tls):
        self.name = (f'yankd, {backend}, {channels} '
                     f"channel{'s' if channels > 1 else ''}"
                     f"{', TLS' if tls else ''}")
        self.channels = channels
        self.tls = tls
        self._backend = backend

    def measure(self, box, disk):
        pair = _Pair(box, disk, self._backend, self.channels, self.tls)
        info = pair.migrate()
        check_content(box, pair.destination.uri(), disk)
        return {'rate': disk.size / info['total-time'] / 1e3,
                'downtime': info['downtime'], 'stolen': pair.stolen}


class Downtime:
    """Downtime while a client writes; the gap is the longest time between
    two of its requests that were completed."""

    who = 'yankd'

    def __init__(self, name, limit, link_rate):
        self.name = name
        self.limit = limit
        self._link_rate = link_rate

    def measure(self, box, disk):
        pair = _Pair(box, disk, 'ram', CHANNELS,
                     **{'downtime-limit': self.limit})
        wanted = self._link_rate() / 4
        client = box.spawn(
            [writer(), str(wanted), str(BLOCK),
             pair.source.uri(), pair.destination.uri(), disk.path],
            stdin=subprocess.PIPE)
        time.sleep(_SETTLE)
        client.stdin.write(b'begin\n')
        client.stdin.flush()
        info = pair.migrate()
        time.sleep(_SETTLE)
        client.stdin.write(b'end\n')
        client.stdin.close()
        if client.wait(60) != 0:
            raise RuntimeError(client.output())
        seen = json.loads(client.output())
        if not seen['moved']:
            raise RuntimeError('the source went on serving')
        return {'downtime': info['downtime'], 'total': info['total-time'],
                'dirtied': seen['rate'], 'wanted': wanted,
                'stolen': pair.stolen,
                'gap': seen['gap-ms'], 'move-gap': seen['move-gap-ms'],
                'idle-gap': seen['idle-gap-ms']}


def migrations():
    return [Migration(backend, channels, tls) for backend in ('ram', 'file')
            for channels in (1, CHANNELS) for tls in (False, True)]
