#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# builds: build build-debug
# timeout: 300
"""yankctl watch brings back what hangs, alone and in time."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import daemon
from guest import Guest
from sandbox import wait_for
from suite import Skip, run, slowness, test
from watch import Hang, Watch

THRESHOLD = 1.0
POLICY = f"""
interval: 0.2
rules:
  - domains: "*"
    threshold: {THRESHOLD}
    action: yank
"""


def need(kind):
    if daemon.program(kind) is None:
        raise Skip(f'{kind} is not installed')


def check_time(took):
    assert THRESHOLD - 0.05 <= took < (THRESHOLD + 1) * slowness(), took


def check_incident(watch, domain, instance):
    """What the journal has of one yank that helped."""
    end = watch.wait_journal(event='end', domain=domain)
    begin = watch.journal(event='begin', domain=domain)
    assert len(begin) == 1 and begin[0]['for'] >= THRESHOLD, begin
    assert end['outcome'] == 'yank', end
    assert end['begin'] < end['end'], end
    assert THRESHOLD <= end['duration'] < 10 * slowness(), end
    assert end['stuck']['what'] == 'main-loop', end
    assert [(d['action'], d.get('instance')) for d in end['done']] == [
        ('yank', instance)], end
    assert end['incident'] == begin[0]['incident']
    return end


def rescue_alone(box, kind):
    need(kind)
    victim = Hang(box, kind)
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy=POLICY)
    if kind == 'qemu':
        watch.wait_known(1)
    watch.wait_connected(1)
    victim.hang()
    check_time(victim.rescued())
    end = check_incident(watch, 'vm', 'blockdev:nbd0')
    if kind != 'qemu':
        assert end['stuck']['command'] == 'blockdev-add', end
    victim.finish()
    watch.finish()


@test('stock QEMU', needs=['nbdkit'])
def _(box):
    rescue_alone(box, 'qemu')


@test('the stock storage daemon cannot be yanked, and that is told',
      needs=['nbdkit'])
def _(box):
    need('qsd')
    victim = Hang(box, 'qsd')
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy="""
interval: 0.1
rules: [{domains: vm, threshold: 0.3, verify: 0.1, action: yank,
         hook: {command: [/bin/true]}}]
""")
    watch.wait_connected(1)
    victim.hang()
    begin = watch.wait_journal(event='begin')
    assert 'has no query-yank' in begin['stuck']['error'], begin
    watch.wait_journal(event='hook')
    victim.disks[0].thaw()
    victim.rescued()
    assert watch.wait_journal(event='end')['outcome'] == 'hook'
    victim.finish()
    watch.finish()


@test('a virtual machine of stock QEMU, which hangs in stop',
      needs=['nbdkit', 'qemu-system-x86_64', 'ss'])
def _(box):
    guest = Guest(box)
    watch = Watch(box, '-s', f'vm={guest.qmp_path}', policy=POLICY)
    watch.wait_known(1)
    guest.wait_reading()
    start = time.monotonic()
    guest.qmp.result(guest.qmp.submit('stop'))
    check_time(time.monotonic() - start)
    check_incident(watch, 'vm', 'blockdev:proto')
    watch.finish()


@test('yankd', needs=['nbdkit'])
def _(box):
    rescue_alone(box, 'yankd')


@test('without a policy a stall is reported, and nothing is done',
      needs=['nbdkit'])
def _(box):
    need('qemu')
    victim = Hang(box, 'qemu')
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy=f"""
interval: 0.1
rules: [{{domains: vm, threshold: 0.3}}]
""")
    watch.wait_connected(1)
    victim.hang()
    watch.wait_journal(event='begin', domain='vm')
    assert victim.qmp.is_silent(0.5)
    victim.disks[0].thaw()
    victim.rescued()
    end = watch.wait_journal(event='end', domain='vm')
    assert end['outcome'] == 'itself' and end['done'] == [], end
    victim.finish()
    watch.finish()


@test('a rule that has the name comes before one that has all',
      needs=['nbdkit'])
def _(box):
    victim = Hang(box, 'yankd')
    watch = Watch(box, '-s', f'vm-1={victim.qmp_path}', policy="""
interval: 0.1
rules:
  - domains: "other-*"
    threshold: 60
  - {domains: "vm-*", threshold: 0.3, action: yank}
  - domains: "*"
    threshold: 60
""")
    watch.wait_connected(1)
    victim.hang()
    victim.rescued()
    victim.finish()
    watch.finish()


@test('a threshold below the interval is kept to once a ping is sent',
      needs=['nbdkit'])
def _(box):
    victim = Hang(box, 'yankd')
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy="""
interval: 1.5
rules: [{domains: "*", threshold: 0.2, action: yank}]
""")
    watch.wait_connected(1)
    victim.hang()
    victim.rescued()
    begin = watch.wait_journal(event='begin')
    assert 0.2 <= begin['for'] < 1.2, begin
    victim.finish()
    watch.finish()


@test('fifty processes, three of which hang, and only those are touched',
      seconds=60, needs=['nbdkit'])
def _(box):
    need('qemu')
    if slowness() > 1:
        raise Skip('fifty with sanitizers take too long')
    folder = box.path('sockets')
    os.mkdir(folder)
    victims = [Hang(box, kind) for kind in ('qemu', 'yankd', 'qemu')]
    others = [daemon.Daemon(box, 'qemu' if i % 2 else 'yankd', wait=False)
              for i in range(47)]
    for other in others:
        other.wait_ready()
    names = {}
    for i, process in enumerate(victims + others):
        names[process] = f'vm{i}'
        os.link(process.qmp_path, os.path.join(folder, f'vm{i}.sock'))
    watch = Watch(box, '--dir', folder, policy=POLICY)
    watch.wait_connected(50)
    for victim in victims:
        if victim.kind == 'qemu':
            watch.wait_known(1, names[victim], domains=50)
        victim.hang()
    for victim in victims:
        check_time(victim.rescued())
        check_incident(watch, names[victim], 'blockdev:nbd0')
    assert {line['domain'] for line in watch.journal()} == {
        names[victim] for victim in victims}
    assert len(watch.journal(event='yank')) == 3
    for process in victims + others:
        if process in victims:
            process.finish()
        else:
            # Each was asked and none was cut: still the same connection.
            assert process.alive()
    wait_for('three are gone', lambda: len(
        [d for d in watch.connect().call(op='list')['domains']
         if d['connected']]) == 47)
    watch.finish()


run()
