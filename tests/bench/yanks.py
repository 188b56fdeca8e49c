# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a yank of many socket chardevs takes."""

import resource
import socket
import time

from common import Row
from daemon import Daemon

COUNTS = (10, 100, 1000, 4000)
# Descriptors that a process needs besides those of the chardevs.
SPARE = 200


def raise_file_limit():
    """Allows as many descriptors as may be, here and in children; returns
    the limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Chardevs:
    """@count client chardevs of a daemon, connected to us."""

    def __init__(self, box, qmp, count, path):
        self.qmp = qmp
        self.ids = [f'c{i}' for i in range(count)]
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(4096)
            self.peers = []
            for name in self.ids:
                qmp.cmd('chardev-add', {'id': name, 'backend': {
                    'type': 'socket', 'data': {
                        'server': False,
                        'addr': {'type': 'unix', 'data': {'path': path}}}}})
                self.peers.append(listener.accept()[0])

    def yank(self):
        """Milliseconds from the request to its reply."""
        instances = [{'type': 'chardev', 'id': name} for name in self.ids]
        begin = time.perf_counter()
        self.qmp.oob('yank', {'instances': instances}, seconds=60)
        spent = time.perf_counter() - begin
        for peer in self.peers:
            peer.settimeout(10)
            assert peer.recv(1) == b'', 'a chardev was not cut'
        return spent * 1e3

    def remove(self):
        for name in self.ids:
            self.qmp.cmd('chardev-remove', {'id': name})
        for peer in self.peers:
            peer.close()


def run(box, kinds, counts, rounds, say):
    """Rows of the time of a yank."""
    limit = raise_file_limit()
    rows = []
    for count in counts:
        row = Row(f'yank-{count}', 'ms', False)
        rows.append(row)
        if limit < count + SPARE:
            row.note = f'left out: ulimit -n is {limit}'
            continue
        for turn in range(rounds):
            say(f'round {turn + 1} of {rounds}: {row.name}')
            for who, kind in kinds.items():
                # A new process each time: what others leave behind in
                # stock (a warm cache, a long list) is nobody's merit.
                daemon = Daemon(box, kind)
                with daemon.qmp(seconds=60) as qmp:
                    path = box.path(box.unique('peers') + '.sock')
                    chardevs = Chardevs(box, qmp, count, path)
                    row.samples[who].append(chardevs.yank())
                    for peer in chardevs.peers:
                        peer.close()
                daemon.process.destroy()
    return rows
