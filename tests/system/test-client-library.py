#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
# builds: build
"""The client library, installed, against yankd and the stock programs."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import daemon
import tls
from client_library import Installed, Program
from sandbox import wait_for
from servers import Nbdkit
from suite import Skip, run, test

NBD = ('{{"driver": "nbd", "node-name": "nbd0", "server": '
       '{{"type": "unix", "path": "{}"}}}}')
YANK = '{"instances": [{"type": "block-node", "node-name": "nbd0"}]}'
# Reads through the node on the main loop, which waits for it.
READ = ('{"command-line": "qemu-io nbd0 \\"read 0 4k\\""}')


def start(box, kind):
    if daemon.program(kind) is None:
        raise Skip(f'{kind} is not installed')
    return daemon.Daemon(box, kind)


@test('headers stand for themselves; what they declare is exported, and '
      'nothing else', needs=['cc', 'nm', 'pkg-config', 'meson'])
def _(box):
    installed = Installed(box)
    declared = set()
    for header in installed.headers():
        name = os.path.basename(header)
        source = box.write('one.c', f'#include <yankclient/{name}>\n')
        installed.compile(source, box.path('one.o'), '-c', '-std=c99',
                          '-pedantic')
        with open(header) as f:
            text = re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S)
        assert '"qemu/' not in text and '"qapi/' not in text, header
        declared |= set(re.findall(r'\b(yc_\w+)\(', text))
    library = installed.find('libyankclient.so.0')
    symbols = box.run(['nm', '-D', '--defined-only', '--with-symbol-versions',
                       library]).stdout
    exported = set(re.findall(r' [TDBR] (\w+)@@YANKCLIENT_0\.1$', symbols,
                              re.M))
    others = set(re.findall(r' [TDBRW] (\S+)$', symbols, re.M))
    others -= {f'{name}@@YANKCLIENT_0.1' for name in exported}
    assert not others, others
    assert declared == exported, declared ^ exported


def talk(box, kind):
    """Answers, errors and events of a program that works."""
    with start(box, kind) as server:
        program = Program(Installed(box), server.qmp_path)
        about = program.ok('connect')
        assert f'oob=1 yankd={int(kind == "yankd")}' in about, about
        assert '"qemu"' in program.ok('in query-version')
        answer = program.do('in nonsense {"a": [1, "\\u00fc"]}')
        assert 'CommandNotFound The command nonsense has not been found' in (
            answer), answer
        answer = program.do('oob query-version')
        assert 'does not support OOB' in answer, answer
        for _ in range(50):
            program.ok('send query-version')
        program.wait_answers(50)
        assert all(a.startswith('ok') for a in program.answers)
        program.finish()


@test('yankd', needs=['cc', 'pkg-config', 'meson'])
def _(box):
    talk(box, 'yankd')


@test('stock storage daemon', needs=['cc', 'pkg-config', 'meson'])
def _(box):
    talk(box, 'qsd')


@test('stock QEMU', needs=['cc', 'pkg-config', 'meson'])
def _(box):
    talk(box, 'qemu')


@test('events of stock QEMU', needs=['cc', 'pkg-config', 'meson'])
def _(box):
    with start(box, 'qemu') as server:
        program = Program(Installed(box), server.qmp_path)
        program.ok('connect')
        program.ok('in stop')
        program.wait_event('STOP')
        program.finish()


@test('stock QEMU hangs, and is yanked through a full in-band lane',
      needs=['nbdkit', 'cc', 'pkg-config', 'meson'])
def _(box):
    server = start(box, 'qemu')
    disk = Nbdkit(box)
    program = Program(Installed(box), server.qmp_path)
    program.ok('connect')
    program.ok('in blockdev-add ' + NBD.format(disk.path))
    disk.freeze()
    program.ok('send human-monitor-command ' + READ)
    program.ok('timeout 300')
    answer = program.do('in query-name')
    assert 'was not answered within 300 ms' in answer, answer
    program.ok('timeout 20000')
    for _ in range(30):
        program.ok('send query-name')
    # Nine unanswered ones would have stopped the server's reading.
    assert program.timed('oob query-yank') < 1
    assert program.timed('oob yank ' + YANK) < 1
    program.wait_answers(31)
    program.ok('in query-name')
    program.finish()
    disk.thaw()
    server.finish()


@test('yankd hangs, and answers a hundred in-band ones after the yank',
      needs=['nbdkit', 'cc', 'pkg-config', 'meson'])
def _(box):
    server = start(box, 'yankd')
    disk = Nbdkit(box)
    program = Program(Installed(box), server.qmp_path)
    program.ok('connect')
    disk.freeze()
    program.ok('timeout 20000')
    program.ok('send blockdev-add ' + NBD.format(disk.path))
    for _ in range(100):
        program.ok('send query-name')
    assert program.timed('oob query-dispatch') < 1
    assert program.timed('oob yank ' + YANK) < 1
    program.wait_answers(101)
    assert sum(a.startswith('ok') for a in program.answers) == 100
    program.finish()
    disk.thaw()
    server.finish()


def talk_tls(box, credentials, how, folder):
    """By TCP to stock QEMU, which takes a monitor's bytes one by one."""
    address = f'127.0.0.1:{daemon.free_port()}'
    host, port = address.split(':')
    server = daemon.Daemon(box, 'qemu', [
        '-object', credentials, '-chardev',
        f'socket,id=tls,host={host},port={port},server=on,wait=off,'
        'tls-creds=creds', '-mon', 'chardev=tls,mode=control'])
    program = Program(Installed(box), address)
    program.ok(f'{how} {folder}')
    program.ok('connect')
    for _ in range(5):
        assert '"qemu"' in program.ok('in query-version')
        assert '"chardev"' in program.ok('oob query-yank')
    for _ in range(20):
        program.ok('send query-version')
    program.wait_answers(20)
    program.finish()
    server.finish()


@test('stock QEMU by TLS, with certificates',
      needs=['qemu-system-x86_64', 'certtool', 'psktool', 'cc', 'pkg-config',
             'meson'])
def _(box):
    creds = tls.Credentials(box.path('tls'))
    talk_tls(box, tls.x509('creds', 'server', creds.server), 'tls',
             creds.client)


@test('stock QEMU by TLS, with a shared key',
      needs=['qemu-system-x86_64', 'psktool', 'cc', 'pkg-config', 'meson'])
def _(box):
    folder = tls.make_psk(box.path('psk'), 'qemu')
    talk_tls(box, tls.psk('creds', 'server', folder), 'psk', folder)


@test('a second client of a stock socket is told why it gets no greeting',
      needs=['cc', 'pkg-config', 'meson'])
def _(box):
    with start(box, 'qsd') as server:
        installed = Installed(box)
        first = Program(installed, server.qmp_path)
        first.ok('connect')
        second = Program(installed, server.qmp_path)
        second.ok('timeout 300')
        answer = second.do('connect')
        assert answer.startswith('error 2 - '), answer
        assert 'it serves another client' in answer, answer
        first.finish()
        second.ok('timeout 10000')
        second.ok('connect')
        second.finish()


@test('a stock process that hangs already cannot be negotiated with',
      needs=['nbdkit', 'cc', 'pkg-config', 'meson'])
def _(box):
    if daemon.program('qemu') is None:
        raise Skip('qemu is not installed')
    server = daemon.Daemon(box, 'qemu', monitors=2)
    disk = Nbdkit(box)
    installed = Installed(box)
    first = Program(installed, server.sockets[0])
    first.ok('connect')
    first.ok('in blockdev-add ' + NBD.format(disk.path))
    disk.freeze()
    first.ok('send human-monitor-command ' + READ)
    first.ok('timeout 300')
    first.do('in query-name')
    second = Program(installed, server.sockets[1])
    second.ok('timeout 300')
    answer = second.do('connect')
    assert answer.startswith('error 3 - '), answer
    assert 'its main loop hangs' in answer, answer
    first.ok('oob yank ' + YANK)
    first.ok('timeout 10000')
    first.ok('in query-name')
    second.finish()
    first.finish()
    disk.thaw()
    server.finish()


@test('a real guest agent, also after it was frozen',
      needs=['qemu-ga', 'cc', 'pkg-config', 'meson'])
def _(box):
    path = box.path('ga.sock')
    ga = box.spawn(['qemu-ga', '-m', 'unix-listen', '-p', path,
                    '-t', box.dir, '-f', box.path('ga.pid')])
    wait_for('agent listens', lambda: daemon.listens(path))
    program = Program(Installed(box), path)
    program.ok(f'agent {path}')
    assert program.ok('ask guest-ping') == '{}'
    assert '"version"' in program.ok('ask guest-info')
    assert 'CommandNotFound' in program.do('ask guest-nonsense')
    ga.freeze()
    program.ok('timeout 200')
    answer = program.do('ask guest-ping')
    assert 'did not synchronise within 200 ms' in answer, answer
    ga.thaw()
    program.ok('timeout 10000')
    assert program.ok('ask guest-ping') == '{}'
    # QMP it does not speak.
    program.ok('timeout 200')
    answer = program.do('connect')
    assert answer.startswith('error 2 - '), answer
    program.finish()


run()
