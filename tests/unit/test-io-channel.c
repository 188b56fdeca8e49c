/*
 * Channels: moving bytes, errors, and being cut while others use or close
 * them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "io-fixture.h"
#include "io/channel-file.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/oob.h"

typedef struct Pair {
    QIOChannel *ioc;
    int peer;
} Pair;

static Pair pair_new(void)
{
    Pair pair;
    int fds[2];

    io_fixture_start();
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==,
                    0);
    pair.ioc = qio_channel_socket_new_fd(fds[0], &error_abort);
    pair.peer = fds[1];
    return pair;
}

static void pair_end(Pair *pair)
{
    qio_channel_unref(pair->ioc);
    close(pair->peer);
    io_fixture_finish();
}

static void test_transfer(void)
{
    Pair pair = pair_new();
    struct iovec out[] = {{"ab", 2}, {"cde", 3}};
    char in1[3], in2[8];
    struct iovec in[] = {{in1, 3}, {in2, 8}};

    g_assert_cmpint(qio_channel_read(pair.ioc, in1, sizeof(in1), &error_abort),
                    ==, QIO_CHANNEL_ERR_BLOCK);
    g_assert_cmpint(qio_channel_writev(pair.ioc, out, 2, &error_abort), ==, 5);
    g_assert_cmpint(read(pair.peer, in2, sizeof(in2)), ==, 5);
    g_assert_cmpmem(in2, 5, "abcde", 5);

    g_assert_cmpint(write(pair.peer, "12345", 5), ==, 5);
    g_assert_cmpint(qio_channel_readv(pair.ioc, in, 2, &error_abort), ==, 5);
    g_assert_cmpmem(in1, 3, "123", 3);
    g_assert_cmpmem(in2, 2, "45", 2);

    shutdown(pair.peer, SHUT_WR);
    g_assert_cmpint(qio_channel_read(pair.ioc, in1, sizeof(in1), &error_abort),
                    ==, 0);
    pair_end(&pair);
}

static void test_full(void)
{
    Pair pair = pair_new();
    g_autofree char *much = g_malloc0(1 << 20);
    ssize_t n;

    do {
        n = qio_channel_write(pair.ioc, much, 1 << 20, &error_abort);
    } while (n > 0);
    g_assert_cmpint(n, ==, QIO_CHANNEL_ERR_BLOCK);
    pair_end(&pair);
}

/* A write to a peer that is gone is an error and no SIGPIPE. */
static void test_peer_gone(void)
{
    Pair pair = pair_new();
    g_autoptr(Error) err = NULL;

    shutdown(pair.peer, SHUT_RDWR);
    g_assert_cmpint(qio_channel_write(pair.ioc, "x", 1, &err), ==, -1);
    g_assert_nonnull(strstr(error_get_pretty(err), "Broken pipe"));
    pair_end(&pair);
}

static void test_shutdown(void)
{
    Pair pair = pair_new();
    g_autoptr(Error) err = NULL;
    char byte;

    g_assert_cmpint(qio_channel_shutdown(pair.ioc, QIO_CHANNEL_SHUTDOWN_WRITE,
                                         &error_abort),
                    ==, 0);
    g_assert_cmpint(read(pair.peer, &byte, 1), ==, 0);
    g_assert_cmpint(write(pair.peer, "x", 1), ==, 1);
    g_assert_cmpint(qio_channel_read(pair.ioc, &byte, 1, &error_abort), ==, 1);

    g_assert_cmpint(
        qio_channel_shutdown(pair.ioc, QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort),
        ==, 0);
    g_assert_cmpint(qio_channel_read(pair.ioc, &byte, 1, &error_abort), ==, 0);
    g_assert_cmpint(
        qio_channel_shutdown(pair.ioc, QIO_CHANNEL_SHUTDOWN_BOTH, &err), ==,
        -1);
    g_assert_nonnull(err);
    pair_end(&pair);
}

static void test_closed(void)
{
    Pair pair = pair_new();
    g_autoptr(Error) err = NULL;
    char byte;

    qio_channel_close(pair.ioc);
    qio_channel_close(pair.ioc);
    g_assert_cmpint(
        qio_channel_shutdown(pair.ioc, QIO_CHANNEL_SHUTDOWN_BOTH, &err), ==,
        -1);
    g_clear_pointer(&err, error_free);
    g_assert_cmpint(qio_channel_read(pair.ioc, &byte, 1, &err), ==, -1);
    g_assert_nonnull(err);
    pair_end(&pair);
}

static void test_dup(void)
{
    Pair pair = pair_new();
    int dup = qio_channel_socket_dup_fd(pair.ioc, &error_abort);
    char byte;

    g_assert_cmpint(write(dup, "x", 1), ==, 1);
    g_assert_cmpint(read(pair.peer, &byte, 1), ==, 1);
    qio_channel_shutdown(pair.ioc, QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort);
    g_assert_cmpint(read(dup, &byte, 1), ==, 0);
    close(dup);
    pair_end(&pair);
}

static void *reader_thread(void *opaque)
{
    QIOChannel *ioc = opaque;
    struct pollfd pfd = {qio_channel_get_read_fd(ioc), POLLIN, 0};
    char byte;

    g_assert_cmpint(poll(&pfd, 1, FIXTURE_DEADLINE_S * 1000), ==, 1);
    g_assert_cmpint(qio_channel_read(ioc, &byte, 1, &error_abort), ==, 0);
    return NULL;
}

/* Whoever waits for a silent peer is woken up. */
static void test_shutdown_wakes(void)
{
    Pair pair = pair_new();
    GThread *thread = g_thread_new("reader", reader_thread, pair.ioc);

    qio_channel_shutdown(pair.ioc, QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort);
    g_thread_join(thread);
    pair_end(&pair);
}

#define RACE_ROUNDS 2000

typedef struct Race {
    QIOChannel *ioc; /* atomic; NULL: the end */
    int taken;       /* atomic */
} Race;

static void *cutter_thread(void *opaque)
{
    Race *race = opaque;
    QIOChannel *ioc;

    for (;;) {
        while (!g_atomic_int_get(&race->taken)) {
            g_thread_yield();
        }
        ioc = g_atomic_pointer_get(&race->ioc);
        if (!ioc) {
            return NULL;
        }
        qio_channel_shutdown(ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
        qio_channel_unref(ioc);
        g_atomic_int_set(&race->taken, 0);
    }
}

/*
 * A cut that races with a close must not hit whoever got the number of the
 * descriptor next: here a pair that has to stay whole.
 */
static void test_shutdown_against_close(void)
{
    Race race = {};
    GThread *thread;

    io_fixture_start();
    thread = g_thread_new("cutter", cutter_thread, &race);
    for (int i = 0; i < RACE_ROUNDS; i++) {
        int fds[2], next[2];
        char byte;

        socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
        race.ioc = qio_channel_socket_new_fd(fds[0], &error_abort);
        qio_channel_ref(race.ioc);
        g_atomic_int_set(&race.taken, 1);
        qio_channel_close(race.ioc);
        socketpair(AF_UNIX, SOCK_STREAM, 0, next);
        qio_channel_unref(race.ioc);
        while (g_atomic_int_get(&race.taken)) {
            g_thread_yield();
        }
        g_assert_cmpint(send(next[0], "x", 1, MSG_NOSIGNAL), ==, 1);
        g_assert_cmpint(read(next[1], &byte, 1), ==, 1);
        close(fds[1]);
        close(next[0]);
        close(next[1]);
    }
    race.ioc = NULL;
    g_atomic_int_set(&race.taken, 1);
    g_thread_join(thread);
    io_fixture_finish();
}

static Pair blocking_pair_new(void)
{
    Pair pair = pair_new();

    qio_channel_set_blocking(pair.ioc, true, &error_abort);
    return pair;
}

#define MUCH (4 * MiB)

/* In pieces so small and so many that no call takes them all. */
static void *pieces_writer(void *opaque)
{
    const size_t n = 3000, size = MUCH / n;
    g_autofree struct iovec *iov = g_new0(struct iovec, n + 2);
    g_autofree char *data = g_malloc(MUCH);

    for (size_t i = 0; i < MUCH; i++) {
        data[i] = i % 251;
    }
    /* One that is empty is at the start, and one at the end. */
    for (size_t i = 0; i < n; i++) {
        iov[i + 1].iov_base = data + i * size;
        iov[i + 1].iov_len = size;
    }
    g_assert_cmpint(qio_channel_writev_all(opaque, iov, n + 2, &error_abort),
                    ==, 0);
    return NULL;
}

static void test_all(void)
{
    Pair pair = blocking_pair_new();
    QIOChannel *peer = qio_channel_socket_new_fd(pair.peer, &error_abort);
    GThread *thread = g_thread_new("writer", pieces_writer, pair.ioc);
    const size_t total = MUCH / 3000 * 3000;
    g_autofree unsigned char *data = g_malloc(total);

    qio_channel_set_blocking(peer, true, &error_abort);
    g_assert_cmpint(qio_channel_read_all(peer, data, 0, &error_abort), ==, 1);
    g_assert_cmpint(qio_channel_read_all(peer, data, total, &error_abort), ==,
                    1);
    for (size_t i = 0; i < total; i++) {
        g_assert_cmpint(data[i], ==, i % 251);
    }
    g_thread_join(thread);
    qio_channel_close(pair.ioc);
    g_assert_cmpint(qio_channel_read_all(peer, data, 1, &error_abort), ==, 0);
    qio_channel_unref(peer);
    qio_channel_unref(pair.ioc);
    io_fixture_finish();
}

static void test_early_end(void)
{
    Pair pair = blocking_pair_new();
    g_autoptr(Error) err = NULL;
    char buf[4];

    g_assert_cmpint(write(pair.peer, "abc", 3), ==, 3);
    shutdown(pair.peer, SHUT_WR);
    g_assert_cmpint(qio_channel_read_all(pair.ioc, buf, 4, &err), ==, -1);
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Unexpected end of the stream from unix:");
    pair_end(&pair);
}

static void test_does_not_wait(void)
{
    Pair pair = pair_new();
    g_autoptr(Error) read_err = NULL;
    g_autoptr(Error) write_err = NULL;
    g_autofree char *much = g_malloc0(MUCH);
    struct iovec iov = {much, MUCH};
    char byte;

    g_assert_cmpint(qio_channel_read_all(pair.ioc, &byte, 1, &read_err), ==,
                    -1);
    g_assert_nonnull(strstr(error_get_pretty(read_err), "does not wait"));
    g_assert_cmpint(qio_channel_writev_all(pair.ioc, &iov, 1, &write_err), ==,
                    -1);
    g_assert_nonnull(strstr(error_get_pretty(write_err), "does not wait"));
    pair_end(&pair);
}

static void test_read_timeout(void)
{
    Pair pair = blocking_pair_new();
    g_autoptr(Error) err = NULL;
    char buf[2];

    qio_channel_set_read_timeout(pair.ioc, 10, &error_abort);
    g_assert_cmpint(write(pair.peer, "a", 1), ==, 1);
    g_assert_cmpint(qio_channel_read_all(pair.ioc, buf, 2, &err), ==, -1);
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Unable to read from unix:: silent for 10 ms");
    qio_channel_set_read_timeout(pair.ioc, 0, &error_abort);
    g_assert_cmpint(write(pair.peer, "ab", 2), ==, 2);
    g_assert_cmpint(qio_channel_read_all(pair.ioc, buf, 2, &error_abort), ==,
                    1);
    /* And back among those that never wait. */
    qio_channel_set_blocking(pair.ioc, false, &error_abort);
    g_assert_cmpint(qio_channel_read(pair.ioc, buf, 2, &error_abort), ==,
                    QIO_CHANNEL_ERR_BLOCK);
    pair_end(&pair);
}

static void *blocking_reader(void *opaque)
{
    char buf[64];

    return GINT_TO_POINTER(
        qio_channel_read_all(opaque, buf, sizeof(buf), &error_abort));
}

static void *blocking_writer(void *opaque)
{
    g_autofree char *much = g_malloc0(MUCH);
    struct iovec iov = {much, MUCH};

    return GINT_TO_POINTER(qio_channel_writev_all(opaque, &iov, 1, NULL));
}

/* Whoever waits in a read or a write is woken up. */
static void test_shutdown_blocking(void)
{
    Pair pair = blocking_pair_new();
    GThread *reader = g_thread_new("reader", blocking_reader, pair.ioc);
    GThread *writer = g_thread_new("writer", blocking_writer, pair.ioc);
    struct pollfd pfd = {qio_channel_get_write_fd(pair.ioc), POLLOUT, 0};

    while (poll(&pfd, 1, 0) == 1) {
        g_thread_yield();
    }
    oob_section_enter("test");
    qio_channel_shutdown(pair.ioc, QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort);
    oob_section_leave();
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(reader)), ==, 0);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(writer)), ==, -1);
    pair_end(&pair);
}

static void test_not_a_stream_socket(void)
{
    g_autoptr(Error) err = NULL;
    int fds[2];

    io_fixture_start();
    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_null(qio_channel_socket_new_fd(fds[0], &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "is not a socket"));
    g_clear_pointer(&err, error_free);
    close(fds[0]);
    close(fds[1]);

    socketpair(AF_UNIX, SOCK_DGRAM, 0, fds);
    g_assert_null(qio_channel_socket_new_fd(fds[0], &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "is not a stream socket"));
    close(fds[0]);
    close(fds[1]);
    io_fixture_finish();
}

static void test_file(void)
{
    int in[2], out[2];
    QIOChannel *ioc;
    g_autoptr(Error) err = NULL;
    char byte;

    io_fixture_start();
    g_assert_cmpint(pipe(in), ==, 0);
    g_assert_cmpint(pipe(out), ==, 0);
    ioc = qio_channel_file_new(in[0], out[1], "stdio");
    g_assert_cmpstr(qio_channel_peer(ioc), ==, "stdio");
    g_assert_cmpint(qio_channel_get_read_fd(ioc), ==, in[0]);
    g_assert_cmpint(qio_channel_get_write_fd(ioc), ==, out[1]);
    g_assert_cmpint(qio_channel_read(ioc, &byte, 1, &error_abort), ==,
                    QIO_CHANNEL_ERR_BLOCK);
    g_assert_cmpint(qio_channel_write(ioc, "x", 1, &error_abort), ==, 1);
    g_assert_cmpint(read(out[0], &byte, 1), ==, 1);
    g_assert_cmpint(qio_channel_shutdown(ioc, QIO_CHANNEL_SHUTDOWN_BOTH, &err),
                    ==, -1);
    close(in[1]);
    g_assert_cmpint(qio_channel_read(ioc, &byte, 1, &error_abort), ==, 0);
    qio_channel_unref(ioc);
    close(out[0]);
    io_fixture_finish();
}

static void check_text(SocketAddress *addr, const char *expected)
{
    g_autofree char *text = socket_address_to_string(addr);

    g_assert_cmpstr(text, ==, expected);
    qapi_free_SocketAddress(addr);
}

/* The flags of an inherited socket belong to all processes that have it. */
static void check_never_waits(QIOChannel *ioc, int fd)
{
    static const char zeroes[65536];
    char byte;
    ssize_t n;

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    g_assert_cmpint(qio_channel_read(ioc, &byte, 1, &error_abort), ==,
                    QIO_CHANNEL_ERR_BLOCK);
    do {
        n = qio_channel_write(ioc, zeroes, sizeof(zeroes), &error_abort);
    } while (n > 0);
    g_assert_cmpint(n, ==, QIO_CHANNEL_ERR_BLOCK);
}

static void test_shared_flags(void)
{
    int fds[2];
    Pair pair = pair_new();

    check_never_waits(pair.ioc, qio_channel_get_read_fd(pair.ioc));
    pair_end(&pair);

    io_fixture_start();
    socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
    pair.ioc = qio_channel_file_new(fds[0], dup(fds[0]), "stdio");
    check_never_waits(pair.ioc, fds[0]);
    pair.peer = fds[1];
    pair_end(&pair);
}

static void test_addresses(void)
{
    SocketAddressLegacy legacy = {.type = SOCKET_ADDRESS_TYPE_INET};
    InetSocketAddress inet = {.host = (char *)"h", .port = (char *)"1"};

    check_text(io_fixture_unix("/x"), "unix:/x");
    check_text(io_fixture_inet("127.0.0.1", "10"), "127.0.0.1:10");
    check_text(io_fixture_inet("::1", "10"), "[::1]:10");
    check_text(io_fixture_fd(5), "fd:5");
    legacy.u.inet.data = &inet;
    check_text(socket_address_flatten(&legacy), "h:1");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io/channel/transfer", test_transfer);
    g_test_add_func("/io/channel/full", test_full);
    g_test_add_func("/io/channel/peer-gone", test_peer_gone);
    g_test_add_func("/io/channel/shutdown", test_shutdown);
    g_test_add_func("/io/channel/closed", test_closed);
    g_test_add_func("/io/channel/dup", test_dup);
    g_test_add_func("/io/channel/shutdown-wakes", test_shutdown_wakes);
    g_test_add_func("/io/channel/shutdown-against-close",
                    test_shutdown_against_close);
    g_test_add_func("/io/channel/all", test_all);
    g_test_add_func("/io/channel/early-end", test_early_end);
    g_test_add_func("/io/channel/does-not-wait", test_does_not_wait);
    g_test_add_func("/io/channel/read-timeout", test_read_timeout);
    g_test_add_func("/io/channel/shutdown-blocking", test_shutdown_blocking);
    g_test_add_func("/io/channel/not-a-stream-socket",
                    test_not_a_stream_socket);
    g_test_add_func("/io/channel/file", test_file);
    g_test_add_func("/io/channel/shared-flags", test_shared_flags);
    g_test_add_func("/io/channel/addresses", test_addresses);
    return g_test_run();
}
