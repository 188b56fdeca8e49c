# SPDX-License-Identifier: GPL-2.0-or-later
"""Migration: what its commands reply where there is nothing to migrate."""

import functools

from cases_commands import WHERE, command_case

case = functools.partial(command_case, program='qemu')

NO_PROTOCOL = ("GenericError: Parameter 'uri' expects a valid migration "
               'protocol')


def generic(text):
    return f'GenericError: {text}'


# Commands, and what they miss.

for name, arguments, text in (
        ('query-migrate', {}, None),
        ('migrate_cancel', {}, None),
        ('migrate-pause', {}, 'migrate-pause is currently only supported '
         'during postcopy-active state'),
        ('migrate-start-postcopy', {}, 'Enable postcopy with '
         'migrate_set_capability before the start of migration'),
        ('migrate-continue', {'state': 'pre-switchover'},
         'Migration not in expected state: none'),
        ('migrate-recover', {'uri': 'tcp:127.0.0.1:0'},
         'Migrate recover can only be run when postcopy is paused.'),
        ('migrate-incoming', {'uri': 'tcp:127.0.0.1:0'},
         "'-incoming' was not specified on the command line"),
        ('migrate', {'uri': 'tcp:127.0.0.1:1', 'resume': True},
         'Cannot resume if there is no paused migration')):
    case('no migration', [(name, arguments)], generic(text) if text else 'ok')

case('no migration', [('yank', {'instances': [{'type': 'migration'}]})],
     'DeviceNotFound: Instance not found: migration',
     stock='DeviceNotFound: Instance not found',
     why='yankd names the instance')

# URIs.

for uri, text in (
        ('', None),
        ('tcp', None),
        ('nonsense:1', None),
        ('tcp:', "error parsing address ''"),
        ('tcp:x', "error parsing address 'x'"),
        ('tcp::', "error parsing port in address ':'"),
        ('unix:', 'invalid Unix socket address'),
        ('fd:', "File descriptor named '' has not been found"),
        ('fd:none', "File descriptor named 'none' has not been found")):
    case(f'"{uri}" is no URI', [('migrate', {'uri': uri})],
         generic(text) if text else NO_PROTOCOL)

case('unknown option of an address',
     [('migrate', {'uri': 'tcp:127.0.0.1:1,colour=blue'})],
     generic("unknown option 'colour' of an address; allowed are to, ipv4, "
             'ipv6 and keep-alive'),
     stock='ok', why='stock ignores what it does not know')

# Capabilities and parameters.

case('some', [('migrate-set-capabilities', {'capabilities': [
    {'capability': 'multifd', 'state': True},
    {'capability': 'return-path', 'state': True}]})], 'ok')
case('unknown', [('migrate-set-capabilities', {'capabilities': [
    {'capability': 'colour', 'state': True}]})],
     generic("Parameter 'capabilities[0].capability' does not accept value "
             "'colour'"),
     stock=generic("Parameter 'capability' does not accept value 'colour'"),
     why=WHERE)

case('all that there are', [('migrate-set-parameters', {
    'max-bandwidth': 1000, 'downtime-limit': 20, 'multifd-channels': 4,
    'multifd-compression': 'zstd', 'tls-creds': 't', 'tls-hostname': 'h',
    'max-postcopy-bandwidth': 5})], 'ok')
case('unset', [('migrate-set-parameters', {'tls-creds': ''})], 'ok')
for name, value, text in (
        ('downtime-limit', 2000001, "Parameter 'downtime_limit' expects an "
         'integer in the range of 0 to (2000 * 1000) ms'),
        ('multifd-channels', 0, "Parameter 'multifd_channels' expects a "
         'value between 1 and 255'),
        ('multifd-channels', 256,
         "Parameter 'multifd-channels' expects uint8_t"),
        ('multifd-compression', 'zip',
         "Parameter 'multifd-compression' does not accept value 'zip'"),
        ('colour', 1, "Parameter 'colour' is unexpected")):
    case(f'{name} of {value}', [('migrate-set-parameters', {name: value})],
         generic(text))
case('max-bandwidth of -1', [('migrate-set-parameters', {
    'max-bandwidth': -1})],
     generic("Parameter 'max-bandwidth' expects uint64"),
     stock='ok', why='stock takes it for a very large number')
