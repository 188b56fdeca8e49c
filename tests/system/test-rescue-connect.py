#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hangs of blockdev-add, in every phase of the way to an export."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import nbd
from daemon import Daemon
from peers import Blackhole, Listener, NbdServerSide
from qmp import QmpError
from rescue import Rescuer, node
from suite import run, test


def add(qmp, listener, **more):
    return qmp.submit('blockdev-add', {
        'driver': 'nbd', 'node-name': 'n0', 'server': listener.address(),
        **more})


def rescue_from(box, listener, steps, phase, **more):
    """blockdev-add to a peer that does @steps and then nothing."""
    with Daemon(box) as daemon, Rescuer(daemon) as rescuer:
        with daemon.qmp() as qmp:
            number = add(qmp, listener, **more)
            steps(listener)
            rescuer.see_hang()
            status = rescuer.status('blockdev:n0')
            assert status['phase'] == phase, status
            rescuer.yank(node('n0'))
            try:
                qmp.result(number)
                raise AssertionError('blockdev-add succeeded')
            except QmpError as error:
                print(f'# {error}')
            # Nothing is left of it: the name can be used again.
            assert qmp.cmd('query-yank') == []
            assert qmp.cmd('query-named-block-nodes') == []
            qmp.cmd('blockdev-add', {'driver': 'null-co',
                                     'node-name': 'n0'})


def nothing(_listener):
    pass


def silent(listener):
    listener.accept()


def half_greeting(listener):
    listener.accept().sendall(nbd.MAGIC_GREETING)


def no_options(listener):
    NbdServerSide(listener.accept()).greet()


def no_reply(listener):
    side = NbdServerSide(listener.accept())
    side.greet()
    side.until_go()


def half_reply(listener):
    side = NbdServerSide(listener.accept())
    side.greet()
    option, _ = side.until_go()
    side.reply(option, nbd.REP_INFO, b'', length=12)


def no_ack(listener):
    side = NbdServerSide(listener.accept())
    side.greet()
    side.info(side.until_go()[0])


for step in (nothing, silent, half_greeting, no_options, no_reply,
             half_reply, no_ack):
    def unix(box, step=step):
        rescue_from(box, Listener(box), step, 'handshake')
    test(f'unix socket: {step.__name__.replace("_", " ")}')(unix)

    def tcp(box, step=step):
        rescue_from(box, Listener(box, port=0), step, 'handshake')
    test(f'TCP: {step.__name__.replace("_", " ")}')(tcp)


@test('TCP: connect neither succeeds nor fails')
def _(box):
    rescue_from(box, Blackhole(box), nothing, 'connect')


@test('TCP by name: connect neither succeeds nor fails')
def _(box):
    hole = Blackhole(box)
    address = hole.address()
    hole.address = lambda: dict(address, host='localhost', ipv6=False)
    rescue_from(box, hole, nothing, 'connect')


@test('open-timeout: a yank ends the tries')
def _(box):
    class Nobody:
        @staticmethod
        def address():
            return {'type': 'unix', 'path': box.path('nobody.sock')}
    with Daemon(box) as daemon, Rescuer(daemon) as rescuer:
        with daemon.qmp() as qmp:
            number = add(qmp, Nobody, **{'open-timeout': 60})
            rescuer.see_hang()
            rescuer.yank(node('n0'))
            assert 'error' in qmp.reply(number)


@test('open-timeout: it ends by itself')
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        number = qmp.submit('blockdev-add', {
            'driver': 'nbd', 'node-name': 'n0', 'open-timeout': 1,
            'server': {'type': 'unix', 'path': box.path('nobody.sock')}})
        assert qmp.is_silent(0.5), 'it did not try again'
        assert 'error' in qmp.reply(number, 5)


@test('open-timeout: the server comes late')
def _(box):
    with Daemon(box) as daemon, daemon.qmp() as qmp:
        number = qmp.submit('blockdev-add', {
            'driver': 'nbd', 'node-name': 'n0', 'open-timeout': 20,
            'server': {'type': 'unix', 'path': box.path('late.sock')}})
        assert qmp.is_silent(0.3)
        peer = Listener(box, 'late').accept(10)
        NbdServerSide(peer).serve()
        assert qmp.result(number) == {}
        peer.close()


run()
