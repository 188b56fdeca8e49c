# SPDX-License-Identifier: GPL-2.0-or-later
"""Real NBD servers to put behind yankd."""

import daemon
from sandbox import wait_for


class Nbdkit:
    """nbdkit on a unix socket, or on a TCP port of the loopback."""

    def __init__(self, box, *plugin, name='nbdkit', port=None,
                 options=()):
        self.box = box
        self.path = None if port else box.path(f'{name}.sock')
        self.port = port
        self._name = name
        self._plugin = list(plugin) or ['memory', '64M']
        self._options = list(options)
        self.process = None
        self.start()

    def start(self):
        """Starts it; also again after its end, at the same address."""
        where = (['-i', '127.0.0.1', '-p', str(self.port)] if self.port
                 else ['-U', self.path])
        # The pidfile appears when it listens.
        pidfile = self.box.path(self.box.unique(self._name) + '.pid')
        self.process = self.box.spawn(
            ['nbdkit', '-f', '-P', pidfile] + where + self._options +
            self._plugin)
        wait_for('nbdkit listens', lambda: self._ready(pidfile))

    def _ready(self, pidfile):
        if self.process.poll() is not None:
            raise RuntimeError(f'nbdkit ended: {self.process.output()}')
        try:
            with open(pidfile) as f:
                return f.read().endswith('\n')
        except FileNotFoundError:
            return False

    def freeze(self):
        self.process.freeze()

    def thaw(self):
        self.process.thaw()

    def uri(self, export=''):
        return uri(self.path, self.port, export)

    def address(self):
        return address(self.path, self.port)


def uri(path, port, export=''):
    if path:
        return f'nbd+unix:///{export}?socket={path}'
    return f'nbd://127.0.0.1:{port}/{export}'


def address(path, port):
    """A SocketAddress for a server's place."""
    if path:
        return {'type': 'unix', 'path': path}
    return {'type': 'inet', 'host': '127.0.0.1', 'port': str(port)}


def nbd_option(path, node, **extra):
    """--blockdev arguments for an NBD node on a unix socket."""
    more = ''.join(f',{key.replace("_", "-")}={value}'
                   for key, value in extra.items())
    return ['--blockdev', f'driver=nbd,node-name={node},server.type=unix,'
            f'server.path={path}{more}']


class Gateway(daemon.Daemon):
    """A daemon that exports an NBD node over NBD.

    @upstream: the path of the server's unix socket
    @node: more options of the NBD node
    """

    def __init__(self, box, upstream, kind='yankd', options=(), node={},
                 **kwargs):
        self.nbd_path = box.path(box.unique(f'{kind}-export') + '.sock')
        argv = nbd_option(upstream, 'nbd0', **node)
        argv += ['--nbd-server',
                 f'addr.type=unix,addr.path={self.nbd_path}',
                 '--export', 'type=nbd,id=exp0,node-name=nbd0,name=disk,'
                 'writable=on']
        super().__init__(box, kind, argv + list(options), **kwargs)

    def uri(self):
        return uri(self.nbd_path, None, 'disk')
