#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# parallel-safe
"""QMP on every kind of character device, and files that do not answer."""

import json
import os
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import paths
from daemon import Daemon
from fuse_folder import Folder
from qmp import QmpError
from sandbox import wait_for
from suite import run, test

COMMANDS = ['qmp_capabilities', 'query-version', 'quit']


def requests(*names):
    return ''.join(json.dumps({'execute': name}) + '\n' for name in names)


def messages(text):
    return [json.loads(line) for line in text.splitlines()]


def check_answered(text):
    """The output of a session that sent COMMANDS."""
    greeting, *rest = messages(text)
    assert 'QMP' in greeting, text
    replies = [m for m in rest if 'event' not in m]
    assert len(replies) == len(COMMANDS), text
    assert all('return' in reply for reply in replies), text


@test('every kind carries a monitor')
def _(box):
    out = box.path('out')
    devices = {'null': 'null', 'ringbuf': 'ringbuf',
               'file': f'file,path={out}',
               'socket': f'socket,path={box.path("s")},server=on,wait=off',
               'stdio': 'stdio'}
    options = []
    for kind, text in devices.items():
        options += ['--chardev', f'{text},id={kind}', '--monitor', kind]
    with Daemon(box, options=options) as daemon, daemon.qmp() as qmp:
        kinds = {k['name'] for k in qmp.cmd('query-chardev-backends')}
        assert kinds == set(devices), kinds
        assert all(c['frontend-open'] for c in qmp.cmd('query-chardev'))
        for kind in kinds:
            try:
                qmp.cmd('chardev-remove', {'id': kind})
            except QmpError as error:
                assert 'is busy' in error.desc, error
            else:
                raise AssertionError(f'{kind} was removed')
        text = qmp.cmd('ringbuf-read', {'device': 'ringbuf', 'size': 1000})
        assert 'QMP' in json.loads(text), text
        assert qmp.cmd('ringbuf-read',
                       {'device': 'ringbuf', 'size': 1000}) == ''

        def greeted():
            with open(out) as f:
                return f.read().endswith('\n')
        wait_for('greeting', greeted)
        # The log contains the output of stdio, which is not an error.
        wait_for('greeting', lambda: daemon.process.output().endswith('\n'))
        assert 'QMP' in json.loads(daemon.process.output())
        open(daemon.process.log, 'w').close()


@test('QMP from files to files')
def _(box):
    source = box.write('in', requests(*COMMANDS))
    out = box.path('out')
    box.run([paths.yankd(), '--chardev',
             f'file,id=m,path={out},input-path={source}', '--monitor', 'm'])
    with open(out) as f:
        check_answered(f.read())
    # The same over standard input and output.
    with open(source) as stdin, open(out, 'w') as stdout:
        subprocess.run([paths.yankd(), '--chardev', 'stdio,id=m',
                        '--monitor', 'm'], stdin=stdin, stdout=stdout,
                       check=True, timeout=60)
    with open(out) as f:
        check_answered(f.read())


class Fifos:
    """A QMP client over a pair of FIFOs."""

    def __init__(self, box):
        self.paths = [box.path(box.unique('fifo')) for _ in range(2)]
        for path in self.paths:
            os.mkfifo(path)
        self.reader, self.writer = (
            os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in self.paths)
        self.data = b''

    def option(self, name):
        return (f'file,id={name},path={self.paths[0]},'
                f'input-path={self.paths[1]}')

    def send(self, request):
        os.write(self.writer, json.dumps(request).encode())

    def receive(self, seconds=20):
        end = time.monotonic() + seconds
        while b'\n' not in self.data:
            ready = select.select([self.reader], [], [],
                                  max(0, end - time.monotonic()))[0]
            assert ready, f'no message; so far {self.data}'
            self.data += os.read(self.reader, 1 << 16)
        line, self.data = self.data.split(b'\n', 1)
        return json.loads(line)

    def reply(self):
        while True:
            message = self.receive()
            if 'event' not in message:
                return message

    def close(self):
        os.close(self.reader)
        os.close(self.writer)


@test('a rescue over a pair of FIFOs')
def _(box):
    fifos = Fifos(box)
    hang = box.path('hang')
    os.mkfifo(hang)
    with Daemon(box, options=['--chardev', fifos.option('m'),
                              '--monitor', 'm']) as daemon, \
            daemon.qmp() as qmp:
        assert 'QMP' in fifos.reply()
        fifos.send({'execute': 'qmp_capabilities',
                    'arguments': {'enable': ['oob']}})
        assert 'return' in fifos.reply()
        number = qmp.submit('chardev-add', {'id': 'c', 'backend': {
            'type': 'file', 'data': {'out': hang}}})
        wait_for('instance', lambda: qmp.oob('query-yank'))
        fifos.send({'exec-oob': 'yank', 'arguments': {
            'instances': ['chardev:c']}})
        assert 'return' in fifos.reply()
        assert 'yanked' in qmp.reply(number)['error']['desc']
    fifos.close()


@test('monitors on a file system that does not answer')
def _(box):
    folder = Folder(box)
    out = folder.file('out')
    with open(out, 'w') as stdout:
        daemon = Daemon(box, options=[
            '--chardev', 'stdio,id=m', '--monitor', 'm',
            '--chardev', f'file,id=f,path={out}.f', '--monitor', 'f',
            '--chardev', f'file,id=g,path={out}.g'],
            stdout=stdout, stderr=subprocess.DEVNULL)
    with daemon, daemon.qmp() as qmp:
        qmp.cmd('chardev-write', {'device': 'g', 'data': 'x'})
        folder.freeze()
        try:
            # A yank ends the wait of the main thread.
            number = qmp.submit('chardev-write', {'device': 'g', 'data': 'y'})
            wait_for('instance', lambda: qmp.oob('query-yank'))
            status = qmp.oob('query-yank-status')
            assert [s['phase'] for s in status] == ['writing'], status
            qmp.oob('yank', {'instances': ['chardev:g']})
            assert 'yanked' in qmp.reply(number)['error']['desc']
            assert qmp.cmd('query-yank') == []
            assert qmp.cmd('query-abandoned-calls')
        finally:
            folder.thaw()
        wait_for('return', lambda: not qmp.cmd('query-abandoned-calls'))

run()
