# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts yankd, and the stock programs that speak the same protocol."""

import glob
import os
import socket

import paths
from qmp import Qmp
from sandbox import wait_for

# How each program is told to open a monitor on a socket, and what else it
# needs to run without a guest.
_STOCK_QEMU = ['-machine', 'none', '-nodefaults', '-display', 'none',
               '-serial', 'none']


class Daemon:
    """A running program with a QMP socket, or several.

    @kind: 'yankd', 'yankd-debug', 'qsd' (stock storage daemon) or 'qemu'
        (stock system emulator without a machine)
    @monitors: how many QMP sockets to open
    @wrapper: a command to run it by, which must end in exec
    @pass_fds: descriptors that it inherits
    @stdout, @stderr: files in the place of the log
    """

    def __init__(self, box, kind='yankd', options=(), monitors=1,
                 env=None, wait=True, wrapper=(), pass_fds=(), stdout=None,
                 stderr=None):
        self.box = box
        self.kind = kind
        self.sockets = [box.path(box.unique(f'{kind}-qmp') + '.sock')
                        for _ in range(monitors)]
        path = program(kind)
        if path is None:
            raise FileNotFoundError(f'{kind} is not there')
        argv = [path] + (_STOCK_QEMU if kind == 'qemu' else [])
        # Options are carried out in order: when the monitors listen, all
        # the others are done.
        argv += options
        for i, path in enumerate(self.sockets):
            argv += self._monitor_options(f'mon{i}', path)
        environment = dict(os.environ, **(env or {}))
        output = {name: file for name, file in (
            ('stdout', stdout), ('stderr', stderr)) if file is not None}
        self.process = box.spawn([*wrapper, *argv], env=environment,
                                 pass_fds=pass_fds, **output)
        self.pid = self.process.pid
        if wait:
            self.wait_ready()

    @property
    def qmp_path(self):
        return self.sockets[0]

    def _monitor_options(self, name, path):
        chardev = f'socket,id={name},path={path},server=on,wait=off'
        if self.kind == 'qemu':
            return ['-chardev', chardev, '-mon',
                    f'chardev={name},mode=control']
        return ['--chardev', chardev, '--monitor', f'chardev={name}']

    def wait_ready(self, seconds=20.0):
        """Until all sockets listen.  Does not connect: stock programs serve
        one client, and a probe would be it."""
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f'{self.kind} ended: '
                                   f'{self.process.output()}')
            return all(listens(path, self.pid) for path in self.sockets)
        wait_for(f'{self.kind} listens', ready, seconds)

    def qmp(self, monitor=0, oob=True, seconds=10.0):
        """A negotiated client."""
        return Qmp.negotiated(self.sockets[monitor], oob, seconds)

    def connect(self, monitor=0, seconds=10.0):
        """A client that has not read the greeting."""
        return Qmp(self.sockets[monitor], seconds)

    def alive(self):
        return self.process.poll() is None

    def finish(self, seconds=20.0):
        """Asks it to end, and checks that it does so cleanly."""
        if self.alive():
            self.process.terminate()
        self.check_ended(seconds)

    def check_ended(self, seconds=20.0):
        """Waits for its end: status 0, nothing said, no socket left."""
        status = self.process.wait(seconds)
        output = self.process.output()
        assert status == 0, f'{self.kind} ended with {status}: {output}'
        if 'yankd' in os.path.basename(program(self.kind)):
            assert output == '', f'{self.kind} said: {output}'
        left = [path for path in self.sockets if os.path.exists(path)]
        assert not left, f'{self.kind} left {left}'

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        """A clean end is part of every test that got so far."""
        if kind is None:
            self.finish()

    def fds(self):
        """How many file descriptors the process holds."""
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def threads(self):
        return len(os.listdir(f'/proc/{self.pid}/task'))

    def processor_time(self, thread=None):
        """Seconds that its threads ran, or those called @thread."""
        spent = 0
        for task in glob.glob(f'/proc/{self.pid}/task/*'):
            try:
                with open(f'{task}/comm') as f:
                    name = f.read().strip()
                with open(f'{task}/schedstat') as f:
                    ran = int(f.read().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            if thread in (None, name):
                spent += ran
        return spent / 1e9

    def rss(self):
        """Resident memory in bytes."""
        with open(f'/proc/{self.pid}/statm') as f:
            return int(f.read().split()[1]) * os.sysconf('SC_PAGESIZE')


def program(kind):
    """The path of the program; None when it is not there."""
    name = {'yankd': paths.yankd(), 'yankd-debug': paths.yankd_debug(),
            'qsd': 'qemu-storage-daemon', 'qemu': 'qemu-system-x86_64'}[kind]
    return paths.tool(name)


def listens(path, pid='self'):
    """Whether a unix socket listens at @path, without connecting to it.
    @pid: a process in the same network namespace"""
    with open(f'/proc/{pid}/net/unix') as f:
        for line in f:
            fields = line.split()
            if fields[-1] == path and fields[3] == '00010000':
                return True
    return False


def free_port():
    """A TCP port on the loopback that was free a moment ago."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
