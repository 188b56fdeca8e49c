#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""Peers of a migration that are no sources, or bad ones: the destination
outlives them, and the real source finds its way."""

import os
import random
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import tls
from hang import block_main_loop
from migration import (MIB, Pair, Side, Volume, noise, tcp_uri,
                       threads_named, unix_uri)
from relay import Relay
from sandbox import wait_for
from suite import run, test

# More connections than the destination keeps without a hello.
CROWD = 600


def connect(box, uri):
    sock = socket.socket(socket.AF_UNIX)
    box.on_exit(sock.close)
    sock.connect(uri.removeprefix('unix:'))
    sock.settimeout(20)
    return sock


def receive_end(sock):
    """What comes until the peer closes the connection."""
    data = b''
    try:
        while part := sock.recv(1 << 16):
            data += part
    except ConnectionResetError:
        pass
    return data


def source_hello(box, *capabilities):
    """What a source says first, of a session that is over."""
    uri = unix_uri(box)
    with socket.socket(socket.AF_UNIX) as listener, Side(box) as side:
        listener.bind(uri[5:])
        listener.listen()
        side.set(*capabilities)
        side.cmd('migrate', uri=uri)
        with listener.accept()[0] as peer:
            return peer.recv(64, socket.MSG_WAITALL)


def still_works(pair):
    data = noise(4 * MIB)
    pair.source.write(data)
    pair.run()
    assert pair.destination.read() == data


GARBAGE = {
    'zeroes': bytes(4096),
    'an HTTP request': b'GET / HTTP/1.1\r\nHost: yankd\r\n\r\n' + bytes(64),
    'noise': random.Random(7).randbytes(1 << 16),
    'the magic and no more sense': b'YANKDMIG' + bytes(range(200)),
    'the migration stream of QEMU': b'QEVM\0\0\0\3' + bytes(4096),
    'a TLS hello': bytes.fromhex('1603010200010001fc0303') + bytes(512),
}


@test('garbage in place of a hello')
def _(box):
    with Pair(box) as pair:
        for name, data in GARBAGE.items():
            sock = connect(box, pair.uri)
            try:
                sock.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            receive_end(sock)
            info = pair.destination.info()
            assert info['status'] == 'setup', info
            wait_for('report', lambda: 'was refused' in
                     pair.destination.info().get('error-desc', ''))
        print(f'# {pair.destination.info()["error-desc"]}')
        still_works(pair)
        assert 'error-desc' not in pair.destination.info()


@test('hellos cut short')
def _(box):
    hello = source_hello(box)
    with Pair(box) as pair:
        for length in 1, 8, 63:
            sock = connect(box, pair.uri)
            sock.sendall(hello[:length])
            sock.shutdown(socket.SHUT_WR)
            receive_end(sock)
        for length in 0, 1, 8, 63:
            connect(box, pair.uri).sendall(hello[:length])
        still_works(pair)


@test('one bit of the hello is wrong')
def _(box):
    hello = source_hello(box)
    with Pair(box) as pair:
        for bit in range(0, 512, 7):
            wrong = bytearray(hello)
            wrong[bit // 8] ^= 1 << bit % 8
            sock = connect(box, pair.uri)
            sock.sendall(wrong)
            assert receive_end(sock)[:4] == b'YSEC'     # it says why
        assert pair.destination.status() == 'setup'
        still_works(pair)


@test('a connection that says nothing is in nobody\'s way')
def _(box):
    with Pair(box) as pair:
        silent = connect(box, pair.uri)
        still_works(pair)
        assert receive_end(silent) == b''


@test(f'{CROWD} connections that say nothing', seconds=60)
def _(box):
    with Pair(box) as pair:
        there = pair.destination
        pair.source.set('multifd', multifd_channels=4)
        before = len(threads_named(there.pid, ''))
        crowd = [connect(box, pair.uri) for _ in range(CROWD)]
        # The destination closes the oldest connections.
        assert receive_end(crowd[0]) == b''
        assert len(threads_named(there.pid, '')) < before + 10
        still_works(pair)
        for sock in crowd:
            assert receive_end(sock) == b''
        wait_for('end of threads', lambda: not threads_named(
            there.pid, 'mig-'))


@test(f'{CROWD} connections, and a main loop that hangs', seconds=60,
      needs=['certtool'])
def _(box):
    creds = tls.Credentials(box.path('tls'))
    uri = unix_uri(box)
    with Side(box, options=['--object', tls.x509(
            'tls0', 'client', creds.client)]) as source, \
            Side(box, incoming=uri, options=['--object', tls.x509(
                'tls0', 'server', creds.server)]) as there:
        for side in source, there:
            side.set(tls_creds='tls0')
        source.set(tls_hostname='localhost')
        before = len(threads_named(there.pid, ''))
        with there.qmp() as qmp:
            hang = block_main_loop(box, there, qmp)
            crowd = [connect(box, uri) for _ in range(CROWD)]
            assert receive_end(crowd[0]) == b''
            assert len(threads_named(there.pid, '')) < before + 10
            # This connection waits for the credentials, like all others.
            source.cmd('migrate', uri=uri)
            for sock in crowd[-20:]:
                sock.sendall(b'x' * 100)
            hang.release()
        source.await_status('completed')
        there.await_status('completed')


@test('a source that comes and goes before all its channels are there')
def _(box):
    with Pair(box) as pair:
        for _ in range(3):
            relay = Relay(box, pair.uri)
            relay.hold('volume')
            pair.source.set('multifd', multifd_channels=2)
            pair.migrate(relay.uri)
            relay.wait_held('volume')
            hello = relay.hello
            pair.source.yank()
            pair.source.wait_status('failed')
            relay.close()
            # Of a session that is over, or never was.
            connect(box, pair.uri).sendall(hello)
        # One that never gets whole.
        connect(box, pair.uri).sendall(source_hello(box, 'multifd'))
        pair.source.set(multifd_channels=4)
        still_works(pair)


@test('a source that says hello and no more is given up', seconds=40)
def _(box):
    with Pair(box) as pair:
        sock = connect(box, pair.uri)
        sock.sendall(source_hello(box))
        told = receive_end(sock)
        assert b'silent for 10000 ms' in told, told
        info = pair.destination.wait_status('failed')
        print(f'# {info["error-desc"]}')
        still_works(pair)


@test('a session is not begun twice')
def _(box):
    with Pair(box) as pair:
        relay = Relay(box, pair.uri)
        relay.hold('ready')
        pair.migrate(relay.uri)
        relay.wait_held('ready')
        sock = connect(box, pair.uri)
        sock.sendall(relay.hello)
        assert b'seen before' in receive_end(sock)
        relay.release()
        pair.complete()


@test('garbage after the hello')
def _(box):
    with Pair(box) as pair:
        for name, data in list(GARBAGE.items())[1:4]:
            sock = connect(box, pair.uri)
            sock.sendall(source_hello(box))
            try:
                sock.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            receive_end(sock)
            info = pair.destination.wait_status('failed')
            assert 'begins with' in info['error-desc'], info
            print(f'# {name}: {info["error-desc"]}')
            assert not pair.destination.serves()
        still_works(pair)


@test('a source that fails does not keep another one out')
def _(box):
    uri = unix_uri(box)
    with Side(box, [Volume('other')]) as other, Side(box) as source:
        with Side(box, incoming=uri) as there:
            other.cmd('migrate', uri=uri)
            other.wait_status('failed')
            there.wait_status('failed')
            source.cmd('migrate', uri=uri)
            source.wait_status('completed')
            there.wait_status('completed')


@test('a second source is told, and changes nothing')
def _(box):
    with Pair(box) as pair, Side(box) as other:
        relay = Relay(box, pair.uri)
        for name in 'volume', 'data', 'ready':
            relay.hold(name)
        pair.source.write(noise(MIB))
        pair.migrate(relay.uri)
        for name in 'volume', 'data', 'ready':
            relay.wait_held(name)
            other.cmd('migrate', uri=pair.uri)
            info = other.await_status('failed')
            assert 'another process is in progress' in info['error-desc']
            assert other.serves()
            relay.release(name)
        pair.complete()
        other.cmd('migrate', uri=pair.uri)
        info = other.await_status('failed')
        print(f'# {info["error-desc"]}')


@test('who connects to a destination that serves is sent away')
def _(box):
    uri = tcp_uri()
    with Pair(box, uri=uri) as pair:
        pair.run()
        wait_for('end of listening', lambda:
                 'socket-address' not in pair.destination.info())
        with Side(box) as other:
            other.cmd('migrate', uri=uri)
            other.wait_status('failed')
            assert other.serves()


run()
