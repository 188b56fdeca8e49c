#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# builds: build
# parallel-safe
# timeout: 120
"""yankctl migrate: to the end, cancelled, and when the peer is silent."""

import json
import os
import pty
import re
import select
import signal
import sys
import termios

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import peers
from daemon import Daemon, free_port
from hang import FifoHang
from sandbox import wait_for
from suite import run, test
from yankctl import FAILED, NOT_FOUND, OK, SILENCE, STUCK, USAGE, Fleet

SIZE = 4 << 20
LIMIT = 4 << 20


def source(box, limit=LIMIT):
    """yankd with something to move, so fast."""
    path = box.write(box.unique('source') + '.img', os.urandom(SIZE))
    daemon = Daemon(box, 'yankd', [
        '--blockdev', f'driver=file,node-name=d0,filename={path}'])
    with daemon.qmp() as qmp:
        qmp.cmd('migrate-set-parameters', {'max-bandwidth': limit})
    return daemon, path


def destination(box):
    path = box.write(box.unique('destination') + '.img', b'\0' * SIZE)
    port = free_port()
    return Daemon(box, 'yankd', [
        '--incoming', f'tcp:127.0.0.1:{port}',
        '--blockdev', f'driver=file,node-name=d0,filename={path}']), path, port


def stock(box, limit=1 << 17):
    """A virtual machine with memory to move, so fast."""
    daemon = Daemon(box, 'qemu', ['-machine', 'pc', '-accel', 'tcg', '-S',
                                  '-m', '256'])
    with daemon.qmp() as qmp:
        qmp.cmd('migrate-set-parameters', {'max-bandwidth': limit})
    return daemon


def start(fleet, box, *argv):
    """The verb, and a function that gives what it has said so far."""
    process = box.spawn([*fleet.argv, 'migrate', *argv, '--json'])

    def reports():
        return [json.loads(line) for line in process.output().splitlines()
                if line.startswith('{')]
    return process, reports


@test('to the end')
def _(box):
    here, ours = source(box)
    there, theirs, port = destination(box)
    fleet = Fleet.of(box, vm=here.qmp_path)
    out = fleet.run('migrate', 'vm', f'tcp:127.0.0.1:{port}', '--json')
    reports = [json.loads(line) for line in out.splitlines()]
    assert reports[-1]['status'] == 'completed', reports
    assert reports[-1]['percent'] == 100, reports
    assert reports[-1]['downtime-ms'] >= 0, reports
    active = [r for r in reports if r['status'] == 'active']
    assert any(0 < r['percent'] < 100 and r['bytes-per-second'] > 0 and
               r['remaining-ms'] > 0 for r in active), reports
    with open(ours, 'rb') as one, open(theirs, 'rb') as other:
        assert one.read() == other.read()
    said = fleet.fails(FAILED, 'migrate', 'vm', f'tcp:127.0.0.1:{port}')
    assert 'migrated away' in said, said
    here.finish()
    there.finish()


@test('to nobody')
def _(box):
    here, _ = source(box)
    fleet = Fleet.of(box, vm=here.qmp_path)
    said = fleet.fails(FAILED, 'migrate', 'vm', f'tcp:127.0.0.1:{free_port()}')
    assert 'refused' in said, said
    fleet.run('migrate', 'vm', 'frob:', code=FAILED)
    fleet.run('migrate', 'x', 'frob:', code=NOT_FOUND)
    fleet.run('migrate', 'vm', code=USAGE)
    here.finish()


def check_cancelled(box, daemon, uri):
    """Ctrl-C, while something moves."""
    fleet = Fleet.of(box, vm=daemon.qmp_path)
    process, reports = start(fleet, box, 'vm', uri)
    wait_for('it moves', lambda: any(
        r.get('transferred', 0) > 0 for r in reports()))
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == FAILED, process.output()
    assert reports()[-1]['error']['desc'] == 'the migration is cancelled'
    daemon.finish()


@test('Ctrl-C, yankd')
def _(box):
    here, _ = source(box, 1 << 20)
    there, _, port = destination(box)
    check_cancelled(box, here, f'tcp:127.0.0.1:{port}')
    there.process.destroy()


@test('Ctrl-C, stock', needs=['qemu-system-x86_64'])
def _(box):
    listener = peers.Listener(box, port=0)
    check_cancelled(box, stock(box), f'tcp:127.0.0.1:{listener.port}')


@test('Ctrl-C, again and again, while stock connects: who leaves, may',
      needs=['qemu-system-x86_64'])
def _(box):
    hole = peers.Blackhole(box)
    daemon = stock(box)
    fleet = Fleet.of(box, vm=daemon.qmp_path)
    process, _ = start(fleet, box, 'vm', f'tcp:127.0.0.1:{hole.port}')
    for said in ('"setup"', 'once more yanks', 'once more leaves'):
        wait_for(said, lambda: said in process.output())
        process.send_signal(signal.SIGINT)
    assert process.wait(10) == STUCK, process.output()
    assert 'still cancelling' in process.output(), process.output()
    daemon.process.destroy()


@test('Ctrl-C before there is a migration')
def _(box):
    listener = peers.Listener(box)
    for verb in (['migrate', 'vm', 'tcp:localhost:1'], ['list']):
        fleet = Fleet.of(box, vm=listener.path, timeout=600)
        process = box.spawn([*fleet.argv, *verb])
        listener.accept()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT, process.output()


def check_silent(box, daemon):
    """A peer that accepts, and says nothing for ever.  Its socket takes but
    little, so that even a machine without a system has more to say."""
    listener = peers.Listener(box)
    fleet = Fleet.of(box, vm=daemon.qmp_path)
    fleet.run('migrate', 'vm', f'unix:{listener.path}', '--yank-after', '0.5',
              code=FAILED)
    assert 'nothing has moved for 0.5 s' in fleet.stderr, fleet.stderr
    assert 'yanked the migration' in fleet.stderr, fleet.stderr
    assert 'the migration is failed' in fleet.stderr, fleet.stderr
    daemon.finish()


@test('a silent peer, yankd')
def _(box):
    check_silent(box, source(box)[0])


@test('a silent peer, stock', needs=['qemu-system-x86_64'])
def _(box):
    check_silent(box, stock(box, 1 << 30))


@test('a main loop that hangs: it would start whenever that ends')
def _(box):
    here, _ = source(box)
    listener = peers.Listener(box)
    with here.qmp() as other:
        hang = FifoHang(box, here.pid, other)
        fleet = Fleet.of(box, vm=here.qmp_path, timeout=SILENCE)
        said = fleet.fails(STUCK, 'migrate', 'vm', f'unix:{listener.path}')
        assert 'is not migrated: main loop stuck' in said, said
        hang.release()
        assert other.cmd('query-migrate').get('status') is None
    here.finish()


@test('on a terminal, a line that it has room for')
def _(box):
    there, _, port = destination(box)
    fleet = Fleet.of(box, vm=source(box, 1 << 18)[0].qmp_path)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 60))
    process = box.spawn([*fleet.argv, 'migrate', 'vm',
                         f'tcp:127.0.0.1:{port}'], stdin=theirs,
                        stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b''

    def read(until):
        nonlocal seen
        while until not in seen:
            assert select.select([ours], [], [], 20)[0], seen
            seen += os.read(ours, 4096)
    read(b' left')
    process.send_signal(signal.SIGINT)
    read(b'is cancelled')
    process.wait(20)
    os.close(ours)
    lines = re.split(rb'\r\x1b\[K|\r\n', seen)
    assert max(len(line) for line in lines if b'%' in line) < 60, seen
    assert len([line for line in lines if b'%' in line]) > 1, seen
    there.process.destroy()


@test('nothing moves, and that is shown')
def _(box):
    here, _ = source(box)
    listener = peers.Listener(box)
    fleet = Fleet.of(box, vm=here.qmp_path)
    ours, theirs = pty.openpty()
    process = box.spawn([*fleet.argv, 'migrate', 'vm',
                         f'unix:{listener.path}'], stdin=theirs,
                        stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b''
    while b'nothing moved for ' not in seen:
        assert select.select([ours], [], [], 20)[0], seen
        seen += os.read(ours, 4096)
    os.close(ours)
    process.destroy()
    with here.qmp() as qmp:
        qmp.oob('migrate_cancel')
        wait_for('the end', lambda: qmp.cmd('query-migrate')['status']
                 == 'cancelled')
    process, reports = start(fleet, box, 'vm', f'unix:{listener.path}',
                             '--yank-after=2')
    assert process.wait(20) == FAILED, process.output()
    still = [r['still-ms'] for r in reports() if 'still-ms' in r]
    assert max(still) >= 1000, still
    assert all(r['answered'] for r in reports() if 'answered' in r)
    here.finish()


@test('a peer that takes no connection', seconds=40)
def _(box):
    here, _ = source(box)
    hole = peers.Blackhole(box)
    fleet = Fleet.of(box, vm=here.qmp_path)
    fleet.run('migrate', 'vm', f'tcp:127.0.0.1:{hole.port}',
              '--yank-after=0.5', code=FAILED)
    assert 'yanked' in fleet.stderr, fleet.stderr
    assert fleet.json('status', 'vm', code=OK)['state'] == 'running'
    here.finish()


run()
