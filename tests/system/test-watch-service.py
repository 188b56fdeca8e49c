#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# builds: build build-debug
# timeout: 200
"""yankctl watch as a service: its manager, its metrics, what comes and goes."""

import http.client
import json
import os
import re
import resource
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import daemon
from sandbox import wait_for
from suite import run, test
from watch import Hang, Watch, hang_up, notify_socket, yankctl

TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8'
TEXT = 'text/plain; version=0.0.4; charset=utf-8'
# The Accept header that Prometheus sends.
ACCEPT = ('application/openmetrics-text;version=1.0.0;q=0.5,'
          'application/openmetrics-text;version=0.0.1;q=0.4,'
          'text/plain;version=0.0.4;q=0.3,*/*;q=0.2')
SAMPLE = re.compile(r'(\w+)\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
SUFFIXES = {'gauge': '', 'counter': '_total'}


def unescape(text):
    return re.sub(r'\\(.)', lambda m: {'n': '\n'}.get(m[1], m[1]), text)


def parse(text):
    """OpenMetrics text, strictly; {(name, labels): value}."""
    assert text.endswith('# EOF\n') and text.count('# EOF') == 1, text
    samples, seen, family, kind, meta = {}, set(), None, None, set()
    for line in text.splitlines()[:-1]:
        if line.startswith('# '):
            word, name, value = line[2:].split(' ', 2)
            if word == 'TYPE':
                assert name not in seen, line
                seen.add(name)
                family, kind, meta = name, value, set()
                assert kind in SUFFIXES, line
            assert word in ('TYPE', 'UNIT', 'HELP') and name == family, line
            assert word not in meta, line
            meta.add(word)
            assert word != 'UNIT' or name.endswith('_' + value), line
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        assert match[1] == family + SUFFIXES[kind], line
        labels = [(m[1], unescape(m[2])) for m in LABEL.finditer(match[2])]
        assert match[2].rstrip(',') == match[2], line
        key = (match[1], tuple(sorted(labels)))
        assert key not in samples, line
        samples[key] = float(match[3])
        assert kind != 'counter' or samples[key] >= 0
    return samples


class UnixHttp(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('localhost', timeout=10)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def get(connection, url='/metrics', method='GET', accept=None):
    try:
        connection.request(method, url,
                           headers={'Accept': accept} if accept else {})
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def scrape(connection):
    answer, text = get(connection, accept=ACCEPT)
    assert answer.status == 200
    assert answer.headers['Content-Type'] == TYPE
    return parse(text)


@test('metrics of domains that are well, hang, and are not there',
      needs=['nbdkit'])
def _(box):
    victim = Hang(box, 'yankd')
    name = 'a "b" \\ c'
    port = daemon.free_port()
    watch = Watch(box, '-s', f'{name}={victim.qmp_path}',
                  '-s', 'none=/nowhere/sock',
                  '--metrics', f'127.0.0.1:{port}', policy="""
interval: 0.1
rules: [{domains: "*", threshold: 0.5, action: yank}]
""")
    watch.wait_connected(1)

    def value(metric, domain=name, **labels):
        samples = scrape(http.client.HTTPConnection('127.0.0.1', port))
        return samples.get((f'yankctl_{metric}', tuple(sorted(
            [('domain', domain), *labels.items()]))))
    wait_for('pings', lambda: value('ping_seconds', lane='in-band'))
    assert 0 < value('ping_seconds', lane='out-of-band') < 1
    assert value('domain_up') == 1 and value('domain_stalled') == 0
    assert value('domain_up', 'none') == 0
    assert value('ping_seconds', 'none', lane='in-band') is None
    assert value('yanks_total') == value('stalls_total') == 0
    victim.hang()
    victim.rescued()
    wait_for('the end', lambda: value('incidents_total', outcome='yank') == 1)
    assert value('yanks_total') == value('stalls_total') == 1
    assert value('incidents_total', outcome='itself') == 0
    victim.finish()
    watch.finish()


@test('metrics on a unix socket; what is no metrics')
def _(box):
    path = box.path('metrics')
    watch = Watch(box, '-s', 'none=/nowhere/sock', '--metrics',
                  f'unix:{path}')
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert scrape(UnixHttp(path))
    assert get(UnixHttp(path), '/')[0].status == 404
    assert get(UnixHttp(path), '/metrics', 'POST')[0].status == 405
    answer, text = get(UnixHttp(path), '/metrics', 'HEAD')
    assert answer.status == 200 and text == ''
    watch.finish()
    assert not os.path.exists(path)


def parse_text(text):
    """Prometheus's text format: the names of samples by their types."""
    types = {}
    for line in text.splitlines():
        word = line.split(' ')
        if line.startswith('# '):
            assert word[1] in ('HELP', 'TYPE'), line
            types.setdefault(word[2], None)
            types[word[2]] = word[3] if word[1] == 'TYPE' else types[word[2]]
        else:
            assert types[SAMPLE.fullmatch(line)[1]], line
    return types


@test('both text formats of metrics, by what the client accepts')
def _(box):
    path = box.path('metrics')
    watch = Watch(box, '-s', 'none=/nowhere/sock', '--metrics', path)
    openmetrics = 'application/openmetrics-text'
    for accept, kind in (
            (None, TEXT), ('*/*', TEXT), ('text/plain', TEXT), (ACCEPT, TYPE),
            (openmetrics, TYPE), (f'{openmetrics};q=0, */*', TEXT),
            (' Application/OpenMetrics-Text ; version=1.0.0 ; Q=0.5', TYPE),
            (f'{openmetrics};q=0.2, text/plain;q=0.3', TEXT),
            (f'text/html,{openmetrics};q=0.2;q=x', TEXT), (',;,=;q', TEXT)):
        answer, text = get(UnixHttp(path), accept=accept)
        assert answer.headers['Content-Type'] == kind, (accept, answer.headers)
        assert answer.headers['Vary'] == 'Accept'
        if kind == TYPE:
            assert parse(text)
            continue
        types = parse_text(text)
        assert types['yankctl_domain_up'] == 'gauge'
        assert {name for name in types if name.endswith('_total')} == {
            name for name in types if types[name] == 'counter'} != set()
    watch.finish()


@test('requests for metrics that are never finished keep no other waiting')
def _(box):
    path = box.path('metrics')
    watch = Watch(box, '-s', 'none=/nowhere/sock', '--metrics', path)
    halves = []
    for _ in range(40):
        half = socket.socket(socket.AF_UNIX)
        half.settimeout(20)
        half.connect(path)
        half.sendall(b'GET /metrics HT')
        halves.append(half)
    assert get(UnixHttp(path))[0].status == 200
    # The oldest ones made room.
    assert halves[0].recv(100) == b''
    halves[-1].sendall(b'TP/1.0\r\n\r\n')
    assert halves[-1].recv(100).startswith(b'HTTP/1.')
    for half in halves:
        half.close()
    watch.finish()


@test('metrics for the whole world are refused')
def _(box):
    for address in ('0.0.0.0:9999', '[::]:9999', '192.0.2.1:9999', '9999',
                    'localhost', '127.0.0.1:', '127.0.0.1:99999'):
        done = box.run([yankctl(), 'watch', '--control', box.path('control'),
                        '-s', 'none=/nowhere/sock', '--metrics', address],
                       check=False, seconds=10)
        assert done.returncode == 2, done
        assert '127.0.0.1:PORT' in done.stderr, done


@test('the service manager is told: ready, alive, at its end')
def _(box):
    sock, path = notify_socket(box)
    watch = Watch(box, '-s', 'none=/nowhere/sock', env={
        'NOTIFY_SOCKET': path, 'WATCHDOG_USEC': '200000'})
    assert sock.recv(100) == b'READY=1'
    for _ in range(3):
        assert sock.recv(100) == b'WATCHDOG=1'
    # What does not turn does not say that it does.
    watch.process.freeze()
    sock.settimeout(0.5)
    try:
        while sock.recv(100):
            pass
    except TimeoutError:
        pass
    watch.process.thaw()
    sock.settimeout(10)
    assert sock.recv(100) == b'WATCHDOG=1'
    watch.finish()
    said = []
    while not said or said[-1] != b'STOPPING=1':
        said.append(sock.recv(100))
        assert said[-1] in (b'WATCHDOG=1', b'STOPPING=1'), said


@test('domains come, go, and come again')
def _(box):
    folder = box.path('sockets')
    os.mkdir(folder)
    watch = Watch(box, '--dir', folder, '--rescan', '1000')
    with watch.connect() as control:
        def names():
            return [d['name'] for d in control.call(op='list')['domains']]
        assert names() == []
        first = daemon.Daemon(box, 'yankd')
        link = os.path.join(folder, 'vm.sock')
        os.link(first.qmp_path, link)
        hang_up(watch)
        watch.wait_connected(1)
        os.unlink(link)
        hang_up(watch)
        wait_for('it is let go', lambda: names() == [])
        first.finish()
        second = daemon.Daemon(box, 'yankd')
        os.link(second.qmp_path, link)
        hang_up(watch)
        watch.wait_connected(1)
        second.finish()
    watch.finish()


@test('a process that ends and starts again is connected to again')
def _(box):
    path = box.path('vm.sock')
    chardev = ['--chardev', f'socket,id=m,path={path},server=on,wait=off',
               '--monitor', 'chardev=m']
    watch = Watch(box, '-s', f'vm={path}')
    for _ in range(2):
        process = box.spawn([daemon.program('yankd'), *chardev])
        watch.wait_connected(1)
        process.end()
        watch.wait_connected(0)
    watch.finish()


@test('on SIGHUP the policy is read again, and the journal begun anew',
      needs=['nbdkit'])
def _(box):
    victim = Hang(box, 'yankd')
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy="""
interval: 0.1
rules: [{domains: "*", threshold: 0.3}]
""")
    watch.wait_connected(1)
    victim.hang()
    watch.wait_journal(event='begin')
    old = box.path('journal.old')
    os.rename(watch.journal_path, old)
    box.write('policy.yaml', 'nonsense: 1\n')
    hang_up(watch)
    wait_for('the error is told', lambda: 'the policy stays as it was'
             in watch.process.output())
    box.write('policy.yaml', """
interval: 0.1
rules: [{domains: "*", threshold: 0.3, verify: 0.3, action: yank}]
""")
    hang_up(watch)
    wait_for('the reload is told', lambda: 'policy read again: '
             in watch.process.output())
    victim.rescued()
    assert watch.wait_journal(event='end')['outcome'] == 'yank'
    assert watch.journal(event='begin') == []
    victim.finish()
    watch.finish()


@test('numbers of incidents go on after a restart, and in a new journal',
      needs=['nbdkit'])
def _(box):
    victim = Hang(box, 'yankd')
    policy = """
interval: 0.1
rules: [{domains: "*", threshold: 0.3, verify: 0.3, action: yank}]
"""
    box.write('journal', json.dumps(
        {'event': 'begin', 'domain': 'x', 'incident': 41}) + '\n{"torn')

    def incident(watch):
        watch.wait_connected(1)
        victim.hang()
        victim.rescued()
        victim.disks[0].thaw()
        wait_for('the end', lambda: '"event":"end"' in
                 open(watch.journal_path).read())
        with open(watch.journal_path) as f:
            return [json.loads(line[line.index('{"time'):])['incident']
                    for line in f if '{"time' in line]

    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy=policy)
    assert set(incident(watch)) == {42}
    os.rename(watch.journal_path, box.path('journal.1'))
    hang_up(watch)
    wait_for('a new journal', lambda: os.path.exists(watch.journal_path))
    assert watch.wait_journal(event='continue')['incident'] == 42
    watch.finish()
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy=policy)
    assert set(incident(watch)) == {42, 43}
    watch.finish()
    victim.finish()


@test('the journal goes on while nobody reads standard error',
      needs=['nbdkit'])
def _(box):
    victim = Hang(box, 'yankd')
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b'x' * 4096)
    except BlockingIOError:
        pass
    # Standard error is left non-blocking: the service must work with both.
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', stderr=writer,
                  policy="""
interval: 0.1
rules: [{domains: "*", threshold: 0.3, verify: 0.3, action: yank}]
""")
    watch.wait_connected(1)
    victim.hang()
    victim.rescued()
    watch.wait_journal(event='end')
    assert [line['event'] for line in watch.journal()] == [
        'begin', 'yank', 'end']
    watch.finish(seconds=5)
    os.close(reader)
    os.close(writer)
    victim.finish()


@test('a service that was stopped itself takes nobody for stuck')
def _(box):
    kind = 'qemu' if daemon.program('qemu') else 'yankd'
    server = daemon.Daemon(box, kind)
    metrics = box.path('metrics')
    watch = Watch(box, '-s', f'vm={server.qmp_path}', '--metrics',
                  f'unix:{metrics}', policy="""
interval: 0.2
rules: [{domains: "*", threshold: 2, action: yank}]
""")
    watch.wait_connected(1)

    def silent():
        return scrape(UnixHttp(metrics))[
            'yankctl_domain_silent_seconds', (('domain', 'vm'),)]
    # A ping is on its way; its answer comes while nobody is there to see it.
    server.process.freeze()
    wait_for('silence', lambda: silent() > 0)
    watch.process.freeze()
    server.process.thaw()
    time.sleep(2.2)             # More than the threshold.
    watch.process.thaw()
    wait_for('an answer', lambda: silent() == 0)
    assert watch.journal() == []
    watch.finish()
    server.finish()


@test('a journal that may not grow: no line takes another along',
      needs=['nbdkit'])
def _(box):
    victim = Hang(box, 'yankd')
    box.write('journal', json.dumps({'pad': 'x' * 4000}) + '\n')
    size = os.path.getsize(box.path('journal'))
    watch = Watch(box, '-s', f'vm={victim.qmp_path}', policy="""
interval: 0.1
rules: [{domains: "*", threshold: 0.3}]
""")
    watch.wait_connected(1)
    limit = resource.prlimit(watch.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(watch.process.pid, resource.RLIMIT_FSIZE,
                     (size + 20, limit[1]))
    victim.hang()
    wait_for('a line is lost', lambda: 'a line was lost: File too large'
             in watch.process.output())
    assert os.path.getsize(watch.journal_path) == size + 20
    resource.prlimit(watch.process.pid, resource.RLIMIT_FSIZE, limit)
    victim.disks[0].thaw()
    victim.rescued()

    def lines():
        with open(watch.journal_path) as f:
            return f.read().splitlines()
    wait_for('the end', lambda: len(lines()) == 3)
    assert len(lines()[1]) == 20
    assert json.loads(lines()[2])['event'] == 'end'
    victim.finish()
    watch.finish()


@test('sockets of the service are no domains')
def _(box):
    server = daemon.Daemon(box, 'yankd')
    watch = Watch(box, '--dir', box.dir, '--metrics',
                  f'unix:{box.path("metrics")}')
    watch.wait_connected(1)
    with watch.connect() as control:
        domains = control.call(op='list')['domains']
    assert [d['monitor'] for d in domains] == [f'unix:{server.qmp_path}']
    watch.finish()
    server.finish()


@test('the end comes at once, also while a process is frozen')
def _(box):
    frozen = daemon.Daemon(box, 'yankd')
    watch = Watch(box, '-s', f'a={frozen.qmp_path}', policy='interval: 0.1\n')
    watch.wait_connected(1)
    frozen.process.freeze()
    with watch.connect() as control:
        control.send(b'{"op": "ping", "domain": "a", "lane": "in-band", '
                     b'"timeout-ms": 3000000, "id": 1}\n')
        control.send(b'{"op": "oob", "domain": "a", "command": "query-yank",'
                     b' "timeout-ms": 3000000, "id": 2}\n')
        watch.finish(seconds=1.5)
    frozen.process.thaw()
    frozen.finish()


run()
