#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
# timeout: 200
"""What yankctl says of a process that hangs, and how it brings it back."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import peers
from daemon import Daemon, free_port, listens
from guest import Guest
from hang import FifoHang
from nbd import CMD_READ, NbdClient
from peers import Dripper
from sandbox import wait_for
from servers import Gateway, Nbdkit
from suite import run, slowness, test
from watch import READ, Hang, Watch
from yankctl import (FAILED, GUEST_FAILED, NO_LANE, NOT_FOUND, OK, REFUSED,
                     SILENCE, STUCK, TIMEOUT, UNREACHABLE, USAGE, Fleet)


def ping(status, lane):
    return [p for p in status['pings'] if p['lane'] == lane][0]


def check_recovered(report, *names):
    assert [y['name'] for y in report['yanked']] == list(names), report
    assert report['recovered'] is True, report
    assert 0 <= report['recovered-ms'] < 3000 * slowness(), report


@test('yankd that hangs: list, status and yank', needs=['nbdkit'])
def _(box):
    victim = Hang(box, 'yankd')
    fleet = Fleet.of(box, vm=victim.qmp_path, timeout=SILENCE)
    assert fleet.states() == {'vm': 'running'}
    victim.hang()
    status = fleet.json('status', 'vm', code=STUCK)
    assert status['state'] == 'stuck' and status['stuck-ms'] >= SILENCE * 1000, status
    assert status['stuck-in'] == 'blockdev-add', status
    assert ping(status, 'out-of-band')['answered'], status
    assert not ping(status, 'in-band')['answered'], status
    assert status['instances'][0]['name'] == 'blockdev:nbd0', status
    assert status['instances'][0]['peer'].endswith('.sock'), status
    text = fleet.run('list')
    assert "main loop stuck for " in text, text
    assert "in 'blockdev-add'" in text, text
    fleet.run('yank', 'vm', '--all', '--dry-run')
    assert victim.qmp.is_silent(0.1)
    check_recovered(fleet.json('yank', 'vm', 'blockdev:nbd0'),
                    'blockdev:nbd0')
    victim.rescued()
    assert fleet.states() == {'vm': 'running'}
    victim.finish()


@test('a stock process that hangs, and nobody holds a lane',
      needs=['nbdkit', 'qemu-system-x86_64'])
def _(box):
    victim = Hang(box, 'qemu')
    fleet = Fleet.of(box, vm=victim.qmp_path, timeout=SILENCE)
    victim.hang()
    status = fleet.json('status', 'vm', code=NO_LANE)
    assert status['state'] == 'hung', status
    assert 'nobody holds a lane' in fleet.run('list')
    said = fleet.fails(NO_LANE, 'yank', 'vm', 'blockdev:nbd0')
    assert victim.qmp_path in said, said
    victim.disks[0].thaw()
    victim.rescued()
    victim.finish()


@test('a stock process that hangs, and a service holds the lane',
      needs=['nbdkit', 'qemu-system-x86_64'])
def _(box):
    victim = Hang(box, 'qemu')
    watch = Watch(box, '-s', f'vm={victim.qmp_path}')
    watch.wait_connected(1)
    fleet = Fleet(box, control=watch.control, timeout=SILENCE)
    victim.hang()
    status = fleet.json('status', 'vm', code=STUCK)
    assert status['watched'] and status['state'] == 'stuck', status
    # It hangs in what somebody else asked for.
    assert 'stuck-in' not in status, status
    fleet.fails(REFUSED, 'raw', 'vm', 'yank', 'instances=[]')
    check_recovered(fleet.json('yank', 'vm', 'blockdev:nbd0'),
                    'blockdev:nbd0')
    victim.rescued()
    assert fleet.json('raw', 'vm', 'query-version')['return'] is not None
    assert fleet.states() == {'vm': 'running'}
    victim.finish()
    watch.finish()


@test('a command that was lent the lane hangs, and is named',
      needs=['nbdkit', 'qemu-system-x86_64'])
def _(box):
    victim = Hang(box, 'qemu')
    watch = Watch(box, '-s', f'vm={victim.qmp_path}')
    watch.wait_connected(1)
    fleet = Fleet(box, control=watch.control, timeout=SILENCE)
    victim.disks[0].freeze()
    command = box.spawn([*fleet.argv, '-t', '60', 'raw', 'vm',
                         'human-monitor-command',
                         json.dumps(READ)])
    wait_for('it hangs', lambda: fleet.states() == {'vm': 'stuck'})
    status = fleet.json('status', 'vm', code=STUCK)
    assert status['stuck-in'] == 'human-monitor-command', status
    fleet.run('yank', 'vm', '--all')
    assert command.wait(20) == OK, command.output()
    victim.finish()
    watch.finish()


@test('those that are slow delay nobody', needs=['nbdkit'])
def _(box):
    victims = [Hang(box, 'yankd') for _ in range(2)]
    silent = [peers.Listener(box, name=f'silent{i}') for i in range(6)]
    with Daemon(box, 'yankd') as well:
        sockets = {f'hung{i}': v.qmp_path for i, v in enumerate(victims)}
        sockets.update({f'silent{i}': s.path for i, s in enumerate(silent)})
        fleet = Fleet.of(box, well=well.qmp_path, timeout=SILENCE,
                         gone=box.path('gone'), **sockets)
        for victim in victims:
            victim.hang()
        states = fleet.states()
        assert fleet.took < 4 * slowness(), fleet.took
        assert states == {'well': 'running', 'gone': 'unreachable',
                          **{f'hung{i}': 'stuck' for i in range(2)},
                          **{f'silent{i}': 'unreachable' for i in range(6)}}
    for i, victim in enumerate(victims):
        fleet.run('yank', f'hung{i}', '--all')
        victim.rescued()
        victim.finish()


@test('what is stalled is yanked, and yankd connects again',
      needs=['nbdkit'], seconds=40)
def _(box):
    victim = Hang(box, 'yankd')
    fleet = Fleet.of(box, vm=victim.qmp_path, timeout=SILENCE)
    victim.add(0)
    assert 'nothing to yank' in fleet.run('yank', 'vm', '--stalled')
    victim.disks[0].freeze()
    request = victim.qmp.submit('blockdev-del', {'node-name': 'nbd0'})
    wait_for('it is stalled', lambda: fleet.json(
        'yank', 'vm', '--stalled', '-n')['instances'], 20 * slowness())
    check_recovered(fleet.json('yank', 'vm', '--stalled'), 'blockdev:nbd0')
    victim.qmp.reply(request)
    victim.disks[0].thaw()
    victim.add(0)
    report = fleet.json('yank', 'vm', 'blockdev:nbd0', '--repair')
    check_recovered(report, 'blockdev:nbd0')
    assert [(s['command'], s['done']) for s in report['repair']] == [
        ('blockdev-reconnect', True)], report
    instance = fleet.json('status', 'vm')['instances'][0]
    assert instance['phase'] == 'transmission', instance
    victim.finish()


@test('a server that drips is stalled while the main loop waits for it',
      seconds=40)
def _(box):
    dripper = Dripper(box)
    with Gateway(box, dripper.path) as gateway, gateway.qmp() as qmp:
        fleet = Fleet.of(box, vm=gateway.qmp_path)
        with NbdClient(gateway.nbd_path, 'disk') as client:
            client.request(CMD_READ, 0, 65536)
            wait_for('the read is at the server', lambda: qmp.oob(
                'query-yank-status')[0]['in-flight'])
            request = qmp.submit('nbd-server-stop')
            wait_for('it is found', lambda: fleet.json(
                'yank', 'vm', '--stalled', '-n')['instances'],
                     20 * slowness())
            status = qmp.oob('query-yank-status')[0]
            assert status['idle-ms'] < status['oldest-ms'], status
            report = fleet.json('yank', 'vm', '--stalled')
            check_recovered(report, 'blockdev:nbd0')
            qmp.result(request)


@test('the oldest request, and why there is no connection',
      needs=['nbdkit'])
def _(box):
    disk = Nbdkit(box)
    with Gateway(box, disk.path, node={'reconnect-delay': 600}) as gateway:
        fleet = Fleet.of(box, vm=gateway.qmp_path)
        with NbdClient(gateway.nbd_path, 'disk') as client:
            disk.process.destroy()

            def instance():
                return fleet.json('status', 'vm')['instances'][0]
            client.request(CMD_READ, 0, 4096)
            wait_for('a reason', lambda: instance().get('reason') and
                     instance().get('oldest-ms', -1) >= 0)
            assert 'OLDEST' in fleet.run('status', 'vm')
            assert '(oldest request ' in fleet.run('list')
            # Each attempt to connect may give another reason.
            for verb in ['status', 'vm'], ['list']:
                wait_for('the reason in the text', lambda v=verb:
                         instance()['reason'] in fleet.run(*v))
            fleet.run('yank', 'vm', 'blockdev:nbd0')


@test('names, typed and not, and what is no name')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        listener = peers.Listener(box)
        fleet = Fleet.of(box, vm=daemon.qmp_path)
        with daemon.qmp() as other:
            other.cmd('chardev-add', {'id': 'c0', 'backend': {
                'type': 'socket', 'data': {
                    'addr': listener.legacy_address(), 'server': False}}})
            report = fleet.json('yank', 'vm', 'chardev:c0',
                                '{"type": "chardev", "id": "c0"}')
            check_recovered(report, 'chardev:c0', 'chardev:c0')
            assert report['yanked'][0]['functions'] == 1, report
            other.cmd('chardev-remove', {'id': 'c0'})
        for name in ('chardev:c0', '{"type": "migration"}', 'blockdev:x'):
            for more in ([], ['-n']):
                said = fleet.fails(NOT_FOUND, 'yank', 'vm', name, *more)
                assert 'has no instance' in said, said
        for name in ('c0', 'chardev:', '{"type": "chardev"}', '{', 'x:y',
                     '{"type": 1}', '{} {}'):
            said = fleet.fails(USAGE, 'yank', 'vm', name)
            assert 'server' not in said, said
        fleet.fails(USAGE, 'yank', 'vm')
        fleet.fails(USAGE, 'yank', 'vm', '--all', '--stalled')
        fleet.fails(USAGE, 'yank', 'vm', 'migration', '--all')
        fleet.fails(NOT_FOUND, 'yank', 'other', '--all')


@test('no monitor is yanked, unless by force, and never the one in use',
      needs=['qemu-system-x86_64'])
def _(box):
    with Daemon(box, 'qemu', monitors=2) as daemon:
        fleet = Fleet.of(box, vm=daemon.qmp_path)
        assert fleet.json('yank', 'vm', '--all')['instances'] == []
        # What is refused is so beforehand, too, and in the same words.
        for argv, word in ((['chardev:mon1'], 'carries a monitor'),
                           (['chardev:mon0'], 'the yank would go by'),
                           (['chardev:mon0', '--force'], 'would go by')):
            said = fleet.fails(REFUSED, 'yank', 'vm', *argv)
            assert word in said, said
            assert fleet.fails(REFUSED, 'yank', 'vm', *argv, '-n') == said
        assert "'chardev:mon0', 'chardev:mon1'" in fleet.fails(
            NOT_FOUND, 'yank', 'vm', 'blockdev:x')
        fleet.run('yank', 'vm', 'chardev:mon1', '--force', '--dry-run')
        raw = ('raw', 'vm', '--oob', 'yank')
        for name in ('mon0', 'mon1'):
            fleet.fails(REFUSED, *raw, 'instances=[{"type": "chardev", '
                        f'"id": "{name}"}}]')
        with daemon.qmp(1) as other:
            check_recovered(fleet.json('yank', 'vm', 'chardev:mon1', '-f'),
                            'chardev:mon1')
            other.wait_closed()


def start_qemu(box, *options, cwd=None):
    """A stock QEMU with these monitors."""
    return box.spawn(['qemu-system-x86_64', '-machine', 'none', '-nodefaults',
                      '-display', 'none', *options], cwd=cwd)


def refused(fleet, name, *argv):
    return fleet.fails(REFUSED, 'yank', 'vm', f'chardev:{name}', *argv)


@test('monitors that QEMU names itself', needs=['qemu-system-x86_64'])
def _(box):
    one, two = box.path('one'), box.path('two')
    process = start_qemu(box, '-monitor', 'none',
                         '-qmp', f'unix:{one},server=on,wait=off',
                         '-qmp', f'unix:{two},server=on,wait=off')
    wait_for('QEMU listens', lambda: listens(two, process.pid))
    fleet = Fleet.of(box, vm=one)
    assert 'would go by' in refused(fleet, 'compat_monitor0', '-f')
    assert 'carries a monitor' in refused(fleet, 'compat_monitor1')
    fleet.run('yank', 'vm', 'chardev:compat_monitor1', '-f')


@test('monitors of a file of options, by paths of the process',
      needs=['qemu-system-x86_64'])
def _(box):
    serial = box.path('serial')
    box.write('config', '[chardev "c0"]\n  backend = "socket"\n'
              '  path = "own"\n  server = "on"\n  wait = "off"\n'
              '[mon "m0"]\n  mode = "control"\n  chardev = "c0"\n')
    process = start_qemu(
        box, '-readconfig', 'config', '-chardev',
        'socket,id=c1,path=other,server=on,wait=off', '-mon',
        'c1,mode=control', '-chardev',
        f'socket,id=c2,path={serial},server=on,wait=off', cwd=box.dir)
    wait_for('QEMU listens', lambda: listens(serial, process.pid) and
             os.path.exists(box.path('own')))
    fleet = Fleet.of(box, vm=box.path('own'))
    assert 'would go by' in refused(fleet, 'c0', '-f')
    assert 'carries a monitor' in refused(fleet, 'c1')
    assert fleet.json('yank', 'vm', '--all')['instances'] == ['chardev:c2']
    # The file no longer has the options that the process was started with.
    box.write('config', '')
    refused(fleet, 'c2')
    assert fleet.json('yank', 'vm', '--all')['instances'] == []


@test('every character device may carry a monitor when the own one is unknown',
      needs=['qemu-system-x86_64'])
def _(box):
    port = free_port()
    serial = box.path('serial')
    process = start_qemu(
        box, '-qmp', f'tcp:127.0.0.1:{port},server=on,wait=off',
        '-chardev', f'socket,id=c0,path={serial},server=on,wait=off')
    wait_for('QEMU listens', lambda: listens(serial, process.pid))
    fleet = Fleet.of(box, vm=f'127.0.0.1:{port}')
    assert 'may carry one' in refused(fleet, 'c0')
    assert fleet.json('yank', 'vm', '--all')['instances'] == []
    fleet.run('yank', 'vm', 'chardev:c0', '-f')


@test('a yank that does not help is told, with its exit code')
def _(box):
    with Daemon(box, 'yankd') as daemon, daemon.qmp() as other:
        fleet = Fleet.of(box, vm=daemon.qmp_path, timeout=SILENCE)
        listener = peers.Listener(box)
        other.cmd('chardev-add', {'id': 'c0', 'backend': {
            'type': 'socket', 'data': {
                'addr': listener.legacy_address(), 'server': False}}})
        hang = FifoHang(box, daemon.pid, other)
        report = fleet.json('yank', 'vm', 'chardev:c0', '--repair',
                            code=STUCK)
        assert report['recovered'] is False and 'repair' not in report, report
        assert 'still does not answer' in fleet.run('yank', 'vm', 'chardev:c0',
                                                    code=STUCK)
        hang.release()


@test('a process that is stopped as a whole')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        fleet = Fleet.of(box, vm=daemon.qmp_path, timeout=SILENCE)
        daemon.process.freeze()
        try:
            assert fleet.states() == {'vm': 'unreachable'}
            fleet.run('status', 'vm', code=UNREACHABLE)
        finally:
            daemon.process.thaw()


@test('no yank waits for a process that is stopped, to cut what is well')
def _(box):
    with Daemon(box, 'yankd') as daemon:
        watch = Watch(box, '-s', f'vm={daemon.qmp_path}')
        watch.wait_connected(1)
        fleet = Fleet(box, control=watch.control, timeout=SILENCE)
        listener = peers.Listener(box)
        fleet.json('raw', 'vm', 'chardev-add', json.dumps({
            'id': 'c0', 'backend': {'type': 'socket', 'data': {
                'addr': listener.legacy_address(), 'server': False}}}))
        daemon.process.freeze()
        try:
            said = fleet.fails(TIMEOUT, 'yank', 'vm', 'chardev:c0')
            assert 'nothing was yanked' in said, said
            said = fleet.fails(TIMEOUT, 'raw', 'vm', '-o', 'yank',
                               'instances=[{"type": "chardev", "id": "c0"}]')
            assert 'nothing was yanked' in said, said
        finally:
            daemon.process.thaw()
        status = fleet.json('raw', 'vm', '-o', 'query-yank-status')['return']
        assert [s['yanks'] for s in status] == [0], status
        watch.finish()


@test('stock without yank', needs=['qemu-storage-daemon'])
def _(box):
    with Daemon(box, 'qsd') as daemon:
        fleet = Fleet.of(box, vm=daemon.qmp_path)
        assert fleet.json('status', 'vm', code=OK)['state'] == 'running'
        fleet.fails(FAILED, 'yank', 'vm', '--all')


def not_answered(fleet, other, release):
    """raw while the main loop hangs, which @release ends."""
    add = ('raw', 'vm', 'chardev-add', 'backend={"type": "null", "data": {}}')

    def chardevs():
        return [c['label'] for c in other.cmd('query-chardev')]
    said = fleet.fails(REFUSED, *add, 'id=never')
    assert "'chardev-add' was not sent" in said and '--force' in said, said
    said = fleet.fails(TIMEOUT, 'raw', 'vm', 'query-version')
    assert 'carried out later' not in said, said
    said = fleet.fails(TIMEOUT, *add, 'id=late', '--force')
    assert 'may still be carried out later' in said, said
    release()
    wait_for('the other one', lambda: 'late' in chardevs())
    assert 'never' not in chardevs()
    fleet.json(*add, 'id=now')


@test('yankd hangs: what changes something is not left in its queue')
def _(box):
    with Daemon(box, 'yankd') as daemon, daemon.qmp() as other:
        watch = Watch(box, '-s', f'vm={daemon.qmp_path}')
        watch.wait_connected(1)
        hang = FifoHang(box, daemon.pid, other)
        not_answered(Fleet(box, control=watch.control, timeout=SILENCE),
                     other, hang.release)
        watch.finish()
        hang = FifoHang(box, daemon.pid, other)
        said = Fleet.of(box, vm=daemon.qmp_path, timeout=SILENCE).fails(
            REFUSED, 'raw', 'vm', 'chardev-remove', 'id=late')
        assert 'was not sent' in said, said
        hang.release()


@test('stock hangs: what changes something is not left in its queue',
      needs=['nbdkit', 'qemu-system-x86_64'])
def _(box):
    victim = Hang(box, 'qemu')
    watch = Watch(box, '-s', f'vm={victim.qmp_path}')
    watch.wait_connected(1)
    victim.hang()

    def release():
        victim.disks[0].thaw()
        victim.rescued()
    not_answered(Fleet(box, control=watch.control, timeout=SILENCE),
                 victim.qmp, release)
    watch.finish()
    victim.finish()


@test('a command that hangs itself may be carried out later',
      needs=['nbdkit'])
def _(box):
    victim = Hang(box, 'yankd')
    victim.disks[0].freeze()
    said = Fleet.of(box, vm=victim.qmp_path, timeout=SILENCE).fails(
        TIMEOUT, 'raw', 'vm', 'blockdev-add', json.dumps({
            'driver': 'nbd', 'node-name': 'n', 'server': {
                'type': 'unix', 'path': victim.disks[0].path}}))
    assert 'may still be carried out later' in said, said
    victim.finish()


@test('a guest that has paused on an I/O error is not well',
      needs=['nbdkit', 'qemu-system-x86_64', 'ss'])
def _(box):
    guest = Guest(box)
    metrics = box.path('metrics')
    watch = Watch(box, '-s', f'vm={guest.qmp_path}', '--metrics',
                  f'unix:{metrics}', policy='interval: 0.1\n')
    watch.wait_connected(1)
    fleet = Fleet(box, control=watch.control)
    assert fleet.json('status', 'vm')['state'] == 'running'
    assert watch.metric(metrics, 'yankctl_domain_guest_failed', domain='vm'
                        ) == 0
    guest.wait_reading()
    fleet.run('yank', 'vm', 'blockdev:proto')
    wait_for('io-error', lambda: guest.status() == 'io-error')
    status = fleet.json('status', 'vm', code=GUEST_FAILED)
    assert status['state'] == status['run-state'] == 'io-error', status
    assert fleet.run('status', 'vm', code=GUEST_FAILED).startswith(
        'vm: io-error\n')
    assert fleet.states() == {'vm': 'io-error'}
    wait_for('the metric', lambda: watch.metric(
        metrics, 'yankctl_domain_guest_failed', domain='vm') == 1)
    wait_for('the log', lambda: 'the guest has stopped: io-error'
             in watch.process.output())
    guest.disk.thaw()
    guest.qmp.cmd('system_reset')
    guest.qmp.cmd('stop')
    wait_for('the metric', lambda: watch.metric(
        metrics, 'yankctl_domain_guest_failed', domain='vm') == 0)
    watch.finish()


run()
