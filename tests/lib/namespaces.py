# SPDX-License-Identifier: GPL-2.0-or-later
"""Two network namespaces with a link between them, which can be made to
swallow what is sent.  Nothing of the host's network is touched."""

import os

from sandbox import wait_for
from suite import Skip


class Link:
    """.near and .far are wrappers for programs on either end."""

    near_address = '10.77.0.1'
    far_address = '10.77.0.2'

    def __init__(self, box):
        self._box = box
        near, far = self._namespace(), self._namespace()
        self.near = ['nsenter', f'--net=/proc/{near}/ns/net']
        self.far = ['nsenter', f'--net=/proc/{far}/ns/net']
        self._ip(self.near, 'link', 'add', 'near', 'type', 'veth', 'peer',
                 'name', 'far', 'netns', str(far))
        for wrapper, name, address in (
                (self.near, 'near', self.near_address),
                (self.far, 'far', self.far_address)):
            self._ip(wrapper, 'addr', 'add', f'{address}/24', 'dev', name)
            self._ip(wrapper, 'link', 'set', name, 'up')
            self._ip(wrapper, 'link', 'set', 'lo', 'up')
        # Known for ever, so that a silent end is not found out by ARP.
        for here, name, there, other in (
                (self.near, 'near', self.far, 'far'),
                (self.far, 'far', self.near, 'near')):
            address = (self.far_address if name == 'near'
                       else self.near_address)
            mac = self._ip(there, '-o', 'link', 'show', other).partition(
                'link/ether ')[2].split()[0]
            self._ip(here, 'neigh', 'replace', address, 'lladdr', mac, 'dev',
                     name, 'nud', 'permanent')

    def _namespace(self):
        """The pid of a process that is alone in one."""
        keeper = self._box.spawn(['unshare', '--net', 'sleep', '3600'])
        ours = os.readlink('/proc/self/ns/net')

        def there():
            if keeper.poll() is not None:
                raise Skip(f'no namespaces: {keeper.output()}')
            return os.readlink(f'/proc/{keeper.pid}/ns/net') != ours
        wait_for('namespace', there)
        return keeper.pid

    def _ip(self, wrapper, *argv):
        return self._box.run([*wrapper, 'ip', *argv]).stdout

    def swallow(self):
        """From now on what is sent to the far end is lost: nobody there has
        that address any more, and nobody says so."""
        self._ip(self.far, 'addr', 'flush', 'dev', 'far', 'scope', 'global')

    def heal(self):
        self._ip(self.far, 'addr', 'add', f'{self.far_address}/24', 'dev',
                 'far')
