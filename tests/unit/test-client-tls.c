/*
 * QMP client over TLS: good servers, wrong ones, and those that are none.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <poll.h>
#include "client-fake-peer.h"
#include "io-fixture.h"
#include "tls-fixture.h"

#define SHORT_MS 200
/* More than any layer takes in one piece. */
#define BIG (1 * MiB)

/* The server's end, after its handshake; NULL when that failed. */
static QIOChannel *serve_creds(FakePeer *peer, QCryptoTLSCreds *creds)
{
    g_autoptr(QIOChannel) master =
        qio_channel_socket_new_fd(dup(fake_fd(peer)), &error_abort);
    g_autoptr(QIOChannel) ioc =
        qio_channel_tls_new_server(master, creds, &error_abort);

    qio_channel_set_blocking(ioc, true, &error_abort);
    if (qio_channel_tls_handshake(ioc, NULL) < 0) {
        return NULL;
    }
    return g_steal_pointer(&ioc);
}

static QIOChannel *serve_tls(FakePeer *peer)
{
    g_autoptr(QCryptoTLSCreds) creds =
        tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true);

    return serve_creds(peer, creds);
}

static QIOChannel *serve_psk(FakePeer *peer)
{
    g_autoptr(QCryptoTLSCreds) creds =
        tls_fixture_psk_creds(TLS_FIXTURE_PSK, true);

    return serve_creds(peer, creds);
}

static void tls_send(QIOChannel *ioc, const char *text)
{
    struct iovec iov = {(char *)text, strlen(text)};

    qio_channel_writev_all(ioc, &iov, 1, NULL);
}

/* Reads up to the end of a line; how long it was, 0 at the end. */
static size_t tls_line(QIOChannel *ioc)
{
    char buf[64 * KiB];
    size_t len = 0;
    ssize_t n;

    do {
        n = qio_channel_read(ioc, buf, sizeof(buf), NULL);
        len += MAX(n, 0);
    } while (n > 0 && buf[n - 1] != '\n');
    return n > 0 ? len : 0;
}

/* Greets and negotiates, and has much to say; then takes a long request. */
static void play_good(FakePeer *peer, void *opaque)
{
    g_autoptr(QIOChannel) ioc = serve_tls(peer);
    g_autofree char *big = g_strnfill(BIG, 'x');
    g_autofree char *answer =
        g_strdup_printf("{\"return\": \"%s\", \"id\": 2}\r\n", big);

    g_assert_nonnull(ioc);
    tls_send(ioc, FAKE_GREETING);
    g_assert_cmpint(tls_line(ioc), >, 0);
    tls_send(ioc, "{\"return\": {}, \"id\": 1}\r\n");
    g_assert_cmpint(tls_line(ioc), >, BIG);
    tls_send(ioc, answer);
    while (tls_line(ioc)) {
        tls_send(ioc, "{\"return\": {}, \"id\": 3}\r\n");
    }
}

/* The server's end by GnuTLS itself, which reads one record at a time. */
static gnutls_session_t raw_server(FakePeer *peer,
                                   gnutls_psk_server_credentials_t *creds)
{
    g_autofree char *keys = tls_fixture_path(TLS_FIXTURE_PSK, "keys.psk");
    gnutls_session_t session;

    gnutls_psk_allocate_server_credentials(creds);
    gnutls_psk_set_server_credentials_file(*creds, keys);
    gnutls_init(&session, GNUTLS_SERVER);
    gnutls_priority_set_direct(session, "NORMAL:+ECDHE-PSK:+PSK", NULL);
    gnutls_credentials_set(session, GNUTLS_CRD_PSK, *creds);
    g_unix_set_fd_nonblocking(fake_fd(peer), false, NULL);
    gnutls_transport_set_int(session, fake_fd(peer));
    g_assert_cmpint(gnutls_handshake(session), ==, 0);
    return session;
}

/* Takes up to the end of an object as stock QEMU does: byte by byte. */
static bool raw_take_object(FakePeer *peer, gnutls_session_t session)
{
    int depth = 0;
    char byte;

    do {
        struct pollfd readable = {.fd = fake_fd(peer), .events = POLLIN};

        if (poll(&readable, 1, FAKE_DEADLINE_MS) <= 0 ||
            gnutls_record_recv(session, &byte, 1) <= 0) {
            return false;
        }
        depth += (byte == '{') - (byte == '}');
    } while (depth || byte != '}');
    return true;
}

static void play_bytewise(FakePeer *peer, void *opaque)
{
    gnutls_psk_server_credentials_t creds;
    gnutls_session_t session = raw_server(peer, &creds);

    gnutls_record_send(session, FAKE_GREETING, strlen(FAKE_GREETING));
    for (int i = 1; raw_take_object(peer, session); i++) {
        g_autofree char *answer =
            g_strdup_printf("{\"return\": {}, \"id\": %d}\r\n", i);

        gnutls_record_send(session, answer, strlen(answer));
    }
    gnutls_deinit(session);
    gnutls_psk_free_server_credentials(creds);
}

static YcQmpClient *client_new(FakePeer *peer, const char *hostname)
{
    YcQmpClient *client = yc_qmp_client_new(fake_peer_address(peer), NULL);
    g_autofree char *dir = io_fixture_path(TLS_FIXTURE_CLIENT);
    GError *err = NULL;
    bool ok = yc_qmp_client_set_tls(client, dir, hostname, &err);

    g_assert_no_error(err);
    g_assert_true(ok);
    return client;
}

static void test_good(void)
{
    FakePeer *peer = fake_peer_new(play_good, NULL);
    YcQmpClient *client = client_new(peer, "localhost");
    g_autoptr(json_object) arguments = json_object_new_object();
    g_autofree char *big = g_strnfill(BIG, 'y');
    json_object *result = NULL;

    json_object_object_add(arguments, "text", json_object_new_string(big));
    g_assert_true(yc_qmp_client_connect(client, FAKE_DEADLINE_MS, NULL));
    g_assert_true(yc_qmp_client_execute(client, YC_QMP_IN_BAND, "big",
                                        arguments, FAKE_DEADLINE_MS, &result,
                                        NULL));
    g_assert_cmpint(json_object_get_string_len(result), ==, BIG);
    json_object_put(result);
    g_assert_true(yc_qmp_client_execute(client, YC_QMP_OOB, "x", NULL,
                                        FAKE_DEADLINE_MS, NULL, NULL));
    yc_qmp_client_unref(client);
    expect_nothing_left();
    fake_peer_free(peer);
}

static void expect_failure(FakePeerFn *fn, const char *hostname, int timeout_ms,
                           YcError code, const char *words)
{
    FakePeer *peer = fake_peer_new(fn, NULL);
    YcQmpClient *client = client_new(peer, hostname);
    GError *err = NULL;

    g_assert_false(yc_qmp_client_connect(client, timeout_ms, &err));
    g_assert_nonnull(strstr(err->message, fake_peer_address(peer)));
    expect_error(err, code, words);
    yc_qmp_client_unref(client);
    expect_nothing_left();
    fake_peer_free(peer);
}

static void play_handshake(FakePeer *peer, void *opaque)
{
    g_autoptr(QIOChannel) ioc = serve_tls(peer);
}

static void play_plain(FakePeer *peer, void *opaque)
{
    fake_send(peer, FAKE_GREETING);
    fake_until_closed(peer);
}

static void play_silent(FakePeer *peer, void *opaque)
{
    fake_until_closed(peer);
}

static void play_gone(FakePeer *peer, void *opaque)
{
}

/* Cut without a good-bye, in the midst of the greeting. */
static void play_cut(FakePeer *peer, void *opaque)
{
    g_autoptr(QIOChannel) ioc = serve_tls(peer);

    tls_send(ioc, "{\"QMP\": ");
    qio_channel_shutdown(ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
}

static void test_failures(void)
{
    expect_failure(play_handshake, "example.org", FAKE_DEADLINE_MS,
                   YC_ERROR_CONNECT, "does not match the hostname");
    expect_failure(play_plain, "localhost", FAKE_DEADLINE_MS, YC_ERROR_CONNECT,
                   "TLS handshake");
    expect_failure(play_silent, "localhost", SHORT_MS, YC_ERROR_CONNECT,
                   "no connection within 200 ms");
    expect_failure(play_gone, "localhost", FAKE_DEADLINE_MS, YC_ERROR_CONNECT,
                   "TLS handshake");
    expect_failure(play_cut, "localhost", FAKE_DEADLINE_MS, YC_ERROR_CLOSED,
                   "was cut before its greeting");
}

static void play_tls_server(FakePeer *peer, void *opaque)
{
    g_autoptr(QIOChannel) ioc = serve_tls(peer);

    g_assert_null(ioc);
}

static void play_psk(FakePeer *peer, void *opaque)
{
    g_autoptr(QIOChannel) ioc = serve_psk(peer);

    if (ioc) {
        tls_send(ioc, FAKE_GREETING);
        g_assert_cmpint(tls_line(ioc), >, 0);
        tls_send(ioc, "{\"return\": {}, \"id\": 1}\r\n");
        g_assert_cmpint(tls_line(ioc), ==, 0);
    }
}

/*
 * Connects as @username of the keys in @dir, and runs some commands; NULL:
 * well.
 */
static GError *talk_psk(FakePeerFn *fn, const char *dir, const char *username,
                        int n_commands)
{
    FakePeer *peer = fake_peer_new(fn, NULL);
    YcQmpClient *client = yc_qmp_client_new(fake_peer_address(peer), NULL);
    g_autofree char *path = io_fixture_path(dir);
    GError *err = NULL;

    if (yc_qmp_client_set_tls_psk(client, path, username, &err)) {
        yc_qmp_client_connect(client, FAKE_DEADLINE_MS, &err);
    }
    for (int i = 0; i < n_commands && !err; i++) {
        yc_qmp_client_execute(client, YC_QMP_IN_BAND, "x", NULL,
                              FAKE_DEADLINE_MS, NULL, &err);
    }
    yc_qmp_client_unref(client);
    expect_nothing_left();
    fake_peer_free(peer);
    return err;
}

/* TLS hides from stock QEMU what that does not take from it at once. */
static void test_bytewise(void)
{
    g_assert_no_error(talk_psk(play_bytewise, TLS_FIXTURE_PSK, NULL, 3));
}

static void test_psk(void)
{
    g_assert_no_error(talk_psk(play_psk, TLS_FIXTURE_PSK, NULL, 0));
    g_assert_no_error(talk_psk(play_psk, TLS_FIXTURE_PSK, "other", 0));
    expect_error(talk_psk(play_psk, TLS_FIXTURE_PSK, "nobody", 0),
                 YC_ERROR_INVALID, "Username nobody not found");
    expect_error(talk_psk(play_psk, TLS_FIXTURE_BARE, NULL, 0),
                 YC_ERROR_INVALID, "keys.psk");
    /* Of the same name, but not the same key. */
    tls_fixture_write("stolen", "keys.psk", "qemu:0123456789abcdef\n");
    expect_error(talk_psk(play_psk, "stolen", NULL, 0), YC_ERROR_CONNECT,
                 "TLS handshake");
    expect_error(talk_psk(play_handshake, TLS_FIXTURE_PSK, NULL, 0),
                 YC_ERROR_CONNECT, "TLS handshake");
}

/* TLS is not what it speaks: a server of TLS stays silent. */
static void test_plain_client(void)
{
    FakePeer *peer = fake_peer_new(play_tls_server, NULL);
    YcQmpClient *client = yc_qmp_client_new(fake_peer_address(peer), NULL);
    GError *err = NULL;

    g_assert_false(yc_qmp_client_connect(client, SHORT_MS, &err));
    expect_error(err, YC_ERROR_NO_GREETING, "no greeting within 200 ms");
    yc_qmp_client_unref(client);
    expect_nothing_left();
    fake_peer_free(peer);
}

static void test_bad_settings(void)
{
    g_autoptr(YcQmpClient) client = yc_qmp_client_new("unix:/x", NULL);
    GError *err = NULL;

    g_assert_false(yc_qmp_client_set_tls(client, "/none", NULL, &err));
    expect_error(err, YC_ERROR_INVALID, "TLS needs the name of the host");
    err = NULL;
    g_assert_false(yc_qmp_client_set_tls(client, "/none", "localhost", &err));
    expect_error(err, YC_ERROR_INVALID, "/none/ca-cert.pem");
    yc_qmp_client_unref(g_steal_pointer(&client));
    expect_nothing_left();
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    tls_fixture_start();
    g_test_add_func("/client/tls/good", test_good);
    g_test_add_func("/client/tls/bytewise", test_bytewise);
    g_test_add_func("/client/tls/failures", test_failures);
    g_test_add_func("/client/tls/psk", test_psk);
    g_test_add_func("/client/tls/plain-client", test_plain_client);
    g_test_add_func("/client/tls/bad-settings", test_bad_settings);
    ret = g_test_run();
    tls_fixture_finish();
    return ret;
}
