#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# parallel-safe
"""A process without a free descriptor reports that and goes on; and a
descriptor has one owner."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import paths
from daemon import Daemon, listens
from qmp import QmpError
from sandbox import wait_for
from suite import run, test

LIMIT = 64
NO_MORE = 'Too many open files'


class Short(Daemon):
    """Strangers take what descriptors there are, as clients of the NBD
    server, which has no limit of its own."""

    def __init__(self, box, *options):
        path = box.path('nbd.sock')
        super().__init__(box, options=[
            *options, '--nbd-server', f'addr.type=unix,addr.path={path},'
            'handshake-max-seconds=0'],
            wrapper=['sh', '-c', f'ulimit -n {LIMIT} && exec "$0" "$@"'])
        self.client = self.qmp()
        self.strangers = []
        while len(self.strangers) < LIMIT:
            self.strangers.append(socket.socket(socket.AF_UNIX))
            self.strangers[-1].connect(path)
        wait_for('shortage', lambda: self.fds() == LIMIT)

    def refuses(self, command, arguments, text):
        try:
            self.client.cmd(command, arguments)
        except QmpError as error:
            assert text in str(error) and NO_MORE in str(error), error
        else:
            raise AssertionError(f'{command} found a descriptor')

    def __exit__(self, kind, *rest):
        for stranger in self.strangers:
            stranger.close()
        self.client.close()
        super().__exit__(kind, *rest)


@test('too few descriptors to start are an error', seconds=60)
def _(box):
    for limit in range(5, 24):
        path = box.path(f'{limit}.sock')
        daemon = box.spawn(['sh', '-c', f'ulimit -n {limit} && exec "$0" "$@"',
                            paths.yankd(), '--nbd-server',
                            f'addr.type=unix,addr.path={path}'])
        wait_for('a start, or its end', lambda d=daemon, p=path: (
            d.poll() is not None or listens(p)))
        if daemon.poll() is None:
            daemon.terminate()
            assert daemon.wait(20) == 0, (limit, daemon.output())
        else:
            # 127: there is not even one left to load a library with.
            assert daemon.wait(1) in (1, 127), (limit, daemon.output())
            assert NO_MORE in daemon.output(), (limit, daemon.output())


@test('no I/O thread')
def _(box):
    with Short(box) as daemon:
        daemon.refuses('object-add', {'qom-type': 'iothread', 'id': 'io0'},
                       'Unable to create an event loop')


@test('no character device that connects')
def _(box):
    with Short(box) as daemon:
        daemon.refuses('chardev-add', {'id': 'c0', 'backend': {
            'type': 'socket', 'data': {'server': False, 'addr': {
                'type': 'unix', 'data': {'path': box.path('no')}}}}},
            'Unable to create an event loop')
        assert daemon.client.cmd('query-yank') == []


@test('no node that needs a timer')
def _(box):
    slow = {'driver': 'null-co', 'node-name': 'n0', 'latency-ns': 1000}
    server = {'type': 'unix', 'path': box.path('no')}
    with Short(box, '--blockdev', 'null-co,node-name=n1') as daemon:
        for node in (slow, {'driver': 'nbd', 'node-name': 'n0',
                            'server': server, 'open-timeout': 1},
                     {'driver': 'blkdebug', 'node-name': 'n0',
                      'image': 'n1'}):
            daemon.refuses('blockdev-add', node, 'Unable to create a timer')
        assert daemon.client.cmd('query-yank') == []


@test('clients of the monitor are greeted all the same', seconds=60)
def _(box):
    with Short(box) as daemon:
        # Eight at a time; the next eight get the descriptors that these close.
        for _ in range(3):
            clients = [daemon.qmp(seconds=60) for _ in range(8)]
            for client in clients:
                assert client.oob('query-yank') == []
                client.close()
            wait_for('the end of the sessions', lambda: len(
                daemon.client.oob('query-dispatch')['sessions']) == 1)
        # Other clients get no descriptor while the reserve is not full.
        daemon.strangers.pop(0).close()
        with daemon.qmp(seconds=60) as client:
            client.cmd('query-name')
        clients = [daemon.qmp(seconds=60) for _ in range(8)]
        for client in clients:
            client.close()


# ---- Addresses of type fd. ----

def fd_address(number):
    return {'type': 'fd', 'data': {'str': str(number)}}


def uses_of(number):
    """Commands that take a descriptor for a socket: a listening one, and a
    connected one."""
    def chardev(**data):
        return 'chardev-add', {'id': 'h', 'backend': {
            'type': 'socket', 'data': {'addr': fd_address(number), **data}}}
    return [chardev(server=True, wait=False),
            ('nbd-server-start', {'addr': fd_address(number)}),
            ('migrate-incoming', {'uri': f'fd:{number}'})], \
           [chardev(server=False),
            ('blockdev-add', {'driver': 'nbd', 'node-name': 'n', 'server': {
                'type': 'fd', 'str': str(number)}}),
            ('migrate', {'uri': f'fd:{number}'})]


def outcome(qmp, use):
    """The error of a command, or of the migration that it begins; or None."""
    command, arguments = use
    try:
        qmp.cmd(command, arguments)
    except QmpError as error:
        return error.desc
    if not command.startswith('migrate'):
        return None

    def ended():
        info = qmp.cmd('query-migrate')
        return info.get('status') == 'failed' and info
    return wait_for('failed', ended)['error-desc']


def sockets(daemon):
    """The sockets of a process, by their numbers."""
    found = []
    for number in os.listdir(f'/proc/{daemon.pid}/fd'):
        try:
            link = os.readlink(f'/proc/{daemon.pid}/fd/{number}')
        except FileNotFoundError:
            continue
        if link.startswith('socket:'):
            found.append(int(number))
    return found


@test('an address cannot name a socket of the process')
def _(box):
    disk = box.path('disk')
    with open(disk, 'wb') as f:
        f.truncate(1 << 20)
    for more in [], ['--incoming', 'defer']:
        with Daemon(box, options=[
                '--blockdev', f'file,node-name=disk,filename={disk}',
                '--chardev', f'socket,id=c,path={box.path("c")},server=on,'
                'wait=off', *more]) as daemon, daemon.qmp() as qmp:
            numbers = sockets(daemon)
            assert len(numbers) >= 3, numbers
            for number in numbers:
                for use in sum(uses_of(number), []):
                    if use[0] == 'migrate-incoming' and not more:
                        continue
                    text = outcome(qmp, use)
                    assert text and (
                        f"'{number}' is not available" in text or
                        (use[0] == 'migrate' and more)), (use, text)
            with daemon.qmp() as again:
                again.cmd('query-version')


@test('a descriptor that was inherited is taken once')
def _(box):
    with socket.socket() as listener, socket.socket() as other:
        for s in listener, other:
            s.bind(('127.0.0.1', 0))
            s.listen()
        with Daemon(box, pass_fds=(listener.fileno(), other.fileno())) as d, \
                d.qmp() as qmp:
            listening, connected = uses_of(listener.fileno())
            # A descriptor of the wrong type is refused and stays available.
            assert 'listening socket' in outcome(qmp, connected[0])
            assert outcome(qmp, listening[0]) is None
            for use in listening[:2] + connected[:2]:
                if use[0] == 'chardev-add':
                    use[1]['id'] = 'again'
                assert 'is not available' in outcome(qmp, use), use
            # It is closed with its user; its number cannot be used again.
            qmp.cmd('chardev-remove', {'id': 'h'})
            wait_for('closed', lambda: listener.fileno() not in sockets(d))
            assert 'is not' in outcome(qmp, listening[1])
            assert outcome(qmp, uses_of(other.fileno())[0][1]) is None
            with socket.create_connection(other.getsockname(), 10) as client:
                client.settimeout(10)
                assert client.recv(8) == b'NBDMAGIC'


run()
