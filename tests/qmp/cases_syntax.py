# SPDX-License-Identifier: GPL-2.0-or-later
"""What is no JSON, what is no request, and what only looks odd."""

from case import Case, summary

_SECOND = b'{"execute":"query-name","id":"end"}'


def _send(data):
    """Sends @data and a good request after it; sees all that comes before
    the reply to that, so that every case also shows the recovery."""
    def observe(target):
        with target.qmp() as qmp:
            qmp.send_raw(data + b'\n' + _SECOND)
            seen = []
            while True:
                message = qmp.next()
                if message.get('id') == 'end':
                    return summary(seen)
                seen.append(message)
    return observe


def _request(members):
    return b'{"execute":"query-name",' + members + b'}'


def _case(name, data, expect, stock=None, why=None):
    Case(name, _send(data), expect, stock, why)


# No JSON

_case('unknown keyword', b'foo', 'syntax error')
_case('closing brace too many', b'{"execute":"query-name"}}',
      'ok; syntax error')
_case('lone closing brace', b'}', 'syntax error')
_case('lone closing bracket', b']', 'syntax error')
_case('lone comma', b',', 'syntax error')
_case('lone colon', b':', 'syntax error')
_case('trailing comma', b'{"execute":"query-name",}', 'syntax error')
_case('missing colon', b'{"execute" "query-name"}', 'syntax error')
_case('missing comma', b'{"execute":"query-name" "id":1}', 'syntax error')
_case('key that is no string', b'{1:2}', 'syntax error')
_case('duplicate key', _request(b'"id":1,"id":2'), 'syntax error')
_case('comment', b'// comment', 'syntax error')
_case('printf conversion', _request(b'"id":%d'), 'syntax error')
_case('number with a leading zero', _request(b'"id":01'), 'syntax error')
_case('number that ends with a point', _request(b'"id":1.'),
      'syntax error')
_case('number beyond a double', _request(b'"id":1e400'), 'syntax error',
      stock='invalid JSON',
      why='stock echoes "inf", which no client can parse')
_case('unknown escape', _request(rb'"id":"a\qb"'), 'syntax error')
_case('half a surrogate pair', _request(rb'"id":"\ud834"'),
      'syntax error')
_case('invalid UTF-8', _request(b'"id":"\xc3"'), 'syntax error')
_case('overlong UTF-8', _request(b'"id":"\xf0\x80\x80\x80"'),
      'syntax error')
_case('tab in a string', _request(b'"id":"a\tb"'), 'syntax error')
_case('newline in a string', _request(b'"id":"a\nb"'), 'syntax error')
_case('nesting of 1,025', b'[' * 1025 + b']' * 1025, 'syntax error')

# Unfinished, and how to recover

_case('recovery by 0xFF', b'{"execute":"query-name"\xff', 'syntax error')
_case('recovery by a control character', b'{"execute":\x01',
      'syntax error')
_case('recovery inside a string', b'{"execute":"que\x1b', 'syntax error')
_case('lone 0xFF', b'\xff', 'syntax error')

# JSON, but no request

_case('array', b'[1,2]', 'GenericError: QMP input must be a JSON object')
_case('string', b'"s"', 'GenericError: QMP input must be a JSON object')
_case('number', b'1', 'GenericError: QMP input must be a JSON object')
_case('null', b'null', 'GenericError: QMP input must be a JSON object')
_case('true', b'true', 'GenericError: QMP input must be a JSON object')
_case('nesting of 1,024', b'[' * 1024 + b']' * 1024,
      'GenericError: QMP input must be a JSON object')
_case('empty object', b'{}',
      "GenericError: QMP input lacks member 'execute'")
_case('command that is no string', b'{"execute":1}',
      "GenericError: QMP input member 'execute' must be a string")
_case('unknown member', _request(b'"foo":1'),
      "GenericError: QMP input member 'foo' is unexpected")
_case('arguments that are an array', _request(b'"arguments":[]'),
      "GenericError: QMP input member 'arguments' must be an object")
_case('arguments that are null', _request(b'"arguments":null'),
      "GenericError: QMP input member 'arguments' must be an object")
_case('both kinds of execute', _request(b'"exec-oob":"query-yank"'),
      "GenericError: QMP input member 'execute' clashes with 'exec-oob'")
_case('unknown command', b'{"execute":"nope","id":7}',
      'CommandNotFound: The command nope has not been found id=7')
_case('unknown argument', _request(b'"arguments":{"a":1},"id":7'),
      "GenericError: Parameter 'a' is unexpected id=7")

# Odd, but good

_case('white space', b'  \t\r\n ', 'nothing')
_case('single quotes', b"{'execute':'query-name','id':'x\"y'}",
      'ok id="x\\"y"')
_case('two requests without a separator',
      _request(b'"id":1') + _request(b'"id":2'), 'ok id=1; ok id=2')
_case('id that is null', _request(b'"id":null'), 'ok id=null')
_case('id that is an object', _request(b'"id":{"a":[1,2.5,"x",{}]}'),
      'ok id={"a": [1, 2.5, "x", {}]}')
_case('id that is the largest integer',
      _request(b'"id":18446744073709551615'), 'ok id=18446744073709551615')
_case('id that is the smallest integer',
      _request(b'"id":-9223372036854775808'), 'ok id=-9223372036854775808')
_case('id with escapes', _request(rb'"id":"\u00e9\ud834\udd1e\n\/"'),
      'ok id="\\u00e9\\ud834\\udd1e\\n/"')
_case('id in UTF-8', _request('"id":"é𝄞"'.encode()),
      'ok id="\\u00e9\\ud834\\udd1e"')
