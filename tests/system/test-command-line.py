#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""The command line: what it takes, what it refuses, how the process ends."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import daemon
import paths
from nbd import OPT_GO, REP_ACK, REP_ERR, NbdClient
from sandbox import wait_for
from servers import Nbdkit, nbd_option
from suite import run, test
from watch import notify_socket

YANKD = paths.yankd()

# Options that both refuse, and in the same words.
REFUSED_LIKE_STOCK = [
    ['--blockdev', 'foo'],
    ['--blockdev', ''],
    ['--blockdev', 'help'],
    ['--blockdev', 'null-co'],
    ['--blockdev', 'null-co,node-name=1a'],
    ['--blockdev', 'null-co,node-name=a,size=foo'],
    ['--blockdev', 'null-co,node-name=a,size=99999999999999999999'],
    ['--blockdev', 'null-co,node-name=a,read-zeroes=maybe'],
    ['--blockdev', 'null-co,node-name=a,x=1'],
    ['--blockdev', 'null-co,node-name=a,=1'],
    ['--blockdev', 'null-co,node-name=a,foo'],
    ['--blockdev', '{"driver":"null-co","node-name":"a","x":1}'],
    ['--blockdev', '{"driver":"null-co","node-name":"a","size":"x"}'],
    ['--blockdev', '{}'],
    ['--blockdev', 'nbd,node-name=a,server.type=unix,server=foo'],
    ['--blockdev', 'nbd,node-name=a,server.type=unix'],
    ['--blockdev', 'nbd,node-name=a'],
    ['--blockdev', 'null-co,node-name=a', '--blockdev',
     'null-co,node-name=a'],
    ['--object', 'iothread'],
    ['--object', ''],
    ['--object', 'foo,id=a'],
    ['--object', 'iothread,id=a', '--object', 'iothread,id=a'],
    ['--object', 'iothread,id=a,poll-max-ns=-1'],
    ['--object', 'iothread,id=a,foo=1'],
    ['--object', 'secret,id=s'],
    ['--object', 'secret,id=s,data=1,file=2'],
    ['--object', 'secret,id=s,data=x,format=foo'],
    ['--object', 'secret,id=s,data=###,format=base64'],
    ['--chardev', 'null'],
    ['--monitor', 'x'],
    ['--monitor', ''],
    ['--monitor', 'x,pretty=2'],
    ['--chardev', 'null,id=c', '--monitor', 'c,mode=readline'],
    ['--export', 'foo'],
    ['--export', 'nbd,id=e'],
    ['--export', 'nbd,id=e,node-name=x'],
    ['--nbd-server', 'foo'],
    ['--nbd-server', ''],
    ['--nbd-server', 'addr.type=unix,addr.path=/nonexistent/x'],
    ['--pidfile', '/nonexistent/x'],
    ['--bogus'],
    ['--blockdev'],
    ['-z'],
    ['stray'],
]

# Options of ours alone, or refused in words of ours; and a part of them.
REFUSED = [
    (['--object', 'iothread,id=1a'], "expects an identifier"),
    (['--object', 'secret,id=s,file=/nonexistent'], 'Unable to read'),
    (['--blockdev', 'nbd,node-name=a,server.type=foo'],
     "'server.type' does not accept value 'foo'"),
    (['--nbd-server', 'addr.type=foo'],
     "'addr.type' does not accept value 'foo'"),
    (['--chardev', 'null,id=a', '--chardev', 'null,id=a'],
     "Chardev with id 'a' already exists"),
    (['--blockdev', '{"driver":'], 'JSON parse error'),
    (['--blockdev', '{"driver":"null-co","node-name":"a"} x'], 'JSON'),
    (['--shutdown-timeout', ''], 'from 0 to 86400'),
    (['--shutdown-timeout', '-1'], 'from 0 to 86400'),
    (['--shutdown-timeout', '86400.1'], 'from 0 to 86400'),
    (['--shutdown-timeout', 'nan'], 'from 0 to 86400'),
    (['--shutdown-timeout', 'inf'], 'from 0 to 86400'),
    (['--shutdown-timeout', '1s'], 'from 0 to 86400'),
    (['--trace', 'x'], 'unrecognized option'),
]


def refuse(box, program, options):
    """Runs the program to its end, which must be a failure; its words."""
    done = box.run([program] + options, check=False, cwd=box.dir)
    assert done.returncode == 1, (options, done)
    assert done.stdout == '', (options, done)
    return done.stderr


def words(text):
    """A message without the name of the program."""
    return text.partition(': ')[2].partition('\n')[0]


@test('options that are refused, in the words of stock', seconds=60,
      needs=['qemu-storage-daemon'])
def _(box):
    for options in REFUSED_LIKE_STOCK:
        stock = refuse(box, 'qemu-storage-daemon', options)
        ours = refuse(box, YANKD, options)
        assert words(ours) == words(stock), (options, ours, stock)


@test('a refusal is one line that names the option', seconds=60)
def _(box):
    cases = [(options, '') for options in REFUSED_LIKE_STOCK] + REFUSED
    for options, part in cases:
        text = refuse(box, YANKD, options)
        assert text.count('\n') == 1 and text.endswith('\n'), (options, text)
        option = options[-2 if len(options) > 1 else -1].lstrip('-')
        assert option in text or 'PID file' in text, (options, text)
        assert part in text, (options, text)


@test('what came before a refused option is taken back')
def _(box):
    refuse(box, YANKD, [
        '--chardev', 'socket,id=m,path=qmp.sock,server=on,wait=off',
        '--monitor', 'm', '--blockdev', 'ram,node-name=r,size=65536',
        '--object', 'iothread,id=io0',
        '--nbd-server', 'addr.type=unix,addr.path=nbd.sock',
        '--export', 'nbd,id=e,node-name=r,iothread=io0',
        '--pidfile', 'pid', '--blockdev', 'foo'])
    assert os.listdir(box.dir) == [], os.listdir(box.dir)


@test('--help and --version')
def _(box):
    for option in '--help', '-h':
        done = box.run([YANKD, option])
        assert done.stdout.startswith('Usage: yankd [options]'), done
        assert done.stderr == ''
    for option in '--version', '-V':
        done = box.run([YANKD, option])
        assert done.stdout.startswith('yankd version '), done
        assert done.stderr == ''


@test('--help names every option')
def _(box):
    done = box.run([YANKD, '--help'])
    for option in ('blockdev', 'chardev', 'daemonize', 'export', 'help',
                   'incoming', 'monitor', 'nbd-server', 'object', 'pidfile',
                   'shutdown-timeout', 'version'):
        assert f'--{option}' in done.stdout, option


def listed(text):
    """The lines of a help text below its header."""
    header, *lines = text.splitlines()
    assert header.endswith(':') and lines, text
    return [line.strip() for line in lines]


@test('help of objects')
def _(box):
    done = box.run([YANKD, '--object', 'help'])
    types = listed(done.stdout)
    assert {'iothread', 'secret', 'tls-creds-psk', 'tls-creds-x509'} <= \
        set(types), done
    for name in types:
        done = box.run([YANKD, '--object', f'{name},help'])
        assert done.stdout.startswith(f'{name} options:\n'), done
        assert all('=<' in line for line in listed(done.stdout)), done
    done = box.run([YANKD, '--object', 'iothread,help'])
    assert done.stdout == 'iothread options:\n  poll-max-ns=<int>\n', done
    done = box.run([YANKD, '--object', 'tls-creds-x509,id=a,help'])
    assert 'endpoint=<client|server>' in listed(done.stdout), done
    assert "'foo'" in refuse(box, YANKD, ['--object', 'foo,id=x,help=1'])


@test('help of character devices and exports')
def _(box):
    with daemon.Daemon(box) as d, d.qmp() as qmp:
        kinds = [k['name'] for k in qmp.cmd('query-chardev-backends')]
    for option in 'help', '?', 'foo,help':
        done = box.run([YANKD, '--chardev', option])
        assert listed(done.stdout) == kinds, done
    for kind in kinds:
        done = box.run([YANKD, '--chardev', f'{kind},help'])
        assert 'id=<str>' in listed(done.stdout), done
    done = box.run([YANKD, '--chardev', 'id=a,backend=socket,help'])
    assert {'path=<str>', 'server=<bool (on/off)>',
            'reconnect=<num>'} <= set(listed(done.stdout)), done
    assert listed(box.run([YANKD, '--export', 'help']).stdout) == ['nbd']
    done = box.run([YANKD, '--export', 'nbd,help'])
    assert {'id=<string>', 'node-name=<string>',
            'writable=<bool (on/off)>'} <= set(listed(done.stdout)), done


def names_of_nodes(qmp):
    nodes = qmp.cmd('query-named-block-nodes')
    return sorted(node['node-name'] for node in nodes)


@test('key=value and JSON say the same')
def _(box):
    def state(d):
        with d.qmp() as qmp:
            return (names_of_nodes(qmp), qmp.cmd('query-block-exports'),
                    qmp.cmd('query-chardev'))

    def options(form, path):
        pairs = [
            ('--object', {'qom-type': 'iothread', 'id': 'io0',
                          'poll-max-ns': 0}),
            ('--blockdev', {'driver': 'ram', 'node-name': 'r',
                            'size': 1048576}),
            ('--nbd-server', {'addr': {'type': 'unix', 'path': path}}),
            ('--export', {'type': 'nbd', 'id': 'e', 'node-name': 'r',
                          'writable': True, 'iothread': 'io0'}),
        ]
        for option, value in pairs:
            yield option
            yield form(value)

    def keyval(value, prefix=''):
        parts = []
        for key, member in value.items():
            if isinstance(member, dict):
                parts.append(keyval(member, f'{prefix}{key}.'))
            else:
                text = {True: 'on', False: 'off'}.get(member, member) \
                    if isinstance(member, bool) else member
                parts.append(f'{prefix}{key}={text}')
        return ','.join(parts)

    first = daemon.Daemon(box, options=options(keyval, box.path('1.sock')))
    with_keyval = state(first)
    assert first.process.end() == 0
    second = daemon.Daemon(box,
                           options=options(json.dumps, box.path('2.sock')))
    with_json = state(second)
    assert second.process.end() == 0
    assert with_keyval[:2] == with_json[:2], (with_keyval, with_json)
    assert with_json[0] == ['r']


@test('options are carried out in order')
def _(box):
    text = refuse(box, YANKD, [
        '--export', 'nbd,id=e,node-name=r',
        '--blockdev', 'ram,node-name=r,size=65536'])
    assert "node-name='r'" in text, text
    text = refuse(box, YANKD, ['--monitor', 'm', '--chardev', 'null,id=m'])
    assert 'chardev "m" not found' in text, text


@test('the pidfile is there after startup, locked, and gone at the end')
def _(box):
    path = box.path('pid')
    first = box.spawn([YANKD, '--pidfile', path])
    wait_for('pidfile', lambda: os.path.exists(path)
             and open(path).read().endswith('\n'))
    assert int(open(path).read()) == first.pid
    text = refuse(box, YANKD, ['--pidfile', path])
    assert text == ('yankd: cannot create PID file: Cannot lock pid file: '
                    'Resource temporarily unavailable\n'), text
    assert int(open(path).read()) == first.pid
    assert first.end() == 0
    assert not os.path.exists(path)


@test('a stale pidfile is taken over')
def _(box):
    path = box.write('pid', '999999999 and more\n')
    process = box.spawn([YANKD, '--pidfile', path])
    wait_for('pidfile', lambda: open(path).read() == f'{process.pid}\n')
    assert process.end() == 0
    assert not os.path.exists(path)


@test('a pidfile that another process has put in the place of ours stays')
def _(box):
    path = box.path('pid')
    process = box.spawn([YANKD, '--pidfile', path])
    wait_for('pidfile', lambda: os.path.exists(path))
    os.rename(path, box.path('old'))
    box.write('pid', '1\n')
    assert process.end() == 0
    assert open(path).read() == '1\n'


@test('a pidfile behind a symbolic link is removed, the link stays')
def _(box):
    path = box.path('link')
    os.symlink(box.path('pid'), path)
    process = box.spawn([YANKD, '--pidfile', path])
    wait_for('pidfile', lambda: os.path.exists(path))
    assert process.end() == 0
    assert os.path.islink(path) and not os.path.exists(box.path('pid'))


@test('SIGTERM, SIGINT and SIGHUP end the process with an event')
def _(box):
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        d = daemon.Daemon(box)
        with d.qmp() as qmp:
            d.process.send_signal(number)
            event = qmp.event('SHUTDOWN')
            assert event['data'] == {'guest': False,
                                     'reason': 'host-signal'}, event
            assert d.process.wait(10) == 0
            qmp.wait_closed()
        assert not os.path.exists(d.qmp_path)


@test('quit ends the process with a reply and an event')
def _(box):
    for oob in False, True:
        d = daemon.Daemon(box)
        with d.qmp() as qmp:
            request = qmp.submit('quit', oob=oob)
            assert qmp.result(request) == {}
            event = qmp.event('SHUTDOWN')
            assert event['data']['reason'] == 'host-qmp-quit', event
            assert d.process.wait(10) == 0


@test('--daemonize returns when clients are served')
def _(box):
    done = box.run([
        YANKD, '--daemonize', '--pidfile', 'pid',
        '--chardev', 'socket,id=m,path=qmp.sock,server=on,wait=off',
        '--monitor', 'm'], cwd=box.dir)
    assert (done.stdout, done.stderr) == ('', ''), done
    pid = int(open(box.path('pid')).read())
    assert os.readlink(f'/proc/{pid}/cwd') == '/'
    for fd in range(3):
        assert os.readlink(f'/proc/{pid}/fd/{fd}') == '/dev/null'
    assert os.getsid(pid) != os.getsid(0) and os.getsid(pid) != pid
    with daemon.Qmp.negotiated(box.path('qmp.sock')) as qmp:
        qmp.cmd('quit')
    wait_for('end', lambda: not os.path.exists(box.path('pid')))
    wait_for('end', lambda: ended(pid))
    assert sorted(os.listdir(box.dir)) == [], os.listdir(box.dir)


def ended(pid):
    """Whether our adopted child has ended; reaps it."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return not os.path.exists(f'/proc/{pid}')


def close_all(fds):
    """A wrapper that closes @fds."""
    closing = ' '.join(f'{fd}<&-' for fd in fds)
    return ['sh', '-c', f'exec {closing} "$0" "$@"']


def descriptors(pid):
    return {int(fd): os.readlink(f'/proc/{pid}/fd/{fd}')
            for fd in os.listdir(f'/proc/{pid}/fd')}


@test('closed descriptors 0, 1 and 2 become /dev/null')
def _(box):
    for fds in (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2):
        done = box.run([
            *close_all(fds), YANKD, '--daemonize', '--pidfile', 'pid',
            '--chardev', 'socket,id=m,path=qmp.sock,server=on,wait=off',
            '--monitor', 'm'], cwd=box.dir, check=False)
        assert done.returncode == 0, (fds, done)
        pid = int(open(box.path('pid')).read())
        with daemon.Qmp.negotiated(box.path('qmp.sock')) as qmp:
            links = descriptors(pid)
            assert [links[fd] for fd in range(3)] == ['/dev/null'] * 3, links
            qmp.cmd('quit')
        wait_for('end', lambda: ended(pid))
        # In the foreground, only the descriptors that were closed.
        d = daemon.Daemon(box, wrapper=close_all(fds))
        links = descriptors(d.pid)
        for fd in range(3):
            assert (fd == 0 or fd in fds) == (links[fd] == '/dev/null'), links
        assert d.process.end() == 0


@test('--daemonize tells of a failure')
def _(box):
    text = refuse(box, YANKD, ['--daemonize', '--pidfile', 'pid',
                               '--blockdev', 'foo'])
    assert text == ("yankd: --blockdev foo: Parameter 'driver' does not "
                    "accept value 'foo'\n"), text
    text = refuse(box, YANKD, ['--daemonize', '--chardev', 'stdio,id=m',
                               '--monitor', 'm'])
    assert 'cannot use stdio with --daemonize' in text, text
    assert os.listdir(box.dir) == []


@test('QMP over standard input and output')
def _(box):
    with subprocess.Popen([YANKD, '--chardev', 'stdio,id=m', '--monitor', 'm'],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        process.stdin.write('{"execute": "qmp_capabilities"}'
                            '{"execute": "quit"}')
        process.stdin.flush()
        messages = [json.loads(line) for line in process.stdout]
        assert process.wait(20) == 0
    assert 'QMP' in messages[0], messages
    assert messages[1] == {'return': {}}, messages
    assert messages[2] == {'return': {}}, messages
    assert messages[3]['event'] == 'SHUTDOWN', messages
    assert len(messages) == 4, messages


@test('a signal ends a startup that hangs')
def _(box):
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(box.path('silent.sock'))
    silent.listen()
    silent.settimeout(10)
    process = box.spawn([
        YANKD, '--shutdown-timeout', '0.1', '--pidfile', box.path('pid'),
        '--blockdev', 'nbd,node-name=n,server.type=unix,server.path='
        + box.path('silent.sock')])
    peer, _ = silent.accept()
    process.terminate()
    assert process.wait(10) == 1, process.output()
    assert '--blockdev' in process.output(), process.output()
    assert not os.path.exists(box.path('pid'))
    peer.close()
    silent.close()


@test('a socket at which a process listens is left alone', seconds=60)
def _(box):
    kinds = {
        'monitor': ['--chardev', 'socket,id=c,path=PATH,server=on,wait=off',
                    '--monitor', 'c'],
        'chardev': ['--chardev', 'socket,id=c,path=PATH,server=on,wait=off'],
        'nbd': ['--nbd-server', 'addr.type=unix,addr.path=PATH'],
        'migration': ['--incoming', 'unix:PATH']}
    for kind, options in kinds.items():
        path = box.path(kind)
        argv = [YANKD] + [o.replace('PATH', path) for o in options]
        first = box.spawn(argv)
        wait_for('the socket', lambda: daemon.listens(path))
        second = box.spawn(argv)
        assert second.wait(20) == 1, second.output()
        assert path in second.output() and \
            'a process listens there' in second.output(), second.output()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(path)
        # The file of a killed process is replaced; at the end, a file that
        # another program has put in its place stays.
        first.destroy()
        third = box.spawn(argv)
        wait_for('the socket', lambda: daemon.listens(path))
        os.unlink(path)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            assert third.end() == 0, third.output()
            assert os.path.exists(path)
            os.unlink(path)


@test('an NBD client that comes during startup waits', needs=['nbdkit'])
def _(box):
    server = Nbdkit(box)
    server.freeze()
    path = box.path('e.sock')
    process = box.spawn([
        YANKD, '--nbd-server', f'addr.type=unix,addr.path={path}',
        *nbd_option(server.path, 'n0'), '--export', 'nbd,id=e,node-name=n0'])
    wait_for('the socket', lambda: daemon.listens(path))
    with NbdClient(path, export=None, seconds=60) as client:
        client.send(struct.pack('>I', 3))
        client.option(OPT_GO, client.info_data('n0'))
        server.thaw()
        assert len(client.recv(18)) == 18
        while True:
            _, kind, data = client.option_reply()
            assert not kind & REP_ERR, data
            if kind == REP_ACK:
                break
        assert client.read(0, 512) == bytes(512)
        client.disconnect()
    assert process.end() == 0, process.output()


def notified(box, path):
    """yankd, started by a service manager that listens at @path."""
    process = box.spawn([YANKD, '--blockdev', 'null-co,node-name=a',
                         '--pidfile', box.path('pid')],
                        env={**os.environ, 'NOTIFY_SOCKET': path})
    wait_for('startup', lambda: os.path.exists(box.path('pid')))
    return process


@test('the service manager is told once startup is complete')
def _(box):
    sock, path = notify_socket(box)
    process = notified(box, path)
    assert sock.recv(100) == b'READY=1'
    assert process.end() == 0
    assert not process.output(), process.output()
    failing = box.run([YANKD, '--blockdev', 'foo'], check=False,
                      env={**os.environ, 'NOTIFY_SOCKET': path})
    assert failing.returncode == 1
    sock.setblocking(False)
    try:
        assert not sock.recv(100)
    except BlockingIOError:
        pass


@test('a service manager that cannot be told is no obstacle')
def _(box):
    for path in (box.path('none'), 'relative', '@none', '/' + 'x' * 200):
        process = notified(box, path)
        wait_for('warning', process.output)
        assert path in process.output(), process.output()
        assert process.end() == 0


run()
