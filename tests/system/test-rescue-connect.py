#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hangs of blockdev-add, in every phase of the way to an export."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import nbd
from daemon import Daemon
from fuse_folder import Folder
from peers import Blackhole, Listener, NbdServerSide, SilentResolver
from qmp import QmpError
from rescue import Rescuer, chardev, node
from sandbox import wait_for
from suite import Skip, run, test


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
            # Who asks for what is stalled must find it.
            assert status['in-flight'] == 1, status
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


def resolver(box):
    try:
        return SilentResolver(box)
    except (OSError, RuntimeError) as error:
        raise Skip(f'no resolver of our own: {error}') from None


@test('name resolution gets no answer: blockdev-add')
def _(box):
    dns = resolver(box)
    with Daemon(box, wrapper=dns.wrapper) as daemon:
        with Rescuer(daemon) as rescuer, daemon.qmp() as qmp:
            number = qmp.submit('blockdev-add', {
                'driver': 'nbd', 'node-name': 'n0', 'server': {
                    'type': 'inet', 'host': 'nbd.example.org',
                    'port': '10809'}})
            dns.wait_asked()
            rescuer.see_hang()
            status = rescuer.status('blockdev:n0')
            assert status['phase'] == 'resolve', status
            rescuer.yank(node('n0'))
            assert 'error' in qmp.reply(number)
            assert qmp.cmd('query-yank') == []


@test('name resolution gets no answer: chardev-add')
def _(box):
    dns = resolver(box)
    with Daemon(box, wrapper=dns.wrapper) as daemon:
        with Rescuer(daemon) as rescuer, daemon.qmp() as qmp:
            number = qmp.submit('chardev-add', {'id': 'c0', 'backend': {
                'type': 'socket', 'data': {'server': False, 'addr': {
                    'type': 'inet', 'data': {'host': 'c.example.org',
                                             'port': '7'}}}}})
            dns.wait_asked()
            rescuer.see_hang()
            rescuer.yank(chardev('c0'))
            assert 'error' in qmp.reply(number)
            assert qmp.cmd('query-yank') == []


@test('name resolution gets no answer: chardev-add that listens')
def _(box):
    dns = resolver(box)
    with Daemon(box, wrapper=dns.wrapper) as daemon:
        with Rescuer(daemon) as rescuer, daemon.qmp() as qmp:
            before = daemon.fds()
            number = qmp.submit('chardev-add', {'id': 'c0', 'backend': {
                'type': 'socket', 'data': {'server': True, 'wait': False,
                                           'addr': {
                    'type': 'inet', 'data': {'host': 'c.example.org',
                                             'port': '7'}}}}})
            dns.wait_asked()
            rescuer.see_hang()
            status = rescuer.status('chardev:c0')
            assert status['phase'] == 'resolve', status
            assert status['in-flight'] == 1, status
            cut = rescuer.yank(chardev('c0'))['cut']
            assert cut == ['name resolution for c.example.org:7'], cut
            error = qmp.reply(number)['error']
            assert error['desc'].endswith(
                'address resolution was cancelled for c.example.org:7'), error
            assert qmp.cmd('query-yank') == []
            # The thread that resolves the name still holds two descriptors.
            assert daemon.fds() - before <= 2, daemon.fds()


@test('name resolution gets no answer: nbd-server-start', seconds=60)
def _(box):
    dns = resolver(box)
    with Daemon(box, wrapper=dns.wrapper) as daemon:
        with Rescuer(daemon) as rescuer, daemon.qmp(seconds=60) as qmp:
            before = daemon.fds()
            number = qmp.submit('nbd-server-start', {'addr': {
                'type': 'inet', 'data': {'host': 'n.example.org',
                                         'port': '7'}}})
            dns.wait_asked()
            rescuer.see_hang()
            # There is no instance to yank: the command ends by itself.
            error = qmp.reply(number)['error']
            assert error['desc'] == (
                "Cannot listen at 'n.example.org:7' within 5 s"), error
            # The thread that resolves the name still holds two descriptors.
            assert daemon.fds() - before <= 2, daemon.fds()


@test('to listen on a dead file system', seconds=90)
def _(box):
    folder = Folder(box)
    with Daemon(box) as daemon:
        with Rescuer(daemon) as rescuer, daemon.qmp(seconds=90) as qmp:
            def nbd_server(name):
                return qmp.submit('nbd-server-start', {'addr': {
                    'type': 'unix', 'data': {'path': folder.file(name)}}})

            assert 'return' in qmp.reply(nbd_server('a'))
            folder.freeze()
            number = qmp.submit('chardev-add', {'id': 'c0', 'backend': {
                'type': 'socket', 'data': {'wait': False, 'addr': {
                    'type': 'unix', 'data': {'path': folder.file('c')}}}}})
            rescuer.see_hang()
            rescuer.yank(chardev('c0'))
            assert 'error' in qmp.reply(number)
            # Waits that no yank can end have a time limit.
            qmp.cmd('nbd-server-stop')
            error = qmp.reply(nbd_server('b'))['error']
            assert error['desc'] == (
                f"Cannot listen at 'unix:{folder.file('b')}' within 5 s"), error
            calls = {call['what']
                     for call in rescuer.helper.oob('query-abandoned-calls')}
            assert calls == {f"removing the socket '{folder.file('a')}'",
                             f"listening at 'unix:{folder.file('b')}'",
                             f"listening at 'unix:{folder.file('c')}'"}, calls
            folder.thaw()
            wait_for('the calls', lambda: not rescuer.helper.oob(
                'query-abandoned-calls'))
            assert os.listdir(folder.path) == []


@test('name resolution gets no answer: the process ends all the same')
def _(box):
    dns = resolver(box)
    with Daemon(box, wrapper=dns.wrapper) as daemon, daemon.qmp() as qmp:
        qmp.submit('blockdev-add', {
            'driver': 'nbd', 'node-name': 'n0', 'server': {
                'type': 'inet', 'host': 'nbd.example.org',
                'port': '10809'}})
        dns.wait_asked()
        qmp.oob('yank', {'instances': [node('n0')]})
        # The name is still being asked for, by nobody.
        daemon.process.terminate()
        assert daemon.process.wait(5) == 0


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
