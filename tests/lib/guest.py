# SPDX-License-Identifier: GPL-2.0-or-later
"""A virtual machine of stock QEMU, with firmware and a disk but no system:
the firmware reads the first block of the disk once it runs."""

import json

from daemon import listens
from qmp import Qmp
from sandbox import wait_for
from servers import Nbdkit

RAW = {'driver': 'raw'}
_DEVICE = 'id=disk0,rerror=stop,werror=stop,bootindex=1'


class Guest:
    """The machine, not running yet.

    @top: the options of the node on the NBD node, None: there is none
    @drive: the disk comes by -drive, which names its nodes itself
    @device: more options of the device
    @kind: its driver
    @options: more of the machine
    """

    def __init__(self, box, top=RAW, drive=False, device='', options=(),
                 kind='virtio-blk-pci'):
        self._box = box
        self.disk = Nbdkit(box, name=box.unique('disk'))
        self.sockets = [box.path(box.unique('guest') + '.sock')
                        for _ in range(2)]
        argv = ['qemu-system-x86_64', '-machine', 'pc', '-accel', 'tcg',
                '-display', 'none', '-nodefaults', '-S', *options]
        for i, path in enumerate(self.sockets):
            argv += ['-chardev', f'socket,id=mon{i},path={path},server=on,'
                     'wait=off', '-mon', f'chardev=mon{i},mode=control']
        self._device = f'{kind},{_DEVICE}{device}'
        argv += self._drive() if drive else self._blockdevs(top)
        self.process = box.spawn(argv)
        wait_for('QEMU listens', self._listens, 20)
        self.qmp = Qmp.negotiated(self.sockets[1], True, 20)
        box.on_exit(self.qmp.close)

    def _listens(self):
        assert self.process.poll() is None, self.process.output()
        return all(listens(path) for path in self.sockets)

    def _drive(self):
        return ['-drive', f'file={self.disk.uri()},format=raw,if=none,id=d0',
                '-device', f'{self._device},drive=d0']

    def _blockdevs(self, top):
        proto = {'driver': 'nbd', 'node-name': 'proto', 'discard': 'unmap',
                 'server': self.disk.address()}
        argv = ['-blockdev', json.dumps(proto)]
        if top:
            argv += ['-blockdev', json.dumps(
                {'node-name': 'top', 'file': 'proto', **top})]
        drive = 'top' if top else 'proto'
        return argv + ['-device', f'{self._device},drive={drive}']

    @property
    def qmp_path(self):
        return self.sockets[0]

    def wait_reading(self):
        """Runs it until its firmware waits for the frozen disk."""
        self.disk.freeze()
        self.qmp.cmd('cont')
        wait_for('the firmware reads', self._has_sent, 30)

    def _has_sent(self):
        """Whether there are bytes that the frozen server has not read."""
        lines = self._box.run(['ss', '-xH', 'state', 'established', 'src',
                               self.disk.path]).stdout.splitlines()
        return any(int(line.split()[1]) > 0 for line in lines)

    def status(self):
        return self.qmp.cmd('query-status')['status']

    def nodes(self):
        return sorted(n['node-name'] for n in self.qmp.cmd(
            'query-named-block-nodes', {'flat': True}))

    def reads(self):
        """How many reads of the device were answered."""
        return self.qmp.cmd('query-blockstats')[0]['stats']['rd_operations']
