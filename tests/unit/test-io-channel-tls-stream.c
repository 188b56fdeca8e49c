/*
 * TLS channels: bytes in both directions, and their end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "io-fixture.h"
#include "qemu/oob.h"
#include "tls-fixture.h"

#define BULK (16 * MiB)

static void fill_pattern(unsigned char *buf, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        buf[i] = seed >> 56;
    }
}

typedef struct Bulk {
    QIOChannel *ioc;
    unsigned char *data;
} Bulk;

/* A header and a payload each time, of many sizes. */
static void *bulk_writer(void *opaque)
{
    Bulk *bulk = opaque;
    size_t at = 0, size = 1;

    while (at < BULK) {
        size_t header = MIN(BULK - at, size % 37);
        size_t payload = MIN(BULK - at - header, size);
        struct iovec iov[] = {{bulk->data + at, header},
                              {NULL, 0},
                              {bulk->data + at + header, payload}};

        qio_channel_writev_all(bulk->ioc, iov, G_N_ELEMENTS(iov), &error_abort);
        at += header + payload;
        size = (size * 7 + 3) % (1 * MiB + 1);
    }
    return NULL;
}

static void *bulk_reader(void *opaque)
{
    Bulk *bulk = opaque;
    size_t at = 0, size = 5;
    g_autofree unsigned char *buf = g_malloc(1 * MiB + 1);

    while (at < BULK) {
        size_t n = MIN(BULK - at, size);

        g_assert_cmpint(qio_channel_read_all(bulk->ioc, buf, n, &error_abort),
                        ==, 1);
        g_assert_cmpint(memcmp(buf, bulk->data + at, n), ==, 0);
        at += n;
        size = (size * 5 + 11) % (1 * MiB + 1);
    }
    return NULL;
}

/* Both directions of both channels at once. */
static void test_bulk(void)
{
    g_autofree unsigned char *data = g_malloc(BULK);
    GThread *threads[4];
    TLSPair pair;
    Bulk client, server;

    tls_fixture_start();
    fill_pattern(data, BULK, 1);
    pair = tls_pair_ready();
    client = (Bulk){pair.client, data};
    server = (Bulk){pair.server, data};
    threads[0] = g_thread_new("client-w", bulk_writer, &client);
    threads[1] = g_thread_new("server-w", bulk_writer, &server);
    threads[2] = g_thread_new("client-r", bulk_reader, &client);
    threads[3] = g_thread_new("server-r", bulk_reader, &server);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    tls_pair_end(&pair);
    tls_fixture_finish();
}

typedef struct Stuck {
    QIOChannel *ioc;
    Error *err;
} Stuck;

static void *stuck_writer(void *opaque)
{
    Stuck *stuck = opaque;
    g_autofree char *much = g_malloc0(BULK);
    struct iovec iov = {much, BULK};

    g_assert_cmpint(qio_channel_writev_all(stuck->ioc, &iov, 1, &stuck->err),
                    ==, -1);
    return NULL;
}

/* Until its socket takes no more. */
static void wait_until_full(QIOChannel *ioc)
{
    struct pollfd pfd = {qio_channel_get_write_fd(ioc), POLLOUT, 0};

    while (poll(&pfd, 1, 0) == 1) {
        g_thread_yield();
    }
}

/* The peer reads nothing, but what it writes arrives; and a cut ends it. */
static void test_stuck_writer(void)
{
    Stuck stuck = {};
    GThread *thread;
    TLSPair pair;

    tls_fixture_start();
    pair = tls_pair_ready();
    stuck.ioc = pair.client;
    thread = g_thread_new("stuck", stuck_writer, &stuck);
    wait_until_full(pair.client);
    for (int i = 0; i < 1000; i++) {
        char byte = 0;

        g_assert_cmpint(qio_channel_write(pair.server, "x", 1, &error_abort),
                        ==, 1);
        g_assert_cmpint(
            qio_channel_read_all(pair.client, &byte, 1, &error_abort), ==, 1);
    }
    g_assert_cmpint(qio_channel_shutdown(pair.client, QIO_CHANNEL_SHUTDOWN_BOTH,
                                         &error_abort),
                    ==, 0);
    g_thread_join(thread);
    g_assert_nonnull(strstr(error_get_pretty(stuck.err), "Broken pipe"));
    error_free(stuck.err);
    tls_pair_end(&pair);
    tls_fixture_finish();
}

typedef struct Waiter {
    QIOChannel *ioc;
    int (*wait)(QIOChannel *ioc, Error **errp);
    int result;
    Error *err;
} Waiter;

static void *waiter_thread(void *opaque)
{
    Waiter *waiter = opaque;

    waiter->result = waiter->wait(waiter->ioc, &waiter->err);
    return NULL;
}

static int read_byte(QIOChannel *ioc, Error **errp)
{
    char byte;

    return qio_channel_read_all(ioc, &byte, 1, errp);
}

/* Whoever waits for a silent peer is told at once. */
static void check_shutdown_wakes(QIOChannel *ioc,
                                 int (*wait)(QIOChannel *ioc, Error **errp),
                                 int result)
{
    Waiter waiter = {.ioc = ioc, .wait = wait};
    GThread *thread = g_thread_new("waiter", waiter_thread, &waiter);

    oob_section_enter("test");
    g_assert_cmpint(
        qio_channel_shutdown(ioc, QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort), ==,
        0);
    oob_section_leave();
    g_thread_join(thread);
    g_assert_cmpint(waiter.result, ==, result);
    g_assert_true(!waiter.err == (result >= 0));
    error_free(waiter.err);
}

static void test_shutdown_handshake(void)
{
    TLSPair pair;

    tls_fixture_start();
    pair = tls_pair_new(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                        tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "x");
    check_shutdown_wakes(pair.client, qio_channel_tls_handshake, -1);
    tls_pair_end(&pair);

    pair = tls_pair_new(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                        tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "x");
    check_shutdown_wakes(pair.server, qio_channel_tls_handshake, -1);
    tls_pair_end(&pair);
    tls_fixture_finish();
}

/* The end that one asked for oneself is no error. */
static void test_shutdown_read(void)
{
    TLSPair pair;

    tls_fixture_start();
    pair = tls_pair_ready();
    check_shutdown_wakes(pair.client, read_byte, 0);
    tls_pair_end(&pair);
    tls_fixture_finish();
}

static void test_read_timeout(void)
{
    g_autoptr(Error) handshake_err = NULL;
    g_autoptr(Error) read_err = NULL;
    TLSPair pair;
    char byte;

    tls_fixture_start();
    pair = tls_pair_new(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                        tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true), "x");
    qio_channel_set_read_timeout(pair.server, 10, &error_abort);
    g_assert_cmpint(qio_channel_tls_handshake(pair.server, &handshake_err), ==,
                    -1);
    g_assert_cmpstr(error_get_pretty(handshake_err), ==,
                    "TLS handshake failed: "
                    "Unable to read from unix:: silent for 10 ms");
    tls_pair_end(&pair);

    pair = tls_pair_ready();
    qio_channel_set_read_timeout(pair.server, 10, &error_abort);
    g_assert_cmpint(qio_channel_read_all(pair.server, &byte, 1, &read_err), ==,
                    -1);
    g_assert_nonnull(strstr(error_get_pretty(read_err), "silent for 10 ms"));
    tls_pair_end(&pair);
    tls_fixture_finish();
}

/* A peer that is gone without a good-bye. */
static void test_cut(void)
{
    g_autoptr(Error) middle_err = NULL;
    g_autoptr(Error) between_err = NULL;
    TLSPair pair;
    char buf[4];

    tls_fixture_start();
    pair = tls_pair_ready();
    g_assert_cmpint(qio_channel_write(pair.client, "ab", 2, &error_abort), ==,
                    2);
    shutdown(qio_channel_get_write_fd(pair.client), SHUT_RDWR);
    g_assert_cmpint(qio_channel_read_all(pair.server, buf, 4, &middle_err), ==,
                    -1);
    g_assert_cmpstr(error_get_pretty(middle_err), ==,
                    "The TLS stream from unix: was cut");
    g_assert_cmpint(qio_channel_read(pair.server, buf, 4, &between_err), ==,
                    -1);
    tls_pair_end(&pair);
    tls_fixture_finish();
}

/* A good-bye in the midst of what one waits for is one too early. */
static void test_early_end(void)
{
    g_autoptr(Error) err = NULL;
    TLSPair pair;
    char buf[4];

    tls_fixture_start();
    pair = tls_pair_ready();
    g_assert_cmpint(qio_channel_write(pair.client, "ab", 2, &error_abort), ==,
                    2);
    qio_channel_close(pair.client);
    g_assert_cmpint(qio_channel_read_all(pair.server, buf, 4, &err), ==, -1);
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Unexpected end of the stream from unix:");
    tls_pair_end(&pair);
    tls_fixture_finish();
}

/* Who lets go of a channel without closing it did not end the stream. */
static void test_unref_cuts(void)
{
    g_autoptr(Error) err = NULL;
    TLSPair pair;

    tls_fixture_start();
    pair = tls_pair_ready();
    oob_section_enter("test");
    qio_channel_unref(pair.client);
    oob_section_leave();
    g_assert_cmpint(read_byte(pair.server, &err), ==, -1);
    g_assert_nonnull(strstr(error_get_pretty(err), "was cut"));
    qio_channel_unref(pair.server);
    tls_fixture_finish();
}

/* Closing says good-bye only where that needs no wait. */
static void test_close_does_not_wait(void)
{
    g_autofree char *much = g_malloc0(BULK);
    TLSPair pair;
    ssize_t n;

    tls_fixture_start();
    pair = tls_pair_ready();
    qio_channel_set_blocking(pair.client, false, &error_abort);
    do {
        n = qio_channel_write(pair.client, much, BULK, &error_abort);
    } while (n > 0);
    g_assert_cmpint(n, ==, QIO_CHANNEL_ERR_BLOCK);
    qio_channel_set_blocking(pair.client, true, &error_abort);
    qio_channel_close(pair.client);
    g_assert_cmpint(qio_channel_write(pair.client, "x", 1, NULL), ==, -1);
    qio_channel_close(pair.client);
    tls_pair_end(&pair);
    tls_fixture_finish();
}

static QIOChannelTLSHandshake step(QIOChannel *ioc,
                                   QIOChannelTLSHandshake state)
{
    return state == QIO_CHANNEL_TLS_DONE
               ? state
               : qio_channel_tls_handshake_step(ioc, &error_abort);
}

static void handshake_in_steps(TLSPair *pair)
{
    QIOChannelTLSHandshake client = QIO_CHANNEL_TLS_WANT_READ;
    QIOChannelTLSHandshake server = QIO_CHANNEL_TLS_WANT_READ;

    qio_channel_set_blocking(pair->client, false, &error_abort);
    qio_channel_set_blocking(pair->server, false, &error_abort);
    g_assert_cmpint(step(pair->server, server), ==, QIO_CHANNEL_TLS_WANT_READ);
    while (client != QIO_CHANNEL_TLS_DONE || server != QIO_CHANNEL_TLS_DONE) {
        client = step(pair->client, client);
        server = step(pair->server, server);
    }
}

/* One thread moves it all, and is never made to wait. */
static void test_non_blocking(void)
{
    g_autofree unsigned char *data = g_malloc(BULK);
    g_autofree unsigned char *got = g_malloc(BULK);
    size_t sent = 0, received = 0, offer = BULK;
    bool was_full = false;
    TLSPair pair;

    tls_fixture_start();
    fill_pattern(data, BULK, 2);
    pair = tls_pair_new(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                        tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true),
                        "localhost");
    handshake_in_steps(&pair);
    while (received < BULK) {
        ssize_t n;

        while (sent < BULK && (n = qio_channel_write(pair.client, data + sent,
                                                     MIN(BULK - sent, offer),
                                                     &error_abort)) > 0) {
            sent += n;
        }
        was_full |= sent < BULK;
        /* What was refused may come again in other portions. */
        offer = offer == BULK ? 1000 : BULK;
        while ((n = qio_channel_read(pair.server, got + received,
                                     MIN(BULK - received, 100 * KiB),
                                     &error_abort)) > 0) {
            received += n;
        }
        g_assert_true(n == QIO_CHANNEL_ERR_BLOCK || received == BULK);
    }
    g_assert_cmpuint(sent, ==, BULK);
    g_assert_true(was_full);
    g_assert_cmpint(memcmp(data, got, BULK), ==, 0);
    tls_pair_end(&pair);
    tls_fixture_finish();
}

/* Blocking calls of a channel that does not wait. */
static void test_must_wait(void)
{
    g_autoptr(Error) handshake_err = NULL;
    g_autoptr(Error) read_err = NULL;
    TLSPair pair;
    char byte;

    tls_fixture_start();
    pair = tls_pair_new(tls_fixture_x509_creds(TLS_FIXTURE_CLIENT, false),
                        tls_fixture_x509_creds(TLS_FIXTURE_SERVER, true),
                        "localhost");
    qio_channel_set_blocking(pair.client, false, &error_abort);
    g_assert_cmpint(qio_channel_tls_handshake(pair.client, &handshake_err), ==,
                    -1);
    g_assert_nonnull(strstr(error_get_pretty(handshake_err), "does not wait"));
    handshake_in_steps(&pair);
    g_assert_cmpint(qio_channel_read_all(pair.client, &byte, 1, &read_err), ==,
                    -1);
    g_assert_nonnull(strstr(error_get_pretty(read_err), "does not wait"));
    tls_pair_end(&pair);
    tls_fixture_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io/tls/bulk", test_bulk);
    g_test_add_func("/io/tls/stuck-writer", test_stuck_writer);
    g_test_add_func("/io/tls/shutdown-handshake", test_shutdown_handshake);
    g_test_add_func("/io/tls/shutdown-read", test_shutdown_read);
    g_test_add_func("/io/tls/read-timeout", test_read_timeout);
    g_test_add_func("/io/tls/cut", test_cut);
    g_test_add_func("/io/tls/early-end", test_early_end);
    g_test_add_func("/io/tls/unref-cuts", test_unref_cuts);
    g_test_add_func("/io/tls/close-does-not-wait", test_close_does_not_wait);
    g_test_add_func("/io/tls/non-blocking", test_non_blocking);
    g_test_add_func("/io/tls/must-wait", test_must_wait);
    return g_test_run();
}
