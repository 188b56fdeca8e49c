# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory for benchmarks: random disks in /dev/shm, and warm pages."""

import contextlib
import mmap
import os

_CHUNK = 16 << 20
_MADV_POPULATE_WRITE = 23


class Disk:
    """A file in /dev/shm without a name there.

    It goes away with this process, however that ends; other programs reach
    it by `path`.
    """

    def __init__(self, size):
        self.size = size
        self.fd = os.open('/dev/shm', os.O_TMPFILE | os.O_RDWR, 0o600)
        self.path = f'/proc/{os.getpid()}/fd/{self.fd}'

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.close(self.fd)

    def copy(self):
        """Another disk with the same bytes."""
        other = Disk(self.size)
        done = 0
        while done < self.size:
            done += os.sendfile(other.fd, self.fd, done, self.size - done)
        return other

    def same(self, other, begin=0):
        """Whether both have the same bytes from @begin on."""
        for offset in range(begin, self.size, _CHUNK):
            if (os.pread(self.fd, _CHUNK, offset) !=
                    os.pread(other.fd, _CHUNK, offset)):
                return False
        return True


def random_disk(size):
    disk = Disk(size)
    for offset in range(0, size, _CHUNK):
        os.pwrite(disk.fd, os.urandom(min(_CHUNK, size - offset)), offset)
    return disk


def warm(size):
    """Takes so much memory and gives it back.

    A virtual machine's host may have to find each page that was not in use
    for a while, which takes longer than all that is measured here.
    """
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        # Kernels before 5.14 do not know it; what they measure is cold.
        with contextlib.suppress(OSError):
            memory.madvise(_MADV_POPULATE_WRITE)
