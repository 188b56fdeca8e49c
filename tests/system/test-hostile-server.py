#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""NBD servers whose replies are wrong: the node fails, and nothing else."""

import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import nbd
from daemon import Daemon
from nbd import EINVAL, EIO, NbdClient
from peers import Listener, NbdServerSide
from suite import run, test


def send_no_flags(side):
    """Flags of 0: libnbd refuses them, and the node connects once more."""
    side.greet()
    side.info(side.until_go()[0], flags=0)


def refused(name, no_flags=False):
    """A test of a handshake that blockdev-add must fail on.

    @no_flags: that which follows a first one with flags of 0
    """
    def mark(steps):
        def body(box):
            listener = Listener(box)
            with Daemon(box) as daemon, daemon.qmp() as qmp:
                number = qmp.submit('blockdev-add', {
                    'driver': 'nbd', 'node-name': 'n0',
                    'server': listener.address()})
                if no_flags:
                    send_no_flags(NbdServerSide(listener.accept()))
                side = NbdServerSide(listener.accept())
                try:
                    steps(side)
                    side.sock.shutdown(socket.SHUT_WR)
                except (nbd.NbdClosed, OSError):
                    pass        # It saw soon enough.
                message = qmp.reply(number, 20)
                print(f'# {message["error"]["desc"]}')
                assert message['error']['class'] == 'GenericError', message
                assert qmp.cmd('query-yank') == []
                assert qmp.cmd('query-named-block-nodes') == []
        test(f'handshake: {name}')(body)
    return mark


@refused('closed at once')
def _(side):
    side.sock.close()


@refused('something else listens')
def _(side):
    side.sock.sendall(b'SSH-2.0-OpenSSH_9.2\r\n' * 10)


@refused('wrong magic of a reply')
def _(side):
    side.greet()
    side.until_go()
    side.sock.sendall(bytes(20))


@refused('reply to another option')
def _(side):
    side.greet()
    side.until_go()
    side.reply(nbd.OPT_LIST, nbd.REP_ACK)


@refused('reply that claims 4 GiB')
def _(side):
    side.greet()
    side.reply(side.until_go()[0], nbd.REP_INFO, length=0xffffffff)


@refused('export information cut short')
def _(side):
    side.greet()
    option = side.until_go()[0]
    side.reply(option, nbd.REP_INFO, struct.pack('>HI', 0, 1))
    side.reply(option, nbd.REP_ACK)


@refused('no export information')
def _(side):
    side.greet()
    side.reply(side.until_go()[0], nbd.REP_ACK)


@refused('size beyond 63 bits')
def _(side):
    side.greet()
    option = side.until_go()[0]
    side.info(option, size=2**64 - 1)
    side.reply(option, nbd.REP_ACK)


@refused('no such export')
def _(side):
    side.greet()
    side.reply(side.until_go()[0], nbd.REP_ERR_UNKNOWN, b'no such export')
    # Some ask in other ways before they give up.
    while True:
        side.reply(side.next_option()[0], nbd.REP_ERR_UNKNOWN)


@refused('no flags, and then closed at once', no_flags=True)
def _(side):
    side.sock.close()


@refused('no flags, and then something else', no_flags=True)
def _(side):
    side.sock.sendall(b'SSH-2.0-OpenSSH_9.2\r\n' * 10)


@refused('no flags, and then a greeting cut short', no_flags=True)
def _(side):
    side.sock.sendall(nbd.MAGIC_GREETING)


@refused('no flags, and then no answer for the export', no_flags=True)
def _(side):
    side.greet()
    assert side.next_option() == (nbd.OPT_EXPORT_NAME, b'')


@refused('no flags, and then a size beyond 63 bits', no_flags=True)
def _(side):
    side.greet()
    side.next_option()
    side.sock.sendall(struct.pack('>QH', 2**64 - 1, 0))


def failing(name):
    """A test of replies on which requests must fail."""
    def mark(steps):
        def body(box):
            listener = Listener(box)
            path = box.path('e.sock')
            with Daemon(box) as daemon, daemon.qmp() as qmp:
                number = qmp.submit('blockdev-add', {
                    'driver': 'nbd', 'node-name': 'n0',
                    'server': listener.address()})
                side = NbdServerSide(listener.accept())
                side.serve()
                qmp.result(number)
                qmp.cmd('nbd-server-start', {'addr': {
                    'type': 'unix', 'data': {'path': path}}})
                qmp.cmd('block-export-add', {
                    'type': 'nbd', 'id': 'e0', 'node-name': 'n0',
                    'writable': True})
                with NbdClient(path, 'n0') as client:
                    cookie = client.request(0, 0, 512)
                    request = side.next_request()
                    assert request[1:2] + request[3:] == (0, 0, 512)
                    steps(side, request[2])
                    got, error = client.reply()
                    assert got == cookie
                    # What nobody knows has to be something.
                    assert error in (EIO, EINVAL), error
                side.sock.close()
                qmp.cmd('query-version')
        test(f'transmission: {name}')(body)
    return mark


@failing('error of the server')
def _(side, cookie):
    side.answer(cookie, nbd.EIO)


@failing('error that nobody knows')
def _(side, cookie):
    side.answer(cookie, 0xdeadbeef)
    side.sock.shutdown(socket.SHUT_WR)


@failing('wrong magic')
def _(side, cookie):
    side.answer(cookie, magic=0x11111111, data=bytes(512))


@failing('unknown cookie')
def _(side, cookie):
    side.answer(cookie + 1, data=bytes(512))
    side.sock.shutdown(socket.SHUT_WR)


@failing('closed before the reply')
def _(side, _cookie):
    side.sock.close()


@failing('closed in the middle of the data')
def _(side, cookie):
    side.answer(cookie, data=bytes(100))
    side.sock.close()


@failing('structured reply that nobody asked for')
def _(side, cookie):
    side.sock.sendall(struct.pack('>IHHQIQ', 0x668e33ef, 1, 1, cookie,
                                  8 + 512, 0) + bytes(512))
    side.sock.shutdown(socket.SHUT_WR)


run()
