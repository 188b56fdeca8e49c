#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# parallel-safe
"""Peers of a migration that say what no good peer says: the migration fails,
both sides say why, and the next one succeeds."""

import fcntl
import os
import select
import socket
import struct
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import migration_peer as mp
from migration import MIB, Side, Volume, noise, unix_uri
from migration_peer import (BLOCK, STRIPE, DestinationPeer, SourcePeer, data,
                            header, section, volume)
from sandbox import wait_for
from suite import run, slowness, test

SIZE = 4 * MIB


def path_of(uri):
    return uri.removeprefix('unix:')


# ---- Sources. ----

def set_up(peer):
    peer.set_up(size=SIZE)


def hand_over(peer, flags=0):
    """Up to the destination's word that it could serve."""
    set_up(peer)
    peer.send(section(mp.PASS_END, offset=1))
    peer.expect(mp.PASS_ACK)
    peer.send(section(mp.HAND_OVER, flags, offset=1))
    peer.expect(mp.READY)


def bad_after(step, *sections):
    def talk(peer):
        step(peer)
        peer.send(*sections)
    return talk


def nothing(_peer):
    pass


def flipped(message, at):
    """@message with one bit wrong."""
    return message[:at] + bytes([message[at] ^ 1]) + message[at + 1:]


BAD_SOURCES = [
    # In the setup.
    ('an unknown section', bad_after(nothing, section(77)),
     'Unknown section 77 in the migration stream'),
    ('what a destination says', bad_after(nothing, section(mp.ACCEPT)),
     "Section 'accept' of the migration stream is not for the source"),
    ('no section', bad_after(nothing, b'x' * mp.HEADER_SIZE),
     'No section of the migration stream begins with 0x78787878'),
    ('a flipped bit', bad_after(nothing, flipped(section(mp.GO), 30)),
     'Checksum mismatch in the header'),
    ('a flipped bit in a volume',
     bad_after(nothing, flipped(volume(0, 'd0', SIZE), mp.HEADER_SIZE)),
     "Section 'volume' of the migration stream (volume 0, offset 0, length "
     "0): checksum mismatch in its payload"),
    ('members that have no meaning',
     bad_after(nothing, section(mp.SETUP_END, offset=1)),
     'members that it does not use are not zero'),
    ('a gap between volumes', bad_after(nothing, volume(1, 'd0', SIZE)),
     'Volume 1 does not follow volume 0'),
    ('a volume twice',
     bad_after(nothing, volume(0, 'd0', SIZE), volume(1, 'd0', SIZE),
               section(mp.SETUP_END, length=2)),
     "Volume 'd0' is named twice"),
    ('fewer volumes than it says',
     bad_after(nothing, volume(0, 'd0', SIZE),
               section(mp.SETUP_END, length=2)),
     'The source names 1 volumes, but says 2'),
    ('a volume without a name',
     bad_after(nothing, section(mp.VOLUME, payload=bytes(16))),
     'payload of 16 bytes; allowed are 17 to 271'),
    ('a name that cannot be shown',
     bad_after(nothing, volume(0, 'd\x1b[2J', SIZE)),
     'is no UTF-8 without control characters'),
    ('a volume beyond all bounds',
     bad_after(nothing, volume(0, 'd0', (1 << 64) - 1)),
     'has 18446744073709551615 bytes'),
    ('content too early', bad_after(nothing, data(0, bytes(BLOCK))),
     'A data section is not expected here'),
    ('a role nobody offered', bad_after(nothing, section(mp.GO)),
     'A go section is not expected here'),
    # Content.
    ('content of no volume', bad_after(set_up, data(0, bytes(BLOCK), 1)),
     'there is no such volume among 1'),
    ('content beyond the end', bad_after(set_up, data(SIZE, bytes(BLOCK))),
     'the range ends beyond the volume of 4194304 bytes'),
    ('zeroes beyond the end',
     bad_after(set_up, section(mp.ZERO, length=SIZE + BLOCK)),
     'the range ends beyond the volume of 4194304 bytes'),
    ('half a block', bad_after(set_up, data(200, bytes(10))),
     'the range is not made of whole blocks of 16384 bytes'),
    ('content over two stripes',
     bad_after(set_up, data(STRIPE - BLOCK, bytes(2 * BLOCK))),
     'the range is not within one stripe'),
    ('a payload that never ends',
     bad_after(set_up, header(mp.DATA, length=BLOCK,
                              payload_size=0xffffffff)),
     'payload of 4294967295 bytes; allowed are 1 to 1048576'),
    ('compressed content that is none',
     bad_after(set_up, data(0, b'zstd', flags=mp.ZSTD, length=BLOCK)),
     'Compressed content is not one frame of zstd'),
    ('compressed content that says it is more',
     bad_after(set_up, data(0, mp.zstd_run(b'x', 64 * MIB), length=BLOCK,
                            flags=mp.ZSTD)),
     'Compressed content is not said to hold 16384 bytes'),
    ('compressed content that is more than it says',
     bad_after(set_up, data(0, mp.zstd_run(b'x', 64 * MIB, BLOCK),
                            length=BLOCK, flags=mp.ZSTD)),
     'Cannot decompress content'),
    ('compressed content that is less than it says',
     bad_after(set_up, data(0, mp.zstd_run(b'x', 100, BLOCK), length=BLOCK,
                            flags=mp.ZSTD)),
     'ompress'),
    # The hand-over.
    ('a pass that has not ended',
     bad_after(set_up, section(mp.HAND_OVER, offset=7)),
     'The hand-over names pass 7, which has not ended'),
    ('the role without a question', bad_after(set_up, section(mp.GO)),
     'A go section is not expected here'),
    ('something missing of no volume',
     bad_after(set_up, section(mp.MISSING, volume=3, length=BLOCK)),
     'there is no such volume among 1'),
    ('a hand-over that does not say that something is missing',
     bad_after(set_up, section(mp.MISSING, length=BLOCK),
               section(mp.PASS_END, offset=1),
               section(mp.HAND_OVER, offset=1)),
     'The hand-over is not one of postcopy, but content is missing'),
    ('half a block missing',
     bad_after(set_up, section(mp.MISSING, offset=1, length=BLOCK)),
     'the range is not made of whole blocks of 16384 bytes'),
    ('good-bye too early', bad_after(set_up, section(mp.BYE)),
     'A bye section is not expected here'),
    ('volumes once more', bad_after(set_up, volume(1, 'd1', SIZE)),
     'A volume section is not expected here'),
    ('an end that was not reached', bad_after(set_up, section(mp.PUSH_END)),
     'A push-end section is not expected here'),
]


def good_migration(path, content):
    """All of it, as a source should."""
    peer = SourcePeer(path, seconds=10.0 * slowness())
    peer.set_up(size=SIZE)
    for offset in range(0, SIZE, STRIPE):
        peer.send(data(offset, content[offset:offset + STRIPE]))
    peer.send(data(BLOCK, mp.zstd_run(b'z', BLOCK), flags=mp.ZSTD,
                   length=BLOCK))
    peer.send(section(mp.ZERO, offset=2 * BLOCK, length=BLOCK))
    peer.send(section(mp.PASS_END, offset=1))
    peer.expect(mp.PASS_ACK)
    peer.send(section(mp.HAND_OVER, offset=1))
    peer.expect(mp.READY)
    peer.send(section(mp.GO))
    peer.expect(mp.STARTED)
    peer.send(section(mp.BYE))
    peer.expect_closed()
    return content[:BLOCK] + b'z' * BLOCK + bytes(BLOCK) + content[3 * BLOCK:]


def check_bad_sources(box, driver):
    """One destination sees all of them, and a good one in the end."""
    uri = unix_uri(box)
    with Side(box, [Volume(size=SIZE, driver=driver)], uri) as side:
        for name, talk, text in BAD_SOURCES:
            peer = SourcePeer(path_of(uri), seconds=10.0 * slowness())
            talk(peer)
            said = peer.expect_error()
            assert text in said, f'{name}: {said}'
            error = side.await_status('failed').get('error-desc', '')
            assert text in error, f'{name}: {error}'
        assert not side.serves()
        content = good_migration(path_of(uri), noise(SIZE))
        side.await_status('completed')
        assert side.read() == content


@test('sources that say what they should not, to a node in memory', 60)
def _(box):
    check_bad_sources(box, 'ram')


@test('sources that say what they should not, to a node in a file', 60)
def _(box):
    check_bad_sources(box, 'file')


BAD_HELLOS = [
    (b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'.ljust(mp.HELLO_SIZE),
     'Not a migration stream of yankd: it does not begin with YANKDMIG'),
    (mp.hello(version=2), 'Version 2 of the migration stream'),
    (flipped(mp.hello(), 40), 'Checksum mismatch in the hello'),
    (mp.hello(flags=0x80), 'Unknown flags 0x80 in the hello'),
    (mp.hello(channels=256), '256 additional channels'),
    (mp.hello(flags=mp.RESUME), 'There is nothing to resume here'),
]


@test('hellos that are none are told so, and change nothing')
def _(box):
    uri = unix_uri(box)
    with Side(box, incoming=uri) as side:
        before = side.status()
        for hello, text in BAD_HELLOS:
            peer = _raw(path_of(uri))
            peer.send(hello)
            said = peer.expect_error()
            assert text in said, said
        silent = _raw(path_of(uri))
        for cut in (0, 1, mp.HELLO_SIZE - 1):
            peer = _raw(path_of(uri))
            peer.send(mp.hello()[:cut])
            peer.sock.shutdown(socket.SHUT_WR)
            peer.expect_closed()
        assert side.status() == before
        good_migration(path_of(uri), noise(SIZE))
        side.await_status('completed')
        silent.close()


def _raw(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return mp.Channel(sock, 10.0 * slowness())


@test('another process, while a migration is in progress, is sent away')
def _(box):
    uri = unix_uri(box)
    with Side(box, incoming=uri) as side:
        first = SourcePeer(path_of(uri), seconds=10.0 * slowness())
        first.set_up(size=SIZE)
        other = SourcePeer(path_of(uri), process=b'q' * 16,
                           session=b't' * 16, seconds=10.0 * slowness())
        said = other.expect_error()
        assert said == ('A migration from another process is in progress'), (
            said)
        first.send(section(mp.PASS_END, offset=1))
        first.expect(mp.PASS_ACK)
        first.close()
        side.await_status('failed')


def say_hello(path, channel, attempt, session, flags):
    peer = _raw(path)
    peer.send(mp.hello(channel, 2, flags, session=session, attempt=attempt))
    return peer


@test('channels of several attempts to resume do not mix')
def _(box):
    uri = unix_uri(box)
    with Side(box, incoming=uri) as side:
        first = SourcePeer(path_of(uri), seconds=10.0 * slowness())
        hand_over(first)
        first.close()
        side.await_status('postcopy-paused')

        def hello(channel, attempt):
            return say_hello(path_of(uri), channel, attempt, first.session,
                             mp.RESUME)
        # One is not whole when its source gives it up.
        hello(1, 1001).close()
        main, other = hello(0, 1002), hello(2, 1002)
        # Another may come late.
        late = hello(0, 1001)
        last = hello(1, 1002)
        main.expect(mp.READY)
        main.expect(mp.LACKS_END)
        assert 'connected anew' in hello(0, 1001).expect_error()
        hello(1, 1001).expect_closed()
        main.send(section(mp.GO))
        main.expect(mp.STARTED)
        main.send(section(mp.BYE))
        main.expect_closed()
        for channel in late, other, last:
            channel.close()
        side.await_status('completed')


@test('a source that is lost at any byte leaves the destination as it was',
      60)
def _(box):
    uri = unix_uri(box)
    stream = (volume(0, 'd0', SIZE) + section(mp.SETUP_END, length=1)
              + data(0, bytes(BLOCK)) + section(mp.PASS_END, offset=1))
    cuts = [1, mp.HEADER_SIZE - 1, mp.HEADER_SIZE, mp.HEADER_SIZE + 5,
            len(stream) - mp.HEADER_SIZE - BLOCK, len(stream) - BLOCK,
            len(stream) - 1, len(stream)]
    with Side(box, incoming=uri) as side:
        for cut in cuts:
            peer = SourcePeer(path_of(uri), seconds=10.0 * slowness())
            peer.send(stream[:cut])
            peer.sock.shutdown(socket.SHUT_WR)
            peer.expect_closed()
            side.await_status('failed')
        assert not side.serves()
        good_migration(path_of(uri), noise(SIZE))
        side.await_status('completed')


@test('a wrong section on a channel beside the main one is told on that')
def _(box):
    uri = unix_uri(box)
    with Side(box, incoming=uri) as side:
        for bad, text in ((section(mp.GO),
                           'A go section is not expected on channel 2'),
                          (section(78), 'Unknown section 78'),
                          (data(0, bytes(10)), 'whole blocks')):
            peer = SourcePeer(path_of(uri), channels=2,
                              seconds=10.0 * slowness())
            peer.set_up(size=SIZE)
            peer.others[1].send(bad)
            said = peer.expect_error()
            assert text in said, said
            side.await_status('failed')


def check_torn_content(box, driver):
    """What changed while it was sent is asked for again, and must come."""
    uri = unix_uri(box)
    torn = flipped(data(BLOCK, b't' * BLOCK), mp.HEADER_SIZE + 99)
    with Side(box, [Volume(size=SIZE, driver=driver)], uri) as side:
        peer = SourcePeer(path_of(uri), seconds=10.0 * slowness())
        set_up(peer)
        peer.send(torn, section(mp.PASS_END, offset=1))
        again = peer.expect(mp.AGAIN)
        assert (again.offset, again.length) == (BLOCK, BLOCK), again
        peer.expect(mp.PASS_ACK)
        peer.send(section(mp.HAND_OVER, offset=1))
        assert 'and did not come again' in peer.expect_error()
        side.await_status('failed')

        peer = SourcePeer(path_of(uri), seconds=10.0 * slowness())
        set_up(peer)
        peer.send(torn, data(BLOCK, b'w' * BLOCK))
        peer.expect(mp.AGAIN)
        peer.send(section(mp.PASS_END, offset=1))
        peer.expect(mp.PASS_ACK)
        peer.send(section(mp.HAND_OVER, offset=1))
        peer.expect(mp.READY)
        peer.send(section(mp.GO))
        peer.expect(mp.STARTED)
        side.await_status('completed')
        assert side.read(offset=BLOCK, length=BLOCK) == b'w' * BLOCK


@test('content that does not fit its checksum, to a node in memory')
def _(box):
    check_torn_content(box, 'ram')


@test('content that does not fit its checksum, to a node in a file')
def _(box):
    check_torn_content(box, 'file')


def unread(sock):
    """Bytes that the peer of a unix socket has not taken yet."""
    return struct.unpack('i', fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]


def check_late_content(box, driver):
    """Content that began before the hand-over keeps it waiting, and what
    begins after it goes nowhere."""
    uri = unix_uri(box)
    with Side(box, [Volume(size=SIZE, driver=driver)], uri) as side:
        peer = SourcePeer(path_of(uri), channels=1,
                          seconds=10.0 * slowness())
        peer.set_up(size=SIZE)
        late = data(0, b'x' * BLOCK)
        peer.others[0].send(section(mp.PASS_END, offset=1), late[:100])
        peer.expect(mp.PASS_ACK)
        wait_for('the beginning to be read',
                 lambda: not unread(peer.others[0].sock))
        peer.send(section(mp.HAND_OVER, offset=1))
        assert not select.select([peer.sock], [], [], 0.3)[0], 'not whole yet'
        peer.others[0].send(late[100:])
        peer.expect(mp.READY)
        peer.others[0].send(late)
        assert 'which lacks nothing' in peer.expect_error()
        side.await_status('postcopy-paused')


@test('content at the moment of the hand-over, to a node in memory')
def _(box):
    check_late_content(box, 'ram')


@test('content at the moment of the hand-over, to a node in a file')
def _(box):
    check_late_content(box, 'file')


@test('after the hand-over, what is not whole or not missing is no content')
def _(box):
    uri = unix_uri(box)
    with Side(box, incoming=uri) as side:
        peer = SourcePeer(path_of(uri), seconds=10.0 * slowness())
        peer.set_up(size=SIZE)
        peer.send(section(mp.ZERO, length=SIZE),
                  section(mp.PASS_END, offset=1))
        peer.expect(mp.PASS_ACK)
        peer.send(section(mp.MISSING, length=2 * BLOCK),
                  section(mp.HAND_OVER, mp.POSTCOPY, offset=1))
        peer.expect(mp.READY)
        peer.send(section(mp.GO))
        peer.expect(mp.STARTED)
        side.await_status('postcopy-active')
        mine = b'm' * 4096
        side.write(mine, offset=2 * BLOCK)
        peer.send(data(2 * BLOCK, b'o' * BLOCK),        # is not missing
                  data(200, b'x' * 10))
        said = peer.expect_error()
        assert 'whole blocks' in said, said
        side.await_status('postcopy-paused')
        assert side.read(offset=2 * BLOCK, length=BLOCK) == (
            mine + bytes(BLOCK - 4096))
        peer = SourcePeer(path_of(uri), flags=mp.RESUME, session=peer.session,
                          seconds=10.0 * slowness())
        peer.expect(mp.STARTED)
        lack = peer.expect(mp.LACKS)
        assert (lack.offset, lack.length) == (0, 2 * BLOCK), lack
        peer.expect(mp.LACKS_END)
        peer.send(data(0, b'c' * 2 * BLOCK))
        peer.expect(mp.COMPLETE)
        peer.send(section(mp.BYE))
        peer.expect_closed()
        side.await_status('completed')
        assert side.read(length=2 * BLOCK) == b'c' * 2 * BLOCK


@test('a source that never stops talking is hung up on')
def _(box):
    uri = unix_uri(box)
    with Side(box, incoming=uri) as side:
        peer = SourcePeer(path_of(uri), seconds=10.0 * slowness())
        peer.set_up(size=SIZE)
        peer.send(section(mp.GO))
        assert peer.receive().type == mp.ERROR
        try:
            while True:
                peer.send(bytes(4096))
        except (BrokenPipeError, ConnectionResetError):
            peer.close()
        side.await_status('failed')


@test('after a failure the volumes are the user\'s again')
def _(box):
    uri = unix_uri(box)
    with Side(box, incoming=uri) as side:
        peer = SourcePeer(path_of(uri), seconds=10.0 * slowness())
        peer.set_up(size=SIZE)
        peer.close()
        side.await_status('failed')
        side.cmd('block_resize', node_name='d0', size=2 * SIZE)
        peer = SourcePeer(path_of(uri), seconds=10.0 * slowness())
        peer.set_up(size=2 * SIZE)
        peer.close()
        side.await_status('failed')


@test('time stands still once the destination is complete')
def _(box):
    uri = unix_uri(box)
    with Side(box, incoming=uri) as side:
        good_migration(path_of(uri), noise(SIZE))
        total = side.await_status('completed')['total-time']
        time.sleep(0.05)
        assert side.info()['total-time'] == total


# ---- Destinations. ----

def accept(peer):
    peer.set_up()


def in_passes(peer):
    """When the first pass has ended; it is not confirmed."""
    peer.set_up()
    while True:
        got = peer.receive_until(mp.PASS_END)
        if got.offset == 1:
            return
        peer.send(section(mp.PASS_ACK, offset=got.offset))


BAD_DESTINATIONS = [
    ('a refusal', bad_after(nothing, section(mp.ERROR, payload=b'no')),
     'The destination says: no'),
    ('a refusal that cannot be shown',
     bad_after(nothing, section(mp.ERROR, payload=b'\x1b[2J\xff\n\0')),
     'The destination says: ?[2J\ufffd?\ufffd'),
    ('a refusal of nobody knows what',
     bad_after(nothing, section(mp.ERROR)), 'The destination says: '),
    ('a refusal without end',
     bad_after(nothing, header(mp.ERROR, payload_size=1025)),
     'payload of 1025 bytes; allowed are 0 to 1024'),
    ('an unknown section', bad_after(nothing, section(79)),
     'Unknown section 79 in the migration stream'),
    ('what a source says', bad_after(nothing, section(mp.GO)),
     "Section 'go' of the migration stream is not for the destination"),
    ('no section', bad_after(nothing, b'HTTP/1.1 400 Bad'.ljust(48)),
     'No section of the migration stream begins with 0x48545450'),
    ('a flipped bit', bad_after(nothing, flipped(section(mp.ACCEPT), 30)),
     'Checksum mismatch in the header'),
    ('service without the role', bad_after(accept, section(mp.STARTED)),
     'The destination serves without being told to'),
    ('a pass that has not begun',
     bad_after(accept, section(mp.PASS_ACK, offset=99)),
     'The destination confirms pass 99, which has not begun'),
    ('a question too early',
     bad_after(accept, section(mp.FETCH, length=BLOCK)),
     'The destination asks for content, but has not taken over'),
    ('a question for no volume',
     bad_after(accept, section(mp.FETCH, volume=5, length=BLOCK)),
     'there is no such volume among 1'),
    ('a question again, too late',
     bad_after(nothing, section(mp.AGAIN, length=BLOCK)),
     'which is not being copied'),
    ('a question beyond the end',
     bad_after(accept, section(mp.LACKS, offset=SIZE, length=BLOCK)),
     'the range ends beyond the volume of 4194304 bytes'),
    ('no disk any more',
     bad_after(in_passes, section(mp.ERROR, payload=b'No space left')),
     'The destination says: No space left'),
    ('a section cut off', lambda peer: (peer.send(section(mp.ACCEPT)[:20]),
                                        peer.sock.shutdown(socket.SHUT_WR)),
     ''),
    ('its end', lambda peer: peer.sock.shutdown(socket.SHUT_WR),
     'closed the connection'),
]


@test('destinations that say what they should not: the source serves on', 60)
def _(box):
    uri = unix_uri(box)
    listener = socket.socket(socket.AF_UNIX)
    with listener, Side(box) as source:
        listener.bind(path_of(uri))
        listener.listen(1)
        content = noise(SIZE)
        source.write(content)
        for name, talk, text in BAD_DESTINATIONS:
            source.cmd('migrate', uri=uri)
            peer = DestinationPeer(listener, 10.0 * slowness())
            talk(peer)
            error = source.wait_status('failed')['error-desc']
            assert text in error, f'{name}: {error}'
            peer.expect_closed()
            assert source.serves(), name
        listener.close()
        os.unlink(path_of(uri))
        with Side(box, incoming=uri) as destination:
            source.cmd('migrate', uri=uri)
            destination.await_status('completed')
            assert destination.read() == content


run()
