#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""The examples of yankd(1) run as they stand, but for the folder and port."""

import os
import re
import subprocess
import sys
import textwrap

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import paths
from daemon import free_port
from sandbox import children, wait_for
from suite import run, test

PAGE = os.path.join(paths.TOP, 'docs', 'man', 'yankd.1.rst')


def examples():
    """The commands of a user: lines after a prompt, and those they go on in."""
    with open(PAGE) as file:
        text = file.read()
    part = re.search(r'^EXAMPLES\n=+\n(.*?)^DESCRIPTION$', text,
                     re.M | re.S).group(1)
    blocks = re.findall(r'::\n\n((?:(?:    .*)?\n)+)', part)
    found = [re.sub(r'^\$ ', '', textwrap.dedent(block), flags=re.M)
             for block in blocks if block.startswith('    $ ')]
    assert len(found) == 5, found
    return '\n'.join(found)


def script(box):
    """The examples, in a place of their own, and the end of their server."""
    return (examples().replace('/run/vms', box.path('vms'))
            .replace('10809', str(free_port()))
            + f'kill $(cat {box.path("vms")}/backend.pid)\n')


@test('the examples of yankd(1)', needs=['nbdkit', 'qemu-io', 'nbdinfo'])
def _(box):
    folder = os.path.dirname(paths.yankd())
    path = ':'.join((folder, os.path.join(folder, 'tools'),
                     os.environ['PATH']))
    log = box.path('log')
    with open(log, 'w') as file:
        # No pipe: what goes to the background would keep it open.
        done = subprocess.run(['bash', '-ec', script(box)], stdout=file,
                              stderr=file, stdin=subprocess.DEVNULL,
                              env={**os.environ, 'PATH': path})
    with open(log) as file:
        output = file.read()
    assert done.returncode == 0, output
    for said in ('read 1048576/1048576', 'yanked blockdev:disk',
                 '67108864', 'completed'):
        assert said in output, output
    wait_for('the end of all', lambda: not children())


run()
