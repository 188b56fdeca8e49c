# SPDX-License-Identifier: GPL-2.0-or-later
"""Brings a migration to any state and keeps it there.

A situation is a function that takes the sandbox and returns a Situation; the
table SITUATIONS has them by the side and state that
docs/interop/migration.rst names.
"""

import contextlib
import os
import time

from migration import MIB, Pair, Volume, noise, unix_uri
from peers import Listener
from relay import Relay
from sandbox import wait_for
from servers import Nbdkit
from suite import Skip

SIZE = 8 * MIB


class Situation:
    """@side is the one that is yanked, .other the one beyond .relay."""

    def __init__(self, box, side='source', volumes=None, incoming=None):
        self.box = box
        self.pair = Pair(box, volumes or [Volume('d0', SIZE)],
                         incoming=incoming)
        self.source, self.destination = self.pair.sides
        self.side = getattr(self, side)
        self.relay = Relay(box, self.pair.uri)
        self.content = None
        self.undo = []          # makes the peer well again

    def hold(self, *names):
        """Migrates until a section of the first type comes."""
        self.relay.hold(*names)
        self.source.cmd('migrate', uri=self.relay.uri)
        self.relay.wait_held(names[0])
        return self

    def heal(self):
        """What held the migration up is over, and the connection with it."""
        for function in self.undo:
            function()
        self.relay.cut()

    def go_on(self, how):
        """Carries the migration to its end."""
        if how == 'nothing':
            return
        if how == 'migrate':
            self.source.cmd('migrate', uri=self.pair.uri)
        else:
            self.source.await_status('postcopy-paused')
            self.source.set(max_postcopy_bandwidth=0)
            uri = self.pair.uri
            if self.destination.status() != 'completed':
                self.destination.await_status('postcopy-paused')
                uri = listen_anew(self.box, self.destination)
            self.source.cmd('migrate', uri=uri, resume=True)
        for side in self.pair.sides:
            side.await_status('completed')


def listen_anew(box, destination):
    """Recovers; where it listens now."""
    uri = unix_uri(box)
    destination.control.oob('migrate-recover', {'uri': uri})
    return uri


def at_source(name, **kwargs):
    """Until a section of that type comes."""
    def reach(box):
        return Situation(box, **kwargs).hold(name)
    return reach


def at_destination(name):
    def reach(box):
        s = Situation(box, side='destination').hold(name)
        # What the source says may be ahead of what has been heard of it.
        wait_for('a session', lambda: 'total-time' in s.destination.info())
        return s
    return reach


def none(box):
    return Situation(box)


def pre_switchover(box):
    s = Situation(box)
    s.source.set('pause-before-switchover')
    s.source.cmd('migrate', uri=s.relay.uri)
    s.source.wait_status('pre-switchover')
    s.undo.append(lambda: s.source.cmd(
        'migrate-set-capabilities', capabilities=[
            {'capability': 'pause-before-switchover', 'state': False}])
        if s.source.status() != 'pre-switchover' else None)
    return s


def postcopy_active(box, side='source'):
    """Most blocks are missing, and only come when they are asked for."""
    s = Situation(box, side)
    s.source.set('postcopy-blocks', max_bandwidth=4 * MIB,
                 max_postcopy_bandwidth=1)
    s.content = noise(SIZE)
    s.source.write(s.content)
    s.source.cmd('migrate', uri=s.relay.uri)
    # The first block is there, the last one is not.
    wait_for('content', lambda: s.source.info().get('disk', {}).get(
        'transferred', 0) > MIB)
    s.source.cmd('migrate-start-postcopy')
    for side in s.pair.sides:
        side.wait_status('postcopy-active')
    return s


def postcopy_paused(box, side='source'):
    s = postcopy_active(box, side)
    s.relay.cut()
    for side in s.pair.sides:
        side.await_status('postcopy-paused')
    return s


def source_recovers(box):
    """To a peer that accepts and says nothing."""
    s = postcopy_paused(box)
    mute = Listener(box)
    s.source.cmd('migrate', uri='unix:' + mute.path, resume=True)
    s.undo.append(mute.accept().close)
    s.source.wait_status('postcopy-recover')
    return s


def destination_recovers(box):
    """Its source has given up its role twice, and it has not heard of it."""
    s = at_destination('go')(box)
    s.relay.cut()
    for side in s.pair.sides:
        side.await_status('postcopy-paused')
    s.relay = Relay(box, listen_anew(box, s.destination))
    s.relay.hold('go')
    s.source.cmd('migrate', uri=s.relay.uri, resume=True)
    s.relay.wait_held('go')
    s.destination.await_status('postcopy-recover')
    return s


def at_end(status, end, side='source'):
    """After @end, a function of the situation."""
    def reach(box):
        s = Situation(box, side).hold('accept')
        end(s)
        s.side.await_status(status)
        return s
    return reach


def completes(s):
    s.relay.release()
    for side in s.pair.sides:
        side.wait_status('completed')
    wait_for('end', lambda: s.side.cmd('query-yank') == [])


def completed_alone(box):
    s = at_destination('started')(box)
    s.destination.await_status('completed')
    return s


def is_cut(s):
    s.relay.cut()
    for side in s.pair.sides:
        side.await_status('failed')


def is_cancelled(s):
    s.side.control.oob('migrate_cancel')


def listening(box):
    return Situation(box, 'destination')


def not_listening(box):
    s = Situation(box, 'destination', incoming='defer')

    def listen():
        s.destination.control.oob('migrate-incoming', {'uri': s.pair.uri})
    s.undo.append(listen)
    return s


class FrozenDisk:
    """A file whose disk stops answering: FUSE over an NBD server."""

    def __init__(self, box):
        if not os.path.exists('/dev/fuse'):
            raise Skip('there is no FUSE')
        self.kit = Nbdkit(box, 'memory', str(SIZE), name=box.unique('disk'))
        self.folder = box.path(box.unique('fuse'))
        os.mkdir(self.folder)
        self.path = os.path.join(self.folder, 'disk')
        fuse = box.spawn(['nbdfuse', self.path, '--unix', self.kit.path])
        box.on_exit(lambda: box.run(['umount', '-l', self.folder],
                                    check=False))

        def mounted():
            if fuse.poll() is not None:
                raise Skip(f'no FUSE: {fuse.output()}')
            with contextlib.suppress(FileNotFoundError):
                return os.stat(self.path).st_size == SIZE
            return False
        wait_for('nbdfuse', mounted)
        box.on_exit(self.kit.thaw)

    def volume(self):
        return Volume('d0', SIZE, 'file', path=self.path)


def waits_for_disk(pid, seconds=0.2):
    """Whether a thread of the process is in an uninterruptible wait; a page
    of the program that has to be read again is not meant."""
    waiting = set(os.listdir(f'/proc/{pid}/task'))
    end = time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        for task in list(waiting):
            with contextlib.suppress(OSError), open(
                    f'/proc/{pid}/task/{task}/stat') as f:
                if f.read().rpartition(')')[2].split()[0] == 'D':
                    continue
            waiting.remove(task)
        time.sleep(0.01)
    return bool(waiting)


def cancelling(side):
    """The disk of @side has stopped answering."""
    def reach(box):
        disk = FrozenDisk(box)
        s = Situation.__new__(Situation)
        here, there = disk.volume(), Volume('d0', SIZE)
        if side == 'destination':
            here, there = there, here
        uri = unix_uri(box)
        s.box, s.pair = box, Pair(box, [here], [there], uri)
        s.source, s.destination = s.pair.sides
        s.side, s.relay, s.content = getattr(s, side), Relay(box, uri), None
        s.undo = [disk.kit.thaw]
        s.source.write(noise(SIZE))
        # What is in the cache of the kernel needs no disk.
        with open('/proc/sys/vm/drop_caches', 'w') as f:
            f.write('1')
        disk.kit.freeze()
        s.source.cmd('migrate', uri=s.relay.uri)
        wait_for('the disk to be waited for', lambda: waits_for_disk(
            s.side.pid))
        s.side.control.oob('migrate_cancel')
        s.side.await_status('cancelling')
        return s
    return reach


SITUATIONS = {
    ('source', 'none'): none,
    ('source', 'setup'): at_source('accept'),
    ('source', 'active'): at_source('pass-ack'),
    ('source', 'pre-switchover'): pre_switchover,
    ('source', 'device, before it gives up its role'): at_source('ready'),
    ('source', 'device, the destination not told yet'): at_source('go'),
    ('source', "device, the destination's word on its way"):
        at_source('started'),
    ('source', 'postcopy-active'): postcopy_active,
    ('source', 'postcopy-paused'): postcopy_paused,
    ('source', 'postcopy-recover'): source_recovers,
    ('source', 'cancelling'): cancelling('source'),
    ('source', 'completed'): at_end('completed', completes),
    ('source', 'failed'): at_end('failed', is_cut),
    ('source', 'cancelled'): at_end('cancelled', is_cancelled),
    ('destination', 'none'): not_listening,
    ('destination', 'setup, listening'): listening,
    ('destination', 'setup, a source is there'): at_destination('setup-end'),
    ('destination', 'active'): at_destination('pass-end'),
    ('destination', 'device, its word on its way'): at_destination('ready'),
    ('destination', 'device, the source has given up its role'):
        at_destination('go'),
    ('destination', 'postcopy-active'):
        lambda box: postcopy_active(box, 'destination'),
    ('destination', 'postcopy-paused'):
        lambda box: postcopy_paused(box, 'destination'),
    ('destination', 'postcopy-recover'): destination_recovers,
    ('destination', 'cancelling'): cancelling('destination'),
    ('destination', 'completed, the source has not heard of it'):
        completed_alone,
    ('destination', 'completed'):
        at_end('completed', completes, 'destination'),
    ('destination', 'failed'): at_end('failed', is_cut, 'destination'),
    ('destination', 'cancelled'):
        at_end('cancelled', is_cancelled, 'destination'),
}
