# SPDX-License-Identifier: GPL-2.0-or-later
"""Two daemons with the same volumes, and a link that can break between them."""

import contextlib
import resource

import nbd
from daemon import Daemon
from migration_link import Link, new_address, uri_of
from migration_model import BLOCK, Client, Model
from qmp import QmpError
from sandbox import wait_for
from suite import slowness

#: Blocks of each volume; the last granule of 16 KiB of the second is short.
SIZES = {'r0': 512, 'f0': 389}
# So that a limit of the size of files is an error and no signal.
_BEAR_FULL_DISK = ['sh', '-c', 'trap "" XFSZ; exec "$0" "$@"']
QUIET = ('completed', 'failed', 'cancelled', 'postcopy-paused')


class Side:
    """One of the two: a daemon, its volumes, and a QMP client.

    Volumes whose name begins with f are files, others are memory.
    """

    def __init__(self, box, name, sizes=None, incoming=None, options=(),
                 files=None, wrapper=None):
        self.box = box
        self.name = name
        self.sizes = sizes or SIZES
        self.nbd = box.path(box.unique(name) + '.nbd')
        self.files = files or {}
        self.junk = incoming is not None
        argv = list(options)
        for volume, blocks in self.sizes.items():
            argv += ['--blockdev', self._blockdev(volume, blocks)]
        argv += ['--nbd-server', f'addr.type=unix,addr.path={self.nbd}']
        # Each volume on a thread of its own.
        for volume in self.sizes:
            argv += ['--object', f'iothread,id=t-{volume}',
                     '--export', f'nbd,id=e-{volume},node-name={volume},'
                     f'iothread=t-{volume},writable=on']
        if incoming:
            argv += ['--incoming', incoming]
        self.daemon = Daemon(box, options=argv, wrapper=wrapper or _BEAR_FULL_DISK)
        self.qmp = self.daemon.qmp(seconds=15 * slowness())

    def _blockdev(self, volume, blocks):
        common = f'node-name={volume},discard=unmap'
        if not volume.startswith('f'):
            return f'ram,size={blocks * BLOCK},{common}'
        if volume not in self.files:
            path = self.box.path(self.box.unique(f'{self.name}-{volume}'))
            with open(path, 'wb') as f:
                # What a destination had before must not shine through.
                f.write(b'\xdb' * blocks * BLOCK if self.junk else b'')
                f.truncate(blocks * BLOCK)
            self.files[volume] = path
        return f'file,filename={self.files[volume]},{common}'

    # Migration

    def status(self):
        """'dead' when the process is gone."""
        try:
            return self.query().get('status', 'none')
        except (OSError, EOFError):
            self.daemon.process.wait(5)     # or it should not do that
            return 'dead'

    def query(self):
        return self.qmp.oob('query-migrate')

    def set(self, capabilities=(), parameters=None):
        if capabilities:
            self.qmp.cmd('migrate-set-capabilities', {'capabilities': [
                {'capability': name, 'state': True}
                for name in capabilities]})
        if parameters:
            self.qmp.cmd('migrate-set-parameters', parameters)

    def wait_status(self, *wanted, seconds=10.0):
        """Until the status is one of @wanted; returns it."""
        last = []

        def reached():
            last[:] = [self.query()]
            return last[0].get('status', 'none') in wanted
        try:
            wait_for(f'{self.name} is {" or ".join(wanted)}', reached,
                     seconds * slowness())
        except TimeoutError as error:
            raise TimeoutError(f'{error}; it is: {last[0]}') from None
        return last[0]['status']

    # Clients

    def connect(self, volume, seconds=10.0):
        return nbd.NbdClient(self.nbd, volume, seconds * slowness())

    def clients(self):
        """A connection to each volume."""
        return [self.connect(volume) for volume in self.sizes]

    # Storage

    def limit_files(self, size):
        """Nothing can be written beyond @size of a file; None: anything."""
        size = resource.RLIM_INFINITY if size is None else size
        resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE,
                         (size, resource.RLIM_INFINITY))

    # The end

    def alive(self):
        return self.daemon.alive()

    def kill(self, _section=None):
        self.daemon.process.kill()

    def finish(self):
        if self.alive():
            self.daemon.finish()
        self.qmp.close()


class Pair:
    """Source and destination, and the model of what they hold."""

    def __init__(self, box, capabilities=(), parameters=None, sizes=None,
                 options=(), wrapper=None, tcp=False):
        self.box = box
        self.wrapper = wrapper
        self.tcp = tcp
        self.sizes = sizes or SIZES
        self.capabilities = list(capabilities)
        self.parameters = parameters
        self.options = options
        self.model = Model(self.sizes)
        self.threads = []
        self.source = Side(box, 'source', self.sizes, options=options)
        self.source.set(self.capabilities, parameters)
        self.new_destination()
        box.on_exit(self._end_threads)
        connections = self.source.clients()
        self.model.fill(connections)
        for connection in connections:
            connection.close()

    def new_destination(self):
        """Another one takes the place of the one before."""
        address = new_address(self.box, self.tcp)
        self.destination = Side(self.box, 'destination', self.sizes,
                                uri_of(address), self.options,
                                wrapper=self.wrapper)
        self.destination.set(self.capabilities, self.parameters)
        # It serves its monitor before that.
        self._wait_listening(address)
        self.link = Link(self.box, address)

    @property
    def sides(self):
        return self.source, self.destination

    # Clients

    def start_clients(self, seed, sticky=True, n=1, pause=0.0005):
        """@n that follow the role, and with @sticky two that do not."""
        paths = {side.name: side.nbd for side in self.sides}
        wanted = [paths] * n
        if sticky:
            wanted += [{name: path} for name, path in paths.items()]
        self.threads = [
            Client(self.model, where, (i, len(wanted)), f'{seed} {i}', pause)
            for i, where in enumerate(wanted)]
        for thread in self.threads:
            thread.start()
        first = self.threads[0]
        wait_for('a write', lambda: first.done > 3 or first.error,
                 10 * slowness())

    def stop_clients(self):
        threads, self.threads = self.threads, []
        for thread in threads:
            thread.stop()
        failures = [f for thread in threads for f in thread.failures]
        assert not failures, f'requests failed: {failures}'

    def _end_threads(self):
        for thread in self.threads:
            thread._ended.set()  # the test has failed: no matter how

    # Migration

    def migrate(self, **more):
        self.source.qmp.cmd('migrate', {'uri': self.link.uri, **more})

    def hurry(self):
        """From now on nothing keeps the migration from its end."""
        with contextlib.suppress(QmpError, OSError, EOFError):
            self.source.set(parameters={
                'max-bandwidth': 0, 'max-postcopy-bandwidth': 0,
                'downtime-limit': 5000})

    def start_postcopy(self):
        self.source.qmp.cmd('migrate-start-postcopy')

    def migrate_postcopy(self):
        """With little there when the destination begins to serve.  A busy
        host may take longer from one command to the next than a whole
        migration does: so passes stand still until postcopy begins."""
        self.source.set(parameters={'max-bandwidth': 1})
        self.migrate()
        self.start_postcopy()

    def recover(self):
        """A new address, a new link."""
        address = new_address(self.box, self.tcp)
        self.destination.qmp.oob('migrate-recover', {'uri': uri_of(address)})
        assert self._listens(address)
        self.link.target = address

    def _wait_listening(self, address):
        wait_for(f'{address} is there', lambda: self._listens(address),
                 10 * slowness())

    def _listens(self, address):
        where = self.destination.query().get('socket-address', [{}])[0]
        return address in (where.get('path'),
                           (where.get('host'), int(where.get('port', 0))))

    def resume(self):
        self.migrate(resume=True)

    def wait_quiet(self):
        """Until both sides that are there have come to rest.  A destination
        that has not heard of a migration listens, and that is all right."""
        source = destination = 'dead'
        if self.source.alive():
            source = self.source.wait_status(*QUIET)
        if self.destination.alive():
            destination = self.destination.wait_status(*QUIET, 'setup')
        return source, destination

    # Comparing

    def check(self, side):
        """Reads back what @side serves, and that it takes writes."""
        for volume, name in enumerate(self.sizes):
            if name in side.sizes:
                with side.connect(name) as client:
                    self.model.check_volume(volume, client)
                    client.write(0, client.read(0, BLOCK))

    def finish(self):
        for side in self.sides:
            side.finish()
