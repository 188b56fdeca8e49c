# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirtd of its own, in a mount namespace that hides the system's.

It needs root.  Configuration, state and the users that libvirt wants are those
of the namespace: nothing of the system is changed, and a libvirtd that may be
running is not met.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import threading

import sandbox
from sandbox import state, wait_for

URI = 'qemu:///system'
_INSIDE = 'YANKD_LIBVIRT_NAMESPACE'
_HIDDEN = ('/etc/libvirt', '/run/libvirt', '/var/lib/libvirt',
           '/var/cache/libvirt', '/var/log/libvirt')
# Without these two start fails for want of virtlogd and of a usable user.
_QEMU_CONF = 'user = "root"\ngroup = "root"\nstdio_handler = "file"\n'

_DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <seclabel type='none'/>
  <on_crash>preserve</on_crash>
  <devices>
    <emulator>{emulator}</emulator>
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw'/>
      <source protocol='nbd'>
        <host transport='unix' socket='{disk}'/>
      </source>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
{more}
</domain>
"""
_MONITOR = """
<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <qemu:arg value='-chardev'/>
  <qemu:arg value='socket,id=yank,path={monitor},server=on,wait=off'/>
  <qemu:arg value='-mon'/>
  <qemu:arg value='chardev=yank,mode=control'/>
</qemu:commandline>
"""


def enter_namespace():
    """Starts the script anew where nothing of the system can be changed."""
    if not os.environ.get(_INSIDE):
        os.environ[_INSIDE] = '1'
        os.execvp('unshare', ['unshare', '--mount', sys.executable,
                              *sys.argv])
    for folder in _HIDDEN:
        os.makedirs(folder, exist_ok=True)
        subprocess.run(['mount', '-t', 'tmpfs', 'none', folder], check=True)


def _add_users(box):
    """libvirt looks its user up by name, even when it is not used."""
    for path, name, line in (('/etc/group', 'kvm', 'kvm:x:951:'),
                             ('/etc/group', 'libvirt-qemu',
                              'libvirt-qemu:x:952:'),
                             ('/etc/passwd', 'libvirt-qemu',
                              'libvirt-qemu:x:952:952::/:/bin/false')):
        with open(path) as f:
            text = f.read()
        if f'\n{name}:' not in text:
            copy = box.write(box.unique('users'), text + line + '\n')
            os.chmod(copy, 0o644)
            subprocess.run(['mount', '--bind', copy, path], check=True)
            box.on_exit(lambda path=path: subprocess.run(
                ['umount', path], check=True))


class _Reaper(threading.Thread):
    """Takes leave of QEMUs that have ended.  They went to the background, so
    they are ours (see sandbox.py), and libvirt waits until they are gone."""

    def __init__(self):
        super().__init__(daemon=True)
        self._done = threading.Event()
        self.start()

    def run(self):
        while not self._done.wait(0.02):
            for pid in _children_called('qemu'):
                if state(pid) == 'Z':
                    os.waitpid(pid, 0)

    def stop(self):
        self._done.set()
        self.join()


def _children_called(prefix):
    pids = []
    for task in os.listdir('/proc/self/task'):
        with contextlib.suppress(FileNotFoundError):
            with open(f'/proc/self/task/{task}/children') as f:
                pids += [int(pid) for pid in f.read().split()]
    return [pid for pid in pids if _name(pid).startswith(prefix)]


def _name(pid):
    try:
        with open(f'/proc/{pid}/comm') as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError):
        return ''


class Libvirtd:
    def __init__(self, box):
        self.box = box
        box.on_exit(_Reaper().stop)
        _add_users(box)
        os.makedirs('/etc/libvirt/qemu', exist_ok=True)
        with open('/etc/libvirt/qemu.conf', 'w') as f:
            f.write(_QEMU_CONF)
        self.process = box.spawn(
            ['libvirtd', '--pid-file', box.path('libvirtd.pid')])
        wait_for('libvirtd answers', self._answers, 60)

    def _answers(self):
        assert self.process.poll() is None, self.process.output()
        return self.virsh('list', check=False).returncode == 0

    def virsh(self, *argv, check=True, seconds=60):
        return self.box.run(['virsh', '-q', '-c', URI, *argv], check=check,
                            seconds=seconds)

    def start(self, name, disk, more=None):
        """Starts a domain with a disk at an NBD server's socket.

        @more: the end of its XML, None: a second monitor
        """
        if more is None:
            more = _MONITOR.format(monitor=self.box.path(f'{name}.sock'))
        xml = self.box.write(f'{name}.xml', _DOMAIN.format(
            name=name, disk=disk, more=more,
            emulator=shutil.which('qemu-system-x86_64')))
        # As "virsh edit" would.
        self.virsh('create', '--validate', xml)

    def destroy(self, name):
        """Ends a domain, and waits until its process is gone."""
        self.virsh('destroy', name)
        wait_for('QEMU is gone', lambda: not _children_called('qemu'))

    def background(self, *argv):
        """A virsh that is not waited for."""
        return self.box.spawn(['virsh', '-q', '-c', URI, *argv])


