/*
 * Socket devices: their life, and a yank in each part of it.
 *
 * A yank comes from another thread wherever the main thread would wait.
 *
 * Longer than most files, as every rule has a case of its own here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <dlfcn.h>
#include <netdb.h>
#include <sys/socket.h>
#include "char-fixture.h"
#include "qapi/qapi-commands-char.h"
#include "qapi/qapi-commands-yank.h"
#include "qemu/activity.h"
#include "qemu/yank.h"

/*
 * A yank right after the system accepted, connected or resolved, before the
 * device knows: these stand in for libc's.
 */
static bool yank_in_accept, yank_in_connect, yank_in_resolve;

static void yank_if(bool *wanted)
{
    int saved_errno = errno;

    if (*wanted) {
        *wanted = false;
        char_fixture_yank("c0");
    }
    errno = saved_errno;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    __typeof__(&accept4) real = dlsym(RTLD_NEXT, "accept4");
    int client = real(fd, addr, len, flags);

    yank_if(&yank_in_accept);
    return client;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    __typeof__(&connect) real = dlsym(RTLD_NEXT, "connect");
    int ret = real(fd, addr, len);

    yank_if(&yank_in_connect);
    return ret;
}

int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **result)
{
    __typeof__(&getaddrinfo) real = dlsym(RTLD_NEXT, "getaddrinfo");
    int ret = real(node, service, hints, result);

    yank_if(&yank_in_resolve);
    return ret;
}

/* More than the buffers of a socket hold. */
#define MUCH (8 * MiB)

static void expect_filename(const char *id, const char *format,
                            const char *path)
{
    g_autofree char *filename = char_fixture_filename(id);
    g_autofree char *expected = g_strdup_printf(format, path);

    g_assert_cmpstr(filename, ==, expected);
}

static void expect_byte(int fd)
{
    char byte;

    g_assert_cmpint(read(fd, &byte, 1), ==, 1);
}

static void test_server(void)
{
    g_autofree char *path = NULL;
    Chardev *chr;
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    char_fixture_add_path("socket,id=c0,path=%s,server=on,wait=off", path,
                          &error_abort);
    g_assert_cmpint(char_fixture_instances(), ==, 1);
    chr = chardev_find("c0", &error_abort);
    expect_filename("c0", "disconnected:unix:%s,server=on", path);
    /* As on an unplugged cable. */
    g_assert_true(chardev_write_all(chr, "x", 1, &error_abort));

    for (int i = 0; i < 3; i++) {
        fd = io_fixture_connect_unix(path, false);
        char_fixture_run_until_phase("c0", "connected");
        expect_filename("c0", "unix:%s,server=on", path);
        g_assert_true(chardev_write_all(chr, "x", 1, &error_abort));
        expect_byte(fd);
        /* What nobody reads does not hide that the peer goes. */
        g_assert_cmpint(write(fd, "unread", 6), ==, 6);
        close(fd);
        char_fixture_run_until_phase("c0", "listening");
    }
    qmp_chardev_remove("c0", &error_abort);
    g_assert_cmpint(access(path, F_OK), ==, -1);
    char_fixture_finish();
}

static void test_client(void)
{
    g_autofree char *path = NULL;
    int listener, fd;

    io_fixture_start();
    path = io_fixture_path("s");
    listener = io_fixture_listen_unix(path, 8);
    char_fixture_add_path("socket,id=c0,path=%s", path, &error_abort);
    expect_filename("c0", "unix:%s", path);
    fd = accept(listener, NULL, NULL);
    qmp_chardev_write("c0", "x", false, 0, &error_abort);
    expect_byte(fd);
    close(fd);
    char_fixture_run_until_phase("c0", "disconnected");
    expect_filename("c0", "disconnected:unix:%s", path);
    close(listener);
    unlink(path);
    char_fixture_finish();
}

static void test_inet(void)
{
    g_autofree char *server = NULL;
    g_autofree char *connected = NULL;
    g_autofree char *client = NULL;
    g_autofree char *option = NULL;
    const char *port;

    io_fixture_start();
    char_fixture_add("socket,id=s0,host=127.0.0.1,port=0,server=on,wait=off",
                     &error_abort);
    server = char_fixture_filename("s0");
    g_assert_true(g_str_has_prefix(server, "disconnected:tcp:127.0.0.1:"));
    g_assert_true(g_str_has_suffix(server, ",server=on"));
    port = strrchr(server, ':') + 1;
    option = g_strdup_printf("socket,id=c0,host=127.0.0.1,port=%.*s",
                             (int)strcspn(port, ","), port);
    char_fixture_add(option, &error_abort);
    char_fixture_run_until_phase("s0", "connected");
    connected = char_fixture_filename("s0");
    g_assert_nonnull(strstr(connected, ",server=on <-> 127.0.0.1:"));
    client = char_fixture_filename("c0");
    g_assert_nonnull(strstr(client, " <-> 127.0.0.1:"));
    char_fixture_finish();
}

static void expect_error(const char *format, const char *path, const char *text)
{
    g_autoptr(Error) err = NULL;

    g_assert_false(char_fixture_add_path(format, path, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, text);
    g_assert_cmpint(char_fixture_instances(), ==, 0);
}

/* A device that could not be opened leaves nothing. */
static void test_errors(void)
{
    io_fixture_start();
    expect_error("socket,id=c0,path=%s", "/nonexistent/s",
                 "Failed to connect to '/nonexistent/s': "
                 "No such file or directory");
    expect_error("socket,id=c0,path=%s,server=on,wait=off", "/nonexistent/s",
                 "Failed to bind socket to /nonexistent/s: "
                 "No such file or directory");
    expect_error("socket,id=c0,path=%s,server=on,wait=off,reconnect=1", "/s",
                 "'reconnect' option is incompatible with socket in server "
                 "listen mode");
    expect_error("socket,id=c0,path=%s,wait=on", "/s",
                 "'wait' option is incompatible with socket in client "
                 "connect mode");
    expect_error("socket,id=c0,path=%s,reconnect=-1", "/s",
                 "'reconnect' must be from 0 to 2147483 seconds");
    expect_error("socket,id=c0,fd=%s", "999999",
                 "File descriptor '999999' is not a socket");
    char_fixture_finish();
}

typedef struct Yank {
    const char *phase; /* to wait for, when the request is in flight */
    int cut;           /* the result */
} Yank;

static void *yank_thread(void *opaque)
{
    Yank *yank = opaque;
    ActivitySnapshot now;

    char_fixture_wait_phase("c0", yank->phase);
    do {
        g_assert_true(activity_snapshot("chardev:c0", &now));
    } while (!now.in_flight);
    yank->cut = char_fixture_yank("c0");
    return NULL;
}

static void yank_while_adding(const char *format, const char *path,
                              const char *phase, const char *text)
{
    Yank yank = {.phase = phase};
    GThread *thread = g_thread_new("yank", yank_thread, &yank);

    expect_error(format, path, text);
    g_thread_join(thread);
    g_assert_cmpint(yank.cut, ==, 1);
}

static void test_yank_wait(void)
{
    g_autofree char *path = NULL;

    io_fixture_start();
    path = io_fixture_path("s");
    yank_while_adding("socket,id=c0,path=%s,server=on", path,
                      "waiting for a client",
                      "Waiting for a client was cancelled");
    g_assert_cmpint(access(path, F_OK), ==, -1);
    char_fixture_finish();
}

static void test_yank_connect(void)
{
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;
    GArray *fillers;
    int listener;

    io_fixture_start();
    path = io_fixture_path("s");
    listener = io_fixture_listen_unix(path, 1);
    fillers = io_fixture_fill_backlog(path);
    text = g_strdup_printf("Connecting to 'unix:%s' was cancelled", path);
    yank_while_adding("socket,id=c0,path=%s", path, "connect", text);
    io_fixture_close_all(fillers);
    close(listener);
    unlink(path);
    char_fixture_finish();
}

static void *client_thread(void *opaque)
{
    char_fixture_wait_phase("c0", "waiting for a client");
    return GINT_TO_POINTER(io_fixture_connect_unix(opaque, false));
}

/* The mark of a yank sticks between two phases. */
static void test_yank_between(void)
{
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;
    GThread *thread;
    int listener;

    io_fixture_start();
    path = io_fixture_path("s");
    yank_in_resolve = true;
    expect_error("socket,id=c0,host=%s,port=0,server=on", "127.0.0.1",
                 "Chardev 'c0' was yanked");

    thread = g_thread_new("client", client_thread, path);
    yank_in_accept = true;
    expect_error("socket,id=c0,path=%s,server=on", path,
                 "Chardev 'c0' was yanked");
    close(GPOINTER_TO_INT(g_thread_join(thread)));

    listener = io_fixture_listen_unix(path, 8);
    yank_in_connect = true;
    text = g_strdup_printf("Connecting to 'unix:%s' was cancelled", path);
    expect_error("socket,id=c0,path=%s", path, text);
    close(listener);
    unlink(path);
    char_fixture_finish();
}

/* A wait that a client ends goes on to a device that works. */
static void test_wait(void)
{
    g_autofree char *path = NULL;
    GThread *thread;
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    thread = g_thread_new("client", client_thread, path);
    char_fixture_add_path("socket,id=c0,path=%s,server=on", path, &error_abort);
    fd = GPOINTER_TO_INT(g_thread_join(thread));
    qmp_chardev_write("c0", "x", false, 0, &error_abort);
    expect_byte(fd);
    g_assert_cmpint(char_fixture_yank("c0"), ==, 1);
    char_fixture_run_until_phase("c0", "listening");
    close(fd);
    char_fixture_finish();
}

static void yank_a_write(void)
{
    g_autofree char *much = g_malloc0(MUCH);
    g_autoptr(Error) err = NULL;
    Yank yank = {.phase = "connected"};
    GThread *thread = g_thread_new("yank", yank_thread, &yank);

    g_assert_false(
        chardev_write_all(chardev_find("c0", NULL), much, MUCH, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "Broken pipe"));
    g_thread_join(thread);
    g_assert_cmpint(yank.cut, ==, 1);
}

/* The peer does not read; afterwards the device takes the next one. */
static void test_yank_write_server(void)
{
    g_autofree char *path = NULL;
    int fds[2];

    io_fixture_start();
    path = io_fixture_path("s");
    char_fixture_add_path("socket,id=c0,path=%s,server=on,wait=off", path,
                          &error_abort);
    fds[0] = io_fixture_connect_unix(path, false);
    char_fixture_run_until_phase("c0", "connected");
    yank_a_write();

    fds[1] = io_fixture_connect_unix(path, false);
    char_fixture_run_until_phase("c0", "connected");
    qmp_chardev_write("c0", "x", false, 0, &error_abort);
    expect_byte(fds[1]);
    close(fds[0]);
    close(fds[1]);
    char_fixture_finish();
}

static void test_yank_write_client(void)
{
    g_autofree char *path = NULL;
    int listener;

    io_fixture_start();
    path = io_fixture_path("s");
    listener = io_fixture_listen_unix(path, 8);
    char_fixture_add_path("socket,id=c0,path=%s", path, &error_abort);
    yank_a_write();
    expect_filename("c0", "disconnected:unix:%s", path);
    /* Nobody is there: nothing to wait for. */
    qmp_chardev_write("c0", "x", false, 0, &error_abort);
    g_assert_cmpint(char_fixture_yank("c0"), ==, 0);
    close(listener);
    unlink(path);
    char_fixture_finish();
}

static void test_yank_listening(void)
{
    g_autofree char *path = NULL;
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    char_fixture_add_path("socket,id=c0,path=%s,server=on,wait=off", path,
                          &error_abort);
    g_assert_cmpint(char_fixture_yank("c0"), ==, 0);
    fd = io_fixture_connect_unix(path, false);
    char_fixture_run_until_phase("c0", "connected");
    close(fd);
    char_fixture_finish();
}

static void test_reconnect(void)
{
    g_autofree char *path = NULL;
    int listener, fds[3];

    io_fixture_start();
    path = io_fixture_path("s");
    /* There is nobody yet. */
    char_fixture_add_path("socket,id=c0,path=%s,reconnect=1", path,
                          &error_abort);
    char_fixture_run_until_phase("c0", "reconnect-wait");
    expect_filename("c0", "disconnected:unix:%s", path);
    g_assert_cmpint(char_fixture_yank("c0"), ==, 0);

    listener = io_fixture_listen_unix(path, 8);
    char_fixture_run_until_phase("c0", "connected");
    fds[0] = accept(listener, NULL, NULL);

    /* After a yank as after a loss. */
    g_assert_cmpint(char_fixture_yank("c0"), ==, 1);
    char_fixture_run_until_phase("c0", "reconnect-wait");
    char_fixture_run_until_phase("c0", "connected");
    fds[1] = accept(listener, NULL, NULL);
    close(fds[1]);
    char_fixture_run_until_phase("c0", "reconnect-wait");
    char_fixture_run_until_phase("c0", "connected");
    fds[2] = accept(listener, NULL, NULL);
    qmp_chardev_write("c0", "x", false, 0, &error_abort);
    expect_byte(fds[2]);
    close(fds[0]);
    close(fds[2]);
    close(listener);
    unlink(path);
    char_fixture_finish();
}

/* Removed in the middle of a connect. */
static void test_remove_connecting(void)
{
    g_autofree char *path = NULL;
    GArray *fillers;
    int listener;

    io_fixture_start();
    path = io_fixture_path("s");
    listener = io_fixture_listen_unix(path, 1);
    fillers = io_fixture_fill_backlog(path);
    char_fixture_add_path("socket,id=c0,path=%s,reconnect=1", path,
                          &error_abort);
    char_fixture_run_until_phase("c0", "connect");
    g_assert_cmpint(char_fixture_yank("c0"), ==, 1);
    char_fixture_run_until_phase("c0", "reconnect-wait");
    char_fixture_run_until_phase("c0", "connect");
    qmp_chardev_remove("c0", &error_abort);
    io_fixture_close_all(fillers);
    close(listener);
    unlink(path);
    char_fixture_finish();
}

/* From socket to socket, to something else, and back. */
static void test_change(void)
{
    g_autofree char *path = NULL;
    g_autofree char *other = NULL;
    InetSocketAddressWrapper nowhere = {
        .data = &(InetSocketAddress){.host = (char *)"", .port = (char *)"x"}};
    UnixSocketAddressWrapper there = {};
    SocketAddressLegacy addr = {.type = SOCKET_ADDRESS_TYPE_UNIX};
    ChardevSocket options = {.addr = &addr};
    ChardevBackend socket = {.type = CHARDEV_BACKEND_KIND_SOCKET,
                             .u.socket.data = &options};
    ChardevBackend null = {.type = CHARDEV_BACKEND_KIND_NULL,
                           .u.null.data = &(ChardevCommon){}};
    g_autoptr(Error) err = NULL;
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    other = io_fixture_path("t");
    there.data = &(UnixSocketAddress){.path = other};
    char_fixture_add_path("socket,id=c0,path=%s,server=on,wait=off", path,
                          &error_abort);

    addr.type = SOCKET_ADDRESS_TYPE_INET;
    addr.u.inet = nowhere;
    g_assert_null(qmp_chardev_change("c0", &socket, &err));
    g_assert_cmpint(char_fixture_instances(), ==, 1);
    expect_filename("c0", "disconnected:unix:%s,server=on", path);

    addr.type = SOCKET_ADDRESS_TYPE_UNIX;
    addr.u.q_unix = there;
    g_free(qmp_chardev_change("c0", &socket, &error_abort));
    g_assert_cmpint(char_fixture_instances(), ==, 1);
    g_assert_cmpint(access(path, F_OK), ==, -1);
    fd = io_fixture_connect_unix(other, false);
    char_fixture_run_until_phase("c0", "connected");
    g_assert_cmpint(char_fixture_yank("c0"), ==, 1);
    close(fd);

    g_free(qmp_chardev_change("c0", &null, &error_abort));
    g_assert_cmpint(char_fixture_instances(), ==, 0);
    g_assert_cmpint(access(other, F_OK), ==, -1);
    g_free(qmp_chardev_change("c0", &socket, &error_abort));
    g_assert_cmpint(char_fixture_instances(), ==, 1);
    char_fixture_finish();
}

/* A client can connect to @path, and the device notices it. */
static void expect_served(const char *path)
{
    int fd = io_fixture_connect_unix(path, false);

    char_fixture_run_until_phase("c0", "connected");
    close(fd);
    char_fixture_run_until_phase("c0", "listening");
}

/* A new device replaces one at the same path; on failure the old one stays. */
static void test_change_same_path(void)
{
    g_autofree char *path = NULL;
    SocketAddressLegacy addr = {.type = SOCKET_ADDRESS_TYPE_UNIX};
    ChardevSocket options = {.addr = &addr, .has_wait = true, .wait = true};
    ChardevBackend socket = {.type = CHARDEV_BACKEND_KIND_SOCKET,
                             .u.socket.data = &options};
    Yank yank = {.phase = "waiting for a client"};
    int fd = -1;

    io_fixture_start();
    path = io_fixture_path("s");
    addr.u.q_unix.data = &(UnixSocketAddress){.path = path};
    char_fixture_add_path("socket,id=c0,path=%s,server=on,wait=off", path,
                          &error_abort);
    for (int connected = 0; connected < 2; connected++) {
        GThread *thread = g_thread_new("yank", yank_thread, &yank);
        g_autoptr(Error) err = NULL;

        if (connected) {
            fd = io_fixture_connect_unix(path, false);
            char_fixture_run_until_phase("c0", "connected");
        }
        g_assert_null(qmp_chardev_change("c0", &socket, &err));
        g_thread_join(thread);
        g_assert_cmpint(yank.cut, ==, 1 + connected);
        if (connected) {
            char_fixture_run_until_phase("c0", "listening");
            close(fd);
        }
        expect_served(path);
    }
    /* The new device does not take over the client of the old one. */
    fd = io_fixture_connect_unix(path, false);
    char_fixture_run_until_phase("c0", "connected");
    options.wait = false;
    g_free(qmp_chardev_change("c0", &socket, &error_abort));
    expect_served(path);
    close(fd);
    /* If the file is missing, the new device creates it. */
    unlink(path);
    g_free(qmp_chardev_change("c0", &socket, &error_abort));
    expect_served(path);
    char_fixture_finish();
}

#define RACE_ROUNDS 200

static void *yank_all_the_time(void *opaque)
{
    int *stop = opaque;

    while (!g_atomic_int_get(stop)) {
        YankInstanceList *list = qmp_query_yank(&error_abort);

        if (list) {
            yank_all_instances();
        }
        qapi_free_YankInstanceList(list);
    }
    return NULL;
}

/*
 * Devices come, connect and go under a storm of yanks.  Whatever is hit,
 * nothing crashes, hangs or is left.
 */
static void test_yank_storm(void)
{
    g_autofree char *path = NULL;
    g_autofree char *much = g_malloc0(MUCH);
    GThread *thread;
    int stop = 0;

    io_fixture_start();
    path = io_fixture_path("s");
    thread = g_thread_new("storm", yank_all_the_time, &stop);
    for (int i = 0; i < RACE_ROUNDS; i++) {
        while (!char_fixture_add_path("socket,id=s0,path=%s,server=on,wait=off",
                                      path, NULL)) {
            /* A yank ended the attempt to listen, which took long. */
        }
        if (char_fixture_add_path("socket,id=c0,path=%s", path, NULL)) {
            chardev_write_all(chardev_find("c0", NULL), much, MUCH, NULL);
            chardev_remove("c0", &error_abort);
        }
        g_assert_false(char_fixture_add_path("socket,id=w0,path=%s.w,server=on",
                                             path, NULL));
        while (g_main_context_iteration(NULL, FALSE)) {
        }
        chardev_remove("s0", &error_abort);
    }
    g_atomic_int_set(&stop, 1);
    g_thread_join(thread);
    char_fixture_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/char-socket/server", test_server);
    g_test_add_func("/char-socket/client", test_client);
    g_test_add_func("/char-socket/inet", test_inet);
    g_test_add_func("/char-socket/errors", test_errors);
    g_test_add_func("/char-socket/wait", test_wait);
    g_test_add_func("/char-socket/reconnect", test_reconnect);
    g_test_add_func("/char-socket/remove-connecting", test_remove_connecting);
    g_test_add_func("/char-socket/change", test_change);
    g_test_add_func("/char-socket/change-same-path", test_change_same_path);
    g_test_add_func("/char-socket/yank/wait", test_yank_wait);
    g_test_add_func("/char-socket/yank/connect", test_yank_connect);
    g_test_add_func("/char-socket/yank/between", test_yank_between);
    g_test_add_func("/char-socket/yank/write-server", test_yank_write_server);
    g_test_add_func("/char-socket/yank/write-client", test_yank_write_client);
    g_test_add_func("/char-socket/yank/listening", test_yank_listening);
    g_test_add_func("/char-socket/yank/storm", test_yank_storm);
    return g_test_run();
}
