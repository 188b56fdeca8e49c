# SPDX-License-Identifier: GPL-2.0-or-later
"""Two sides of a migration: processes with volumes, and clients that write."""

import os
import random
import threading
import time

import nbd
from daemon import Daemon, free_port
from sandbox import wait_for
from suite import slowness

MIGRATION = {'type': 'migration'}
KIB, MIB = 1 << 10, 1 << 20
GRANULE = 16 * KIB
# States in which nothing changes by itself.
AT_REST = ('completed', 'failed', 'cancelled', 'postcopy-paused')


class Volume:
    """What a volume is like on one side.

    @driver: 'ram', 'file', or 'nbd', which has an @upstream unix socket
    """

    def __init__(self, name='d0', size=4 * MIB, driver='ram', read_only=False,
                 upstream=None, path=None):
        self.name = name
        self.size = size
        self.driver = driver
        self.read_only = read_only
        self.upstream = upstream
        self.path = path

    def blockdev(self, box, side):
        text = f'driver={self.driver},node-name={self.name}'
        if self.driver == 'ram':
            text += f',size={self.size}'
        elif self.driver == 'file':
            path = self.path or box.path(f'{side}-{self.name}.img')
            if self.path is None:
                with open(path, 'wb') as f:
                    f.truncate(self.size)
            text += f',filename={path}'
        else:
            text += f',server.type=unix,server.path={self.upstream}'
        return text + (',read-only=on' if self.read_only else '')

    def export(self):
        writable = 'off' if self.read_only else 'on'
        return (f'type=nbd,id=e-{self.name},node-name={self.name},'
                f'name={self.name},writable={writable}')


class Side(Daemon):
    """yankd with volumes that are exported over NBD.

    @incoming: where it listens, 'defer', or None for a source
    """

    def __init__(self, box, volumes=None, incoming=None, options=(),
                 **kwargs):
        self.volumes = [Volume()] if volumes is None else volumes
        self.name = box.unique('side')
        self.nbd_path = box.path(f'{self.name}.nbd')
        argv = list(options)
        for volume in self.volumes:
            argv += ['--blockdev', volume.blockdev(box, self.name)]
        argv += ['--nbd-server', f'addr.type=unix,addr.path={self.nbd_path}']
        for volume in self.volumes:
            argv += ['--export', volume.export()]
        if incoming:
            argv += ['--incoming', incoming]
        super().__init__(box, options=argv, **kwargs)
        self.control = self.qmp()
        box.on_exit(self.control.close)
        if incoming and incoming.startswith(('tcp:', 'unix:')):
            # It listens when all options are done, monitors included.
            wait_for('listening', lambda: 'socket-address' in self.info())

    def client(self, name='d0', seconds=10.0):
        return nbd.NbdClient(self.nbd_path, name, seconds * slowness())

    def read(self, name='d0', offset=0, length=None):
        """Reads all of a volume, or a part."""
        with self.client(name) as client:
            end = client.size if length is None else offset + length
            data = b''
            while offset < end:
                part = min(end - offset, MIB)
                data += client.read(offset, part)
                offset += part
            return data

    def write(self, data, name='d0', offset=0):
        with self.client(name) as client:
            for i in range(0, len(data), MIB):
                client.write(offset + i, data[i:i + MIB])

    # QMP; out-of-band wherever that goes, so that a hang is in no one's way.

    def cmd(self, command, **arguments):
        return self.control.cmd(command, {
            key.replace('_', '-'): value for key, value in arguments.items()})

    def set(self, *capabilities, **parameters):
        """Turns @capabilities on and sets @parameters."""
        if capabilities:
            self.cmd('migrate-set-capabilities', capabilities=[
                {'capability': c, 'state': True} for c in capabilities])
        if parameters:
            self.cmd('migrate-set-parameters', **parameters)

    def info(self):
        return self.control.oob('query-migrate')

    def status(self):
        return self.info().get('status', 'none')

    def wait_status(self, *wanted, seconds=10.0):
        """Until it is one of @wanted; another that will not change is an
        error."""
        def there():
            info = self.info()
            status = info.get('status', 'none')
            assert status in wanted or status not in AT_REST, info
            return info if status in wanted else None
        return wait_for(f'{wanted} of {self.name}', there,
                        seconds * slowness())

    def await_status(self, *wanted, seconds=10.0):
        """The same, whatever it is before."""
        def there():
            info = self.info()
            return [info] if info.get('status', 'none') in wanted else None
        try:
            return wait_for(f'{wanted} of {self.name}', there,
                            seconds * slowness())[0]
        except TimeoutError as error:
            raise TimeoutError(f'{error}: {self.info()}') from None

    def yank(self):
        """Yanks the migration; what was cut."""
        result = self.control.oob('yank', {'instances': [MIGRATION]})
        return result['yanked'][0]

    def serves(self, name='d0', seconds=0.3):
        """Whether a write is carried out within so long; False when it is
        held, or the client is sent away."""
        try:
            with nbd.NbdClient(self.nbd_path, name, seconds) as client:
                client.write(0, client.read(0, 512))
                return True
        except (TimeoutError, nbd.NbdClosed, nbd.NbdError,
                ConnectionError):
            return False


class Pair:
    """A source and a destination, with the same volumes unless told."""

    def __init__(self, box, volumes=None, destination=None, uri=None,
                 incoming=None, **kwargs):
        self.box = box
        self.uri = uri or unix_uri(box)
        self.source = Side(box, volumes, **kwargs)
        self.destination = Side(box, destination or volumes,
                                incoming or self.uri, **kwargs)
        self.sides = self.source, self.destination

    def __enter__(self):
        return self

    def __exit__(self, kind, *_rest):
        if kind is None:
            for side in self.sides:
                side.finish()

    def set(self, *capabilities, **parameters):
        for side in self.sides:
            side.set(*capabilities, **parameters)

    def migrate(self, uri=None):
        self.source.cmd('migrate', uri=uri or self.uri)

    def complete(self, seconds=20.0):
        for side in self.sides:
            side.wait_status('completed', seconds=seconds)

    def run(self):
        self.migrate()
        self.complete()


def unix_uri(box):
    return 'unix:' + box.path(box.unique('mig') + '.sock')


def tcp_uri(host='127.0.0.1'):
    return f'tcp:{host}:{free_port()}'


def noise(size, seed=1):
    """Content that neither repeats nor compresses."""
    return random.Random(seed).randbytes(size)


class Writer(threading.Thread):
    """A client that writes and reads back as long as it can.

    It has @depth requests in flight and knows what each acknowledged write
    has made of the volume.  When its connection ends it stops; what was not
    answered may or may not have been carried out.
    """

    BLOCK = 4 * KIB

    def __init__(self, side, name='d0', depth=4, seed=0, pause=0.0,
                 content=None):
        super().__init__(daemon=True)
        self.name_of_volume = name
        self.client = side.client(name, 30.0)
        self.random = random.Random(seed)
        self.model = bytearray(content or bytes(self.client.size))
        self.depth = depth
        self.pause = pause
        self.pending = {}       # cookie: (offset, data; None for a read)
        self.failure = None
        self.closed = False     # by the server
        self.answers = 0
        self.longest_gap = 0.0
        self._stop_asked = False
        self.start()

    def run(self):
        try:
            last = time.monotonic()
            while not self._stop_asked or self.pending:
                while len(self.pending) < self.depth and not self._stop_asked:
                    self._submit()
                self._answer()
                now = time.monotonic()
                self.longest_gap = max(self.longest_gap, now - last)
                last = now
                if self.pause:
                    time.sleep(self.pause)
        except (nbd.NbdClosed, ConnectionResetError, BrokenPipeError):
            self.closed = True
        except Exception as error:              # told by check()
            self.failure = error
        finally:
            self.client.close()

    def _submit(self):
        blocks = len(self.model) // self.BLOCK
        while True:
            offset = self.random.randrange(blocks) * self.BLOCK
            if all(offset != o for o, _ in self.pending.values()):
                break
        if self.random.random() < 0.25:
            # Noted before the reply can come.
            data = None
            cookie = self.client.request(nbd.CMD_READ, offset, self.BLOCK)
        else:
            data = self.random.randbytes(self.BLOCK)
            self.pending[self.client._cookie + 1] = offset, data
            cookie = self.client.request(nbd.CMD_WRITE, offset,
                                         self.BLOCK, data)
        self.pending[cookie] = offset, data

    def _answer(self):
        cookie, error = self.client.reply()
        if error:
            raise nbd.NbdError(error)
        offset, data = self.pending[cookie]
        if data is None:
            data = self.client.recv(self.BLOCK)
            assert data == self.model[offset:offset + self.BLOCK], (
                f'what was written at {offset} is lost')
        else:
            self.model[offset:offset + self.BLOCK] = data
        del self.pending[cookie]
        self.answers += 1

    def wait_answers(self, count, seconds=10.0):
        """Until so many more requests have been answered."""
        goal = self.answers + count

        def there():
            assert self.failure is None, repr(self.failure)
            assert not self.closed, 'the server closed the connection'
            return self.answers >= goal
        wait_for('answers to a client', there, seconds * slowness())

    def stop(self):
        """Ends it after the last answer."""
        self._stop_asked = True
        self.join(30.0)
        self.check()

    def wait_closed(self, seconds=10.0):
        """Until the server ended the connection."""
        self.join(seconds * slowness())
        assert not self.is_alive(), 'the connection did not end'
        self.check()
        assert self.closed

    def check(self):
        if self.failure is not None:
            raise AssertionError(f'a client saw: {self.failure!r}')

    def compare(self, content):
        """@content must be what acknowledged writes have made."""
        allowed = {o: d for o, d in self.pending.values() if d is not None}
        for offset in range(0, len(self.model), self.BLOCK):
            found = content[offset:offset + self.BLOCK]
            if found != self.model[offset:offset + self.BLOCK]:
                assert found == allowed.get(offset), (
                    f'an acknowledged write at {offset} is lost')


def image(path):
    """What a file has."""
    with open(path, 'rb') as f:
        return f.read()


def threads_named(pid, prefix):
    """The threads of a process whose names begin with a prefix."""
    found = []
    for task in os.listdir(f'/proc/{pid}/task'):
        try:
            with open(f'/proc/{pid}/task/{task}/comm') as f:
                if f.read().startswith(prefix):
                    found.append(int(task))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found
