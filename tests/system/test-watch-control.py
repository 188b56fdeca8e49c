#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
# builds: build build-debug
# timeout: 200
"""The control socket of yankctl watch: who may, what is lent, bad clients."""

import json
import os
import resource
import socket
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import daemon
from sandbox import wait_for
from suite import Skip, run, test
from watch import Control, Hang, Watch, yankctl

NOBODY = 65534
SLOW = 'interval: 0.2\nrules: [{domains: "*", threshold: 1000}]\n'


def serve(box, kind='yankd', **options):
    """A service with one domain."""
    server = daemon.Daemon(box, kind, **options)
    watch = Watch(box, '-s', f'vm={server.qmp_path}', policy=SLOW)
    watch.wait_connected(1)
    return server, watch


def finish(server, watch):
    watch.finish()
    server.finish()


@test('the socket is its owner\'s, and so is a folder that is made for it')
def _(box):
    control = box.path('new/control')
    process = box.spawn([yankctl(), 'watch', '--control', control,
                         '--socket', 'vm=/nowhere/sock'])
    wait_for('the service listens', lambda: daemon.listens(control))
    assert stat.S_IMODE(os.stat(control).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(box.path('new')).st_mode) == 0o700
    assert process.end() == 0
    assert not os.path.exists(control)


@test('folders that others may write to, and files in the way, are refused')
def _(box):
    os.mkdir(box.path('open'))
    os.chmod(box.path('open'), 0o777)
    box.write('file', 'precious')
    for path, word in ((box.path('open/control'), 'nobody else may write'),
                       (box.path('file'), 'is no socket'),
                       (box.path('a/b/c'), 'cannot be made'),
                       (box.path('x' * 108), 'too long')):
        done = box.run([yankctl(), 'watch', '--control', path, '--socket',
                        'vm=/nowhere/sock'], check=False, seconds=10)
        assert done.returncode not in (0, -9) and word in done.stderr, done
    with open(box.path('file')) as f:
        assert f.read() == 'precious'


@test('another user is disconnected')
def _(box):
    if os.geteuid() != 0:
        raise Skip('needs root, to become somebody else')
    server, watch = serve(box)
    for folder in (os.path.dirname(box.dir), box.dir):
        mode = os.stat(folder).st_mode
        if not mode & 0o001:
            os.chmod(folder, mode | 0o055)
    os.chmod(watch.control, 0o666)
    code = ('import socket, sys\n'
            's = socket.socket(socket.AF_UNIX)\n'
            's.connect(sys.argv[1])\n'
            'try:\n'
            '    sys.exit(len(s.recv(100)))\n'
            'except ConnectionResetError:\n'
            '    pass\n')
    done = box.run(['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}',
                    '--clear-groups', '/usr/bin/python3', '-c', code,
                    watch.control], check=False)
    assert done.returncode == 0, done
    assert f'user {NOBODY} was refused' in watch.process.output()
    with watch.connect() as control:
        assert control.greeting['yankctl']['protocol'] == 1
    finish(server, watch)


@test('root does not trust the service of another user')
def _(box):
    if os.geteuid() != 0:
        raise Skip('needs root, to become somebody else')
    path = box.path('yankctl/control')
    os.mkdir(box.path('yankctl'))
    sock = socket.socket(socket.AF_UNIX)
    box.on_exit(sock.close)
    sock.bind(path)
    # A listener has the credentials of the process that called listen().
    os.seteuid(NOBODY)
    sock.listen()
    os.seteuid(0)
    env = dict(os.environ, XDG_RUNTIME_DIR=box.dir)
    argv = [yankctl(), '-s', 'x=/nowhere', 'list', '--names']
    assert box.run(argv, env=env).stdout == 'x\n'
    done = box.run([*argv, '--control', path], check=False)
    assert done.returncode == 8, done
    assert f'user {NOBODY}' in done.stderr and path in done.stderr, done


@test('a second service on the same path is refused; a dead one\'s is taken')
def _(box):
    server, watch = serve(box)
    done = box.run([yankctl(), 'watch', '--control', watch.control,
                    '--socket', f'vm={server.qmp_path}'], check=False)
    assert done.returncode == 8, done
    assert 'another service has this' in done.stderr, done
    assert watch.run('list').returncode == 0
    watch.process.kill()
    watch.process.wait()
    assert os.path.exists(watch.control)
    again = Watch(box, '-s', f'vm={server.qmp_path}')
    again.wait_connected(1)
    finish(server, again)


@test('bad clients end themselves only')
def _(box):
    server, watch = serve(box)
    good = watch.connect()
    for data in (b'nonsense\n', b'[]\n', b'{}{}\n', b'"a"\n', b'\0\n', b'\n',
                 b'{"a":' * 100 + b'1' + b'}' * 100 + b'\n',
                 b'{"op": "\xff"}\n', b'x' * (2 << 20)):
        bad = watch.connect()
        try:
            bad.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = bad.read()
        assert answer is None or answer['error']['code'] == 'usage', answer
        assert answer is None or bad.read() is None
        assert good.ask(op='list')['return']['domains']
    for request, code in (({}, 'usage'), ({'op': 1}, 'usage'),
                          ({'op': 'shoot'}, 'usage'),
                          ({'op': 'status'}, 'usage'),
                          ({'op': 'status', 'domain': 'x'}, 'no-domain'),
                          ({'op': 'ping', 'domain': 'vm'}, 'usage'),
                          ({'op': 'oob', 'domain': 'vm'}, 'usage'),
                          ({'op': 'ping', 'domain': 'vm', 'lane': 'in-band',
                            'timeout-ms': -1}, 'usage'),
                          ({'op': 'execute', 'domain': 'vm',
                            'command': 'yank'}, None)):
        answer = good.ask(**request)
        assert 'error' in answer, (request, answer)
        assert code in (None, answer['error']['code']), (request, answer)
    # Many that are in a hurry and never read.
    hasty = watch.connect()
    hasty.send(b'{"op": "list", "id": 1}\n' * 1000)
    hasty.close()
    # The same for operations, each of which has a thread of its own.
    hasty = watch.connect()
    hasty.send(b''.join(b'{"op": "oob", "domain": "vm", "command": '
                        b'"query-yank", "id": {"a": [%d]}}\n' % i
                        for i in range(300)))
    ids = sorted(hasty.read()['id']['a'][0] for _ in range(300))
    assert ids == list(range(300)), ids
    hasty.close()
    # Half a line, and gone.
    half = watch.connect()
    half.send(b'{"op": ')
    half.close()
    assert good.ask(op='list')['return']['domains'][0]['connected']
    finish(server, watch)


@test('a client too many takes the place of one that is idle')
def _(box):
    server, watch = serve(box)
    # Half a request is none.
    clients = [Control(box, watch.control) for _ in range(32)]
    clients[0].send(b'{"op": ')
    assert watch.run('list').returncode == 0
    assert 'which is idle' in clients[0].read()['error']['desc']
    assert clients[0].read() is None
    # Those that wait for events are not idle: when there are no others, a
    # client is refused.
    clients = [Control(box, watch.control) for _ in range(32)]
    for client in clients:
        client.call(op='subscribe', domain='vm')
    refused = watch.connect()
    assert refused.greeting['error']['code'] == 'unreachable'
    assert '32 clients' in refused.greeting['error']['desc']
    assert refused.read() is None
    done = watch.run('list')
    assert done.returncode == 4 and '32 clients' in done.stderr, done
    assert clients[0].call(op='list')
    clients.pop().close()
    wait_for('a place', lambda: 'yankctl' in (watch.connect().greeting or {}))
    for client in clients:
        client.close()
    finish(server, watch)


@test('a service that does not answer is gone around')
def _(box):
    server = daemon.Daemon(box, 'yankd')
    for greeting in (b'', b'{"yankctl": {"protocol": 1}}\n'):
        path = box.path(box.unique('silent'))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
            sock.listen()
            process = box.spawn([yankctl(), '--control', path, '--timeout',
                                 '0.5', '-s', f'vm={server.qmp_path}',
                                 'status', 'vm'])
            client = sock.accept()[0]
            client.sendall(greeting)
            status = process.wait(30)
            output = process.output()
            client.close()
        assert status == 0, (status, output)
        assert 'does not answer; connecting without it' in output, output
    server.finish()


@test('when descriptors run out, clients wait, and are then served')
def _(box):
    server, watch = serve(box)
    limits = resource.prlimit(watch.process.pid, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f'/proc/{watch.process.pid}/fd'))
    resource.prlimit(watch.process.pid, resource.RLIMIT_NOFILE,
                     (used, limits[1]))
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(watch.control)
    wait_for('it is told', lambda: 'a client has to wait: Too many open files'
             in watch.process.output())
    resource.prlimit(watch.process.pid, resource.RLIMIT_NOFILE, limits)
    assert b'"yankctl"' in sock.recv(100)
    sock.close()
    finish(server, watch)


@test('events come to those who subscribed')
def _(box):
    if daemon.program('qemu') is None:
        raise Skip('qemu-system-x86_64 is not installed')
    server, watch = serve(box, 'qemu')
    with watch.connect() as control, watch.connect() as other:
        assert control.call(op='subscribe', domain='vm') == {}
        other.call(op='execute', domain='vm', command='stop')
        event = control.read()
        assert event['domain'] == 'vm' and event['event']['event'] == 'STOP'
        assert control.call(op='unsubscribe', domain='vm') == {}
        other.call(op='execute', domain='vm', command='cont')
        assert control.ask(op='list')['id'] == 1
    finish(server, watch)


def start_at(box, path):
    """A stock QEMU with its monitor at @path."""
    process = box.spawn([
        daemon.program('qemu'), '-machine', 'none', '-nodefaults', '-display',
        'none', '-chardev', f'socket,id=m,path={path},server=on,wait=off',
        '-mon', 'chardev=m,mode=control'])
    wait_for('it listens', lambda: daemon.listens(path, process.pid))
    return process


def send_stop(control):
    """Has the domain send its event STOP."""
    control.call(op='execute', domain='vm', command='cont')
    control.call(op='execute', domain='vm', command='stop')


def lose_subscribed(box, path, process, watch):
    with watch.connect() as control, watch.connect() as other:
        for _ in range(2):
            assert control.call(op='subscribe', domain='vm') == {}
        events = box.spawn([yankctl(), '--control', watch.control, 'events',
                            'vm'])

        def seen():
            send_stop(other)
            return 'STOP' in events.output()
        wait_for('events', seen)
        process.end()
        message = control.read()
        while 'event' in message:
            message = control.read()
        assert message['domain'] == 'vm', message
        assert message['connected'] is False and message['desc'], message
        assert events.wait(10) == 4, events.output()
        assert "the connection to 'vm' is lost" in events.output()
        # Until it is back there is nothing to subscribe to.
        answer = control.ask(op='subscribe', domain='vm')
        assert 'error' in answer, answer
        process = start_at(box, path)
        wait_for('it is back', lambda: 'return' in control.ask(
            op='subscribe', domain='vm'))
        send_stop(other)
        message = control.read()
        while message['event']['event'] != 'STOP':
            message = control.read()
    return process


@test('who subscribed is told when the domain is lost, and may do so again')
def _(box):
    if daemon.program('qemu') is None:
        raise Skip('qemu-system-x86_64 is not installed')
    folder = box.path('folder')
    os.mkdir(folder)
    path = os.path.join(folder, 'vm.sock')
    # One whose socket stays its domain's, and one that goes with its socket.
    for source in (['-s', f'vm={path}'], ['-d', folder, '--rescan', '0.1']):
        process = start_at(box, path)
        watch = Watch(box, *source)
        watch.wait_connected(1)
        process = lose_subscribed(box, path, process, watch)
        watch.finish()
        process.end()


@test('stock QEMU hangs: the lane that is lent tells so, and rescues',
      needs=['nbdkit'])
def _(box):
    if daemon.program('qemu') is None:
        raise Skip('qemu-system-x86_64 is not installed')
    victim = Hang(box, 'qemu')
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy=SLOW)
    watch.wait_connected(1)
    victim.hang()
    done = watch.run('--timeout', '0.5', 'status', 'vm')
    assert done.returncode == 6 and 'stuck' in done.stdout, done
    done = watch.run('--timeout', '0.5', '--json', 'status', 'vm')
    status = json.loads(done.stdout)
    status = status[0] if isinstance(status, list) else status
    assert status['state'] == 'stuck' and status['watched'], status
    done = watch.run('yank', 'vm', 'blockdev:nbd0')
    assert done.returncode == 0, done
    victim.rescued()
    assert watch.run('status', 'vm').returncode == 0
    victim.finish()
    watch.finish()


@test('stock QEMU hangs, and nobody holds a lane: that is what is said',
      needs=['nbdkit'])
def _(box):
    if daemon.program('qemu') is None:
        raise Skip('qemu-system-x86_64 is not installed')
    victim = Hang(box, 'qemu')
    victim.hang()
    for verb in (['status', 'vm'], ['yank', 'vm', 'blockdev:nbd0']):
        done = box.run([yankctl(), '--no-control', '--timeout', '0.5', '-s',
                        f'vm={victim.qmp_path}', *verb], check=False)
        assert done.returncode == 7, done
        assert 'lane' in done.stdout + done.stderr, done
    victim.disks[0].thaw()
    victim.rescued()
    victim.finish()


@test('stock QEMU hung before the service came: an incident, and a hook',
      needs=['nbdkit'])
def _(box):
    if daemon.program('qemu') is None:
        raise Skip('qemu-system-x86_64 is not installed')
    victim = Hang(box, 'qemu')
    victim.hang()
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy="""
interval: 0.2
rules: [{domains: "*", threshold: 1, action: yank,
         hook: {command: [/bin/true]}}]
""")
    begin = watch.wait_journal(event='begin')
    assert begin['for'] >= 1 and 'qmp_capabilities' in begin['stuck']['error']
    watch.wait_journal(event='hook-end')
    for verb in (['status', 'vm'], ['yank', 'vm', 'blockdev:nbd0']):
        done = watch.run(*verb)
        assert done.returncode == 7, done
        assert 'nobody h' in done.stdout + done.stderr, done
    victim.disks[0].thaw()
    victim.rescued()
    assert watch.wait_journal(event='end')['outcome'] == 'hook'
    assert watch.journal(event='yank') == []
    # The reason is that of the latest attempt, not of the first.
    victim.server.process.kill()
    victim.qmp.close()
    wait_for('it is gone', lambda: 'Connection refused' in watch.run(
        'status', 'vm').stdout)
    watch.finish()


@test('a yank by a user is logged, noted in the journal, and counted',
      needs=['nbdkit'])
def _(box):
    victim = Hang(box, 'yankd')
    metrics = box.path('metrics')
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', '--metrics',
                  f'unix:{metrics}', policy="""
interval: 0.1
rules: [{domains: "*", threshold: 0.3}]
""")

    def count(name, **labels):
        return watch.metric(metrics, name, domain='vm', **labels)

    watch.wait_connected(1)
    done = watch.run('yank', 'vm', 'blockdev:none')
    assert done.returncode == 3, done
    for argv in (['yank', 'vm', 'blockdev:nbd0'],
                 ['raw', '--oob', 'vm', 'yank', 'instances=["blockdev:nbd0"]']
                 ):
        victim.hang()
        begin = watch.wait_journal(event='begin')
        done = watch.run(*argv)
        assert done.returncode == 0, done
        victim.rescued()
        victim.disks[0].thaw()
        end = watch.wait_journal(event='end')
        assert end['outcome'] == 'manual', end
        assert [(d['action'], d['instance'], d['by'], d['uid'])
                for d in end['done']] == [
            ('yank', 'blockdev:nbd0', 'user', os.getuid())], end
        yank = watch.journal(event='yank', incident=begin['incident'])[0]
        assert yank['by'] == 'user' and 'error' not in yank, yank
        os.truncate(watch.journal_path, 0)
    user = f'user {os.getuid()}'
    log = watch.process.output()
    assert log.count(f"{user} yanked 'blockdev:nbd0'") == 2, log
    assert f"{user} did not yank 'blockdev:none'" in log, log
    # While nothing hangs, a yank belongs to no incident.
    victim.qmp.result(victim.submit_add(0))
    assert watch.run('yank', 'vm', 'blockdev:nbd0').returncode == 0
    assert 'incident' not in watch.wait_journal(event='yank')
    wait_for('the count', lambda: count('yankctl_manual_yanks_total') == 3)
    assert count('yankctl_yanks_total') == 3
    assert count('yankctl_incidents_total', outcome='manual') == 2
    watch.finish()
    victim.finish()


run()
