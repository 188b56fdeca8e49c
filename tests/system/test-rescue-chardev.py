#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hangs on the peers of character devices, and the rescue from each."""

import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from daemon import Daemon, listens
from peers import Blackhole, Listener
from rescue import Rescuer, chardev
from sandbox import wait_for
from suite import run, test

# More than any socket buffer holds.
MUCH = 'x' * (8 << 20)


def add(name, address, **data):
    return 'chardev-add', {'id': name, 'backend': {
        'type': 'socket', 'data': dict(data, addr=address)}}


def unix(path):
    return {'type': 'unix', 'data': {'path': path}}


def inet(port):
    return {'type': 'inet', 'data': {'host': '127.0.0.1',
                                     'port': str(port)}}


def connect(path, seconds=10.0):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(seconds)
    wait_for('listen', lambda: listens(path))
    sock.connect(path)
    return sock


@test('chardev-add with wait=on')
def _(box):
    path = box.path('c0.sock')
    with Daemon(box) as daemon, Rescuer(daemon) as rescuer:
        with daemon.qmp() as qmp:
            number = qmp.submit(*add('c0', unix(path), server=True,
                                     wait=True))
            rescuer.see_hang()
            rescuer.yank(chardev('c0'))
            assert 'error' in qmp.reply(number)
            assert qmp.cmd('query-yank') == []
            assert not os.path.exists(path), 'the socket was left'
            qmp.cmd(*add('c0', unix(path), server=True, wait=False))


@test('chardev-add with wait=on over TCP')
def _(box):
    with Daemon(box) as daemon, Rescuer(daemon) as rescuer:
        with daemon.qmp() as qmp:
            number = qmp.submit(*add('c0', inet(0), server=True, wait=True))
            rescuer.see_hang()
            rescuer.yank(chardev('c0'))
            assert 'error' in qmp.reply(number)


@test('chardev-add with wait=on goes on when a client comes')
def _(box):
    path = box.path('c0.sock')
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        number = qmp.submit(*add('c0', unix(path), server=True, wait=True))
        with connect(path) as peer:
            assert qmp.result(number) == {}
            qmp.cmd('chardev-write', {'device': 'c0', 'data': 'hello'})
            assert peer.recv(5) == b'hello'


@test('chardev-add that connects to nowhere')
def _(box):
    hole = Blackhole(box)
    with Daemon(box) as daemon, Rescuer(daemon) as rescuer:
        with daemon.qmp() as qmp:
            number = qmp.submit(*add('c0', hole.legacy_address(),
                                     server=False))
            rescuer.see_hang()
            rescuer.yank(chardev('c0'))
            assert 'error' in qmp.reply(number)
            assert qmp.cmd('query-yank') == []


@test('a peer that stops reading: listening device')
def _(box):
    path = box.path('c0.sock')
    with Daemon(box) as daemon, Rescuer(daemon) as rescuer:
        with daemon.qmp() as qmp:
            qmp.cmd(*add('c0', unix(path), server=True, wait=False))
            peer = connect(path)
            wait_for('connection', lambda: any(
                c['label'] == 'c0' and 'server' in c['filename']
                and 'disconnected' not in c['filename']
                for c in qmp.cmd('query-chardev')))
            number = qmp.submit('chardev-write', {'device': 'c0',
                                                  'data': MUCH})
            rescuer.see_hang()
            yanked = rescuer.yank(chardev('c0'))
            assert yanked['cut'], yanked
            assert 'error' in qmp.reply(number)
            peer.close()
            # It goes on listening.
            with connect(path) as again:
                wait_for('connection', lambda: greeted(qmp, again))


def greeted(qmp, peer):
    """Whether what we write to c0 reaches @peer."""
    qmp.cmd('chardev-write', {'device': 'c0', 'data': 'hi'})
    peer.settimeout(0.1)
    try:
        return peer.recv(2) == b'hi'
    except TimeoutError:
        return False


@test('a peer that stops reading: connecting device')
def _(box):
    listener = Listener(box)
    with Daemon(box) as daemon, Rescuer(daemon) as rescuer:
        with daemon.qmp() as qmp:
            qmp.cmd(*add('c0', listener.legacy_address(), server=False))
            listener.accept()
            number = qmp.submit('chardev-write', {'device': 'c0',
                                                  'data': MUCH})
            rescuer.see_hang()
            rescuer.yank(chardev('c0'))
            assert 'error' in qmp.reply(number)


@test('a pipe that is not read: standard output')
def _(box):
    reader, writer = os.pipe()
    try:
        with Daemon(box, options=['--chardev', 'stdio,id=c0'],
                    stdout=writer, stderr=subprocess.DEVNULL) as daemon, \
                Rescuer(daemon) as rescuer, daemon.qmp() as qmp:
            assert qmp.cmd('query-yank') == []
            number = qmp.submit('chardev-write', {'device': 'c0',
                                                  'data': MUCH})
            rescuer.see_hang()
            status = rescuer.status('chardev:c0')
            assert status['phase'] == 'writing', status
            assert status['in-flight'] == 1, status
            yanked = rescuer.yank(chardev('c0'))
            assert yanked['cut'], yanked
            assert 'error' in qmp.reply(number)
            assert qmp.cmd('query-yank') == []
            # The flags of the pipe, which other processes write, are unchanged.
            assert os.get_blocking(writer)
    finally:
        os.close(reader)
        os.close(writer)


@test('a FIFO without another end: chardev-add, chardev-change')
def _(box):
    with Daemon(box, options=['--chardev', 'null,id=c1']) as daemon, \
            Rescuer(daemon) as rescuer, daemon.qmp() as qmp:
        for command, name, way in (('chardev-add', 'c0', 'out'),
                                   ('chardev-add', 'c0', 'in'),
                                   ('chardev-change', 'c1', 'out')):
            # The abandoned call opens the FIFO when a peer opens it.
            fifo = box.path(box.unique('fifo'))
            os.mkfifo(fifo)
            data = {'out': '/dev/null', way: fifo}
            number = qmp.submit(command, {'id': name, 'backend': {
                'type': 'file', 'data': data}})
            rescuer.see_hang()
            yanked = rescuer.yank(chardev(name))
            assert yanked['cut'] == [f"opening '{fifo}'"], yanked
            assert 'error' in qmp.reply(number)
        # With a peer, the FIFO is opened.
        fifo = box.path(box.unique('fifo'))
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        qmp.cmd('chardev-add', {'id': 'c0', 'backend': {
            'type': 'file', 'data': {'out': fifo}}})
        qmp.cmd('chardev-write', {'device': 'c0', 'data': 'hello'})
        assert os.read(reader, 10) == b'hello'
        os.close(reader)


@test('a yank ends the wait to reconnect; the device reconnects')
def _(box):
    listener = Listener(box)
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        qmp.cmd(*add('c0', listener.legacy_address(), server=False,
                     reconnect=1))
        peer = listener.accept()
        qmp.oob('yank', {'instances': [chardev('c0')]})
        assert peer.recv(1) == b''
        again = listener.accept(10)
        wait_for('connection', lambda: greeted(qmp, again))


@test('a yank of a device without a peer does nothing bad')
def _(box):
    path = box.path('c0.sock')
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        qmp.cmd(*add('c0', unix(path), server=True, wait=False))
        result = qmp.oob('yank', {'instances': ['chardev:c0']})
        assert result['yanked'][0]['cut'] == [], result
        with connect(path) as peer:
            wait_for('connection', lambda: greeted(qmp, peer))


@test('a device whose change fails is told of as before')
def _(box):
    blackhole = Blackhole(box)
    with Daemon(box) as daemon, Rescuer(daemon) as rescuer:
        with daemon.qmp() as qmp:
            qmp.cmd(*add('c0', unix(box.path('c0.sock')), server=True,
                         wait=False))
            before = rescuer.status('chardev:c0')
            _, change = add('c0', inet(blackhole.port), server=False)
            number = qmp.submit('chardev-change', change)
            rescuer.see_hang()
            assert rescuer.status('chardev:c0')['phase'] == 'connect'
            rescuer.yank(chardev('c0'))
            assert 'error' in qmp.reply(number)
            after = rescuer.status('chardev:c0')
            for member in ('phase', 'peer', 'functions', 'in-flight'):
                assert after[member] == before[member], (before, after)


@test('removing a device in the middle of its life leaves nothing')
def _(box):
    path = box.path('c0.sock')
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        before = daemon.fds()
        for _ in range(50):
            qmp.cmd(*add('c0', unix(path), server=True, wait=False))
            with connect(path) as peer:
                qmp.cmd('chardev-remove', {'id': 'c0'})
                try:
                    assert peer.recv(1) == b''
                except ConnectionResetError:
                    pass
            assert not os.path.exists(path)
        assert qmp.cmd('query-yank') == []
        wait_for('descriptors', lambda: daemon.fds() == before)


run()
