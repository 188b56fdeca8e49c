#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain of libvirt hangs, virsh fails, and yankctl brings it back."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from libvirt import URI, Libvirtd, enter_namespace
from sandbox import wait_for
from servers import Nbdkit
from suite import run, test
from watch import Watch, yankctl

NEEDS = ['libvirtd', 'virsh', 'nbdkit', 'qemu-system-x86_64']
LOCK_ERROR = 'cannot acquire state change lock'
STORAGE = 'blockdev:libvirt-1-storage'
# What a guest's read would do, without the guest.
READ = ['qemu-monitor-command', 'vm', '--hmp',
        'qemu-io libvirt-1-format "read 0 4k"']


def policy(action):
    return f"""
interval: 0.2
rules: [{{domains: "*", threshold: 1, action: {action}}}]
"""


def setup(box, action):
    """A domain, and a service that found it through libvirt."""
    libvirtd = Libvirtd(box)
    disk = Nbdkit(box)
    libvirtd.start('vm', disk.path)
    watch = Watch(box, '--libvirt', URI, policy=policy(action))
    watch.wait_connected(1)
    return libvirtd, disk, watch


def finish(libvirtd, watch):
    """virsh works again, and the domain was not lost."""
    assert libvirtd.virsh('domstate', 'vm').stdout.strip() == 'running'
    libvirtd.virsh('suspend', 'vm')
    libvirtd.virsh('resume', 'vm')
    watch.finish()
    libvirtd.destroy('vm')


@test('virsh fails for its lock; yankctl yank brings the domain back',
      seconds=150, needs=NEEDS)
def _(box):
    libvirtd, disk, watch = setup(box, 'report')
    found = json.loads(watch.run('--json', 'status', 'vm').stdout)
    assert found, found
    disk.freeze()
    stuck = libvirtd.background(*READ)
    watch.wait_journal(event='begin', domain='vm')
    assert stuck.poll() is None
    # libvirt gives up after 30 s.
    done = libvirtd.virsh('suspend', 'vm', check=False)
    assert done.returncode == 1 and LOCK_ERROR in done.stderr, done
    assert watch.run('status', 'vm').returncode == 6
    done = watch.run('yank', 'vm', STORAGE)
    assert done.returncode == 0, done
    wait_for('virsh returns', lambda: stuck.poll() is not None, 5)
    finish(libvirtd, watch)


@test('yankctl watch does it alone', seconds=100, needs=NEEDS)
def _(box):
    libvirtd, disk, watch = setup(box, 'yank')
    disk.freeze()
    stuck = libvirtd.background(*READ)
    wait_for('virsh returns', lambda: stuck.poll() is not None, 10)
    end = watch.wait_journal(event='end', domain='vm')
    assert end['outcome'] == 'yank', end
    assert not any(d.get('instance') == 'chardev:charmonitor'
                   for d in end['done']), end
    finish(libvirtd, watch)


@test('yankctl finds a domain by the snippet, and none without it',
      seconds=60, needs=NEEDS)
def _(box):
    def ask(*verb):
        return box.run([yankctl(), '--no-control', '--libvirt', URI, *verb])

    libvirtd = Libvirtd(box)
    disk = Nbdkit(box)
    libvirtd.start('without', disk.path, more='')
    done = ask('list')
    assert done.stdout == '' and 'no domains' in done.stderr, done
    name = "a, b&c"
    snippet = ask('libvirt-snippet', name).stdout
    libvirtd.start(name.replace('&', '&amp;'), disk.path, more=snippet)
    assert ask('list', '--names').stdout == f'{name}\n'
    assert json.loads(ask('--json', 'status', name).stdout)[
        'run-state'] == 'running'
    libvirtd.virsh('destroy', 'without')
    libvirtd.destroy(name)


if os.geteuid() != 0:
    print('1..0 # SKIP needs root, for a libvirtd of its own')
    sys.exit(0)
enter_namespace()
run()
