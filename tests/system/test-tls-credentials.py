#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""TLS credentials, in the same folders for yankd and the stock daemon."""

import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import paths
import tls
from suite import run, test

STOCK = 'qemu-storage-daemon'
NEEDS = ['certtool', 'psktool']

PAST = ['activation_date = "2020-01-01"', 'expiration_date = "2021-01-01"']
FUTURE = ['activation_date = "2040-01-01"', 'expiration_date = "2041-01-01"']


def answer(box, program, value):
    """What PROGRAM says of --object VALUE; 'ok' when it goes on."""
    done = box.run([program, '--object', value, '--object', 'end,id=end'],
                   check=False)
    line = done.stderr.splitlines()[0]
    if "does not accept value 'end'" in line:
        return 'ok'
    return line.partition(f'{value}: ')[2]


def check_same(box, value):
    stock = answer(box, STOCK, value)
    ours = answer(box, paths.yankd(), value)
    assert ours == stock, f'{value}: {ours!r}, and stock: {stock!r}'
    return ours


def check_differ(box, value, expected):
    """Stock takes it, and yankd says EXPECTED."""
    stock = answer(box, STOCK, value)
    ours = answer(box, paths.yankd(), value)
    assert stock == 'ok', f'{value}: stock says {stock!r}'
    assert expected in ours, f'{value}: {ours!r}'


def without(folder, copy, *names):
    shutil.copytree(folder, copy)
    for name in names:
        os.unlink(os.path.join(copy, name))
    return copy


@test('what is good is taken', needs=NEEDS + [STOCK])
def _(box):
    creds = tls.Credentials(box.path('tls'))
    for value in [tls.x509('t', 'server', creds.server),
                  tls.x509('t', 'client', creds.client),
                  tls.x509('t', 'client', creds.bare_client),
                  tls.x509('t', 'client', creds.server),
                  tls.psk('t', 'server', creds.psk),
                  tls.psk('t', 'client', creds.psk),
                  f'tls-creds-x509,id=t,dir={creds.client}',
                  f'tls-creds-psk,id=t,dir={creds.psk}']:
        assert check_same(box, value) == 'ok', value


@test('what is bad is refused in the same words', needs=NEEDS + [STOCK])
def _(box):
    creds = tls.Credentials(box.path('tls'))
    ca = creds.ca
    stranger = tls.Authority(box.path('stranger'), 'another CA')
    other_ca = without(creds.server, box.path('other'))
    shutil.copy(stranger.cert, other_ca)
    for value in [
            'tls-creds-x509,id=t',
            'tls-creds-psk,id=t',
            f'tls-creds-x509,id=t,dir={creds.server},endpoint=both',
            f'tls-creds-x509,id=t,dir={creds.server},verify-peer=maybe',
            tls.x509('t', 'server', '/nonexistent'),
            tls.x509('t', 'server', creds.client),
            tls.x509('t', 'server', without(creds.server, box.path('no-key'),
                                            'server-key.pem')),
            tls.x509('t', 'server', ca.server(box.path('past'), valid=PAST)),
            tls.x509('t', 'client', ca.client(box.path('past'), valid=PAST)),
            tls.x509('t', 'server',
                     ca.server(box.path('future'), valid=FUTURE)),
            tls.x509('t', 'server',
                     ca.server(box.path('ca'), use=['ca', 'signing_key'])),
            tls.x509('t', 'server', other_ca),
            tls.x509('t', 'server', creds.server, 'passwordid=none'),
            tls.psk('t', 'server', '/nonexistent'),
            tls.psk('t', 'client', creds.psk, 'username=nobody'),
            tls.psk('t', 'server', creds.psk, 'username=qemu')]:
        assert check_same(box, value) != 'ok', value


@test('mistakes that stock finds when it is too late', needs=NEEDS + [STOCK])
def _(box):
    creds = tls.Credentials(box.path('tls'))
    wrong = creds.ca.server(box.path('purpose'), use=tls.CLIENT_USE)
    check_differ(box, tls.x509('t', 'server', wrong),
                 'purpose does not allow use with a TLS server')
    no_key = without(creds.client, box.path('no-key'), 'client-key.pem')
    check_differ(box, tls.x509('t', 'client', no_key),
                 'client-key.pem: No such file or directory')
    check_differ(box, tls.x509('t', 'server', creds.server, 'priority=FOO'),
                 'Unable to set TLS session priority FOO')
    with open(os.path.join(creds.psk, 'keys.psk'), 'w') as f:
        f.write('garbage\n')
    check_differ(box, tls.psk('t', 'server', creds.psk),
                 'is no user name, colon and key')


run()
