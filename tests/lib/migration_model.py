# SPDX-License-Identifier: GPL-2.0-or-later
"""What clients of a volume may expect, and clients that find out.

Each block of a volume belongs to one client, which remembers what the block
may hold: one content after an acknowledged write, several while the fate of a
write is not known.  After a migration, whatever befell it, the volume is read
back and compared.

A block holds a number, repeated: the count of writes of the model, with the
number of the block; or zeroes.
"""

import contextlib
import random
import struct
import threading
import time

import nbd
from suite import slowness

BLOCK = 4096
ZERO = 0
_CONTENT = struct.Struct('<QII')


def content(volume, block, number):
    """What a block holds after write @number; 0: zeroes."""
    if number == ZERO:
        return bytes(BLOCK)
    return _CONTENT.pack(number, block, volume) * (BLOCK // _CONTENT.size)


def number_of(volume, block, data):
    """The number of the write that @data is of; raises on anything else."""
    number = _CONTENT.unpack(data[:_CONTENT.size])[0]
    if data != content(volume, block, number):
        raise AssertionError(
            f'block {block} of volume {volume} holds no write as a whole: '
            f'{data[:16].hex()}...{data[-16:].hex()}')
    return number


class Ack:
    """An acknowledged write: when it was sent and answered, and by whom."""

    def __init__(self, side, begin, end):
        self.side = side
        self.begin = begin
        self.end = end


class Model:
    """The volumes: names, and sizes in blocks."""

    def __init__(self, sizes):
        self.names = list(sizes)
        self.sizes = list(sizes.values())
        self._lock = threading.Lock()
        self._next = 1
        self.acks = []
        # Of each block, what it may hold.
        self.may = [[{ZERO} for _ in range(n)] for n in self.sizes]

    def new_number(self):
        with self._lock:
            self._next += 1
            return self._next

    def note_ack(self, side, begin):
        ack = Ack(side, begin, time.monotonic())
        with self._lock:
            self.acks.append(ack)

    def acks_of(self, side):
        with self._lock:
            return [ack for ack in self.acks if ack.side == side]

    # Setting up

    def fill(self, clients):
        """Writes all volumes but for a part that stays untouched.
        @clients: an NBD connection for each volume."""
        for volume, client in enumerate(clients):
            size = self.sizes[volume]
            for first in range(0, size * 3 // 4, 64):
                blocks = range(first, min(first + 64, size))
                numbers = [self.new_number() for _ in blocks]
                client.write(first * BLOCK, b''.join(
                    content(volume, b, n) for b, n in zip(blocks, numbers)))
                for b, n in zip(blocks, numbers):
                    self.may[volume][b] = {n}

    # Comparing

    def check_block(self, volume, block, data):
        number = number_of(volume, block, data)
        may = self.may[volume][block]
        if number not in may:
            raise AssertionError(
                f'block {block} of volume {self.names[volume]} holds write '
                f'{number}, which is none of {sorted(may)}')
        return number

    def check_volume(self, volume, client):
        """Reads it all; what is there now is known from here on."""
        step = 64
        for first in range(0, self.sizes[volume], step):
            count = min(step, self.sizes[volume] - first)
            data = client.read(first * BLOCK, count * BLOCK)
            for i in range(count):
                number = self.check_block(
                    volume, first + i, data[i * BLOCK:(i + 1) * BLOCK])
                self.may[volume][first + i] = {number}

    def check_roles(self, first, second):
        """No write that was sent to @first after @second had acknowledged
        one was acknowledged."""
        taken = [ack.end for ack in self.acks_of(second)]
        if not taken:
            return
        for ack in self.acks_of(first):
            if ack.begin > min(taken):
                raise AssertionError(
                    f'{first} acknowledged a write that was sent '
                    f'{ack.begin - min(taken):.4f} s after {second} had '
                    'acknowledged one')


class Client(threading.Thread):
    """Writes to its blocks of all volumes, one request at a time.

    @sides: {name: path of the NBD socket}; it goes to the next one when a
        connection is lost or refused.
    @share: (i, n): it owns each block whose number is i modulo n.
    """

    def __init__(self, model, sides, share, seed, pause=0.0005):
        super().__init__(daemon=True)
        self.model = model
        self.sides = sides
        self.side = next(iter(sides))
        self.share = share
        self.pause = pause
        self.random = random.Random(seed)
        self.failures = []          # NBD errors, as (side, errno)
        self.error = None           # what ended the thread
        self.done = 0               # requests that were answered
        self._connections = {}
        self._ended = threading.Event()

    # From the test's thread

    def stop(self):
        """Ends it, in the middle of a request where that hangs."""
        self._ended.set()
        deadline = time.monotonic() + 10 * slowness()
        # It may have been about to connect once more.
        while self.is_alive() and time.monotonic() < deadline:
            self.join(0.05)
            for connection in list(self._connections.values()):
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(2)
        assert not self.is_alive(), 'a client does not end'
        if self.error:
            raise self.error

    # The thread

    def run(self):
        try:
            while not self._ended.is_set():
                try:
                    self._step()
                except (OSError, nbd.NbdClosed):
                    self._move()
                self._ended.wait(self.pause)
        except Exception as error:  # told by stop()
            self.error = error
        for connection in list(self._connections.values()):
            connection.close()

    def _move(self):
        for connection in list(self._connections.values()):
            connection.close()
        self._connections.clear()
        names = list(self.sides)
        self.side = names[(names.index(self.side) + 1) % len(names)]
        self._ended.wait(0.002)

    def _connection(self, volume):
        if volume not in self._connections:
            try:
                # The connection is known before it is used, for stop().
                connection = nbd.NbdClient(self.sides[self.side], None, 60)
                self._connections[volume] = connection
                connection.greet()
                connection.go(self.model.names[volume])
            except nbd.NbdError as error:
                raise nbd.NbdClosed() from error
        return self._connections[volume]

    def _step(self):
        volume = self.random.randrange(len(self.model.sizes))
        index, count = self.share
        n = self.model.sizes[volume]
        block = self.random.randrange(index, n, count)
        connection = self._connection(volume)
        kind = self.random.choices(
            ['write', 'fua', 'zero', 'read', 'flush', 'trim'],
            [60, 5, 10, 20, 3, 2])[0]
        begin = time.monotonic()
        try:
            getattr(self, '_' + kind)(connection, volume, block)
        except nbd.NbdError as error:
            self.failures.append((self.side, error.errno))
            return
        self.done += 1
        if kind in ('write', 'fua', 'zero'):
            self.model.note_ack(self.side, begin)

    def _change(self, volume, block, number, function):
        may = self.model.may[volume]
        may[block] = may[block] | {number}
        function()
        may[block] = {number}

    def _write(self, connection, volume, block, flags=0):
        number = self.model.new_number()
        self._change(volume, block, number, lambda: connection.write(
            block * BLOCK, content(volume, block, number), flags))

    def _fua(self, connection, volume, block):
        self._write(connection, volume, block, nbd.CMD_FLAG_FUA)

    def _zero(self, connection, volume, block):
        self._change(volume, block, ZERO, lambda: connection.simple(
            nbd.CMD_WRITE_ZEROES, block * BLOCK, BLOCK))

    def _trim(self, connection, volume, block):
        """May be done or not."""
        may = self.model.may[volume]
        may[block] = may[block] | {ZERO}
        connection.simple(nbd.CMD_TRIM, block * BLOCK, BLOCK)

    def _flush(self, connection, _volume, _block):
        connection.simple(nbd.CMD_FLUSH)

    def _read(self, connection, volume, block):
        data = connection.read(block * BLOCK, BLOCK)
        number = self.model.check_block(volume, block, data)
        self.model.may[volume][block] = {number}
