# SPDX-License-Identifier: GPL-2.0-or-later
"""Stock QEMU's migration of RAM.

The guest's memory is a file of random bytes in /dev/shm.  The guest itself
does nothing: its firmware is a halt.  What dirties memory in its place is a
client of the qtest protocol, which writes to the guest's memory by commands,
as a client of an export writes to a disk.
"""

import random
import socket
import threading
import time

from daemon import Daemon
from disk import Disk, warm
from moves import CHANNELS, listen, outcome, set_up
from stolen import Stolen

_FIRMWARE_SIZE = 64 << 10
# cli; hlt; jmp to the hlt, where a processor begins
_HALT = bytes([0xfa, 0xf4, 0xeb, 0xfd])
_RESET_VECTOR = 0xfff0
# Below are holes, and firmware.
_LOW = 1 << 20
BLOCK = 64 << 10


def _firmware(box):
    image = bytearray(_FIRMWARE_SIZE)
    image[_RESET_VECTOR:_RESET_VECTOR + len(_HALT)] = _HALT
    return box.write('halt.bin', bytes(image))


def _machine(box, size, backend, options=()):
    return Daemon(box, 'qemu', [
        '-machine', 'pc,memory-backend=ram', '-m', f'size={size}b',
        '-vga', 'none', '-bios', _firmware(box), '-object',
        f'{backend},id=ram,size={size}', *options])


def _source(box, disk, options=()):
    # All mapped, as the memory of a guest that has written to it is.
    return _machine(box, disk.size, 'memory-backend-file,share=on,'
                    f'prealloc=on,mem-path={disk.path}', options)


def _destination(box, disk):
    return _machine(box, disk.size, 'memory-backend-ram',
                    ['-incoming', 'defer'])


def _check_memory(qmp, disk):
    """Fails unless the guest's memory has the disk's bytes."""
    with Disk(disk.size) as copy:
        qmp.cmd('pmemsave', {'val': 0, 'size': disk.size,
                             'filename': copy.path}, seconds=60)
        if not disk.same(copy, _LOW):
            raise RuntimeError('the destination has other bytes')


class RamMigration:
    """Time from the beginning to the end, as query-migrate tells."""

    who = 'stock'

    def __init__(self, name, channels):
        self.name = name
        self._channels = channels

    def measure(self, box, disk):
        source, destination = _source(box, disk), _destination(box, disk)
        with source.qmp() as src, destination.qmp() as dst:
            set_up(src, self._channels)
            set_up(dst, self._channels)
            uri = listen(dst)
            warm(2 * disk.size)
            with Stolen() as stolen:
                src.cmd('migrate', {'uri': uri})
                info = outcome(src, dst)
            _check_memory(dst, disk)
        return {'rate': disk.size / info['total-time'] / 1e3,
                'downtime': info['downtime'], 'stolen': stolen.ms}


class Dirtier:
    """Overwrites random blocks of the guest's memory at a rate."""

    def __init__(self, path, size, rate):
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.connect(path)
        self._blocks = range(_LOW // BLOCK, size // BLOCK)
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.achieved = None
        self._thread.start()

    def stop(self):
        """Returns the MB/s that it wrote."""
        self._stop.set()
        self._thread.join()
        self._sock.close()
        return self.achieved

    def _write(self, count):
        commands = [f'memset {random.choice(self._blocks) * BLOCK:#x} '
                    f'{BLOCK:#x} {random.randrange(1, 256):#x}\n'
                    for _ in range(count)]
        self._sock.sendall(''.join(commands).encode())

    def _run(self):
        replies = self._sock.makefile('rb')
        begin = time.monotonic()
        done = 0
        while not self._stop.is_set():
            spent = time.monotonic() - begin
            due = int(spent * self._rate * 1e6 / BLOCK) - done
            # No more at once than a client of an export has in flight.
            due = min(due, 16)
            if due <= 0:
                time.sleep(0.0002)
                continue
            self._write(due)
            for _ in range(due):
                replies.readline()
            done += due
        self.achieved = done * BLOCK / (time.monotonic() - begin) / 1e6


def _when(event):
    """Milliseconds, by the clock that all programs here share."""
    stamp = event['timestamp']
    return stamp['seconds'] * 1e3 + stamp['microseconds'] / 1e3


class RamDowntime:
    """Downtime while memory is dirtied, as query-migrate tells; the gap is
    from the source's STOP to the destination's RESUME."""

    who = 'stock'

    def __init__(self, name, limit, link_rate):
        self.name = name
        self.limit = limit
        self._link_rate = link_rate

    def measure(self, box, disk):
        with disk.copy() as memory:
            return self._measure(box, memory)

    def _measure(self, box, memory):
        qtest = box.path('qtest.sock')
        source = _source(box, memory, [
            '-qtest', f'unix:{qtest},server=on,wait=off',
            '-qtest-log', 'none'])
        destination = _destination(box, memory)
        with source.qmp() as src, destination.qmp() as dst:
            limit = {'downtime-limit': self.limit}
            set_up(src, CHANNELS, **limit)
            set_up(dst, CHANNELS, **limit)
            uri = listen(dst)
            warm(2 * memory.size)
            wanted = self._link_rate() / 4
            dirtier = Dirtier(qtest, memory.size, wanted)
            with Stolen() as stolen:
                try:
                    src.cmd('migrate', {'uri': uri})
                    stop = src.event('STOP', 60)
                finally:
                    dirtied = dirtier.stop()
                info = outcome(src, dst)
            resume = dst.event('RESUME')
        return {'downtime': info['downtime'], 'total': info['total-time'],
                'dirtied': dirtied, 'wanted': wanted, 'stolen': stolen.ms,
                'gap': _when(resume) - _when(stop)}


def migrations():
    return [RamMigration('QEMU, RAM, plain', 1),
            RamMigration('QEMU, RAM, multifd', CHANNELS)]
