# SPDX-License-Identifier: GPL-2.0-or-later
"""What commands reply: shapes of results, texts of errors."""

from case import Case, summary

NULL = ('blockdev-add', {'driver': 'null-co', 'node-name': 'n0',
                         'size': 65536, 'read-zeroes': True})
RING = ('chardev-add', {'id': 'r0', 'backend': {
    'type': 'ringbuf', 'data': {'size': 8}}})


def unix(name):
    return {'type': 'unix', 'data': {'path': f'@DIR@/{name}'}}


def socket_chardev(name, path, **data):
    return ('chardev-add', {'id': name, 'backend': {
        'type': 'socket', 'data': {'addr': unix(path), **data}}})


LONG = 'x' * 4097
WHERE = 'yankd says where the value is'
SERVER = ('nbd-server-start', {'addr': unix('nbd.sock')})
EXPORT = ('block-export-add', {'type': 'nbd', 'id': 'e0',
                               'node-name': 'n0'})


def fill(value, folder):
    """@value with @folder put where it says @DIR@."""
    if isinstance(value, str):
        return value.replace('@DIR@', folder)
    if isinstance(value, list):
        return [fill(item, folder) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, folder) for key, item in value.items()}
    return value


def shape(value):
    """The names and types of what a command returned."""
    if isinstance(value, dict):
        return {key: shape(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def _case(name, requests, expect, stock=None, why=None, program='qsd',
          only_shape=False):
    """Runs @requests; sees the reply to the last.  Those before it must
    succeed."""
    def observe(target):
        folder = target.box.dir
        with target.qmp() as qmp:
            for command, *arguments in requests[:-1]:
                qmp.cmd(command, *fill(arguments, folder))
            command, *arguments = requests[-1]
            number = qmp.submit(command, *fill(arguments, folder))
            message = qmp.reply(number)
        del message['id']
        if only_shape and 'return' in message:
            message['return'] = shape(message['return'])
        return summary([message], hide=[(folder, '@DIR@'), (LONG, '@LONG@')])
    Case(f'{requests[-1][0]}: {name}', observe, expect, stock, why, program)


# Queries of the process

_case('reply', [('query-version',)],
      'ok {"package": "str", "qemu": {"major": "int", "micro": "int", '
      '"minor": "int"}}', only_shape=True)
_case('reply', [('query-name',)], 'ok', program='qemu')
_case('reply', [('query-commands',)], 'ok [{"name": "str"}]',
      only_shape=True)
_case('reply', [('query-block',)], 'ok []')
_case('reply', [('query-chardev-backends',)], 'ok [{"name": "str"}]',
      only_shape=True)

# Character devices

_case('reply', [('query-chardev',)],
      'ok [{"filename": "str", "frontend-open": "bool", "label": "str"}]',
      only_shape=True)
_case('null', [('chardev-add', {'id': 'c0', 'backend': {
    'type': 'null', 'data': {}}})], 'ok')
_case('ringbuf', [RING], 'ok')
_case('ringbuf of a size that is no power of two', [
    ('chardev-add', {'id': 'r0', 'backend': {
        'type': 'ringbuf', 'data': {'size': 7}}})],
      "GenericError: Failed to add chardev 'r0': size of ringbuf "
      'chardev must be power of two')
_case('file', [('chardev-add', {'id': 'f0', 'backend': {
    'type': 'file', 'data': {'out': '@DIR@/f0'}}})], 'ok')
_case('file in no folder', [('chardev-add', {'id': 'f0', 'backend': {
    'type': 'file', 'data': {'out': '@DIR@/none/f0'}}})],
      "GenericError: Failed to add chardev 'f0': Could not open "
      "'@DIR@/none/f0': No such file or directory")
_case('listening socket', [socket_chardev('c0', 'c0.sock', server=True,
                                          wait=False)], 'ok')
_case('socket without a peer', [socket_chardev('c0', 'c0.sock',
                                               server=False)],
      "GenericError: Failed to add chardev 'c0': Failed to connect to "
      "'@DIR@/c0.sock': No such file or directory")
_case('reconnect of a listening socket', [
    socket_chardev('c0', 'c0.sock', server=True, reconnect=1)],
      "GenericError: Failed to add chardev 'c0': 'reconnect' option is "
      'incompatible with socket in server listen mode')
_case('wait of a connecting socket', [
    socket_chardev('c0', 'c0.sock', server=False, wait=True)],
      "GenericError: Failed to add chardev 'c0': 'wait' option is "
      'incompatible with socket in client connect mode')
_case('unknown kind', [('chardev-add', {'id': 'c0', 'backend': {
    'type': 'nope', 'data': {}}})],
      "GenericError: Parameter 'backend.type' does not accept value 'nope'",
      stock="GenericError: Parameter 'type' does not accept value 'nope'",
      why=WHERE)
_case('id twice', [RING, RING],
      "GenericError: Chardev with id 'r0' already exists")
_case('malformed id', [('chardev-add', {'id': '0x', 'backend': {
    'type': 'null', 'data': {}}})],
      "GenericError: Failed to add chardev '0x': Parameter 'id' expects an "
      "identifier: letters, digits, '-', '.', '_', starting with a letter",
      stock='ok', why='stock refuses it on the command line only')
_case('of a ringbuf', [RING, ('chardev-change', {'id': 'r0', 'backend': {
    'type': 'null', 'data': {}}})], 'ok')
_case('unknown', [('chardev-change', {'id': 'no', 'backend': {
    'type': 'null', 'data': {}}})],
      "GenericError: Chardev 'no' does not exist")
_case('of a ringbuf', [RING, ('chardev-remove', {'id': 'r0'})], 'ok')
_case('unknown', [('chardev-remove', {'id': 'no'})],
      "GenericError: Chardev 'no' not found")
_case('in use by a monitor', [('chardev-remove', {'id': 'mon0'})],
      "GenericError: Chardev 'mon0' is busy")
_case('of a ringbuf', [RING, ('ringbuf-write', {'device': 'r0',
                                                'data': 'hello'})], 'ok')
_case('in base64', [RING, ('ringbuf-write', {
    'device': 'r0', 'data': 'aGVsbG8=', 'format': 'base64'})], 'ok')
_case('wrong base64', [RING, ('ringbuf-write', {
    'device': 'r0', 'data': '!', 'format': 'base64'})],
      'GenericError: Base64 data contains invalid characters')
_case('unknown device', [('ringbuf-write', {'device': 'no',
                                            'data': ''})],
      "GenericError: Device 'no' not found")
_case('not a ringbuf', [('ringbuf-write', {'device': 'mon0',
                                           'data': ''})],
      'GenericError: mon0 is not a ringbuf device')
_case('what was written', [
    RING, ('ringbuf-write', {'device': 'r0', 'data': 'hello'}),
    ('ringbuf-read', {'device': 'r0', 'size': 3})], 'ok "hel"')
_case('what was left of too much', [
    RING, ('ringbuf-write', {'device': 'r0', 'data': 'hello, world'}),
    ('ringbuf-read', {'device': 'r0', 'size': 100})], 'ok "o, world"')
_case('in base64', [
    RING, ('ringbuf-write', {'device': 'r0', 'data': 'hello'}),
    ('ringbuf-read', {'device': 'r0', 'size': 9, 'format': 'base64'})],
      'ok "aGVsbG8="')
_case('size 0', [RING, ('ringbuf-read', {'device': 'r0', 'size': 0})],
      'GenericError: size must be greater than zero')
_case('not a ringbuf', [('ringbuf-read', {'device': 'mon0',
                                          'size': 1})],
      'GenericError: mon0 is not a ringbuf device')
_case('unknown device', [('ringbuf-read', {'device': 'no', 'size': 1})],
      "GenericError: Device 'no' not found")

# Block nodes

_case('null', [NULL], 'ok')
_case('name twice', [NULL, NULL],
      "GenericError: Duplicate nodes with node-name='n0'")
_case('malformed name', [('blockdev-add', {'driver': 'null-co',
                                           'node-name': '0'})],
      "GenericError: Invalid node-name: '0'")
_case('without a name', [('blockdev-add', {'driver': 'null-co'})],
      "GenericError: 'node-name' must be specified for the root node")
_case('unknown driver', [('blockdev-add', {'driver': 'nope',
                                           'node-name': 'n0'})],
      "GenericError: Parameter 'driver' does not accept value 'nope'")
_case('without a driver', [('blockdev-add', {'node-name': 'n0'})],
      "GenericError: Parameter 'driver' is missing")
_case('option of another driver', [
    ('blockdev-add', {'driver': 'null-co', 'node-name': 'n0',
                      'filename': 'x'})],
      "GenericError: Parameter 'filename' is unexpected")
_case('option of the wrong type', [
    ('blockdev-add', {'driver': 'null-co', 'node-name': 'n0',
                      'size': 'x'})],
      "GenericError: Invalid parameter type for 'size', expected: integer")
_case('file that is not there', [
    ('blockdev-add', {'driver': 'file', 'node-name': 'n0',
                      'filename': '@DIR@/none'})],
      "GenericError: Could not open '@DIR@/none': No such file or directory")
_case('server that is not there', [
    ('blockdev-add', {'driver': 'nbd', 'node-name': 'n0',
                      'server': {'type': 'unix',
                                 'path': '@DIR@/none'}})],
      "GenericError: Failed to connect to '@DIR@/none': No such file or "
      'directory')
_case('server option missing', [
    ('blockdev-add', {'driver': 'nbd', 'node-name': 'n0',
                      'server': {'type': 'unix'}})],
      "GenericError: Parameter 'server.path' is missing")
_case('reference to nothing', [
    ('blockdev-add', {'driver': 'blkdebug', 'node-name': 'n0',
                      'image': 'none'})],
      "GenericError: Cannot find device='none' nor node-name='none'")
_case('reply', [NULL, ('blockdev-del', {'node-name': 'n0'})], 'ok')
_case('unknown', [('blockdev-del', {'node-name': 'no'})],
      "GenericError: Failed to find node with node-name='no'")
_case('used by another', [
    NULL, ('blockdev-add', {'driver': 'blkdebug', 'node-name': 'd0',
                            'image': 'n0'}),
    ('blockdev-del', {'node-name': 'n0'})],
      'GenericError: Block device n0 is in use')
_case('used by an export', [NULL, SERVER, EXPORT,
                            ('blockdev-del', {'node-name': 'n0'})],
      'GenericError: Node n0 is in use')
_case('null cannot', [NULL, ('block_resize', {'node-name': 'n0',
                                              'size': 512})],
      'GenericError: Image format driver does not support resize')
_case('unknown', [('block_resize', {'node-name': 'no', 'size': 512})],
      "GenericError: Cannot find device='' nor node-name='no'")
_case('negative', [NULL, ('block_resize', {'node-name': 'n0',
                                           'size': -1})],
      "GenericError: Parameter 'size' expects a >0 size")
_case('neither device nor node', [('block_resize', {'size': 512})],
      "GenericError: Cannot find device='' nor node-name=''")
_case('reply', [NULL, ('query-named-block-nodes',)],
      'ok [{"backing_file_depth": "int", "bps": "int", "bps_rd": "int", '
      '"bps_wr": "int", "cache": {"direct": "bool", "no-flush": "bool", '
      '"writeback": "bool"}, "detect_zeroes": "str", "drv": "str", '
      '"encrypted": "bool", "file": "str", "image": {"actual-size": "int", '
      '"filename": "str", "format": "str", "virtual-size": "int"}, "iops": '
      '"int", "iops_rd": "int", "iops_wr": "int", "node-name": "str", "ro": '
      '"bool", "write_threshold": "int"}]', only_shape=True)
_case('flat', [NULL, ('query-named-block-nodes', {'flat': True})],
      'ok [{"backing_file_depth": "int", "bps": "int", "bps_rd": "int", '
      '"bps_wr": "int", "cache": {"direct": "bool", "no-flush": "bool", '
      '"writeback": "bool"}, "detect_zeroes": "str", "drv": "str", '
      '"encrypted": "bool", "file": "str", "image": {"actual-size": "int", '
      '"filename": "str", "format": "str", "virtual-size": "int"}, "iops": '
      '"int", "iops_rd": "int", "iops_wr": "int", "node-name": "str", "ro": '
      '"bool", "write_threshold": "int"}]',
      only_shape=True)
_case('nodes', [NULL, ('query-blockstats', {'query-nodes': True})],
      'ok [{"node-name": "str", "stats": {"account_failed": "bool", '
      '"account_invalid": "bool", "failed_flush_operations": "int", '
      '"failed_rd_operations": "int", "failed_unmap_operations": "int", '
      '"failed_wr_operations": "int", "flush_operations": "int", '
      '"flush_total_time_ns": "int", "invalid_flush_operations": "int", '
      '"invalid_rd_operations": "int", "invalid_unmap_operations": "int", '
      '"invalid_wr_operations": "int", "rd_bytes": "int", "rd_merged": '
      '"int", "rd_operations": "int", "rd_total_time_ns": "int", '
      '"timed_stats": [], "unmap_bytes": "int", "unmap_merged": "int", '
      '"unmap_operations": "int", "unmap_total_time_ns": "int", "wr_bytes": '
      '"int", "wr_highest_offset": "int", "wr_merged": "int", '
      '"wr_operations": "int", "wr_total_time_ns": "int"}}]',
      only_shape=True)
_case('devices', [NULL, ('query-blockstats',)], 'ok []')

# Exports

_case('reply', [SERVER], 'ok')
_case('twice', [SERVER, SERVER],
      'GenericError: NBD server already running')
_case('in no folder', [('nbd-server-start', {'addr': unix('no/s')})],
      'GenericError: Failed to bind socket to @DIR@/no/s: No such file or '
      'directory')
_case('unknown kind', [('nbd-server-start', {
    'addr': {'type': 'nope', 'data': {}}})],
      "GenericError: Parameter 'addr.type' does not accept value 'nope'",
      stock="GenericError: Parameter 'type' does not accept value 'nope'",
      why=WHERE)
_case('reply', [SERVER, ('nbd-server-stop',)], 'ok')
_case('not running', [('nbd-server-stop',)],
      'GenericError: NBD server not running')
_case('reply', [NULL, SERVER, EXPORT], 'ok')
_case('no server', [NULL, EXPORT], 'GenericError: NBD server not running')
_case('unknown node', [SERVER, EXPORT],
      "GenericError: Cannot find device='' nor node-name='n0'")
_case('id twice', [NULL, SERVER, EXPORT, EXPORT],
      "GenericError: Block export id 'e0' is already in use")
_case('name twice', [NULL, SERVER, EXPORT, (
    'block-export-add', {'type': 'nbd', 'id': 'e1', 'node-name': 'n0'})],
    "GenericError: NBD server already has export named 'n0'")
_case('malformed id', [NULL, SERVER, (
    'block-export-add', {'type': 'nbd', 'id': '0', 'node-name': 'n0'})],
    'GenericError: Invalid block export id')
_case('unknown kind', [NULL, SERVER, (
    'block-export-add', {'type': 'nope', 'id': 'e', 'node-name': 'n0'})],
    "GenericError: Parameter 'type' does not accept value 'nope'")
_case('unknown iothread', [NULL, SERVER, (
    'block-export-add', {'type': 'nbd', 'id': 'e', 'node-name': 'n0',
                         'iothread': 'no'})],
      'GenericError: iothread "no" not found')
_case('writable on a read-only node', [
    ('blockdev-add', {'driver': 'null-co', 'node-name': 'n0',
                      'read-only': True}), SERVER, (
        'block-export-add', {'type': 'nbd', 'id': 'e', 'node-name': 'n0',
                             'writable': True})],
      'GenericError: Cannot export read-only node as writable')
_case('name of 4,097 bytes', [NULL, SERVER, (
    'block-export-add', {'type': 'nbd', 'id': 'e', 'node-name': 'n0',
                         'name': LONG})],
      "GenericError: export name '@LONG@' too long")
_case('reply', [NULL, SERVER, EXPORT,
                ('block-export-del', {'id': 'e0'})], 'ok')
_case('unknown', [('block-export-del', {'id': 'no'})],
      "GenericError: Export 'no' is not found")
_case('reply', [NULL, SERVER, EXPORT, ('query-block-exports',)],
      'ok [{"id": "e0", "node-name": "n0", "shutting-down": false, '
      '"type": "nbd"}]')
_case('none', [('query-block-exports',)], 'ok []')

# Objects

IOTHREAD = ('object-add', {'qom-type': 'iothread', 'id': 'io0'})
_case('iothread', [IOTHREAD], 'ok')
_case('secret', [('object-add', {'qom-type': 'secret', 'id': 's0',
                                 'data': 'abc'})], 'ok')
_case('secret without data', [('object-add', {'qom-type': 'secret',
                                              'id': 's0'})],
      "GenericError: Either 'file' or 'data' must be provided")
_case('secret with wrong base64', [
    ('object-add', {'qom-type': 'secret', 'id': 's0', 'data': '!',
                    'format': 'base64'})],
      'GenericError: Base64 data contains invalid characters')
_case('id twice', [IOTHREAD, IOTHREAD],
      "GenericError: attempt to add duplicate property 'io0' to object (type "
      "'container')")
_case('malformed id', [('object-add', {'qom-type': 'iothread',
                                       'id': '0'})],
      "GenericError: Parameter 'id' expects an identifier")
_case('unknown kind', [('object-add', {'qom-type': 'nope', 'id': 'x'})],
      "GenericError: Parameter 'qom-type' does not accept value 'nope'")
_case('reply', [IOTHREAD, ('object-del', {'id': 'io0'})], 'ok')
_case('unknown', [('object-del', {'id': 'no'})],
      "GenericError: object 'no' not found")
_case('in use', [IOTHREAD, NULL, SERVER, (
    'block-export-add', {'type': 'nbd', 'id': 'e0', 'node-name': 'n0',
                         'iothread': 'io0'}),
    ('object-del', {'id': 'io0'})],
      "GenericError: object 'io0' is in use, can not be deleted",
      stock='ok', why='stock lets the name go, the thread lives on')

# Yank

_case('nothing there', [('query-yank',)], 'ok []',
      stock='ok [{"id": "mon0", "type": "chardev"}, '
      '{"id": "mon1", "type": "chardev"}]',
      why='a monitor of yankd is no yank instance', program='qemu')
_case('empty list', [('yank', {'instances': []})], 'ok {"yanked": []}',
      stock='ok', why='yankd tells what it cut', program='qemu')
_case('unknown', [('yank', {'instances': [
    {'type': 'chardev', 'id': 'no'}]})],
    'DeviceNotFound: Instance not found: chardev:no',
    stock='DeviceNotFound: Instance not found',
    why='yankd names the instance', program='qemu')
_case('string form', [('yank', {'instances': ['chardev:no']})],
      'DeviceNotFound: Instance not found: chardev:no',
      stock="GenericError: Invalid parameter type for 'instances[0]', "
      'expected: object',
      why='yankd also takes the names of the first proposal',
      program='qemu')
_case('string form of no kind', [('yank', {'instances': ['nope:x']})],
      'DeviceNotFound: Instance not found: nope:x', program=None)
_case('no list', [('yank', {'instances': 1})],
      "GenericError: Invalid parameter type for 'instances', expected: "
      'array', program='qemu')
_case('list missing', [('yank', {})],
      "GenericError: Parameter 'instances' is missing", program='qemu')
_case('unknown kind', [('yank', {'instances': [{'type': 'nope'}]})],
      "GenericError: Parameter 'instances[0].type' does not accept value "
      "'nope'",
      stock="GenericError: Parameter 'type' does not accept value 'nope'",
      why=WHERE, program='qemu')
_case('id missing', [('yank', {'instances': [{'type': 'chardev'}]})],
      "GenericError: Parameter 'instances[0].id' is missing",
      program='qemu')
_case('member too many', [('yank', {'instances': [
    {'type': 'chardev', 'id': 'a', 'x': 1}]})],
      "GenericError: Parameter 'instances[0].x' is unexpected", program='qemu')
