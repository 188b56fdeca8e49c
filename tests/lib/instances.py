# SPDX-License-Identifier: GPL-2.0-or-later
"""Many yank instances in one process, and what each of them costs."""

import resource
import socket

# Descriptors that a process needs besides those of the instances.
SPARE = 200


def raise_file_limit():
    """Raises the limit on descriptors to its maximum, for this process and its
    children; returns the limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Chardevs:
    """@count client chardevs of a daemon, connected to us at @path."""

    def __init__(self, qmp, count, path):
        self.qmp = qmp
        self.ids = [f'c{i}' for i in range(count)]
        self.peers = []
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(4096)
            for name in self.ids:
                qmp.cmd('chardev-add', {'id': name, 'backend': {
                    'type': 'socket', 'data': {
                        'server': False,
                        'addr': {'type': 'unix', 'data': {'path': path}}}}})
                self.peers.append(listener.accept()[0])

    def yank(self):
        instances = [{'type': 'chardev', 'id': name} for name in self.ids]
        return self.qmp.oob('yank', {'instances': instances}, seconds=60)

    def check_cut(self):
        for peer in self.peers:
            peer.settimeout(10)
            assert peer.recv(1) == b'', 'a chardev was not cut'

    def remove(self):
        for name in self.ids:
            self.qmp.cmd('chardev-remove', {'id': name})

    def close(self):
        for peer in self.peers:
            peer.close()


def costs(daemon, qmp, count, path):
    """Microseconds of processor time that each of @count instances costs the
    daemon: {'add': ..., 'status': ..., 'yank': ..., 'remove': ...}"""
    spent = {}

    def measure(name, function):
        before = daemon.processor_time()
        result = function()
        spent[name] = (daemon.processor_time() - before) / count * 1e6
        return result

    chardevs = measure('add', lambda: Chardevs(qmp, count, path))
    status = measure('status', lambda: qmp.oob('query-yank-status',
                                               seconds=60))
    assert len(status) == count, len(status)
    yanked = measure('yank', chardevs.yank)['yanked']
    assert all(result['cut'] for result in yanked), yanked
    chardevs.check_cut()
    measure('remove', chardevs.remove)
    chardevs.close()
    return spent
