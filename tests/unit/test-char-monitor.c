/*
 * Devices that carry a monitor: their connections arrive on its thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "char-fixture.h"
#include "qapi/qapi-commands-char.h"
#include "qemu/iothread.h"
#include "qemu/thread.h"

/* A monitor that says hello to each client. */
typedef struct Monitor {
    IOThread *iothread;
    Chardev *chr;
    QemuMutex lock; /* guards what follows */
    GPtrArray *sessions;
} Monitor;

static void on_session(QIOChannel *ioc, void *opaque)
{
    Monitor *monitor = opaque;

    g_assert_true(iothread_current() == monitor->iothread);
    qio_channel_write(ioc, "hello", 5, NULL);
    qemu_mutex_lock(&monitor->lock);
    g_ptr_array_add(monitor->sessions, ioc);
    qemu_mutex_unlock(&monitor->lock);
}

static Monitor *monitor_new(const char *id)
{
    Monitor *monitor = g_new0(Monitor, 1);

    monitor->iothread = iothread_new("monitor");
    monitor->sessions =
        g_ptr_array_new_with_free_func((GDestroyNotify)qio_channel_unref);
    qemu_mutex_init(&monitor->lock);
    monitor->chr = chardev_find(id, &error_abort);
    g_assert_true(chardev_attach_monitor(monitor->chr, monitor->iothread,
                                         on_session, monitor, &error_abort));
    return monitor;
}

/* Frees the devices as yankd does: while the monitor's thread runs. */
static void monitor_free(Monitor *monitor)
{
    chardev_cleanup();
    iothread_unref(monitor->iothread);
    g_ptr_array_unref(monitor->sessions);
    qemu_mutex_destroy(&monitor->lock);
    g_free(monitor);
    char_fixture_finish();
}

static void expect_hello(int fd)
{
    struct pollfd pfd = {fd, POLLIN, 0};
    char text[6];

    g_assert_cmpint(poll(&pfd, 1, FIXTURE_DEADLINE_S * 1000), ==, 1);
    g_assert_cmpint(read(fd, text, sizeof(text)), ==, 5);
    g_assert_cmpmem(text, 5, "hello", 5);
}

static void end_session_on_thread(void *opaque)
{
    Monitor *monitor = opaque;

    qemu_mutex_lock(&monitor->lock);
    g_ptr_array_remove_index(monitor->sessions, 0);
    qemu_mutex_unlock(&monitor->lock);
    chardev_session_ended(monitor->chr);
}

static void end_first_session(Monitor *monitor)
{
    iothread_run(monitor->iothread, end_session_on_thread, monitor);
}

/* Several at once, each a session of its own. */
static void test_sessions(void)
{
    g_autofree char *path = NULL;
    g_autofree char *idle = NULL;
    g_autofree char *busy = NULL;
    Monitor *monitor;
    int fds[10];

    io_fixture_start();
    path = io_fixture_path("s");
    char_fixture_add_path("socket,id=m0,path=%s,server=on,wait=off", path,
                          &error_abort);
    monitor = monitor_new("m0");
    idle = char_fixture_filename("m0");
    g_assert_true(g_str_has_prefix(idle, "disconnected:unix:"));
    for (int i = 0; i < 10; i++) {
        fds[i] = io_fixture_connect_unix(path, false);
    }
    for (int i = 0; i < 10; i++) {
        expect_hello(fds[i]);
    }
    busy = char_fixture_filename("m0");
    g_assert_true(g_str_has_prefix(busy, "unix:"));
    for (int i = 0; i < 10; i++) {
        end_first_session(monitor);
        close(fds[i]);
    }
    monitor_free(monitor);
}

/* It is in use, and nobody saws off the branch that a rescue sits on. */
static void test_in_use(void)
{
    g_autofree char *path = NULL;
    Monitor *monitor;
    Error *err = NULL;
    ChardevBackend null = {.type = CHARDEV_BACKEND_KIND_NULL,
                           .u.null.data = &(ChardevCommon){}};
    g_autoptr(ChardevInfoList) list = NULL;

    io_fixture_start();
    path = io_fixture_path("s");
    char_fixture_add_path("socket,id=m0,path=%s,server=on,wait=off", path,
                          &error_abort);
    g_assert_cmpint(char_fixture_instances(), ==, 1);
    monitor = monitor_new("m0");
    g_assert_cmpint(char_fixture_instances(), ==, 0);

    qmp_chardev_remove("m0", &err);
    g_assert_cmpstr(error_get_pretty(err), ==, "Chardev 'm0' is busy");
    g_clear_pointer(&err, error_free);
    g_assert_null(qmp_chardev_change("m0", &null, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Chardev user does not support chardev hotswap");
    g_clear_pointer(&err, error_free);
    qmp_chardev_write("m0", "x", false, 0, &err);
    g_assert_cmpstr(error_get_pretty(err), ==, "Chardev 'm0' is busy");
    g_clear_pointer(&err, error_free);
    g_assert_false(chardev_attach_monitor(monitor->chr, monitor->iothread,
                                          on_session, monitor, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "Chardev 'm0' is in use");
    g_clear_pointer(&err, error_free);
    list = qmp_query_chardev(&error_abort);
    g_assert_true(list->value->frontend_open);
    monitor_free(monitor);
}

/* Who was connected before is handed over too. */
static void test_present_client(void)
{
    g_autofree char *path = NULL;
    Monitor *monitor;
    int fds[2];

    io_fixture_start();
    path = io_fixture_path("s");
    char_fixture_add_path("socket,id=m0,path=%s,server=on,wait=off", path,
                          &error_abort);
    fds[0] = io_fixture_connect_unix(path, false);
    char_fixture_run_until_phase("m0", "connected");
    monitor = monitor_new("m0");
    expect_hello(fds[0]);
    fds[1] = io_fixture_connect_unix(path, false);
    expect_hello(fds[1]);
    close(fds[0]);
    close(fds[1]);
    monitor_free(monitor);
}

static void nothing(void *opaque)
{
}

/* A device that is closed at once has written all that its session wrote. */
static void test_file(void)
{
    for (int i = 0; i < 100; i++) {
        g_autofree char *path = NULL;
        g_autofree char *text = NULL;
        Monitor *monitor;

        io_fixture_start();
        path = io_fixture_path("f");
        char_fixture_add_path("file,id=m0,path=%s", path, &error_abort);
        monitor = monitor_new("m0");
        chardev_cleanup();
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "hello");
        unlink(path);
        monitor_free(monitor);
    }
}

static void test_ringbuf(void)
{
    g_autofree char *text = NULL;
    g_autofree char *rest = NULL;
    Monitor *monitor;

    io_fixture_start();
    char_fixture_add("ringbuf,id=m0", &error_abort);
    monitor = monitor_new("m0");
    iothread_run(monitor->iothread, nothing, NULL);
    text = qmp_ringbuf_read("m0", 100, false, 0, &error_abort);
    g_assert_cmpstr(text, ==, "hello");
    end_first_session(monitor);
    rest = qmp_ringbuf_read("m0", 100, false, 0, &error_abort);
    g_assert_cmpstr(rest, ==, "");
    monitor_free(monitor);
}

static void test_client(void)
{
    g_autofree char *path = NULL;
    Monitor *monitor;
    int listener, fds[3];

    io_fixture_start();
    path = io_fixture_path("s");
    listener = io_fixture_listen_unix(path, 8);
    char_fixture_add_path("socket,id=m0,path=%s,reconnect=1", path,
                          &error_abort);
    monitor = monitor_new("m0");
    for (int i = 0; i < 3; i++) {
        fds[i] = accept(listener, NULL, NULL);
        expect_hello(fds[i]);
        if (i < 2) {
            end_first_session(monitor);
        }
        close(fds[i]);
    }
    close(listener);
    unlink(path);
    monitor_free(monitor);
}

#define RACE_ROUNDS 200

typedef struct Storm {
    const char *path;
    int stop; /* atomic */
} Storm;

static void *connect_all_the_time(void *opaque)
{
    Storm *storm = opaque;

    while (!g_atomic_int_get(&storm->stop)) {
        int fd = io_fixture_connect_unix(storm->path, true);

        if (fd >= 0) {
            close(fd);
        }
    }
    return NULL;
}

/* Clients come while the device is closed. */
static void test_close_race(void)
{
    for (int i = 0; i < RACE_ROUNDS; i++) {
        g_autofree char *path = NULL;
        Storm storm = {};
        Monitor *monitor;
        GThread *thread;

        io_fixture_start();
        storm.path = path = io_fixture_path("s");
        char_fixture_add_path("socket,id=m0,path=%s,server=on,wait=off", path,
                              &error_abort);
        thread = g_thread_new("storm", connect_all_the_time, &storm);
        monitor = monitor_new("m0");
        chardev_cleanup();
        g_atomic_int_set(&storm.stop, 1);
        g_thread_join(thread);
        monitor_free(monitor);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/char-monitor/sessions", test_sessions);
    g_test_add_func("/char-monitor/in-use", test_in_use);
    g_test_add_func("/char-monitor/present-client", test_present_client);
    g_test_add_func("/char-monitor/file", test_file);
    g_test_add_func("/char-monitor/ringbuf", test_ringbuf);
    g_test_add_func("/char-monitor/client", test_client);
    g_test_add_func("/char-monitor/close-race", test_close_race);
    return g_test_run();
}
