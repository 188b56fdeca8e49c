# SPDX-License-Identifier: GPL-2.0-or-later
"""The client library as its users have it: installed, and linked into a
program that is built against what was installed."""

import os
import subprocess
import time

import paths

PROGRAM = os.path.join(paths.TOP, 'tests', 'system', 'client-program.c')


class Installed:
    """The library, installed below a folder of the test's own."""

    def __init__(self, box):
        self.box = box
        self.root = box.path('root')
        self.build = os.path.dirname(paths.yankd())
        box.run(['meson', 'install', '-C', self.build, '--no-rebuild',
                 '--destdir', self.root, '--tags', 'runtime,devel'])
        # The folder is the root of a system, for pkg-config: the libraries
        # that ours needs are there, too.
        for folder in ('include', 'lib'):
            os.symlink(f'/usr/{folder}', f'{self.root}/usr/{folder}')
        self.pc_dir = os.path.dirname(self.find('yankclient.pc'))
        self.lib_dir = os.path.dirname(self.pc_dir)

    def find(self, name):
        for folder, _, files in os.walk(self.root):
            if name in files:
                return os.path.join(folder, name)
        raise FileNotFoundError(f'{name} was not installed')

    def headers(self):
        folder = os.path.dirname(self.find('qmp-client.h'))
        return sorted(os.path.join(folder, name)
                      for name in os.listdir(folder))

    def flags(self):
        env = dict(os.environ, PKG_CONFIG_PATH=self.pc_dir,
                   PKG_CONFIG_SYSROOT_DIR=self.root)
        return self.box.run(['pkg-config', '--cflags', '--libs',
                             'yankclient'], env=env).stdout.split()

    def compile(self, source, target, *options):
        """With nothing but what is installed, and warnings as errors."""
        self.box.run(['cc', '-Wall', '-Wextra', '-Werror',
                      '-Wno-unused-parameter', *options, source, '-o', target,
                      *self.flags()], cwd=self.box.dir)

    def program(self):
        target = self.box.path('client-program')
        if not os.path.exists(target):
            self.compile(PROGRAM, target)
        return target


class Program:
    """client-program.c at work on one socket."""

    def __init__(self, installed, address):
        env = dict(os.environ, LD_LIBRARY_PATH=installed.lib_dir)
        self.process = installed.box.spawn(
            [installed.program(), address], env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.events = []
        self.answers = []

    def read(self):
        """The next line that is neither event nor late answer; those are
        kept.  None after one of them."""
        line = self.process.stdout.readline().decode().rstrip('\n')
        assert line, 'the program ended'
        if line.startswith('event '):
            self.events.append(line[len('event '):])
        elif line.startswith('answer '):
            self.answers.append(line[len('answer '):])
        else:
            return line
        return None

    def do(self, line):
        self.process.stdin.write(line.encode() + b'\n')
        self.process.stdin.flush()
        while True:
            answer = self.read()
            if answer is not None:
                return answer

    def ok(self, line):
        """The same for what must succeed; returns what follows "ok"."""
        answer = self.do(line)
        assert answer.startswith('ok'), f'{line}: {answer}'
        return answer[3:]

    def wait_answers(self, n):
        while len(self.answers) < n:
            assert self.read() is None

    def wait_event(self, name):
        while name not in self.events:
            assert self.read() is None

    def finish(self):
        """Ends it, which must leave nothing behind."""
        self.process.stdin.close()
        assert self.process.wait(10) == 0

    def timed(self, line):
        """As ok(); returns the seconds that it took."""
        begin = time.monotonic()
        self.ok(line)
        return time.monotonic() - begin
