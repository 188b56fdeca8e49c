#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""Migration over TLS: who is let in, who is not and is told, and that what is
set right works at once."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import tls
from migration import (MIB, Pair, Side, Volume, Writer, noise, tcp_uri,
                       unix_uri)
from sandbox import wait_for
from suite import run, test

NEEDS = ['certtool', 'psktool']


class TlsPair(Pair):
    """@here, @there: values of --object; None: no TLS on that side."""

    def __init__(self, box, here, there, uri=None, volumes=None):
        self.box = box
        self.uri = uri or tcp_uri()
        self.source = Side(box, volumes, options=option(here))
        self.destination = Side(box, volumes, self.uri, option(there))
        self.sides = self.source, self.destination
        for side, value in zip(self.sides, (here, there)):
            if value:
                side.set(tls_creds='tls0')

    def check_works(self):
        data = noise(self.source.volumes[0].size)
        self.source.write(data)
        self.run()
        assert self.destination.read() == data

    def check_fails(self, here='', there=''):
        """The texts must be in what the sides say."""
        self.migrate()
        info = self.source.await_status('failed')
        print(f'# source: {info["error-desc"]}')
        assert here in info['error-desc'], info

        def told():
            info = self.destination.info()
            return info if 'error-desc' in info else None
        info = wait_for('report of the destination', told)
        print(f'# destination: {info["error-desc"]}')
        assert there in info['error-desc'], info
        assert info['status'] in ('setup', 'failed'), info
        assert self.source.serves() and not self.destination.serves()


def option(value):
    return ['--object', value] if value else []


def replace(side, value):
    """Other credentials of the same name."""
    kind, *members = value.split(',')
    side.cmd('object-del', id='tls0')
    side.cmd('object-add', **{'qom-type': kind}, **dict(
        member.split('=', 1) for member in members))


def server(creds):
    return tls.x509('tls0', 'server', creds.server)


def client(creds):
    return tls.x509('tls0', 'client', creds.client)


@test('certificates: TCP by address and by name, and unix', needs=NEEDS)
def _(box):
    creds = tls.Credentials(box.path('tls'))
    for uri in (tcp_uri(), tcp_uri('localhost'), unix_uri(box)):
        with TlsPair(box, client(creds), server(creds), uri) as pair:
            pair.check_works()


@test('several channels, and clients that write', needs=NEEDS)
def _(box):
    creds = tls.Credentials(box.path('tls'))
    with TlsPair(box, client(creds), server(creds),
                 volumes=[Volume('d0', 20 * MIB)]) as pair:
        pair.set('multifd', multifd_channels=4, multifd_compression='zstd')
        data = noise(20 * MIB)
        pair.source.write(data)
        writer = Writer(pair.source, content=data)
        writer.wait_answers(50)
        pair.run()
        writer.wait_closed()
        writer.compare(pair.destination.read())


@test('a shared key; another one is refused', needs=NEEDS)
def _(box):
    creds = tls.Credentials(box.path('tls'))
    other = tls.make_psk(box.path('other'), 'qemu')
    with TlsPair(box, tls.psk('tls0', 'client', other),
                 tls.psk('tls0', 'server', creds.psk)) as pair:
        pair.check_fails('handshake', 'handshake')
        replace(pair.source, tls.psk('tls0', 'client', creds.psk))
        pair.check_works()


@test('another CA: both sides say so; the right one works at once',
      needs=NEEDS)
def _(box):
    creds = tls.Credentials(box.path('tls'))
    strange = tls.Credentials(box.path('strange'))
    # Wrong at the source, then at the destination.
    with TlsPair(box, client(strange), server(creds)) as pair:
        pair.check_fails('ertificate', 'handshake')
        replace(pair.source, client(creds))
        pair.check_works()
    with TlsPair(box, client(creds), server(strange)) as pair:
        pair.check_fails('ertificate', 'handshake')
        replace(pair.destination, server(creds))
        pair.check_works()


@test('a source without a certificate', needs=NEEDS)
def _(box):
    creds = tls.Credentials(box.path('tls'))
    bare = tls.x509('tls0', 'client', creds.bare_client)
    for capabilities in (), ('multifd',):
        with TlsPair(box, bare, server(creds)) as pair:
            pair.source.set(*capabilities)
            pair.check_fails('', 'ertificate')
            replace(pair.source, client(creds))
            pair.check_works()


@test('a certificate of another name, and tls-hostname', needs=NEEDS)
def _(box):
    creds = tls.Credentials(box.path('tls'))
    with TlsPair(box, client(creds), server(creds)) as pair:
        pair.source.set(tls_hostname='other.example.org')
        pair.check_fails('hostname', 'handshake')
        pair.source.set(tls_hostname='localhost')
        pair.check_works()
    with TlsPair(box, client(creds), server(creds)) as pair:
        pair.source.set(tls_hostname='wrong')
        pair.check_fails('hostname', '')
        # The host of the URI again.
        pair.source.set(tls_hostname='')
        pair.check_works()


@test('one side without TLS', needs=NEEDS)
def _(box):
    creds = tls.Credentials(box.path('tls'))
    with TlsPair(box, None, server(creds)) as pair:
        pair.check_fails('', 'handshake')
        pair.destination.set(tls_creds='')
        pair.check_works()
    with TlsPair(box, client(creds), None) as pair:
        pair.check_fails('handshake', 'YANKDMIG')
        pair.source.set(tls_creds='')
        pair.check_works()


@test('credentials that are not there, or of the other endpoint',
      needs=NEEDS)
def _(box):
    creds = tls.Credentials(box.path('tls'))
    with TlsPair(box, client(creds), server(creds)) as pair:
        for side, other in ((pair.source, server(creds)),
                            (pair.destination, client(creds))):
            side.set(tls_creds='nobody')
            if side is pair.source:
                reply = side.control.reply(side.control.submit(
                    'migrate', {'uri': pair.uri}))
                assert 'nobody' in reply['error']['desc'], reply
                assert side.status() == 'none'
            else:
                pair.check_fails('', 'nobody')
            side.set(tls_creds='tls0')
            replace(side, other)
            if side is pair.source:
                reply = side.control.reply(side.control.submit(
                    'migrate', {'uri': pair.uri}))
                assert 'client' in reply['error']['desc'], reply
                replace(side, client(creds))
            else:
                pair.check_fails('', 'server')
                replace(side, server(creds))
        pair.check_works()


@test('the credentials may be deleted while they are in use', needs=NEEDS)
def _(box):
    creds = tls.Credentials(box.path('tls'))
    with TlsPair(box, client(creds), server(creds)) as pair:
        pair.source.set(max_bandwidth=4 * MIB)
        data = noise(4 * MIB)
        pair.source.write(data)
        pair.migrate()
        pair.source.wait_status('active')
        for side in pair.sides:
            side.cmd('object-del', id='tls0')
        pair.source.set(max_bandwidth=0)
        pair.complete()
        assert pair.destination.read() == data


run()
