#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# builds: build
# parallel-safe
# timeout: 200
"""yankctl yank --repair brings the disk of a stock virtual machine back."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import fake_stock
from daemon import free_port, listens
from guest import Guest
from qmp import Qmp
from sandbox import wait_for
from servers import Nbdkit
from suite import run, test
from watch import Watch
from yankctl import FAILED, OK, REFUSED, UNREACHABLE, Fleet

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
    # The exit status of the repair: the server does not answer.
    plan = fleet.json('yank', 'vm', 'blockdev:proto', '--repair', '-n',
                      code=UNREACHABLE)
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


@test('a node that was added later is left alone', needs=NEEDS)
def _(box):
    guest = Guest(box, top=None)
    # What was on the command line is not this node any more.
    guest.qmp.cmd('device_del', {'id': 'disk0'})
    guest.qmp.cmd('cont')
    fleet = Fleet.of(box, vm=guest.qmp_path)
    guest.qmp.cmd('blockdev-add', {
        'driver': 'nbd', 'node-name': 'other', 'read-only': True,
        'server': guest.disk.address()})
    before = guest.nodes()
    report = fleet.json('yank', 'vm', 'blockdev:other', '--repair',
                        code=REFUSED)
    said = report['repair-error']['desc']
    for option in 'tls-creds', 'reconnect-delay', 'discard':
        assert f"'{option}'" in said, said
    assert guest.nodes() == before
    # A dry run has the same result.
    report = fleet.json('yank', 'vm', 'blockdev:other', '--repair', '-n',
                        code=REFUSED)
    assert report['repair-error']['desc'] == said


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
    with watch.connect() as client:
        wait_for('the nodes are recorded', lambda: 'error' not in client.ask(
            op='facts', domain='vm', recorded=True))
    guest.wait_reading()
    request = guest.qmp.submit('stop')
    wait_for('it hangs', lambda: fleet.states() == {'vm': 'stuck'})
    # The plan of a domain that hangs is made of what was recorded before.
    plan = fleet.json('yank', 'vm', 'blockdev:proto', '--repair', '-n',
                      code=UNREACHABLE)
    assert commands(plan)[0] == 'blockdev-add', plan
    assert 'does not answer' in plan['repair-error']['desc'], plan
    report = fleet.json('yank', 'vm', 'blockdev:proto', '--repair',
                        code=UNREACHABLE)
    assert report['recovered'], report
    assert commands(report) == commands(plan), report
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


@test('a part of an export, without a device, by a path of the process',
      needs=NEEDS)
def _(box):
    disk = Nbdkit(box, name='other')
    path = os.path.relpath(disk.path)
    guest = Guest(box, options=[
        '-blockdev', f'nbd,node-name=low,server.type=unix,server.path={path}',
        '-blockdev', 'raw,node-name=part,file=low,offset=512,size=1024,'
        'detect-zeroes=unmap,discard=unmap'])
    fleet = Fleet.of(box, vm=guest.qmp_path)
    here = box.path('/'.join(['deep'] * 20))
    os.makedirs(here)
    before = guest.nodes()
    report = fleet.json('yank', 'vm', 'blockdev:low', '--repair', cwd=here)
    check_all_done(report, cont=False)
    assert guest.nodes() == before
    part = [n for n in guest.qmp.cmd('query-named-block-nodes')
            if n['node-name'] == 'part'][0]
    assert part['image']['virtual-size'] == 1024, part
    assert part['detect_zeroes'] == 'unmap' and '512' in part['file'], part


@test('two drives, one over TCP, and one with TLS', needs=NEEDS)
def _(box):
    os.mkdir(box.path('psk'))
    box.write('psk/keys.psk', 'alice:' + '5a' * 32 + '\n')
    log = box.path('log')
    servers = [
        Nbdkit(box, name='tcp', port=free_port()),
        Nbdkit(box, 'memory', '1M', f'logfile={log}', name='tls', options=[
            '--tls=on', f'--tls-psk={box.path("psk/keys.psk")}',
            '--filter=log'])]
    options = ['-object', 'tls-creds-psk,id=tls0,endpoint=client,'
               f'dir={box.path("psk")},username=alice']
    for i, place in enumerate((
            f'file={servers[0].uri()}', 'file.driver=nbd,file.tls-creds=tls0,'
            f'file.server.type=unix,file.server.path={servers[1].path}')):
        options += ['-drive', f'if=none,id=d{i},format=raw,discard=unmap,'
                    f'detect-zeroes=unmap,{place}', '-device',
                    f'virtio-blk-pci,drive=d{i},id=more{i}']
    guest = Guest(box, options=options)
    fleet = Fleet.of(box, vm=guest.qmp_path)
    check_all_done(fleet.json('yank', 'vm', '--all', '--repair'), cont=False)
    names = [n for n in guest.nodes() if n.startswith('yankctl-')]
    assert len(names) == 4, names
    for node in guest.qmp.cmd('query-named-block-nodes', {'flat': True}):
        if node['node-name'] in names and node['drv'] == 'raw':
            assert node['detect_zeroes'] == 'unmap', node
    with open(log) as f:
        connects = [line for line in f if ' Connect ' in line]
    assert len(connects) == 2, connects
    assert all('tls=1' in line for line in connects), connects


def replace(box, guest, size='64M'):
    """Another server at the path of the guest's server."""
    name = os.path.basename(guest.disk.path).removesuffix('.sock')
    return Nbdkit(box, 'memory', size, name=name)


@test('a server whose export has another size', needs=NEEDS)
def _(box):
    guest = Guest(box)
    fleet = Fleet.of(box, vm=guest.qmp_path)
    pause_on_error(box, guest, fleet)
    before = guest.nodes()
    guest.disk.thaw()
    guest.disk.process.terminate()
    guest.disk.process.wait(20)
    os.unlink(guest.disk.path)
    replace(box, guest, '2M')
    report = fleet.json('yank', 'vm', '--all', '--repair', code=REFUSED)
    assert 'bytes' in report['repair-error']['desc'], report
    assert report['repair'][0]['undone'], report
    assert guest.nodes() == before and guest.status() == 'io-error'


@test('a server that has not closed the old connection', needs=NEEDS)
def _(box):
    guest = Guest(box)
    fleet = Fleet.of(box, vm=guest.qmp_path)
    pause_on_error(box, guest, fleet)
    before = guest.nodes()
    # The old server is frozen, another one is at its path.
    os.unlink(guest.disk.path)
    replace(box, guest)
    report = fleet.json('yank', 'vm', '--all', '--repair', code=REFUSED,
                        seconds=30)
    assert 'may still carry out old writes' in \
        report['repair-error']['desc'], report
    assert guest.nodes() == before
    check_all_done(fleet.json('yank', 'vm', '--all', '--repair', '--force'))
    check_reads(guest)


@test('I/O threads of guests that run', needs=NEEDS)
def _(box):
    for kind, device, options in (
            ('virtio-blk-pci', ',iothread=io0', []),
            ('scsi-hd', ',bus=s0.0',
             ['-device', 'virtio-scsi-pci,id=s0,iothread=io0'])):
        guest = Guest(box, kind=kind, device=device, options=[
            '-object', 'iothread,id=io0', *options])
        fleet = Fleet.of(box, vm=guest.qmp_path)
        guest.qmp.cmd('cont')
        wait_for('the firmware has read', lambda: guest.reads() > 0, 30)
        before = guest.nodes()
        check_all_done(fleet.json('yank', 'vm', 'blockdev:proto', '--repair'),
                       cont=False)
        assert guest.nodes() == before
        n_reads = guest.reads()
        guest.qmp.cmd('system_reset')
        wait_for('it has read again', lambda: guest.reads() > n_reads, 30)
        assert guest.status() == 'running'


def check_failed_at(box, server, number):
    """One repair, of which that command fails; returns how many there are."""
    path = box.path(f'stock{number}')
    process = box.spawn([
        sys.executable, fake_stock.__file__, path, str(number), '-blockdev',
        f'nbd,node-name=proto,server.type=unix,server.path={server.path}',
        '-blockdev', 'raw,node-name=top,file=proto'])
    wait_for('it listens', lambda: listens(path, process.pid))
    fleet = Fleet.of(box, vm=path)
    report = json.loads(fleet.run(
        'yank', 'vm', 'blockdev:proto', '--repair', '--json',
        code=FAILED if number else OK))
    with Qmp.negotiated(path, True) as qmp:
        state = qmp.cmd('x-state')
    steps = [s for s in report['repair'] if s.get('done')]
    swapped = any(s['command'] == 'qom-set' for s in steps)
    left = [n for n in state['nodes'] if n.startswith('yankctl-')]
    assert state['device'] in state['nodes'], (number, state)
    assert len(left) == (2 if state['device'] in left else 0), (number, state)
    if report['repair'][-1].get('error') is None:
        assert state['status'] == ('running' if swapped else 'io-error'), (
            number, state)
    process.end()
    return len(report['repair'])


@test('whichever step fails, nothing is left and the guest goes on',
      needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    for number in range(check_failed_at(box, server, 0)):
        check_failed_at(box, server, number + 1)


@test('an exported node', needs=NEEDS)
def _(box):
    guest = Guest(box)
    fleet = Fleet.of(box, vm=guest.qmp_path)
    guest.qmp.cmd('nbd-server-start', {'addr': {
        'type': 'unix', 'data': {'path': box.path('export')}}})
    guest.qmp.cmd('block-export-add', {
        'type': 'nbd', 'id': 'e0', 'node-name': 'top'})
    before = guest.nodes()
    report = fleet.json('yank', 'vm', '--all', '--repair', code=REFUSED)
    assert "export 'e0'" in report['repair-error']['desc'], report
    assert guest.nodes() == before
    assert len(guest.qmp.cmd('query-block-exports')) == 1
    report = fleet.json('yank', 'vm', '--all', '--repair', '--force')
    check_all_done(report, cont=False)
    assert guest.nodes() == before
    assert guest.qmp.cmd('query-block-exports') == []


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
