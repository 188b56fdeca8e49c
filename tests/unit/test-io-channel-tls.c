/*
 * TLS channels: who may speak with whom.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io-fixture.h"
#include "tls-fixture.h"

/* A byte each way, and the end of the stream. */
static void check_transfer(TLSPair *pair)
{
    struct iovec iov = {(char *)"x", 1};
    char byte;

    g_assert_cmpint(qio_channel_writev_all(pair->client, &iov, 1, &error_abort),
                    ==, 0);
    g_assert_cmpint(qio_channel_read_all(pair->server, &byte, 1, &error_abort),
                    ==, 1);
    g_assert_cmpint(byte, ==, 'x');
    g_assert_cmpint(qio_channel_write(pair->server, "y", 1, &error_abort), ==,
                    1);
    g_assert_cmpint(qio_channel_read(pair->client, &byte, 1, &error_abort), ==,
                    1);
    g_assert_cmpint(byte, ==, 'y');
    qio_channel_close(pair->client);
    g_assert_cmpint(qio_channel_read_all(pair->server, &byte, 1, &error_abort),
                    ==, 0);
    g_assert_cmpint(qio_channel_read(pair->server, &byte, 1, &error_abort), ==,
                    0);
}

static void check_works(QCryptoTLSCreds *client, QCryptoTLSCreds *server,
                        const char *hostname)
{
    TLSPair pair = tls_pair_new(client, server, hostname);

    g_assert_true(tls_pair_handshake(&pair, &error_abort, &error_abort));
    g_assert_cmpstr(qio_channel_peer(pair.client), ==, "unix:");
    check_transfer(&pair);
    tls_pair_end(&pair);
}

static void check_says(const Error *err, const char *text)
{
    if (!text) {
        return;
    }
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), text)) {
        g_error("\"%s\" does not say \"%s\"", error_get_pretty(err), text);
    }
}

/*
 * Which side notices, and says what (NULL: no matter).  The other side, which
 * may believe in the handshake, learns it from an alert.
 */
static void check_refused(QCryptoTLSCreds *client, QCryptoTLSCreds *server,
                          const char *hostname, const char *client_says,
                          const char *server_says)
{
    TLSPair pair = tls_pair_new(client, server, hostname);
    g_autoptr(Error) client_err = NULL;
    g_autoptr(Error) server_err = NULL;
    char byte;

    g_assert_false(tls_pair_handshake(&pair, &client_err, &server_err));
    if (!client_err) {
        g_assert_cmpint(
            qio_channel_read_all(pair.client, &byte, 1, &client_err), ==, -1);
    }
    g_assert_nonnull(server_err);
    check_says(client_err, client_says);
    check_says(server_err, server_says);
    tls_pair_end(&pair);
}

static void test_x509(void)
{
    tls_fixture_start();
    check_works(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "localhost");
    check_works(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "127.0.0.1");
    tls_fixture_finish();
}

static void test_hostname(void)
{
    g_autoptr(QCryptoTLSCreds) client = NULL;
    g_autoptr(Error) err = NULL;

    tls_fixture_start();
    check_refused(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                  tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "elsewhere",
                  "does not match the hostname", "the peer says: ");
    check_refused(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                  tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "127.0.0.2",
                  "does not match the hostname", "the peer says: ");
    client = tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false);
    g_assert_null(qio_channel_tls_new_client(NULL, client, NULL, &err));
    check_says(err, "No hostname available for TLS");
    tls_fixture_finish();
}

static void test_endpoints(void)
{
    g_autoptr(QCryptoTLSCreds) creds = NULL;
    g_autoptr(Error) client_err = NULL;
    g_autoptr(Error) server_err = NULL;

    tls_fixture_start();
    creds = tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false);
    g_assert_null(qio_channel_tls_new_server(NULL, creds, &server_err));
    check_says(server_err, "Expecting TLS credentials with a server endpoint");
    tls_creds_unref(creds);
    creds = tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true);
    g_assert_null(qio_channel_tls_new_client(NULL, creds, "x", &client_err));
    check_says(client_err, "Expecting TLS credentials with a client endpoint");
    tls_fixture_finish();
}

/* Credentials in @dir of a certificate as @spec says, unchecked. */
static QCryptoTLSCreds *special_creds(const char *dir, bool server,
                                      TLSFixtureSpec spec)
{
    TLSFixtureCert cert;
    ObjectOptions options;
    QCryptoTLSCreds *creds;

    spec.host = server ? "localhost" : NULL;
    cert = tls_fixture_cert(&spec);
    tls_fixture_write_x509(dir, server ? "server" : "client", tls_fixture_ca(),
                           &cert);
    tls_fixture_cert_free(&cert);
    options = tls_fixture_x509(dir, server);
    options.u.tls_creds_x509.has_sanity_check = true;
    creds = tls_fixture_creds(&options, &error_abort);
    tls_fixture_options_clear(&options);
    return creds;
}

static void test_wrong_ca(void)
{
    TLSFixtureSpec spec = {.ca = true, .host = "another CA"};
    TLSFixtureCert ca;

    tls_fixture_start();
    ca = tls_fixture_cert(&spec);
    spec = (TLSFixtureSpec){.signer = &ca};
    check_refused(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                  special_creds("s", true, spec), "localhost",
                  "hasn't got a known issuer", "the peer says: ");
    check_refused(special_creds("c", false, spec),
                  tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "localhost",
                  "", "");
    tls_fixture_cert_free(&ca);
    tls_fixture_finish();
}

static void test_expired(void)
{
    TLSFixtureSpec spec = {.from_days = -20, .to_days = -10};

    tls_fixture_start();
    spec.signer = tls_fixture_ca();
    check_refused(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                  special_creds("s", true, spec), "localhost",
                  "The certificate has expired", "the peer says: ");
    check_refused(special_creds("c", false, spec),
                  tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "localhost",
                  "the peer says: ", "The certificate has expired");
    tls_fixture_finish();
}

/* A client's certificate, though the CA signed it, makes no server. */
static void test_purpose(void)
{
    TLSFixtureSpec spec = {.purpose = GNUTLS_KP_TLS_WWW_CLIENT};

    tls_fixture_start();
    spec.signer = tls_fixture_ca();
    check_refused(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                  special_creds("s", true, spec), "localhost",
                  "The certificate is for another purpose", "the peer says: ");
    spec.purpose = GNUTLS_KP_TLS_WWW_SERVER;
    check_refused(special_creds("c", false, spec),
                  tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "localhost",
                  "the peer says: ", "The certificate is for another purpose");
    tls_fixture_finish();
}

static void test_revoked(void)
{
    TLSFixtureSpec spec = {};
    TLSFixtureCert cert;

    tls_fixture_start();
    spec.signer = tls_fixture_ca();
    cert = tls_fixture_cert(&spec);
    tls_fixture_write_x509("c", "client", tls_fixture_ca(), &cert);
    tls_fixture_write_crl(TLS_FIXTURE_SERVER, &cert);
    check_refused(tls_fixture_x509_creds("c", false),
                  tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "localhost",
                  "the peer says: ", "The certificate has been revoked");
    check_works(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "localhost");
    tls_fixture_cert_free(&cert);
    tls_fixture_finish();
}

static QCryptoTLSCreds *trusting_creds(const char *dir, bool server)
{
    ObjectOptions options = tls_fixture_x509(dir, server);
    QCryptoTLSCreds *creds;

    options.u.tls_creds_x509.has_verify_peer = true;
    creds = tls_fixture_creds(&options, &error_abort);
    tls_fixture_options_clear(&options);
    return creds;
}

static void test_no_client_cert(void)
{
    tls_fixture_start();
    check_refused(tls_fixture_x509_creds(TLS_FIXTURE_BARE, false),
                  tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "localhost",
                  "the peer says: Certificate is required",
                  "failed: Certificate is required");
    check_works(tls_fixture_x509_creds(TLS_FIXTURE_BARE, false),
                trusting_creds(TLS_FIXTURE_SERVER, true), "localhost");
    tls_fixture_finish();
}

static void test_no_verify(void)
{
    TLSFixtureSpec itself = {};

    tls_fixture_start();
    check_works(trusting_creds(TLS_FIXTURE_CLIENT, false),
                special_creds("s", true, itself), NULL);
    check_works(trusting_creds(TLS_FIXTURE_CLIENT, false),
                special_creds("s", true, itself), "elsewhere");
    tls_fixture_finish();
}

static QCryptoTLSCreds *psk_user(const char *dir, const char *user)
{
    ObjectOptions options = tls_fixture_psk(dir, false);
    QCryptoTLSCreds *creds;

    options.u.tls_creds_psk.username = (char *)user;
    creds = tls_fixture_creds(&options, &error_abort);
    tls_fixture_options_clear(&options);
    return creds;
}

static void test_psk(void)
{
    tls_fixture_start();
    check_works(tls_fixture_psk_creds(TLS_FIXTURE_PSK, false),
                tls_fixture_psk_creds(TLS_FIXTURE_PSK, true), NULL);
    check_works(psk_user(TLS_FIXTURE_PSK, "other"),
                tls_fixture_psk_creds(TLS_FIXTURE_PSK, true), "any");
    tls_fixture_finish();
}

/* A name that is unknown and a wrong key look the same to the client. */
static void test_psk_refused(void)
{
    static const char alert[] = "the peer says: ";

    tls_fixture_start();
    tls_fixture_write("k", "keys.psk",
                      "qemu:0123456789abcdef\nstranger:0123456789abcdef");
    check_refused(psk_user("k", "qemu"),
                  tls_fixture_psk_creds(TLS_FIXTURE_PSK, true), NULL, alert,
                  "TLS handshake with unix: failed: ");
    check_refused(psk_user("k", "stranger"),
                  tls_fixture_psk_creds(TLS_FIXTURE_PSK, true), NULL, alert,
                  "TLS handshake with unix: failed: ");
    tls_fixture_finish();
}

static void test_kinds_differ(void)
{
    tls_fixture_start();
    check_refused(tls_fixture_psk_creds(TLS_FIXTURE_PSK, false),
                  tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), NULL, "",
                  "");
    check_refused(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                  tls_fixture_psk_creds(TLS_FIXTURE_PSK, true), "localhost", "",
                  "");
    tls_fixture_finish();
}

static QCryptoTLSCreds *priority_creds(bool server, const char *priority)
{
    const char *dir = server ? TLS_FIXTURE_SERVER : TLS_FIXTURE_CLIENT;
    ObjectOptions options = tls_fixture_x509(dir, server);
    QCryptoTLSCreds *creds;

    options.u.tls_creds_x509.priority = (char *)priority;
    creds = tls_fixture_creds(&options, &error_abort);
    tls_fixture_options_clear(&options);
    return creds;
}

static void test_priority(void)
{
    const char *tls12 = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
    const char *tls11 = "NORMAL:-VERS-ALL:+VERS-TLS1.1";

    tls_fixture_start();
    check_works(priority_creds(false, tls12),
                tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "localhost");
    check_refused(priority_creds(false, tls12),
                  priority_creds(true, "NORMAL:-VERS-ALL:+VERS-TLS1.3"),
                  "localhost", "the peer says: ", "");
    /* What is broken must be asked for on both sides. */
    check_refused(priority_creds(false, tls11),
                  tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "localhost",
                  "the peer says: ", "");
    tls_fixture_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io/tls/x509", test_x509);
    g_test_add_func("/io/tls/hostname", test_hostname);
    g_test_add_func("/io/tls/endpoints", test_endpoints);
    g_test_add_func("/io/tls/wrong-ca", test_wrong_ca);
    g_test_add_func("/io/tls/expired", test_expired);
    g_test_add_func("/io/tls/purpose", test_purpose);
    g_test_add_func("/io/tls/revoked", test_revoked);
    g_test_add_func("/io/tls/no-client-cert", test_no_client_cert);
    g_test_add_func("/io/tls/no-verify", test_no_verify);
    g_test_add_func("/io/tls/psk", test_psk);
    g_test_add_func("/io/tls/psk-refused", test_psk_refused);
    g_test_add_func("/io/tls/kinds-differ", test_kinds_differ);
    g_test_add_func("/io/tls/priority", test_priority);
    return g_test_run();
}
