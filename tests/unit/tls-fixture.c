/*
 * Certificates, keys and connected pairs for the tests of TLS.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <time.h>
#include "io-fixture.h"
#include "qom/object.h"
#include "tls-fixture.h"

#define DAY (24 * 60 * 60)

static TLSFixtureCert usual_ca;
static GHashTable *written; /* paths of files and folders */

/* GnuTLS says how it went; here it always goes well. */
static void must(int ret)
{
    if (ret < 0) {
        g_error("GnuTLS: %s", gnutls_strerror(ret));
    }
}

static void set_names(gnutls_x509_crt_t cert, const TLSFixtureSpec *spec)
{
    const char *name = spec->host ?: spec->ca ? "CA" : "client";
    struct in_addr addr;

    must(gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0,
                                       name, strlen(name)));
    if (spec->host) {
        must(gnutls_x509_crt_set_subject_alt_name(
            cert, GNUTLS_SAN_DNSNAME, spec->host, strlen(spec->host), 0));
    }
    if (spec->ip) {
        g_assert_cmpint(inet_pton(AF_INET, spec->ip, &addr), ==, 1);
        must(gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_IPADDRESS,
                                                  &addr, sizeof(addr),
                                                  GNUTLS_FSAN_APPEND));
    }
}

static void set_times(gnutls_x509_crt_t cert, const TLSFixtureSpec *spec)
{
    bool usual = !spec->from_days && !spec->to_days;
    time_t now = time(NULL);

    must(gnutls_x509_crt_set_activation_time(
        cert, now + (usual ? -1 : spec->from_days) * DAY));
    must(gnutls_x509_crt_set_expiration_time(
        cert, now + (usual ? 1 : spec->to_days) * DAY));
}

static void set_use(gnutls_x509_crt_t cert, const TLSFixtureSpec *spec)
{
    must(spec->ca ? gnutls_x509_crt_set_basic_constraints(cert, 1, -1)
                  : gnutls_x509_crt_set_basic_constraints(cert, 0, -1));
    if (spec->usage) {
        must(gnutls_x509_crt_set_key_usage(cert, spec->usage));
    }
    if (spec->purpose) {
        must(gnutls_x509_crt_set_key_purpose_oid(cert, spec->purpose, 0));
    }
}

TLSFixtureCert tls_fixture_cert(const TLSFixtureSpec *spec)
{
    static uint32_t last_serial;
    uint32_t serial = htonl(++last_serial);
    const TLSFixtureCert *signer = spec->signer;
    TLSFixtureCert new;

    must(gnutls_x509_privkey_init(&new.key));
    must(gnutls_x509_privkey_generate(
        new.key, GNUTLS_PK_ECDSA,
        GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    must(gnutls_x509_crt_init(&new.cert));
    must(gnutls_x509_crt_set_version(new.cert, 3));
    must(gnutls_x509_crt_set_serial(new.cert, &serial, sizeof(serial)));
    must(gnutls_x509_crt_set_key(new.cert, new.key));
    set_names(new.cert, spec);
    set_times(new.cert, spec);
    set_use(new.cert, spec);
    must(gnutls_x509_crt_sign2(new.cert, signer ? signer->cert : new.cert,
                               signer ? signer->key : new.key,
                               GNUTLS_DIG_SHA256, 0));
    return new;
}

void tls_fixture_cert_free(TLSFixtureCert *cert)
{
    gnutls_x509_crt_deinit(cert->cert);
    gnutls_x509_privkey_deinit(cert->key);
}

char *tls_fixture_path(const char *dir, const char *name)
{
    g_autofree char *folder = io_fixture_path(dir);

    return g_build_filename(folder, name, NULL);
}

void tls_fixture_write(const char *dir, const char *name, const char *text)
{
    g_autofree char *folder = io_fixture_path(dir);
    char *path = tls_fixture_path(dir, name);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_hash_table_add(written, g_steal_pointer(&folder));
    g_hash_table_add(written, path);
}

static void write_datum(const char *dir, const char *name, gnutls_datum_t pem)
{
    g_autofree char *text = g_strndup((const char *)pem.data, pem.size);

    tls_fixture_write(dir, name, text);
    gnutls_free(pem.data);
}

static void write_cert(const char *dir, const char *name,
                       const TLSFixtureCert *cert)
{
    gnutls_datum_t pem;

    must(gnutls_x509_crt_export2(cert->cert, GNUTLS_X509_FMT_PEM, &pem));
    write_datum(dir, name, pem);
}

void tls_fixture_write_x509(const char *dir, const char *kind,
                            const TLSFixtureCert *ca,
                            const TLSFixtureCert *cert)
{
    g_autofree char *cert_name = g_strdup_printf("%s-cert.pem", kind);
    g_autofree char *key_name = g_strdup_printf("%s-key.pem", kind);
    gnutls_datum_t pem;

    write_cert(dir, "ca-cert.pem", ca);
    if (cert) {
        write_cert(dir, cert_name, cert);
        must(gnutls_x509_privkey_export2(cert->key, GNUTLS_X509_FMT_PEM, &pem));
        write_datum(dir, key_name, pem);
    }
}

void tls_fixture_write_crl(const char *dir, const TLSFixtureCert *cert)
{
    time_t now = time(NULL);
    gnutls_x509_crl_t crl;
    gnutls_datum_t pem;

    must(gnutls_x509_crl_init(&crl));
    must(gnutls_x509_crl_set_version(crl, 2));
    must(gnutls_x509_crl_set_this_update(crl, now - DAY));
    must(gnutls_x509_crl_set_next_update(crl, now + DAY));
    must(gnutls_x509_crl_set_number(crl, "\1", 1));
    must(gnutls_x509_crl_set_crt(crl, cert->cert, now - DAY));
    must(gnutls_x509_crl_sign2(crl, usual_ca.cert, usual_ca.key,
                               GNUTLS_DIG_SHA256, 0));
    must(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &pem));
    write_datum(dir, "ca-crl.pem", pem);
    gnutls_x509_crl_deinit(crl);
}

static void write_usual(const char *dir, const char *kind, const char *host,
                        const char *ip, const char *purpose)
{
    TLSFixtureSpec spec = {
        .signer = &usual_ca,
        .host = host,
        .ip = ip,
        .purpose = purpose,
        .usage = GNUTLS_KEY_DIGITAL_SIGNATURE,
    };
    TLSFixtureCert cert = tls_fixture_cert(&spec);

    tls_fixture_write_x509(dir, kind, &usual_ca, &cert);
    tls_fixture_cert_free(&cert);
}

void tls_fixture_start(void)
{
    TLSFixtureSpec ca = {
        .ca = true, .usage = GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN};

    io_fixture_start();
    written = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    usual_ca = tls_fixture_cert(&ca);
    write_usual(TLS_FIXTURE_SERVER, "server", "localhost", "127.0.0.1",
                GNUTLS_KP_TLS_WWW_SERVER);
    write_usual(TLS_FIXTURE_CLIENT, "client", NULL, NULL,
                GNUTLS_KP_TLS_WWW_CLIENT);
    tls_fixture_write_x509(TLS_FIXTURE_BARE, "client", &usual_ca, NULL);
    tls_fixture_write(TLS_FIXTURE_PSK, "keys.psk",
                      "qemu:00112233445566778899aabbccddeeff\n"
                      "other:ffeeddccbbaa99887766554433221100");
}

static void remove_all(void)
{
    g_autoptr(GList) paths = g_hash_table_get_keys(written);

    /* What is in a folder has the longer path. */
    paths = g_list_sort(paths, (GCompareFunc)g_strcmp0);
    paths = g_list_reverse(paths);
    for (GList *item = paths; item; item = item->next) {
        g_assert_cmpint(remove(item->data), ==, 0);
    }
}

void tls_fixture_finish(void)
{
    object_cleanup();
    tls_fixture_cert_free(&usual_ca);
    remove_all();
    g_clear_pointer(&written, g_hash_table_unref);
    io_fixture_finish();
}

const TLSFixtureCert *tls_fixture_ca(void)
{
    return &usual_ca;
}

QCryptoTLSCreds *tls_fixture_creds(ObjectOptions *options, Error **errp)
{
    TlsCredsProperties *base =
        options->qom_type == OBJECT_TYPE_TLS_CREDS_X509
            ? qapi_TlsCredsX509Properties_base(&options->u.tls_creds_x509)
            : qapi_TlsCredsPskProperties_base(&options->u.tls_creds_psk);
    QCryptoTLSCreds *creds;

    if (!object_add(options, errp)) {
        return NULL;
    }
    creds = tls_creds_find(options->id, base->endpoint, &error_abort);
    /* Those who use them go on without the object. */
    object_del(options->id, &error_abort);
    return creds;
}

static QCryptoTLSCredsEndpoint endpoint(bool server)
{
    return server ? QCRYPTO_TLS_CREDS_ENDPOINT_SERVER
                  : QCRYPTO_TLS_CREDS_ENDPOINT_CLIENT;
}

ObjectOptions tls_fixture_x509(const char *dir, bool server)
{
    ObjectOptions options = {.qom_type = OBJECT_TYPE_TLS_CREDS_X509,
                             .id = (char *)"creds"};

    options.u.tls_creds_x509.dir = io_fixture_path(dir);
    options.u.tls_creds_x509.has_endpoint = true;
    options.u.tls_creds_x509.endpoint = endpoint(server);
    return options;
}

ObjectOptions tls_fixture_psk(const char *dir, bool server)
{
    ObjectOptions options = {.qom_type = OBJECT_TYPE_TLS_CREDS_PSK,
                             .id = (char *)"creds"};

    options.u.tls_creds_psk.dir = io_fixture_path(dir);
    options.u.tls_creds_psk.has_endpoint = true;
    options.u.tls_creds_psk.endpoint = endpoint(server);
    return options;
}

void tls_fixture_options_clear(ObjectOptions *options)
{
    g_free(options->qom_type == OBJECT_TYPE_TLS_CREDS_X509
               ? options->u.tls_creds_x509.dir
               : options->u.tls_creds_psk.dir);
}

QCryptoTLSCreds *tls_fixture_x509_creds(const char *dir, bool server)
{
    ObjectOptions options = tls_fixture_x509(dir, server);
    QCryptoTLSCreds *creds = tls_fixture_creds(&options, &error_abort);

    tls_fixture_options_clear(&options);
    return creds;
}

QCryptoTLSCreds *tls_fixture_psk_creds(const char *dir, bool server)
{
    ObjectOptions options = tls_fixture_psk(dir, server);
    QCryptoTLSCreds *creds = tls_fixture_creds(&options, &error_abort);

    tls_fixture_options_clear(&options);
    return creds;
}

static QIOChannel *blocking_socket(int fd)
{
    QIOChannel *ioc = qio_channel_socket_new_fd(fd, &error_abort);

    qio_channel_set_blocking(ioc, true, &error_abort);
    return ioc;
}

TLSPair tls_pair_new(QCryptoTLSCreds *client, QCryptoTLSCreds *server,
                     const char *hostname)
{
    g_autoptr(QIOChannel) client_socket = NULL;
    g_autoptr(QIOChannel) server_socket = NULL;
    TLSPair pair;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==,
                    0);
    client_socket = blocking_socket(fds[0]);
    server_socket = blocking_socket(fds[1]);
    pair.client = qio_channel_tls_new_client(client_socket, client, hostname,
                                             &error_abort);
    pair.server =
        qio_channel_tls_new_server(server_socket, server, &error_abort);
    tls_creds_unref(client);
    tls_creds_unref(server);
    return pair;
}

TLSPair tls_pair_ready(void)
{
    TLSPair pair = tls_pair_new(
        tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
        tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "localhost");

    tls_pair_handshake(&pair, &error_abort, &error_abort);
    return pair;
}

typedef struct Handshake {
    QIOChannel *ioc;
    Error **errp;
} Handshake;

static void *handshake_thread(void *opaque)
{
    Handshake *handshake = opaque;

    return GINT_TO_POINTER(
        qio_channel_tls_handshake(handshake->ioc, handshake->errp) == 0);
}

bool tls_pair_handshake(TLSPair *pair, Error **client_err, Error **server_err)
{
    Handshake server = {pair->server, server_err};
    GThread *thread = g_thread_new("server", handshake_thread, &server);
    bool client = qio_channel_tls_handshake(pair->client, client_err) == 0;

    if (!client) {
        /* A server that did not notice by itself does now. */
        qio_channel_shutdown(pair->client, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
    }
    return g_thread_join(thread) && client;
}

void tls_pair_end(TLSPair *pair)
{
    qio_channel_unref(pair->client);
    qio_channel_unref(pair->server);
}

TLSHalf tls_half_of(TLSMakeFn *make, int fd, int peer)
{
    g_autoptr(QIOChannel) master = qio_channel_socket_new_fd(fd, &error_abort);
    TLSHalf half = {.peer = peer};

    qio_channel_set_blocking(master, true, &error_abort);
    half.ioc = make(master);
    return half;
}

TLSHalf tls_half_new(TLSMakeFn *make)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==,
                    0);
    return tls_half_of(make, fds[0], fds[1]);
}

void tls_half_end(TLSHalf *half)
{
    qio_channel_unref(half->ioc);
    close(half->peer);
}

static QIOChannel *client_of(QIOChannel *master, QCryptoTLSCreds *creds)
{
    QIOChannel *ioc =
        qio_channel_tls_new_client(master, creds, "localhost", &error_abort);

    tls_creds_unref(creds);
    return ioc;
}

static QIOChannel *server_of(QIOChannel *master, QCryptoTLSCreds *creds)
{
    QIOChannel *ioc = qio_channel_tls_new_server(master, creds, &error_abort);

    tls_creds_unref(creds);
    return ioc;
}

QIOChannel *tls_x509_client(QIOChannel *master)
{
    return client_of(master, tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false));
}

QIOChannel *tls_x509_server(QIOChannel *master)
{
    return server_of(master, tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true));
}

QIOChannel *tls_psk_client(QIOChannel *master)
{
    return client_of(master, tls_fixture_psk_creds(TLS_FIXTURE_PSK, false));
}

QIOChannel *tls_psk_server(QIOChannel *master)
{
    return server_of(master, tls_fixture_psk_creds(TLS_FIXTURE_PSK, true));
}

/* A client by GnuTLS itself. */
gnutls_session_t tls_raw_client(int fd, const char *priority,
                                gnutls_credentials_type_t type, void *creds)
{
    gnutls_session_t session;

    gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    g_assert_cmpint(gnutls_priority_set_direct(session, priority, NULL), ==, 0);
    gnutls_credentials_set(session, type, creds);
    gnutls_transport_set_int(session, fd);
    return session;
}
