/*
 * Certificates, keys and connected pairs for the tests of TLS.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_TLS_FIXTURE_H
#define TESTS_TLS_FIXTURE_H

#include <gnutls/x509.h>
#include "io/channel-tls.h"

/* A key, and a certificate of it. */
typedef struct TLSFixtureCert {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t cert;
} TLSFixtureCert;

/* How a certificate is made; zeroes are the usual thing. */
typedef struct TLSFixtureSpec {
    const TLSFixtureCert *signer; /* NULL: itself */
    const char *host;             /* in the subject's alternative names */
    const char *ip;               /* the same */
    const char *purpose;          /* NULL: none is named */
    unsigned usage;               /* 0: none is named */
    bool ca;
    /* Days from now: 0 and 0 are from yesterday to tomorrow. */
    int from_days;
    int to_days;
} TLSFixtureSpec;

/*
 * A folder of the test's own with the usual credentials, the subfolders
 * below.  tls_fixture_finish() removes it, and looks for what was left over.
 */
void tls_fixture_start(void);
void tls_fixture_finish(void);
/* The CA that signed the usual certificates. */
const TLSFixtureCert *tls_fixture_ca(void);

/* Of "localhost" and 127.0.0.1. */
#define TLS_FIXTURE_SERVER "server"
#define TLS_FIXTURE_CLIENT "client"
/* The CA's certificate, and no other. */
#define TLS_FIXTURE_BARE "bare"
/* keys.psk of the users "qemu" and "other". */
#define TLS_FIXTURE_PSK "psk"

TLSFixtureCert tls_fixture_cert(const TLSFixtureSpec *spec);
void tls_fixture_cert_free(TLSFixtureCert *cert);

/* A path in the folder; g_free() it. */
char *tls_fixture_path(const char *dir, const char *name);
/* Makes the folder if need be, and the file. */
void tls_fixture_write(const char *dir, const char *name, const char *text);
/* ca-cert.pem of @ca and, unless @cert is NULL, KIND-cert.pem, KIND-key.pem. */
void tls_fixture_write_x509(const char *dir, const char *kind,
                            const TLSFixtureCert *ca,
                            const TLSFixtureCert *cert);
/* ca-crl.pem of the usual CA, that revokes @cert. */
void tls_fixture_write_crl(const char *dir, const TLSFixtureCert *cert);

/* What object-add makes of @options; only the error tells of failure. */
QCryptoTLSCreds *tls_fixture_creds(ObjectOptions *options, Error **errp);
/* Options of the object "creds" for what is in @dir; clear them after use. */
ObjectOptions tls_fixture_x509(const char *dir, bool server);
ObjectOptions tls_fixture_psk(const char *dir, bool server);
void tls_fixture_options_clear(ObjectOptions *options);

/* The same for the usual options, which must work. */
QCryptoTLSCreds *tls_fixture_x509_creds(const char *dir, bool server);
QCryptoTLSCreds *tls_fixture_psk_creds(const char *dir, bool server);

/* Two blocking channels over a socket pair. */
typedef struct TLSPair {
    QIOChannel *client;
    QIOChannel *server;
} TLSPair;

/* Consumes the references of the credentials. */
TLSPair tls_pair_new(QCryptoTLSCreds *client, QCryptoTLSCreds *server,
                     const char *hostname);
/* Of the usual certificates, after the handshake. */
TLSPair tls_pair_ready(void);
/* Runs the server's handshake on a thread; true when both succeed. */
bool tls_pair_handshake(TLSPair *pair, Error **client_err, Error **server_err);
void tls_pair_end(TLSPair *pair);

/* A blocking channel, and the socket at its other end. */
typedef struct TLSHalf {
    QIOChannel *ioc;
    int peer;
} TLSHalf;

/* Makes a TLS channel of a socket; below are those of usual credentials. */
typedef QIOChannel *TLSMakeFn(QIOChannel *master);

QIOChannel *tls_x509_client(QIOChannel *master);
QIOChannel *tls_x509_server(QIOChannel *master);
QIOChannel *tls_psk_client(QIOChannel *master);
QIOChannel *tls_psk_server(QIOChannel *master);

TLSHalf tls_half_new(TLSMakeFn *make);
/* The same of @fd, that is connected already. */
TLSHalf tls_half_of(TLSMakeFn *make, int fd, int peer);
void tls_half_end(TLSHalf *half);

/* A client by GnuTLS itself, on a blocking socket. */
gnutls_session_t tls_raw_client(int fd, const char *priority,
                                gnutls_credentials_type_t type, void *creds);

#endif
