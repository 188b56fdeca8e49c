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


def command_case(name, requests, expect, stock=None, why=None, program='qsd',
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

command_case('reply', [('query-version',)],
      'ok {"package": "str", "qemu": {"major": "int", "micro": "int", '
      '"minor": "int"}}', only_shape=True)
command_case('reply', [('query-name',)], 'ok', program='qemu')
command_case('reply', [('query-commands',)], 'ok [{"name": "str"}]',
      only_shape=True)
command_case('reply', [('query-block',)], 'ok []')
command_case('reply', [('query-chardev-backends',)], 'ok [{"name": "str"}]',
      only_shape=True)

# Character devices

command_case('reply', [('query-chardev',)],
      'ok [{"filename": "str", "frontend-open": "bool", "label": "str"}]',
      only_shape=True)
command_case('null', [('chardev-add', {'id': 'c0', 'backend': {
    'type': 'null', 'data': {}}})], 'ok')
command_case('ringbuf', [RING], 'ok')
command_case('ringbuf of a size that is no power of two', [
    ('chardev-add', {'id': 'r0', 'backend': {
        'type': 'ringbuf', 'data': {'size': 7}}})],
      "GenericError: Failed to add chardev 'r0': size of ringbuf "
      'chardev must be power of two')
command_case('file', [('chardev-add', {'id': 'f0', 'backend': {
    'type': 'file', 'data': {'out': '@DIR@/f0'}}})], 'ok')
command_case('file in no folder', [('chardev-add', {'id': 'f0', 'backend': {
    'type': 'file', 'data': {'out': '@DIR@/none/f0'}}})],
      "GenericError: Failed to add chardev 'f0': Could not open "
      "'@DIR@/none/f0': No such file or directory")
command_case('listening socket', [socket_chardev('c0', 'c0.sock', server=True,
                                          wait=False)], 'ok')
command_case('socket without a peer', [socket_chardev('c0', 'c0.sock',
                                               server=False)],
      "GenericError: Failed to add chardev 'c0': Failed to connect to "
      "'@DIR@/c0.sock': No such file or directory")
command_case('reconnect of a listening socket', [
    socket_chardev('c0', 'c0.sock', server=True, reconnect=1)],
      "GenericError: Failed to add chardev 'c0': 'reconnect' option is "
      'incompatible with socket in server listen mode')
command_case('wait of a connecting socket', [
    socket_chardev('c0', 'c0.sock', server=False, wait=True)],
      "GenericError: Failed to add chardev 'c0': 'wait' option is "
      'incompatible with socket in client connect mode')
command_case('unknown kind', [('chardev-add', {'id': 'c0', 'backend': {
    'type': 'nope', 'data': {}}})],
      "GenericError: Parameter 'backend.type' does not accept value 'nope'",
      stock="GenericError: Parameter 'type' does not accept value 'nope'",
      why=WHERE)
command_case('id twice', [RING, RING],
      "GenericError: Chardev with id 'r0' already exists")
command_case('malformed id', [('chardev-add', {'id': '0x', 'backend': {
    'type': 'null', 'data': {}}})],
      "GenericError: Failed to add chardev '0x': Parameter 'id' expects an "
      "identifier: letters, digits, '-', '.', '_', starting with a letter",
      stock='ok', why='stock refuses it on the command line only')
command_case('of a ringbuf', [RING, ('chardev-change', {'id': 'r0', 'backend': {
    'type': 'null', 'data': {}}})], 'ok')
command_case('unknown', [('chardev-change', {'id': 'no', 'backend': {
    'type': 'null', 'data': {}}})],
      "GenericError: Chardev 'no' does not exist")
command_case('of a ringbuf', [RING, ('chardev-remove', {'id': 'r0'})], 'ok')
command_case('unknown', [('chardev-remove', {'id': 'no'})],
      "GenericError: Chardev 'no' not found")
command_case('in use by a monitor', [('chardev-remove', {'id': 'mon0'})],
      "GenericError: Chardev 'mon0' is busy")
command_case('of a ringbuf', [RING, ('ringbuf-write', {'device': 'r0',
                                                'data': 'hello'})], 'ok')
command_case('in base64', [RING, ('ringbuf-write', {
    'device': 'r0', 'data': 'aGVsbG8=', 'format': 'base64'})], 'ok')
command_case('wrong base64', [RING, ('ringbuf-write', {
    'device': 'r0', 'data': '!', 'format': 'base64'})],
      'GenericError: Base64 data contains invalid characters')
command_case('unknown device', [('ringbuf-write', {'device': 'no',
                                            'data': ''})],
      "GenericError: Device 'no' not found")
command_case('not a ringbuf', [('ringbuf-write', {'device': 'mon0',
                                           'data': ''})],
      'GenericError: mon0 is not a ringbuf device')
command_case('what was written', [
    RING, ('ringbuf-write', {'device': 'r0', 'data': 'hello'}),
    ('ringbuf-read', {'device': 'r0', 'size': 3})], 'ok "hel"')
command_case('what was left of too much', [
    RING, ('ringbuf-write', {'device': 'r0', 'data': 'hello, world'}),
    ('ringbuf-read', {'device': 'r0', 'size': 100})], 'ok "o, world"')
command_case('in base64', [
    RING, ('ringbuf-write', {'device': 'r0', 'data': 'hello'}),
    ('ringbuf-read', {'device': 'r0', 'size': 9, 'format': 'base64'})],
      'ok "aGVsbG8="')
command_case('size 0', [RING, ('ringbuf-read', {'device': 'r0', 'size': 0})],
      'GenericError: size must be greater than zero')
command_case('not a ringbuf', [('ringbuf-read', {'device': 'mon0',
                                          'size': 1})],
      'GenericError: mon0 is not a ringbuf device')
command_case('unknown device', [('ringbuf-read', {'device': 'no', 'size': 1})],
      "GenericError: Device 'no' not found")

# Block nodes

command_case('null', [NULL], 'ok')
command_case('name twice', [NULL, NULL],
      "GenericError: Duplicate nodes with node-name='n0'")
command_case('name of the node above', [
    ('blockdev-add', {'driver': 'blkdebug', 'node-name': 'n0',
                      'image': {'driver': 'null-co', 'node-name': 'n0'}})],
      "GenericError: Duplicate nodes with node-name='n0'")
command_case('malformed name', [('blockdev-add', {'driver': 'null-co',
                                           'node-name': '0'})],
      "GenericError: Invalid node-name: '0'")
command_case('without a name', [('blockdev-add', {'driver': 'null-co'})],
      "GenericError: 'node-name' must be specified for the root node")
command_case('unknown driver', [('blockdev-add', {'driver': 'nope',
                                           'node-name': 'n0'})],
      "GenericError: Parameter 'driver' does not accept value 'nope'")
command_case('without a driver', [('blockdev-add', {'node-name': 'n0'})],
      "GenericError: Parameter 'driver' is missing")
command_case('option of another driver', [
    ('blockdev-add', {'driver': 'null-co', 'node-name': 'n0',
                      'filename': 'x'})],
      "GenericError: Parameter 'filename' is unexpected")
command_case('option of the wrong type', [
    ('blockdev-add', {'driver': 'null-co', 'node-name': 'n0',
                      'size': 'x'})],
      "GenericError: Invalid parameter type for 'size', expected: integer")
command_case('file that is not there', [
    ('blockdev-add', {'driver': 'file', 'node-name': 'n0',
                      'filename': '@DIR@/none'})],
      "GenericError: Could not open '@DIR@/none': No such file or directory")
command_case('server that is not there', [
    ('blockdev-add', {'driver': 'nbd', 'node-name': 'n0',
                      'server': {'type': 'unix',
                                 'path': '@DIR@/none'}})],
      "GenericError: Failed to connect to '@DIR@/none': No such file or "
      'directory')
command_case('server option missing', [
    ('blockdev-add', {'driver': 'nbd', 'node-name': 'n0',
                      'server': {'type': 'unix'}})],
      "GenericError: Parameter 'server.path' is missing")
command_case('reference to nothing', [
    ('blockdev-add', {'driver': 'blkdebug', 'node-name': 'n0',
                      'image': 'none'})],
      "GenericError: Cannot find device='none' nor node-name='none'")
command_case('reply', [NULL, ('blockdev-del', {'node-name': 'n0'})], 'ok')
command_case('unknown', [('blockdev-del', {'node-name': 'no'})],
      "GenericError: Failed to find node with node-name='no'")
command_case('used by another', [
    NULL, ('blockdev-add', {'driver': 'blkdebug', 'node-name': 'd0',
                            'image': 'n0'}),
    ('blockdev-del', {'node-name': 'n0'})],
      'GenericError: Block device n0 is in use')
command_case('used by an export', [NULL, SERVER, EXPORT,
                            ('blockdev-del', {'node-name': 'n0'})],
      'GenericError: Node n0 is in use')
command_case('null cannot', [NULL, ('block_resize', {'node-name': 'n0',
                                              'size': 512})],
      'GenericError: Image format driver does not support resize')
command_case('unknown', [('block_resize', {'node-name': 'no', 'size': 512})],
      "GenericError: Cannot find device='' nor node-name='no'")
command_case('negative', [NULL, ('block_resize', {'node-name': 'n0',
                                           'size': -1})],
      "GenericError: Parameter 'size' expects a >0 size")
command_case('neither device nor node', [('block_resize', {'size': 512})],
      "GenericError: Cannot find device='' nor node-name=''")
command_case('reply', [NULL, ('query-named-block-nodes',)],
      'ok [{"backing_file_depth": "int", "bps": "int", "bps_rd": "int", '
      '"bps_wr": "int", "cache": {"direct": "bool", "no-flush": "bool", '
      '"writeback": "bool"}, "detect_zeroes": "str", "drv": "str", '
      '"encrypted": "bool", "file": "str", "image": {"actual-size": "int", '
      '"filename": "str", "format": "str", "virtual-size": "int"}, "iops": '
      '"int", "iops_rd": "int", "iops_wr": "int", "node-name": "str", "ro": '
      '"bool", "write_threshold": "int"}]', only_shape=True)
command_case('flat', [NULL, ('query-named-block-nodes', {'flat': True})],
      'ok [{"backing_file_depth": "int", "bps": "int", "bps_rd": "int", '
      '"bps_wr": "int", "cache": {"direct": "bool", "no-flush": "bool", '
      '"writeback": "bool"}, "detect_zeroes": "str", "drv": "str", '
      '"encrypted": "bool", "file": "str", "image": {"actual-size": "int", '
      '"filename": "str", "format": "str", "virtual-size": "int"}, "iops": '
      '"int", "iops_rd": "int", "iops_wr": "int", "node-name": "str", "ro": '
      '"bool", "write_threshold": "int"}]',
      only_shape=True)
command_case('nodes', [NULL, ('query-blockstats', {'query-nodes': True})],
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
command_case('devices', [NULL, ('query-blockstats',)], 'ok []')

# Exports

command_case('reply', [SERVER], 'ok')
command_case('twice', [SERVER, SERVER],
      'GenericError: NBD server already running')
command_case('in no folder', [('nbd-server-start', {'addr': unix('no/s')})],
      'GenericError: Failed to bind socket to @DIR@/no/s: No such file or '
      'directory')
command_case('unknown kind', [('nbd-server-start', {
    'addr': {'type': 'nope', 'data': {}}})],
      "GenericError: Parameter 'addr.type' does not accept value 'nope'",
      stock="GenericError: Parameter 'type' does not accept value 'nope'",
      why=WHERE)
command_case('reply', [SERVER, ('nbd-server-stop',)], 'ok')
command_case('not running', [('nbd-server-stop',)],
      'GenericError: NBD server not running')
command_case('reply', [NULL, SERVER, EXPORT], 'ok')
command_case('no server', [NULL, EXPORT], 'GenericError: NBD server not running')
command_case('unknown node', [SERVER, EXPORT],
      "GenericError: Cannot find device='' nor node-name='n0'")
command_case('id twice', [NULL, SERVER, EXPORT, EXPORT],
      "GenericError: Block export id 'e0' is already in use")
command_case('name twice', [NULL, SERVER, EXPORT, (
    'block-export-add', {'type': 'nbd', 'id': 'e1', 'node-name': 'n0'})],
    "GenericError: NBD server already has export named 'n0'")
command_case('malformed id', [NULL, SERVER, (
    'block-export-add', {'type': 'nbd', 'id': '0', 'node-name': 'n0'})],
    'GenericError: Invalid block export id')
command_case('unknown kind', [NULL, SERVER, (
    'block-export-add', {'type': 'nope', 'id': 'e', 'node-name': 'n0'})],
    "GenericError: Parameter 'type' does not accept value 'nope'")
command_case('unknown iothread', [NULL, SERVER, (
    'block-export-add', {'type': 'nbd', 'id': 'e', 'node-name': 'n0',
                         'iothread': 'no'})],
      'GenericError: iothread "no" not found')
command_case('writable on a read-only node', [
    ('blockdev-add', {'driver': 'null-co', 'node-name': 'n0',
                      'read-only': True}), SERVER, (
        'block-export-add', {'type': 'nbd', 'id': 'e', 'node-name': 'n0',
                             'writable': True})],
      'GenericError: Cannot export read-only node as writable')
command_case('name of 4,097 bytes', [NULL, SERVER, (
    'block-export-add', {'type': 'nbd', 'id': 'e', 'node-name': 'n0',
                         'name': LONG})],
      "GenericError: export name '@LONG@' too long")
command_case('reply', [NULL, SERVER, EXPORT,
                ('block-export-del', {'id': 'e0'})], 'ok')
command_case('unknown', [('block-export-del', {'id': 'no'})],
      "GenericError: Export 'no' is not found")
command_case('reply', [NULL, SERVER, EXPORT, ('query-block-exports',)],
      'ok [{"id": "e0", "node-name": "n0", "shutting-down": false, '
      '"type": "nbd"}]')
command_case('none', [('query-block-exports',)], 'ok []')

# Objects

IOTHREAD = ('object-add', {'qom-type': 'iothread', 'id': 'io0'})
command_case('iothread', [IOTHREAD], 'ok')
command_case('secret', [('object-add', {'qom-type': 'secret', 'id': 's0',
                                 'data': 'abc'})], 'ok')
command_case('secret without data', [('object-add', {'qom-type': 'secret',
                                              'id': 's0'})],
      "GenericError: Either 'file' or 'data' must be provided")
command_case('secret with wrong base64', [
    ('object-add', {'qom-type': 'secret', 'id': 's0', 'data': '!',
                    'format': 'base64'})],
      'GenericError: Base64 data contains invalid characters')
command_case('id twice', [IOTHREAD, IOTHREAD],
      "GenericError: attempt to add duplicate property 'io0' to object (type "
      "'container')")
command_case('malformed id', [('object-add', {'qom-type': 'iothread',
                                       'id': '0'})],
      "GenericError: Parameter 'id' expects an identifier")
command_case('unknown kind', [('object-add', {'qom-type': 'nope', 'id': 'x'})],
      "GenericError: Parameter 'qom-type' does not accept value 'nope'")
command_case('reply', [IOTHREAD, ('object-del', {'id': 'io0'})], 'ok')
command_case('unknown', [('object-del', {'id': 'no'})],
      "GenericError: object 'no' not found")
command_case('in use', [IOTHREAD, NULL, SERVER, (
    'block-export-add', {'type': 'nbd', 'id': 'e0', 'node-name': 'n0',
                         'iothread': 'io0'}),
    ('object-del', {'id': 'io0'})],
      "GenericError: object 'io0' is in use, can not be deleted",
      stock='ok', why='stock lets the name go, the thread lives on')

# Yank

command_case('nothing there', [('query-yank',)], 'ok []',
      stock='ok [{"id": "mon0", "type": "chardev"}, '
      '{"id": "mon1", "type": "chardev"}]',
      why='a monitor of yankd is no yank instance', program='qemu')
command_case('empty list', [('yank', {'instances': []})], 'ok {"yanked": []}',
      stock='ok', why='yankd tells what it cut', program='qemu')
command_case('unknown', [('yank', {'instances': [
    {'type': 'chardev', 'id': 'no'}]})],
    'DeviceNotFound: Instance not found: chardev:no',
    stock='DeviceNotFound: Instance not found',
    why='yankd names the instance', program='qemu')
command_case('string form', [('yank', {'instances': ['chardev:no']})],
      'DeviceNotFound: Instance not found: chardev:no',
      stock="GenericError: Invalid parameter type for 'instances[0]', "
      'expected: object',
      why='yankd also takes the names of the first proposal',
      program='qemu')
command_case('string form of no kind', [('yank', {'instances': ['nope:x']})],
      'DeviceNotFound: Instance not found: nope:x', program=None)
command_case('no list', [('yank', {'instances': 1})],
      "GenericError: Invalid parameter type for 'instances', expected: "
      'array', program='qemu')
command_case('list missing', [('yank', {})],
      "GenericError: Parameter 'instances' is missing", program='qemu')
command_case('unknown kind', [('yank', {'instances': [{'type': 'nope'}]})],
      "GenericError: Parameter 'instances[0].type' does not accept value "
      "'nope'",
      stock="GenericError: Parameter 'type' does not accept value 'nope'",
      why=WHERE, program='qemu')
command_case('id missing', [('yank', {'instances': [{'type': 'chardev'}]})],
      "GenericError: Parameter 'instances[0].id' is missing",
      program='qemu')
command_case('member too many', [('yank', {'instances': [
    {'type': 'chardev', 'id': 'a', 'x': 1}]})],
      "GenericError: Parameter 'instances[0].x' is unexpected", program='qemu')
