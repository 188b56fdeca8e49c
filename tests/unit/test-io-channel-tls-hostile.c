/*
 * TLS channels: peers that mean no good.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "tls-fixture.h"

#define BYTES(text) text, sizeof(text) - 1

/* What no handshake begins with, or one that stops in the middle. */
static const struct {
    const char *bytes;
    size_t len;
} hostile[] = {
    {BYTES("")},
    {BYTES("\x16")},
    {BYTES("GET / HTTP/1.1\r\n\r\n")},
    {BYTES("NBDMAGICIHAVEOPT")},
    {BYTES("\0\0\0\0\0\0\0\0")},
    /* A handshake record of 65535 bytes, of 0, and of a kind unknown. */
    {BYTES("\x16\x03\x01\xff\xff\x01\0\0\0")},
    {BYTES("\x16\x03\x01\0\0")},
    {BYTES("\x77\x03\x03\0\x01x")},
    /* Application data, an alert, and a greeting that is cut short. */
    {BYTES("\x17\x03\x03\0\x04"
           "data")},
    {BYTES("\x15\x03\x03\0\x02\x02\x28")},
    {BYTES("\x16\x03\x01\0\x08\x01\xff\xff\xff\x03\x03\0\0")},
    {BYTES("\x16\x03\x03\0\x08\x02\0\0\x04\x03\x03\0\0")},
};

static void check_hostile(TLSMakeFn *make, const char *bytes, size_t len)
{
    TLSHalf half = tls_half_new(make);
    g_autoptr(Error) err = NULL;

    g_assert_cmpint(write(half.peer, bytes, len), ==, len);
    shutdown(half.peer, SHUT_WR);
    g_assert_cmpint(qio_channel_tls_handshake(half.ioc, &err), ==, -1);
    g_assert_nonnull(strstr(error_get_pretty(err), "TLS handshake with unix:"));
    tls_half_end(&half);
}

static void test_hostile_handshake(void)
{
    tls_fixture_start();
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
        check_hostile(tls_x509_client, hostile[i].bytes, hostile[i].len);
        check_hostile(tls_x509_server, hostile[i].bytes, hostile[i].len);
        check_hostile(tls_psk_client, hostile[i].bytes, hostile[i].len);
        check_hostile(tls_psk_server, hostile[i].bytes, hostile[i].len);
    }
    tls_fixture_finish();
}

static void test_random_handshake(void)
{
    guint32 bytes[256];

    tls_fixture_start();
    for (int i = 0; i < 100; i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(bytes); j++) {
            bytes[j] = g_test_rand_int();
        }
        /* TLSHalf of them get past the header of a record. */
        if (i % 2) {
            memcpy(bytes, "\x16\x03\x03\x03\xfb\x01\0\x03\xf7\x03\x03", 11);
        }
        check_hostile(tls_x509_server, (const char *)bytes, sizeof(bytes));
    }
    tls_fixture_finish();
}

/* Who can write into the connection cannot write into the stream. */
static void test_hostile_records(void)
{
    static const char record[] = "\x17\x03\x03\0\x20"
                                 "this was not encrypted by anyone";
    g_autoptr(Error) err = NULL;
    TLSPair pair;
    char buf[64];

    tls_fixture_start();
    pair = tls_pair_ready();
    g_assert_cmpint(write(qio_channel_get_write_fd(pair.client), record,
                          sizeof(record) - 1),
                    ==, sizeof(record) - 1);
    g_assert_cmpint(qio_channel_read_all(pair.server, buf, 1, &err), ==, -1);
    g_assert_nonnull(
        strstr(error_get_pretty(err), "Reading TLS of unix: failed: "));
    /* What is broken stays so. */
    g_assert_cmpint(qio_channel_read(pair.server, buf, 1, NULL), ==, -1);
    tls_pair_end(&pair);
    tls_fixture_finish();
}

static void *anonymous_thread(void *opaque)
{
    gnutls_anon_client_credentials_t creds;
    gnutls_session_t session;

    gnutls_anon_allocate_client_credentials(&creds);
    session = tls_raw_client(*(int *)opaque,
                             "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ANON-ECDH:"
                             "+ANON-DH",
                             GNUTLS_CRD_ANON, creds);
    g_assert_cmpint(gnutls_handshake(session), <, 0);
    gnutls_deinit(session);
    gnutls_anon_free_client_credentials(creds);
    return NULL;
}

static void test_anonymous(void)
{
    QIOChannel *(*const makers[])(QIOChannel * master) = {tls_x509_server,
                                                          tls_psk_server};

    tls_fixture_start();
    for (size_t i = 0; i < G_N_ELEMENTS(makers); i++) {
        TLSHalf half = tls_half_new(makers[i]);
        GThread *thread = g_thread_new("anon", anonymous_thread, &half.peer);
        g_autoptr(Error) err = NULL;

        g_assert_cmpint(qio_channel_tls_handshake(half.ioc, &err), ==, -1);
        g_assert_nonnull(err);
        g_thread_join(thread);
        tls_half_end(&half);
    }
    tls_fixture_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io/tls/hostile-handshake", test_hostile_handshake);
    g_test_add_func("/io/tls/random-handshake", test_random_handshake);
    g_test_add_func("/io/tls/hostile-records", test_hostile_records);
    g_test_add_func("/io/tls/anonymous", test_anonymous);
    return g_test_run();
}
