#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# parallel-safe
"""Locks of image files: yankd and the stock programs share and refuse alike.

The stock storage daemon in the same place is the reference, but for one
difference: a writer of yankd shares with no other writer.
"""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon
from qmp import QmpError
from suite import run, test

SIZE = 1 << 20
MODES = {
    'read-only': {'read-only': True},
    'force-share': {'read-only': True, 'force-share': True},
    'auto-read-only': {'auto-read-only': True, 'read-only': True},
    'read-write': {},
}
STOCK = ['qemu-storage-daemon', 'qemu-img', 'qemu-io']


class Holder:
    """A daemon that may export a file in one of the modes."""

    def __init__(self, box, kind):
        self.daemon = Daemon(box, kind)
        self.qmp = self.daemon.qmp()
        self.qmp.cmd('nbd-server-start', {'addr': {
            'type': 'unix', 'data': {'path': box.path(box.unique('nbd'))}}})

    def open(self, image, mode):
        """Returns '', or the name of the lock that it did not get."""
        options = {'driver': 'file', 'node-name': 'n', 'filename': image}
        try:
            self.qmp.cmd('blockdev-add', {**options, **MODES[mode]})
        except QmpError as error:
            return lock_of(str(error))
        try:
            self.qmp.cmd('block-export-add', {
                'type': 'nbd', 'id': 'e', 'node-name': 'n',
                'writable': mode == 'read-write'})
        except QmpError as error:
            self.qmp.cmd('blockdev-del', {'node-name': 'n'})
            return lock_of(str(error))
        return ''

    def close(self):
        self.qmp.cmd('block-export-del', {'id': 'e'})
        self.qmp.event('BLOCK_EXPORT_DELETED')
        self.qmp.cmd('blockdev-del', {'node-name': 'n'})

    def finish(self):
        self.qmp.close()
        self.daemon.finish()


def lock_of(text):
    """The name of the unavailable lock in a message."""
    for line in text.splitlines():
        if 'Failed to get' in line:
            return line[line.index('Failed to get'):].split(' lock')[0]
    return f'another error: {text}'


def tools(image):
    """The output of stock's tools for an image that is in use."""
    return {name: tool(*argv, image) for name, argv in {
        'info': ['qemu-img', 'info', '-f', 'raw'],
        'info -U': ['qemu-img', 'info', '-U', '-f', 'raw'],
        'read': ['qemu-io', '-r', '-f', 'raw', '-c', 'read 0 512'],
        'write': ['qemu-io', '-f', 'raw', '-c', 'write 0 512']}.items()} | {
            'resize': tool('qemu-img', 'resize', '-f', 'raw', '--shrink',
                           image, str(SIZE))}


def tool(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    return '' if done.returncode == 0 else lock_of(done.stderr)


@test('tools on an image that is open', seconds=120, needs=STOCK)
def _(box):
    image = box.write('image', bytes(SIZE))
    yankd, stock = Holder(box, 'yankd'), Holder(box, 'qsd')
    for mode in MODES:
        seen = {}
        for holder in stock, yankd:
            assert holder.open(image, mode) == ''
            seen[holder] = tools(image)
            holder.close()
        if mode == 'read-write':
            # Here the two differ.
            seen[stock]['write'] = 'Failed to get "write"'
            assert seen[yankd].pop('resize') and seen[stock].pop('resize')
        assert seen[yankd] == seen[stock], (mode, seen[yankd], seen[stock])
    yankd.finish()
    stock.finish()


@test('daemons on one image, in every order', seconds=120, needs=STOCK)
def _(box):
    image = box.write('image', bytes(SIZE))
    yankd = [Holder(box, 'yankd') for _ in range(2)]
    stock = [Holder(box, 'qsd') for _ in range(2)]
    for first in MODES:
        for second in MODES:
            def opened(holders):
                assert holders[0].open(image, first) == ''
                refused = holders[1].open(image, second)
                if not refused:
                    holders[1].close()
                holders[0].close()
                return refused

            expect = opened(stock)
            for pair in ((yankd[0], stock[0]), (stock[0], yankd[0]),
                         (yankd[0], yankd[1])):
                if first == second == 'read-write':
                    assert 'write' in opened(pair)
                else:
                    got = opened(pair)
                    assert got == expect, (first, second, got, expect)
    for holder in yankd + stock:
        holder.finish()


@test('block_resize asks for the lock, and readers refuse it', needs=STOCK)
def _(box):
    image = box.write('image', bytes(SIZE))
    writer, reader = Holder(box, 'yankd'), Holder(box, 'qsd')
    resize = {'node-name': 'n', 'size': 2 * SIZE}
    assert writer.open(image, 'read-write') == ''
    assert reader.open(image, 'read-only') == ''
    try:
        writer.qmp.cmd('block_resize', resize)
        raise AssertionError('resized under a reader')
    except QmpError as error:
        assert lock_of(str(error)) == 'Failed to get "resize"', error
    assert os.path.getsize(image) == SIZE
    reader.close()
    writer.qmp.cmd('block_resize', resize)
    assert os.path.getsize(image) == 2 * SIZE
    # The failed open has released its locks.
    assert reader.open(image, 'read-only') == ''
    reader.finish()
    writer.finish()


run()
