/*
 * The listener: clients in a loop, waiting for one, and the socket file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "io-fixture.h"
#include "io/connect-task.h"
#include "io/net-listener.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"

static QIONetListener *listen_unix(const char *path)
{
    g_autoptr(SocketAddress) addr = io_fixture_unix(path);

    return qio_net_listener_new(addr, 8, &error_abort);
}

/* Consumes @addr. */
static void expect_error(SocketAddress *addr, const char *text)
{
    g_autoptr(Error) err = NULL;

    g_assert_null(qio_net_listener_new(addr, 8, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, text);
    qapi_free_SocketAddress(addr);
}

static void take_client(QIOChannel *ioc, void *opaque)
{
    *(int *)opaque += 1;
    qio_channel_unref(ioc);
}

static bool three_came(void *opaque)
{
    return *(int *)opaque == 3;
}

static void test_clients(void)
{
    g_autofree char *path = NULL;
    QIONetListener *listener;
    int fds[3], clients = 0;

    io_fixture_start();
    path = io_fixture_path("s");
    listener = listen_unix(path);
    qio_net_listener_set_client_fn(listener, g_main_context_default(),
                                   take_client, &clients);
    for (int i = 0; i < 3; i++) {
        fds[i] = io_fixture_connect_unix(path, false);
    }
    io_fixture_run_until(NULL, three_came, &clients);

    /* Nobody is told any more. */
    qio_net_listener_set_client_fn(listener, NULL, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
    fds[0] = io_fixture_connect_unix(path, false);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    g_assert_cmpint(clients, ==, 3);
    close(fds[0]);
    qio_net_listener_free(listener);
    io_fixture_finish();
}

typedef struct Leaver {
    QIONetListener *listener;
    bool done;
} Leaver;

static void leave(QIOChannel *ioc, void *opaque)
{
    Leaver *leaver = opaque;

    qio_channel_unref(ioc);
    g_clear_pointer(&leaver->listener, qio_net_listener_free);
    leaver->done = true;
}

/* Freed by the function that it calls. */
static void test_free_in_callback(void)
{
    g_autofree char *path = NULL;
    Leaver leaver = {};
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    leaver.listener = listen_unix(path);
    qio_net_listener_set_client_fn(leaver.listener, g_main_context_default(),
                                   leave, &leaver);
    fd = io_fixture_connect_unix(path, false);
    io_fixture_run_until_flag(NULL, &leaver.done);
    close(fd);
    io_fixture_finish();
}

static void expect_client(QIONetListener *listener, const char *host)
{
    const SocketAddress *bound = qio_net_listener_address(listener);
    g_autoptr(SocketAddress) peer = io_fixture_inet(host, bound->u.inet.port);
    int clients = 2;

    qio_net_listener_set_client_fn(listener, g_main_context_default(),
                                   take_client, &clients);
    qio_channel_unref(qio_connect_sync(peer, NULL, NULL, &error_abort));
    io_fixture_run_until(NULL, three_came, &clients);
}

/* The port that was 0 is filled in. */
static void test_inet(void)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", ""};

    io_fixture_start();
    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autoptr(SocketAddress) addr = io_fixture_inet(hosts[i], "0");
        QIONetListener *listener = qio_net_listener_new(addr, 8, &error_abort);
        const SocketAddress *bound = qio_net_listener_address(listener);

        g_assert_cmpint(bound->type, ==, SOCKET_ADDRESS_TYPE_INET);
        g_assert_cmpstr(bound->u.inet.port, !=, "0");
        expect_client(listener, "127.0.0.1");
        qio_net_listener_free(listener);
    }
    io_fixture_finish();
}

static void take_keep_alive(QIOChannel *ioc, void *opaque)
{
    socklen_t len = sizeof(int);

    g_assert_cmpint(getsockopt(qio_channel_get_read_fd(ioc), SOL_SOCKET,
                               SO_KEEPALIVE, opaque, &len),
                    ==, 0);
    qio_channel_unref(ioc);
}

static bool is_known(void *opaque)
{
    return *(int *)opaque >= 0;
}

/* Accepted sockets have keep-alive, unless the address disables it. */
static void test_keep_alive(void)
{
    io_fixture_start();
    for (int mode = 0; mode < 3; mode++) {
        g_autoptr(SocketAddress) addr = io_fixture_inet("127.0.0.1", "0");
        g_autoptr(SocketAddress) peer = NULL;
        QIONetListener *listener;
        int keep_alive = -1;

        addr->u.inet.has_keep_alive = mode > 0;
        addr->u.inet.keep_alive = mode == 2;
        listener = qio_net_listener_new(addr, 8, &error_abort);
        peer = io_fixture_inet("127.0.0.1",
                               qio_net_listener_address(listener)->u.inet.port);
        qio_net_listener_set_client_fn(listener, g_main_context_default(),
                                       take_keep_alive, &keep_alive);
        qio_channel_unref(qio_connect_sync(peer, NULL, NULL, &error_abort));
        io_fixture_run_until(NULL, is_known, &keep_alive);
        g_assert_cmpint(keep_alive, ==, mode != 1);
        qio_net_listener_free(listener);
    }
    io_fixture_finish();
}

/* All addresses of a name are listened at, on one port. */
static void test_both_families(void)
{
    g_autoptr(SocketAddress) v6 = io_fixture_inet("::1", "0");
    g_autoptr(SocketAddress) any = io_fixture_inet("", "0");
    QIONetListener *listener = qio_net_listener_new(v6, 8, NULL);

    if (!listener) {
        g_test_skip("there is no IPv6 here");
        return;
    }
    qio_net_listener_free(listener);
    io_fixture_start();
    listener = qio_net_listener_new(any, 8, &error_abort);
    expect_client(listener, "127.0.0.1");
    expect_client(listener, "::1");
    qio_net_listener_free(listener);
    io_fixture_finish();
}

static void test_range(void)
{
    g_autoptr(SocketAddress) addr = NULL;
    g_autoptr(Error) err = NULL;
    QIONetListener *first, *second;
    const char *port;
    int taken, number;
    char busy[6];

    io_fixture_start();
    taken = io_fixture_listen_inet(busy, 1);
    number = atoi(busy);
    addr = io_fixture_inet("127.0.0.1", busy);
    g_assert_null(qio_net_listener_new(addr, 8, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Failed to find an available port: "
                    "Address already in use");

    addr->u.inet.has_to = true;
    addr->u.inet.to = MIN(number + 50, 65535);
    first = qio_net_listener_new(addr, 8, &error_abort);
    port = qio_net_listener_address(first)->u.inet.port;
    g_assert_cmpint(atoi(port), >, number);
    second = qio_net_listener_new(addr, 8, &error_abort);
    g_assert_cmpint(atoi(qio_net_listener_address(second)->u.inet.port), >,
                    atoi(port));
    qio_net_listener_free(first);
    qio_net_listener_free(second);
    close(taken);
    io_fixture_finish();
}

static void test_errors(void)
{
    SocketAddress *addr;
    int pair[2];
    g_autofree char *text = NULL;

    io_fixture_start();
    expect_error(io_fixture_unix("/nonexistent/s"),
                 "Failed to bind socket to /nonexistent/s: "
                 "No such file or directory");
    addr = io_fixture_inet("localhost", "0");
    addr->u.inet.has_numeric = addr->u.inet.numeric = true;
    expect_error(addr, "address resolution failed for localhost:0: "
                       "Name or service not known");
    expect_error(io_fixture_inet("127.0.0.1", "65536"),
                 "Port '65536' is out of range: allowed are 0 to 65535");
    expect_error(io_fixture_inet("127.0.0.1", "18446744073709551617"),
                 "Port '18446744073709551617' is out of range: "
                 "allowed are 0 to 65535");
    expect_error(io_fixture_inet("127.0.0.1", "-1"),
                 "Port '-1' is out of range: allowed are 0 to 65535");
    expect_error(io_fixture_inet("192.0.2.1", "5"),
                 "Failed to bind socket: Cannot assign requested address");
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    text = g_strdup_printf("File descriptor '%d' is not a listening socket",
                           pair[0]);
    expect_error(io_fixture_fd(pair[0]), text);
    close(pair[0]);
    close(pair[1]);
    io_fixture_finish();
}

static void test_abstract(void)
{
    SocketAddress *addr;
    QIONetListener *listener;
    g_autofree char *name = NULL;
    int clients = 2;

    io_fixture_start();
    name = io_fixture_path("abstract");
    for (int tight = 0; tight < 2; tight++, clients = 2) {
        addr = io_fixture_unix(name);
        addr->u.q_unix.has_abstract = addr->u.q_unix.abstract = true;
        addr->u.q_unix.has_tight = true;
        addr->u.q_unix.tight = tight;
        listener = qio_net_listener_new(addr, 8, &error_abort);
        g_assert_cmpint(access(name, F_OK), ==, -1);
        qio_net_listener_set_client_fn(listener, g_main_context_default(),
                                       take_client, &clients);
        qio_channel_unref(qio_connect_sync(addr, NULL, NULL, &error_abort));
        io_fixture_run_until(NULL, three_came, &clients);
        qio_net_listener_free(listener);
        qapi_free_SocketAddress(addr);
    }
    io_fixture_finish();
}

static void test_fd(void)
{
    g_autofree char *path = NULL;
    g_autoptr(SocketAddress) addr = NULL;
    g_autofree char *text = NULL;
    QIONetListener *listener;
    QIOChannel *ioc;
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    addr = io_fixture_fd(io_fixture_listen_unix(path, 8));
    listener = qio_net_listener_new(addr, 8, &error_abort);
    text = g_strdup_printf("File descriptor '%s' is not available: expected a "
                           "socket that was open when the process started and "
                           "that nothing has used since",
                           addr->u.fd.str);
    expect_error(QAPI_CLONE(SocketAddress, addr), text);
    fd = io_fixture_connect_unix(path, false);
    ioc = qio_net_listener_wait_client(listener, -1, &error_abort);
    qio_channel_unref(ioc);
    close(fd);
    qio_net_listener_free(listener);
    /* Whoever made the file removes it. */
    g_assert_cmpint(unlink(path), ==, 0);
    io_fixture_finish();
}

/* The file goes with the listener that made it, and with no other. */
static void test_socket_file(void)
{
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;
    g_autofree char *taken = NULL;
    QIONetListener *old, *new;
    int status, fd;
    pid_t pid;

    io_fixture_start();
    path = io_fixture_path("s");
    /* The file of a process that has ended is replaced. */
    close(io_fixture_listen_unix(path, 8));
    g_assert_cmpint(access(path, F_OK), ==, 0);
    old = listen_unix(path);
    taken = g_strdup_printf("Failed to bind socket to %s: Address already in "
                            "use: a process listens there",
                            path);
    expect_error(io_fixture_unix(path), taken);
    fd = io_fixture_connect_unix(path, false);
    close(fd);
    /* Another listener replaces the file: it no longer belongs to the first. */
    g_assert_cmpint(unlink(path), ==, 0);
    new = listen_unix(path);
    g_assert_true(qio_net_listener_is_at_path(new));
    g_assert_false(qio_net_listener_is_at_path(old));
    qio_net_listener_free(old);
    g_assert_cmpint(access(path, F_OK), ==, 0);

    pid = fork();
    if (pid == 0) {
        qio_net_listener_free(new);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(access(path, F_OK), ==, 0);

    qio_net_listener_free(new);
    g_assert_cmpint(access(path, F_OK), ==, -1);

    /* What is no socket is not replaced. */
    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
    text = g_strdup_printf("Failed to bind socket to %s: "
                           "Address already in use",
                           path);
    expect_error(io_fixture_unix(path), text);
    g_assert_cmpint(unlink(path), ==, 0);
    io_fixture_finish();
}

static void test_wait(void)
{
    g_autofree char *path = NULL;
    g_autoptr(QIOChannel) ioc = NULL;
    QIONetListener *listener;
    int fd, cancel_fd;

    io_fixture_start();
    path = io_fixture_path("s");
    listener = listen_unix(path);
    cancel_fd = eventfd(0, EFD_CLOEXEC);
    fd = io_fixture_connect_unix(path, false);
    ioc = qio_net_listener_wait_client(listener, cancel_fd, &error_abort);
    g_assert_true(g_str_has_suffix(qio_channel_peer(ioc), path));
    g_clear_pointer(&ioc, qio_channel_unref);
    close(fd);
    close(cancel_fd);
    qio_net_listener_free(listener);
    io_fixture_finish();
}

static void *cancel_thread(void *opaque)
{
    uint64_t one = 1;

    g_assert_cmpint(write(*(int *)opaque, &one, sizeof(one)), ==, sizeof(one));
    return NULL;
}

static void test_wait_cancelled(void)
{
    g_autofree char *path = NULL;
    g_autoptr(Error) err = NULL;
    QIONetListener *listener;
    GThread *thread;
    int cancel_fd;

    io_fixture_start();
    path = io_fixture_path("s");
    listener = listen_unix(path);
    cancel_fd = eventfd(0, EFD_CLOEXEC);
    thread = g_thread_new("cancel", cancel_thread, &cancel_fd);
    g_assert_null(qio_net_listener_wait_client(listener, cancel_fd, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Waiting for a client was cancelled");
    g_thread_join(thread);
    close(cancel_fd);
    qio_net_listener_free(listener);
    io_fixture_finish();
}

/* Addresses that need no name resolution. */
static void test_numeric(void)
{
    static const struct {
        const char *host, *port;
        bool numeric;
    } table[] = {
        {"127.0.0.1", "10809", true}, {"::1", "0", true},
        {"", "10809", true},          {"fe80::1%lo", "1", true},
        {"localhost", "1", false},    {"127.0.0.1", "http", false},
        {"127.0.0", "1", false},      {"", "", true},
    };
    g_autoptr(SocketAddress) un = io_fixture_unix("/localhost");

    g_assert_true(socket_address_is_numeric(un));
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(SocketAddress) addr =
            io_fixture_inet(table[i].host, table[i].port);

        g_assert_cmpint(socket_address_is_numeric(addr), ==, table[i].numeric);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io/listener/clients", test_clients);
    g_test_add_func("/io/listener/free-in-callback", test_free_in_callback);
    g_test_add_func("/io/listener/inet", test_inet);
    g_test_add_func("/io/listener/keep-alive", test_keep_alive);
    g_test_add_func("/io/listener/numeric", test_numeric);
    g_test_add_func("/io/listener/both-families", test_both_families);
    g_test_add_func("/io/listener/range", test_range);
    g_test_add_func("/io/listener/errors", test_errors);
    g_test_add_func("/io/listener/abstract", test_abstract);
    g_test_add_func("/io/listener/fd", test_fd);
    g_test_add_func("/io/listener/socket-file", test_socket_file);
    g_test_add_func("/io/listener/wait", test_wait);
    g_test_add_func("/io/listener/wait-cancelled", test_wait_cancelled);
    return g_test_run();
}
