#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# builds: build
# parallel-safe
# timeout: 200
"""yankctl yank --repair brings the disk of a stock virtual machine back."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from guest import Guest
from sandbox import wait_for
from suite import run, test
from watch import Watch
from yankctl import FAILED, UNREACHABLE, Fleet

NEEDS = ['nbdkit', 'qemu-system-x86_64', 'ss']


def commands(report):
    return [step['command'] for step in report['repair']]


def check_all_done(report, cont=True):
    assert 'repair-error' not in report, report
    *steps, last = report['repair']
    assert all(step['done'] for step in steps), report
    assert last['command'] == 'cont' and last['done'] is cont, report


def pause_on_error(box, guest, fleet):
    """The firmware reads, the disk is yanked, the guest pauses."""
    guest.wait_reading()
    fleet.run('yank', 'vm', '--all')
    wait_for('the guest pauses', lambda: guest.status() == 'io-error')
    assert 'io-error' in fleet.run('list')


def check_reads(guest):
    """The read that failed is done at last."""
    wait_for('the firmware has read', lambda: guest.reads() > 0, 20)
    assert guest.status() == 'running'


@test('a guest that paused on the error goes on', needs=NEEDS)
def _(box):
    guest = Guest(box)
    fleet = Fleet.of(box, vm=guest.qmp_path)
    pause_on_error(box, guest, fleet)
    before = guest.nodes()
    plan = fleet.json('yank', 'vm', 'blockdev:proto', '--repair', '-n')
    assert not any('done' in step for step in plan['repair']), plan
    swap = ['blockdev-add'] * 2 + ['qom-set'] + ['blockdev-del'] * 2
    assert commands(plan) == swap + swap + ['cont'], plan
    add = plan['repair'][0]['arguments']
    assert add['discard'] == 'unmap' and add['driver'] == 'nbd', add
    assert guest.status() == 'io-error' and guest.nodes() == before
    # A server that is silent would hang the machine once more.
    report = fleet.json('yank', 'vm', 'blockdev:proto', '--repair',
                        code=UNREACHABLE)
    assert 'does not answer' in report['repair-error']['desc'], report
    assert guest.nodes() == before
    guest.disk.thaw()
    check_all_done(fleet.json('yank', 'vm', 'blockdev:proto', '--repair'))
    assert guest.nodes() == before
    check_reads(guest)


@test('without a raw node, by the file name that QEMU tells', needs=NEEDS)
def _(box):
    guest = Guest(box, top=None)
    # What was on the command line is not this node any more.
    guest.qmp.cmd('device_del', {'id': 'disk0'})
    guest.qmp.cmd('cont')
    fleet = Fleet.of(box, vm=guest.qmp_path)
    guest.qmp.cmd('blockdev-add', {
        'driver': 'nbd', 'node-name': 'other', 'read-only': True,
        'server': guest.disk.address()})
    report = fleet.json('yank', 'vm', 'blockdev:other', '--repair')
    check_all_done(report, cont=False)
    assert commands(report) == ['blockdev-del', 'blockdev-add', 'cont'], report
    options = report['repair'][1]['arguments']
    assert options['read-only'] is True, options
    assert options['server'] == guest.disk.address(), options


@test('a disk by -drive, whose nodes have no names', needs=NEEDS)
def _(box):
    guest = Guest(box, drive=True)
    fleet = Fleet.of(box, vm=guest.qmp_path)
    pause_on_error(box, guest, fleet)
    guest.disk.thaw()
    report = fleet.json('yank', 'vm', '--all', '--repair')
    check_all_done(report)
    assert commands(report) == ['blockdev-add', 'blockdev-add', 'qom-set',
                                'cont'], report
    check_reads(guest)
    # The nodes have names now.
    names = fleet.json('yank', 'vm', '--all', '--repair')['instances']
    assert names == ['blockdev:yankctl-1'], names


@test('a main loop that hangs in stop, rescued by a lane that is held',
      needs=NEEDS)
def _(box):
    guest = Guest(box)
    watch = Watch(box, '-s', f'vm={guest.qmp_path}')
    watch.wait_connected(1)
    fleet = Fleet(box, control=watch.control)
    guest.wait_reading()
    request = guest.qmp.submit('stop')
    wait_for('it hangs', lambda: fleet.states() == {'vm': 'stuck'})
    report = fleet.json('yank', 'vm', 'blockdev:proto', '--repair',
                        code=UNREACHABLE)
    assert report['recovered'], report
    guest.qmp.reply(request)
    guest.disk.thaw()
    # Who paused it is who lets it go on.
    check_all_done(fleet.json('yank', 'vm', '--all', '--repair'), cont=False)
    guest.qmp.cmd('cont')
    check_reads(guest)
    watch.finish()


@test('a disk that an I/O thread serves', needs=NEEDS)
def _(box):
    guest = Guest(box, device=',iothread=io0',
                  options=['-object', 'iothread,id=io0'])
    fleet = Fleet.of(box, vm=guest.qmp_path)
    pause_on_error(box, guest, fleet)
    guest.disk.thaw()
    check_all_done(fleet.json('yank', 'vm', '--all', '--repair'))
    check_reads(guest)


@test('a server at a path that is relative for the process, and only for it',
      needs=NEEDS)
def _(box):
    guest = Guest(box)
    guest.qmp.cmd('device_del', {'id': 'disk0'})
    fleet = Fleet.of(box, vm=guest.qmp_path)
    path = os.path.relpath(guest.disk.path,
                           os.readlink(f'/proc/{guest.process.pid}/cwd'))
    guest.qmp.cmd('cont')
    guest.qmp.cmd('blockdev-add', {
        'driver': 'nbd', 'node-name': 'other',
        'server': {'type': 'unix', 'path': path}})
    here = box.path('/'.join(['deep'] * 20))
    os.makedirs(here)
    report = fleet.json('yank', 'vm', 'blockdev:other', '--repair', cwd=here)
    check_all_done(report, cont=False)


@test('what cannot be made anew is left alone', needs=NEEDS)
def _(box):
    guest = Guest(box, top={'driver': 'throttle', 'throttle-group': 'g'},
                  options=['-object', 'throttle-group,id=g'])
    fleet = Fleet.of(box, vm=guest.qmp_path)
    before = guest.nodes()
    report = fleet.json('yank', 'vm', '--all', '--repair', code=FAILED)
    assert report['recovered'] and 'repair' not in report, report
    assert "'top' of driver 'throttle'" in report['repair-error']['desc']
    assert guest.nodes() == before


run()
