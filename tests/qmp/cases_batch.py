# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests in any number of writes, and writes of any number of requests."""

import json
import time

from case import case
from suite import slowness


def _requests(count):
    return [json.dumps({'execute': 'query-name', 'id': n})
            for n in range(count)]


def _ids(qmp, count):
    return [qmp.next().get('id') for _ in range(count)]


@case('500 requests in one write', 'all answered, in order')
def _(target):
    with target.qmp() as qmp:
        qmp.send_raw('\n'.join(_requests(500)))
        assert _ids(qmp, 500) == list(range(500))
    return 'all answered, in order'


@case('500 requests in one write without out-of-band',
      'all answered, in order')
def _(target):
    with target.qmp(oob=False) as qmp:
        qmp.send_raw('\n'.join(_requests(500)))
        assert _ids(qmp, 500) == list(range(500))
    return 'all answered, in order'


@case('one request, a write for every byte', 'ok')
def _(target):
    with target.qmp() as qmp:
        for byte in _requests(1)[0].encode():
            qmp.send_raw(bytes([byte]))
            time.sleep(0.001)   # so that they are reads of their own
        assert _ids(qmp, 1) == [0]
    return 'ok'


@case('one request in two writes, split at every byte', 'ok')
def _(target):
    with target.qmp() as qmp:
        data = '{"execute":"query-name","id":"é\\u00e9\\"\'"}'.encode()
        for split in range(1, len(data)):
            qmp.send_raw(data[:split])
            assert not qmp.pending(0.001)
            qmp.send_raw(data[split:])
            assert _ids(qmp, 1) == ['éé"\'']
    return 'ok'


@case('good and bad requests in one write', 'answered in order')
def _(target):
    with target.qmp() as qmp:
        qmp.send_raw(_requests(1)[0] + '{"execute":1,"id":"bad"}' +
                     '{"execute":"nope","id":"none"}' + 'junk\n' +
                     '{"execute":"query-name","id":9}')
        assert _ids(qmp, 5) == [0, 'bad', 'none', None, 9]
    return 'answered in order'


@case('request of 1 MiB', 'answered within a second',
      stock='answered later', why='stock takes 3 to 4 s for a MiB')
def _(target):
    with target.qmp() as qmp:
        blob = 'x' * (1 << 20)
        begin = time.monotonic()
        qmp.send({'execute': 'query-name', 'id': blob})
        assert qmp.next(30)['id'] == blob
        soon = time.monotonic() - begin < slowness()
    return 'answered within a second' if soon else 'answered later'
