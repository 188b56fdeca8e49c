/*
 * TLS channels: peers that are not ours.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "io-fixture.h"
#include "tls-fixture.h"

#define ECHO_TOTAL (8 * MiB)
/* GnuTLS refuses a peer that asks for more than 8 new keys a second. */
#define KEY_UPDATES 6

/*
 * Sends all back, and now and then replaces the keys of both directions,
 * which takes an answer from a channel that two threads use.
 */
static void *echo_thread(void *opaque)
{
    static const gnutls_datum_t key = {
        (unsigned char *)"00112233445566778899aabbccddeeff", 32};
    gnutls_psk_client_credentials_t creds;
    g_autofree char *buf = g_malloc(16 * KiB);
    size_t total = 0, updates = 0;
    gnutls_session_t session;

    gnutls_psk_allocate_client_credentials(&creds);
    gnutls_psk_set_client_credentials(creds, "qemu", &key, GNUTLS_PSK_KEY_HEX);
    session = tls_raw_client(*(int *)opaque,
                             "NORMAL:-VERS-ALL:+VERS-TLS1.3:+PSK:"
                             "+ECDHE-PSK:+DHE-PSK",
                             GNUTLS_CRD_PSK, creds);
    g_assert_cmpint(gnutls_handshake(session), ==, 0);
    while (total < ECHO_TOTAL) {
        ssize_t n = gnutls_record_recv(session, buf, 16 * KiB);

        /* So it is after a message of the session's own. */
        if (n == GNUTLS_E_AGAIN) {
            continue;
        }
        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(gnutls_record_send(session, buf, n), ==, n);
        total += n;
        if (total * (KEY_UPDATES + 1) / ECHO_TOTAL > updates) {
            updates++;
            g_assert_cmpint(gnutls_session_key_update(session, GNUTLS_KU_PEER),
                            ==, 0);
        }
    }
    gnutls_deinit(session);
    gnutls_psk_free_client_credentials(creds);
    return NULL;
}

static void *write_all_thread(void *opaque)
{
    g_autofree char *block = g_malloc0(64 * KiB);

    for (size_t at = 0; at < ECHO_TOTAL; at += 64 * KiB) {
        struct iovec iov = {block, 64 * KiB};

        memset(block, at >> 16, 64 * KiB);
        qio_channel_writev_all(opaque, &iov, 1, &error_abort);
    }
    return NULL;
}

static void check_key_update(void)
{
    g_autofree unsigned char *got = g_malloc(64 * KiB);
    TLSHalf half = tls_half_new(tls_psk_server);
    GThread *echo, *writer;

    echo = g_thread_new("echo", echo_thread, &half.peer);
    g_assert_cmpint(qio_channel_tls_handshake(half.ioc, &error_abort), ==, 0);
    writer = g_thread_new("writer", write_all_thread, half.ioc);
    for (size_t at = 0; at < ECHO_TOTAL; at += 64 * KiB) {
        g_assert_cmpint(
            qio_channel_read_all(half.ioc, got, 64 * KiB, &error_abort), ==, 1);
        g_assert_cmpint(got[0], ==, (at >> 16) & 0xff);
        g_assert_cmpint(got[64 * KiB - 1], ==, (at >> 16) & 0xff);
    }
    g_thread_join(writer);
    g_thread_join(echo);
    tls_half_end(&half);
}

/* What goes wrong here does so now and then. */
static void test_key_update(void)
{
    tls_fixture_start();
    for (int i = 0; i < 6; i++) {
        check_key_update();
    }
    tls_fixture_finish();
}

/* OpenSSL's tool, with its input and output. */
typedef struct Tool {
    GPid pid;
    int in;
    int out;
} Tool;

/*
 * OpenSSL wants the path of a socket to be shorter than a port's name may be,
 * 32 bytes: it is told that of @path within its folder.
 */
static Tool tool_start(const char *const *argv, const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                        G_SPAWN_STDERR_TO_DEV_NULL;
    Tool tool;
    g_autoptr(GError) err = NULL;

    if (!g_spawn_async_with_pipes(folder, (char **)argv, NULL, flags, NULL,
                                  NULL, &tool.pid, &tool.in, &tool.out, NULL,
                                  &err)) {
        g_error("%s", err->message);
    }
    return tool;
}

static void tool_end(Tool *tool)
{
    close(tool->in);
    kill(tool->pid, SIGKILL);
    waitpid(tool->pid, NULL, 0);
    close(tool->out);
    g_spawn_close_pid(tool->pid);
}

/* Reads its output up to the end of @text. */
static void tool_expect(Tool *tool, const char *text)
{
    g_autoptr(GString) got = g_string_new(NULL);
    char c;

    while (!g_str_has_suffix(got->str, text)) {
        if (read(tool->out, &c, 1) != 1) {
            g_error("\"%s\" instead of \"%s\"", got->str, text);
        }
        g_string_append_c(got, c);
    }
}

static TLSHalf half_connected(TLSMakeFn *make, const char *path)
{
    int fd = io_fixture_connect_unix(path, false);

    g_assert_cmpint(fd, >=, 0);
    return tls_half_of(make, fd, -1);
}

static void expect_read(QIOChannel *ioc, const char *text)
{
    g_autofree char *buf = g_malloc(strlen(text));

    g_assert_cmpint(qio_channel_read_all(ioc, buf, strlen(text), &error_abort),
                    ==, 1);
    g_assert_cmpmem(buf, strlen(text), text, strlen(text));
}

/* What OpenSSL serves, reversing each line. */
static void check_openssl_server(TLSMakeFn *make, const char *const *options)
{
    g_autofree char *path = io_fixture_path("s");
    const char *argv[32] = {"openssl", "s_server", "-unix", "s", "-rev"};
    TLSHalf half;
    Tool tool;

    for (int i = 0; options[i]; i++) {
        argv[5 + i] = options[i];
    }
    tool = tool_start(argv, path);
    tool_expect(&tool, "ACCEPT");
    half = half_connected(make, path);
    g_assert_cmpint(qio_channel_tls_handshake(half.ioc, &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_write(half.ioc, "abc\n", 4, &error_abort), ==,
                    4);
    expect_read(half.ioc, "cba\n");
    qio_channel_unref(half.ioc);
    tool_end(&tool);
    unlink(path);
}

/* What OpenSSL asks of our server. */
static void check_openssl_client(TLSMakeFn *make, const char *const *options)
{
    g_autofree char *path = io_fixture_path("s");
    int listener = io_fixture_listen_unix(path, 1);
    const char *argv[32] = {"openssl", "s_client", "-unix", "s", "-quiet"};
    char byte;
    TLSHalf half;
    Tool tool;

    for (int i = 0; options[i]; i++) {
        argv[5 + i] = options[i];
    }
    tool = tool_start(argv, path);
    half = tls_half_of(make, accept4(listener, NULL, NULL, SOCK_CLOEXEC), -1);
    g_assert_cmpint(qio_channel_tls_handshake(half.ioc, &error_abort), ==, 0);
    g_assert_cmpint(write(tool.in, "to server\n", 10), ==, 10);
    expect_read(half.ioc, "to server\n");
    g_assert_cmpint(
        qio_channel_write(half.ioc, "to client\n", 10, &error_abort), ==, 10);
    tool_expect(&tool, "to client\n");
    qio_channel_close(half.ioc);
    /* The good-bye ends it. */
    g_assert_cmpint(read(tool.out, &byte, 1), ==, 0);
    qio_channel_unref(half.ioc);
    tool_end(&tool);
    close(listener);
    unlink(path);
}

static void check_openssl_x509(const char *version)
{
    g_autofree char *ca = tls_fixture_path(TLS_FIXTURE_CLIENT, "ca-cert.pem");
    g_autofree char *server =
        tls_fixture_path(TLS_FIXTURE_SERVER, "server-cert.pem");
    g_autofree char *server_key =
        tls_fixture_path(TLS_FIXTURE_SERVER, "server-key.pem");
    g_autofree char *client =
        tls_fixture_path(TLS_FIXTURE_CLIENT, "client-cert.pem");
    g_autofree char *client_key =
        tls_fixture_path(TLS_FIXTURE_CLIENT, "client-key.pem");
    const char *serve[] = {"-CAfile", ca,     "-cert",
                           server,    "-key", server_key,
                           "-Verify", "1",    "-verify_return_error",
                           version,   NULL};
    const char *connect[] = {"-CAfile",
                             ca,
                             "-cert",
                             client,
                             "-key",
                             client_key,
                             "-verify_return_error",
                             "-verify_hostname",
                             "localhost",
                             version,
                             NULL};

    check_openssl_server(tls_x509_client, serve);
    check_openssl_client(tls_x509_server, connect);
}

static void test_openssl_x509(void)
{
    tls_fixture_start();
    check_openssl_x509("-tls1_3");
    check_openssl_x509("-tls1_2");
    tls_fixture_finish();
}

static void check_openssl_psk(const char *version)
{
    const char *serve[] = {"-nocert",
                           "-psk_identity",
                           "qemu",
                           "-psk",
                           "00112233445566778899aabbccddeeff",
                           version,
                           NULL};
    const char *connect[] = {
        "-psk_identity", "qemu", "-psk", "00112233445566778899aabbccddeeff",
        version,         NULL};

    check_openssl_server(tls_psk_client, serve);
    check_openssl_client(tls_psk_server, connect);
}

static void test_openssl_psk(void)
{
    tls_fixture_start();
    check_openssl_psk("-tls1_3");
    check_openssl_psk("-tls1_2");
    tls_fixture_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* Writing to a tool that is gone. */
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/io/tls/key-update", test_key_update);
    g_test_add_func("/io/tls/openssl-x509", test_openssl_x509);
    g_test_add_func("/io/tls/openssl-psk", test_openssl_psk);
    return g_test_run();
}
