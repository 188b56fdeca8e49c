# SPDX-License-Identifier: GPL-2.0-or-later
"""Greeting, negotiation, and sessions beside each other."""

import json
import socket

from case import case, summary, words
from qmp import QmpClosed
from target import NEVER

_UNREADY = ("CommandNotFound: Expecting capabilities negotiation with "
            "'qmp_capabilities'")


@case('greeting', 'QMP: capabilities ["oob"], package, qemu: major, micro, '
      'minor')
def _(target):
    with target.daemon.connect() as qmp:
        greeting = qmp.greet()
    body = greeting['QMP']
    assert list(greeting) == ['QMP'] and len(body) == 2, greeting
    version = body['version']
    assert all(isinstance(n, int) for n in version['qemu'].values())
    return (f"QMP: capabilities {json.dumps(body['capabilities'])}, "
            f"{', '.join(sorted(version))}: "
            f"{', '.join(sorted(version['qemu']))}")


@case('lines end with CRLF and are ASCII', 'yes')
def _(target):
    with target.qmp() as qmp:
        qmp.send_raw('{"execute":"query-name","id":"é"}')
        line = b''
        qmp.sock.setblocking(True)
        while not line.endswith(b'\n'):
            line += qmp.sock.recv(4096)
    assert line.isascii() and b'\\u00e9' in line.lower(), line
    return 'yes' if line.endswith(b'}\r\n') else repr(line[-4:])


@case('command before negotiation', _UNREADY + ' id=1')
def _(target):
    with target.connect() as qmp:
        qmp.submit('query-name')
        return summary([qmp.next()])


@case('out-of-band command before negotiation',
      "GenericError: QMP input member 'exec-oob' is unexpected id=1",
      )
def _(target):
    with target.connect() as qmp:
        qmp.submit('query-yank', oob=True)
        return summary([qmp.next()])


@case('unknown capability',
      "GenericError: Parameter 'enable[0]' does not accept value 'foo' id=1; "
      'ok id=2',
      stock="GenericError: Parameter 'null' does not accept value 'foo' "
      'id=1; ok id=2',
      why='yankd names the element of the list')
def _(target):
    with target.connect() as qmp:
        qmp.submit('qmp_capabilities', {'enable': ['foo']})
        first = qmp.next()
        qmp.submit('qmp_capabilities', {'enable': ['oob']})
        return summary([first, qmp.next()])


@case('negotiation with a wrong argument',
      "GenericError: Parameter 'enabel' is unexpected id=1; ok id=2")
def _(target):
    with target.connect() as qmp:
        qmp.submit('qmp_capabilities', {'enabel': []})
        first = qmp.next()
        qmp.submit('qmp_capabilities')
        return summary([first, qmp.next()])


@case('second negotiation',
      'CommandNotFound: Capabilities negotiation is already complete, '
      'command ignored id=2')
def _(target):
    with target.qmp() as qmp:
        qmp.submit('qmp_capabilities')
        return summary([qmp.next()])


@case('negotiation in one write with the first command',
      'ok id=1; ok id=2')
def _(target):
    with target.connect() as qmp:
        qmp.send_raw('{"execute":"qmp_capabilities","id":1}'
                     '{"execute":"query-name","id":2}')
        return summary([qmp.next(), qmp.next()])


@case('out-of-band command without the capability',
      "GenericError: QMP input member 'exec-oob' is unexpected id=2")
def _(target):
    with target.qmp(oob=False) as qmp:
        qmp.submit('query-yank', oob=True)
        return summary([qmp.next()])


@case('first spelling of out-of-band', 'ok',
      stock="GenericError: QMP input member 'control' is unexpected",
      why='yankd also takes the spelling of the first proposal')
def _(target):
    with target.qmp() as qmp:
        qmp.send({'execute': 'yank', 'control': {'run-oob': True},
                  'arguments': {'instances': []}})
        message = qmp.next()
        if 'return' in message:
            # Ours says what was yanked, even if it is nothing.
            return 'ok'
        return words(message)


@case('a new session has to negotiate', _UNREADY + ' id=1')
def _(target):
    target.qmp().close()
    with target.connect() as qmp:
        qmp.submit('query-name')
        return summary([qmp.next()])


def _greeted(qmp):
    try:
        qmp.greet(seconds=NEVER)
        return True
    except TimeoutError:
        return False


@case('ten clients of one socket', '10 greeted', stock='1 greeted',
      why='yankd serves any number of clients on a monitor socket')
def _(target):
    # Stock's queue of connections is short, and full with the second.
    number = 2 if target.is_stock else 10
    clients = [target.daemon.connect() for _ in range(number)]
    count = sum(_greeted(qmp) for qmp in clients)
    if count == 10:
        for qmp in clients:
            qmp.negotiate()
        for qmp in clients:
            qmp.submit('query-name')
        assert [words(qmp.next()) for qmp in clients] == ['ok id=2'] * 10
    for qmp in clients:
        qmp.close()
    return f'{count} greeted'


# What stock does depends on which of its threads is faster: at times it
# answers, at times it does not.
@case('client that sends no more', 'gets its answers', program=None)
def _(target):
    with target.qmp() as qmp:
        qmp.submit('query-name')
        qmp.sock.shutdown(socket.SHUT_WR)
        try:
            answer = 'return' in qmp.next()
            qmp.wait_closed()
        except QmpClosed:
            answer = False
    return 'gets its answers' if answer else 'gets none'
