# SPDX-License-Identifier: GPL-2.0-or-later
"""Out-of-band commands while the main loop hangs."""

import json

from case import case, summary, words
from target import NEVER

_HUNG = 'no answer until the hang ends'


def _oob_answer(target, qmp, command='query-yank'):
    """Whether an out-of-band command is answered now."""
    reply = target.answered(qmp, qmp.submit(command, oob=True))
    return 'answered' if reply and 'return' in reply else _HUNG


@case('in-band command during a hang', _HUNG)
def _(target):
    with target.qmp() as qmp:
        hang = target.hang(qmp)
        number = qmp.submit('query-name')
        silent = qmp.is_silent(0.3)
        hang.release()
        qmp.result(number)
    return _HUNG if silent else 'answered'


@case('out-of-band command overtakes', 'ok id=oob; then the others in order')
def _(target):
    with target.qmp() as qmp:
        hang = target.hang(qmp)
        first = qmp.submit('query-name')
        second = qmp.submit('query-version')
        qmp.send({'exec-oob': 'yank', 'id': 'oob',
                  'arguments': {'instances': []}})
        overtaker = qmp.next()['id']
        hang.release()
        assert qmp.next()['id'] == first and qmp.next()['id'] == second
    return f'ok id={overtaker}; then the others in order'


def _queued(count, expect, stock=None, why=None):
    @case(f'out-of-band with {count:,} in-band queued', expect, stock, why)
    def _(target):
        with target.qmp() as qmp:
            hang = target.hang(qmp)
            batch = '\n'.join(json.dumps({'execute': 'query-name', 'id': n})
                              for n in range(-count, 0))
            try:
                qmp.send_raw(batch, NEVER * 2)
            except TimeoutError:
                hang.release()
                return _HUNG    # It does not even take the requests.
            answer = _oob_answer(target, qmp)
            hang.release()
            for number in range(-count, 0):
                qmp.result(number)
        return answer


_STARVES = 'stock stops reading when eight requests wait'
_queued(1, 'answered')
_queued(6, 'answered')
_queued(9, 'answered', _HUNG, _STARVES)
_queued(100, 'answered', _HUNG, _STARVES)
_queued(1000, 'answered', _HUNG, _STARVES)


@case('malformed in-band request during a hang', 'fails in its turn')
def _(target):
    with target.qmp() as qmp:
        hang = target.hang(qmp)
        first = qmp.submit('query-name')
        qmp.send_raw('{"execute":1,"id":"a"}{"execute":"nope","id":"b"}'
                     'junk\n')
        last = qmp.submit('query-name')
        silent = qmp.is_silent(0.3)
        hang.release()
        order = [qmp.next().get('id') for _ in range(5)]
        assert order == [first, 'a', 'b', None, last], order
    return 'fails in its turn' if silent else 'fails at once'


@case('unknown out-of-band command during a hang',
      'CommandNotFound: The command nope has not been found id=1')
def _(target):
    with target.qmp() as qmp:
        hang = target.hang(qmp)
        qmp.send({'exec-oob': 'nope', 'id': 1})
        message = qmp.next()
        hang.release()
    return words(message)


@case('in-band command sent out-of-band',
      'GenericError: The command query-version does not support OOB id=2')
def _(target):
    with target.qmp() as qmp:
        qmp.submit('query-version', oob=True)
        return summary([qmp.next()])


@case('client that connects during a hang',
      'greeted; negotiates; out-of-band answered',
      stock='greeted; waits for the main loop',
      why='greeting and negotiation of yankd need the monitor thread only')
def _(target):
    with target.qmp(0) as qmp:
        hang = target.hang(qmp)
        with target.connect(1) as late:
            number = late.submit('qmp_capabilities', {'enable': ['oob']})
            if target.answered(late, number) is None:
                seen = 'waits for the main loop'
            else:
                seen = f'negotiates; out-of-band {_oob_answer(target, late)}'
            hang.release()
    return f'greeted; {seen}'


@case('one socket, a second client during a hang', 'out-of-band answered',
      stock='no greeting',
      why='yankd serves any number of clients on a monitor socket')
def _(target):
    with target.qmp() as qmp:
        hang = target.hang(qmp)
        with target.daemon.connect() as late:
            try:
                late.greet(NEVER)
                late.negotiate()
                seen = f'out-of-band {_oob_answer(target, late)}'
            except TimeoutError:
                seen = 'no greeting'
            hang.release()
    return seen


@case('queue beyond 1,024', '1024 answered; 76 dropped, with error and event',
      program=None)
def _(target):
    with target.qmp() as qmp:
        hang = target.hang(qmp)
        numbers = [qmp.submit('query-name') for _ in range(1100)]
        qmp.oob('query-yank')
        dropped = [m for m in qmp.pending() if 'error' in m]
        told = [e['data'] for e in qmp.events
                if e['event'] == 'COMMAND_DROPPED']
        assert [m['id'] for m in dropped] == [d['id'] for d in told]
        assert {d['command'] for d in told} == {'query-name'}
        assert [m['id'] for m in dropped] == numbers[-len(dropped):]
        hang.release()
        kept = numbers[:-len(dropped)]
        for number in kept:
            qmp.result(number)
    return f'{len(kept)} answered; {len(dropped)} dropped, ' \
           'with error and event'


@case('queue beyond 4 MiB', '3 answered; 2 dropped', program=None)
def _(target):
    with target.qmp() as qmp:
        hang = target.hang(qmp)
        # A string that is echoed back costs the queue its length.
        ids = [f'{n}' + 'x' * (5 << 18) for n in range(5)]
        for text in ids:
            qmp.send({'execute': 'query-name', 'id': text})
        qmp.oob('query-yank')
        dropped = [m['id'] for m in qmp.pending() if 'error' in m]
        hang.release()
        kept = [text for text in ids if text not in dropped]
        for text in kept:
            assert 'return' in qmp.reply(text)
    return f'{len(kept)} answered; {len(dropped)} dropped'


@case('commands dropped of one session', 'the other session is not told',
      program=None)
def _(target):
    with target.qmp(0) as qmp, target.qmp(1) as other:
        hang = target.hang(qmp)
        for _ in range(1100):
            qmp.submit('query-name')
        qmp.event('COMMAND_DROPPED')
        number = other.submit('query-name')
        other.oob('query-yank')
        told = [e for e in other.events if e['event'] == 'COMMAND_DROPPED']
        hang.release()
        other.result(number)
    return f'the other session is {"" if told else "not "}told'


@case('in-band queue of two sessions', 'served in turn', program=None)
def _(target):
    with target.qmp(0) as one, target.qmp(1) as two:
        hang = target.hang(one)
        # The node added last tells how many of the others were there.
        for n in range(20):
            one.submit('blockdev-add', {'driver': 'null-co',
                                        'node-name': f'n{n}'})
        one.oob('query-yank')
        number = two.submit('query-named-block-nodes')
        two.oob('query-yank')
        hang.release()
        nodes = {node['node-name'] for node in two.result(number)}
        before = sum(f'n{n}' in nodes for n in range(20))
    return 'served in turn' if before <= 1 else f'{before} came first'


@case('yank of the own monitor', 'DeviceNotFound', stock='no answer',
      why='a monitor of yankd is no yank instance')
def _(target):
    with target.qmp() as qmp:
        qmp.submit('yank', {'instances': [{'type': 'chardev',
                                           'id': 'mon0'}]}, oob=True)
        try:
            return qmp.next()['error']['class']
        except (EOFError, OSError):
            return 'no answer'


@case('what waits is told', 'blockdev-add runs, 3 queued', program=None)
def _(target):
    with target.qmp() as qmp:
        hang = target.hang(qmp)
        for _ in range(3):
            qmp.submit('query-name')
        info = qmp.oob('query-dispatch')
        hang.release()
        mine = info['sessions'][0]
        assert mine['running']['running-ms'] < 60000, info
    return f"{mine['running']['command']} runs, {mine['queued']} queued"


@case('events of a stalled main loop', 'stalled, resumed', program=None)
def _(target):
    with target.qmp() as qmp, target.qmp(1) as other:
        hang = target.hang(qmp)
        stalled = other.event('MAIN_LOOP_STALLED', 10)['data']
        assert stalled['running']['command'] == 'blockdev-add', stalled
        assert stalled['running']['running-ms'] >= 900, stalled
        dispatch = other.oob('query-dispatch')
        assert dispatch['main-loop-stalled-ms'] >= 900, dispatch
        hang.release()
        resumed = other.event('MAIN_LOOP_RESUMED', 10)['data']
        assert resumed['stalled-ms'] >= 900, resumed
        dispatch = json.dumps(other.oob('query-dispatch'))
        assert 'main-loop-stalled-ms' not in dispatch, dispatch
    return 'stalled, resumed'
