# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder on a file system that can be frozen, as a dead network server
freezes one: calls on its files then wait until it is thawed or ended.

Run as a program, this file is the server of the file system; its argument is
the descriptor of the mounted /dev/fuse.
"""

import ctypes
import os
import struct
import subprocess
import sys

ROOT = 1
FORGET, BATCH_FORGET = 2, 42
ENOENT, ENOSYS = 2, 38


class Folder:
    """Mounted below @box; gone when the box is left.  Needs root."""

    def __init__(self, box):
        from suite import Skip
        if os.geteuid() != 0 or not os.path.exists('/dev/fuse'):
            raise Skip('needs root and /dev/fuse')
        self.path = box.path(box.unique('fuse'))
        os.mkdir(self.path)
        fd = os.open('/dev/fuse', os.O_RDWR)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            options = f'fd={fd},rootmode=40000,user_id=0,group_id=0'
            if libc.mount(b'test', self.path.encode(), b'fuse.test', 0,
                          options.encode()) < 0:
                raise Skip(f'cannot mount: {os.strerror(ctypes.get_errno())}')
            self.server = box.spawn([sys.executable, __file__, str(fd)],
                                    pass_fds=[fd])
        finally:
            os.close(fd)
        box.on_exit(self._leave)

    def file(self, name):
        return os.path.join(self.path, name)

    def freeze(self):
        self.server.freeze()

    def thaw(self):
        self.server.thaw()

    def end(self):
        """Ends the mount; pending calls on its files fail."""
        self.server.destroy()

    def _leave(self):
        self.end()
        subprocess.run(['umount', '-l', self.path], check=True)


class Node:
    def __init__(self, number, name, mode):
        self.number = number
        self.name = name
        self.mode = mode
        self.data = bytearray()

    def attributes(self):
        return struct.pack('<QQQQQQIIIIIIIIII', self.number, len(self.data),
                           len(self.data) // 512, 0, 0, 0, 0, 0, 0, self.mode,
                           1, 0, 0, 0, 4096, 0)

    def entry(self):
        return struct.pack('<QQQQII', self.number, 0, 0, 0, 0, 0) + (
            self.attributes())


class Server:
    """One folder; files keep what is written to them."""

    def __init__(self, fd):
        self.fd = fd
        self.nodes = {ROOT: Node(ROOT, None, 0o40755)}
        self.calls = {
            1: self.lookup, 3: self.get_attributes, 4: self.set_attributes,
            8: self.mknod, 10: self.unlink, 14: self.open, 15: self.read,
            16: self.write, 18: self.fine, 20: self.fine, 25: self.fine,
            26: self.init, 27: self.open, 28: self.fine, 29: self.fine,
            30: self.fine, 35: self.create}

    def serve(self):
        while True:
            try:
                data = os.read(self.fd, 1 << 20)
            except OSError:
                return
            _, call, unique, number = struct.unpack_from('<IIQQ', data)
            if call in (FORGET, BATCH_FORGET):
                continue
            try:
                out, error = self.answer(call, number, data[40:]), 0
            except OSError as failed:
                out, error = b'', failed.errno
            os.write(self.fd, struct.pack('<IiQ', 16 + len(out), -error,
                                          unique) + out)

    def answer(self, call, number, body):
        if call not in self.calls:
            raise OSError(ENOSYS, '')
        if number and number not in self.nodes:
            raise OSError(ENOENT, '')
        return self.calls[call](self.nodes.get(number), body)

    def find(self, body):
        name = body.split(b'\0')[0]
        for node in self.nodes.values():
            if node.name == name:
                return node
        raise OSError(ENOENT, '')

    def make(self, name, mode):
        number = max(self.nodes) + 1
        self.nodes[number] = Node(number, name.split(b'\0')[0], mode)
        return self.nodes[number]

    def fine(self, node, body):
        return b''

    def init(self, node, body):
        return struct.pack('<IIIIHHIIHHI7I', 7, 31, 65536, 0, 16, 12, 65536,
                           1, 256, 0, 0, *[0] * 7)

    def lookup(self, node, body):
        return self.find(body).entry()

    def get_attributes(self, node, body):
        return struct.pack('<QII', 0, 0, 0) + node.attributes()

    def set_attributes(self, node, body):
        valid, _, _, size = struct.unpack_from('<IIQQ', body)
        if valid & 8:
            del node.data[size:]
            node.data.extend(bytes(size - len(node.data)))
        return self.get_attributes(node, body)

    def mknod(self, node, body):
        mode = struct.unpack_from('<I', body)[0]
        return self.make(body[16:], mode).entry()

    def unlink(self, node, body):
        self.find(body).name = None
        return b''

    def open(self, node, body):
        return struct.pack('<QII', 0, 0, 0)

    def create(self, node, body):
        _, mode = struct.unpack_from('<II', body)
        return self.make(body[16:], mode).entry() + self.open(node, body)

    def read(self, node, body):
        _, at, size = struct.unpack_from('<QQI', body)
        return bytes(node.data[at:at + size])

    def write(self, node, body):
        _, at, size = struct.unpack_from('<QQI', body)
        node.data.extend(bytes(max(0, at - len(node.data))))
        node.data[at:at + size] = body[40:40 + size]
        return struct.pack('<II', size, 0)


if __name__ == '__main__':
    Server(int(sys.argv[1])).serve()
