# SPDX-License-Identifier: GPL-2.0-or-later
"""Credentials for TLS: a CA, servers, clients and shared keys.

    creds = Credentials(box.path('tls'))
    daemon = ['--object', x509('tls0', 'server', creds.server)]
    client = ['--object', x509('tls0', 'client', creds.client)]
"""

import os
import shutil
import subprocess

SERVER_USE = ('signing_key', 'encryption_key', 'tls_www_server')
CLIENT_USE = ('signing_key', 'encryption_key', 'tls_www_client')


class Authority:
    """A CA of its own in FOLDER, and what it signs."""

    def __init__(self, folder, name='test CA'):
        self.folder = folder
        self.cert = os.path.join(folder, 'ca-cert.pem')
        self.key = os.path.join(folder, 'ca-key.pem')
        os.makedirs(folder)
        _make_key(self.key)
        self._certtool(
            'ca', [f'cn = "{name}"', 'ca', 'cert_signing_key',
                   'crl_signing_key', 'expiration_days = 365'],
            ['--generate-self-signed', '--load-privkey', self.key],
            self.cert)

    def make(self, folder, kind, lines):
        """Makes KIND-cert.pem (of template LINES), its key and the CA's."""
        key = os.path.join(folder, f'{kind}-key.pem')
        os.makedirs(folder, exist_ok=True)
        shutil.copy(self.cert, folder)
        _make_key(key)
        self._certtool(
            kind, lines,
            ['--generate-certificate', '--load-privkey', key,
             '--load-ca-certificate', self.cert,
             '--load-ca-privkey', self.key],
            os.path.join(folder, f'{kind}-cert.pem'))
        return folder

    def server(self, folder, name='localhost', ip='127.0.0.1',
               valid=('expiration_days = 365',), use=SERVER_USE):
        """Credentials of a server that is reached as NAME or IP."""
        return self.make(folder, 'server', [
            f'cn = "{name}"', f'dns_name = "{name}"', f'ip_address = "{ip}"',
            *valid, *use])

    def client(self, folder, name='client',
               valid=('expiration_days = 365',), use=CLIENT_USE):
        return self.make(folder, 'client', [f'cn = "{name}"', *valid, *use])

    def revoke(self, folder, kind):
        """Puts ca-crl.pem, which names FOLDER's certificate, there."""
        self._certtool(
            'crl', ['crl_next_update = 365', 'crl_number = 1'],
            ['--generate-crl', '--load-ca-certificate', self.cert,
             '--load-ca-privkey', self.key,
             '--load-certificate', os.path.join(folder, f'{kind}-cert.pem')],
            os.path.join(folder, 'ca-crl.pem'))

    def _certtool(self, name, lines, args, result):
        template = os.path.join(self.folder, f'{name}.template')
        with open(template, 'w') as f:
            f.write('\n'.join(lines) + '\n')
        _run(['certtool'] + args + ['--template', template,
                                    '--outfile', result])


class Credentials:
    """Folders that belong together: one CA, a server, a client, a key.

    .server and .client are for tls-creds-x509; .bare_client has the CA's
    certificate only; .psk is for tls-creds-psk of both endpoints.
    """

    def __init__(self, folder, hostname='localhost', username='qemu'):
        def path(name):
            return os.path.join(folder, name)

        self.ca = Authority(path('ca'))
        self.server = self.ca.server(path('server'), hostname)
        self.client = self.ca.client(path('client'))
        self.bare_client = path('bare-client')
        os.makedirs(self.bare_client)
        shutil.copy(self.ca.cert, self.bare_client)
        self.psk = make_psk(path('psk'), username)


def make_psk(folder, *usernames):
    """A folder with keys.psk, which has a new key of each name."""
    os.makedirs(folder)
    for name in usernames:
        _run(['psktool', '-u', name, '-p', os.path.join(folder, 'keys.psk')])
    return folder


def x509(name, endpoint, folder, options=''):
    """The value of --object; OPTIONS are more of them, as text."""
    return _object('tls-creds-x509', name, endpoint, folder, options)


def psk(name, endpoint, folder, options=''):
    return _object('tls-creds-psk', name, endpoint, folder, options)


def _object(kind, name, endpoint, folder, options):
    return (f'{kind},id={name},endpoint={endpoint},dir={folder}' +
            (f',{options}' if options else ''))


def _make_key(path):
    _run(['certtool', '--generate-privkey', '--key-type=ecdsa',
          '--curve=secp256r1', '--outfile', path])


def _run(argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f'{" ".join(argv)}: {done.stdout}')
