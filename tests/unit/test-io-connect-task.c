/*
 * The connect task: outcomes, and being cancelled at every step from any
 * thread.
 *
 * Name resolution is replaced by one that the test holds up: the name
 * "held.test" is answered only when the test says so.
 *
 * Longer than most files, as every rule has a case of its own here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <dlfcn.h>
#include <netdb.h>
#include <sys/socket.h>
#include "io-fixture.h"
#include "io/connect-task.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/iothread.h"
#include "qemu/thread.h"

static QemuMutex resolver_lock; /* guards what follows */
static QemuCond resolver_cond;
static int resolver_waiting; /* how many calls are held up */
static bool resolver_held;

/* Stands in for libc's. */
int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **result)
{
    __typeof__(&getaddrinfo) real = dlsym(RTLD_NEXT, "getaddrinfo");
    bool numeric = hints->ai_flags & AI_NUMERICHOST;

    if (numeric || g_strcmp0(node, "held.test")) {
        return real(node, service, hints, result);
    }
    qemu_mutex_lock(&resolver_lock);
    resolver_waiting++;
    qemu_cond_broadcast(&resolver_cond);
    while (resolver_held) {
        qemu_cond_wait(&resolver_cond, &resolver_lock);
    }
    resolver_waiting--;
    qemu_cond_broadcast(&resolver_cond);
    qemu_mutex_unlock(&resolver_lock);
    return real("127.0.0.1", service, hints, result);
}

static void resolver_hold(void)
{
    qemu_mutex_lock(&resolver_lock);
    resolver_held = true;
    qemu_mutex_unlock(&resolver_lock);
}

static void resolver_wait(int waiting)
{
    qemu_mutex_lock(&resolver_lock);
    while (resolver_waiting != waiting) {
        qemu_cond_wait(&resolver_cond, &resolver_lock);
    }
    qemu_mutex_unlock(&resolver_lock);
}

static void resolver_release(void)
{
    qemu_mutex_lock(&resolver_lock);
    resolver_held = false;
    qemu_cond_broadcast(&resolver_cond);
    qemu_mutex_unlock(&resolver_lock);
    resolver_wait(0);
}

typedef struct Outcome {
    QIOChannel *ioc;
    Error *err;
    int calls;
    bool done;
} Outcome;

static void connected(QIOChannel *ioc, const Error *err, void *opaque)
{
    Outcome *outcome = opaque;

    g_assert((ioc == NULL) == (err != NULL));
    outcome->calls++;
    outcome->ioc = ioc;
    outcome->err = err ? error_copy(err) : NULL;
    outcome->done = true;
}

static void outcome_free(Outcome *outcome)
{
    g_assert_cmpint(outcome->calls, <=, 1);
    qio_channel_unref(outcome->ioc);
    error_free(outcome->err);
}

/* Consumes @addr. */
static QIOConnectTask *start(SocketAddress *addr, Outcome *outcome)
{
    QIOConnectTask *task = qio_connect_task_new(addr, g_main_context_default(),
                                                connected, outcome);

    g_assert_cmpint(outcome->calls, ==, 0);
    qapi_free_SocketAddress(addr);
    return task;
}

static void finish(QIOConnectTask *task, Outcome *outcome)
{
    io_fixture_run_until_flag(NULL, &outcome->done);
    g_assert_cmpint(outcome->calls, ==, 1);
    g_assert_false(qio_connect_task_cancel(task));
    qio_connect_task_unref(task);
}

static void expect_channel(SocketAddress *addr)
{
    Outcome outcome = {};

    finish(start(addr, &outcome), &outcome);
    g_assert_null(outcome.err);
    g_assert_nonnull(outcome.ioc);
    outcome_free(&outcome);
}

static void expect_error(SocketAddress *addr, const char *text)
{
    Outcome outcome = {};

    finish(start(addr, &outcome), &outcome);
    g_assert_null(outcome.ioc);
    g_assert_cmpstr(error_get_pretty(outcome.err), ==, text);
    outcome_free(&outcome);
}

static void expect_cancelled(QIOConnectTask *task, Outcome *outcome)
{
    finish(task, outcome);
    g_assert_null(outcome->ioc);
    g_assert_nonnull(strstr(error_get_pretty(outcome->err), "was cancelled"));
    outcome_free(outcome);
}

static void test_connect(void)
{
    g_autofree char *path = NULL;
    char port[6];
    int un, in, pair[2];

    io_fixture_start();
    path = io_fixture_path("s");
    un = io_fixture_listen_unix(path, 8);
    in = io_fixture_listen_inet(port, 8);
    expect_channel(io_fixture_unix(path));
    expect_channel(io_fixture_inet("127.0.0.1", port));
    expect_channel(io_fixture_inet("localhost", port));
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    expect_channel(io_fixture_fd(pair[0])); /* closes it */
    close(pair[1]);
    close(in);
    close(un);
    unlink(path);
    io_fixture_finish();
}

static void test_errors(void)
{
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;
    g_autofree char *text2 = NULL;
    g_autofree char *text3 = NULL;
    char port[6];
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    text = g_strdup_printf("Failed to connect to '%s': "
                           "No such file or directory",
                           path);
    expect_error(io_fixture_unix(path), text);
    close(io_fixture_listen_inet(port, 1));
    text2 = g_strdup_printf("Failed to connect to '127.0.0.1:%s': "
                            "Connection refused",
                            port);
    expect_error(io_fixture_inet("127.0.0.1", port), text2);
    expect_error(io_fixture_inet("127.0.0.1", "no-port"),
                 "address resolution failed for 127.0.0.1:no-port: "
                 "Servname not supported for ai_socktype");
    fd = io_fixture_listen_unix(path, 1);
    text3 = g_strdup_printf("File descriptor '%d' is a listening socket, "
                            "expected a connected one",
                            fd);
    expect_error(io_fixture_fd(fd), text3);
    close(fd);
    unlink(path);
    expect_error(io_fixture_fd(999999),
                 "File descriptor '999999' is not a socket");
    io_fixture_finish();
}

static void test_no_family(void)
{
    SocketAddress *addr = io_fixture_inet("127.0.0.1", "1");

    io_fixture_start();
    addr->u.inet.has_ipv4 = addr->u.inet.has_ipv6 = true;
    expect_error(addr, "Cannot disable IPv4 and IPv6 at same time");
    io_fixture_finish();
}

static void test_long_path(void)
{
    g_autofree char *path = g_strnfill(200, 'x');
    g_autofree char *text =
        g_strdup_printf("UNIX socket path '%s' is too long: "
                        "Path must be less than 108 bytes",
                        path);

    io_fixture_start();
    expect_error(io_fixture_unix(path), text);
    io_fixture_finish();
}

/* Before the first step. */
static void test_cancel_at_once(void)
{
    g_autofree char *path = NULL;
    Outcome outcome = {};
    QIOConnectTask *task;
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    fd = io_fixture_listen_unix(path, 8);
    task = start(io_fixture_unix(path), &outcome);
    g_assert_true(qio_connect_task_cancel(task));
    g_assert_false(qio_connect_task_cancel(task));
    expect_cancelled(task, &outcome);
    close(fd);
    unlink(path);
    io_fixture_finish();
}

/* Takes a reference of its own away. */
static void *cancel_thread(void *opaque)
{
    g_autoptr(QIOConnectTask) task = opaque;

    return GINT_TO_POINTER(qio_connect_task_cancel(task));
}

static void cancel_elsewhere(QIOConnectTask *task)
{
    GThread *thread =
        g_thread_new("cancel", cancel_thread, qio_connect_task_ref(task));

    g_assert_true(g_thread_join(thread));
}

/* The resolver is stuck; it comes back when nobody is there any more. */
static void test_cancel_resolve(void)
{
    Outcome outcome = {};
    QIOConnectTask *task;

    io_fixture_start();
    resolver_hold();
    task = start(io_fixture_inet("held.test", "1"), &outcome);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    resolver_wait(1);
    g_assert_cmpstr(qio_connect_task_phase(task), ==, "resolve");
    cancel_elsewhere(task);
    expect_cancelled(task, &outcome);
    resolver_release();
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    io_fixture_finish();
}

static void test_resolve(void)
{
    Outcome outcome = {};
    QIOConnectTask *task;
    char port[6];
    int fd;

    io_fixture_start();
    fd = io_fixture_listen_inet(port, 8);
    resolver_hold();
    task = start(io_fixture_inet("held.test", port), &outcome);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    resolver_wait(1);
    resolver_release();
    finish(task, &outcome);
    g_assert_nonnull(outcome.ioc);
    outcome_free(&outcome);
    close(fd);
    io_fixture_finish();
}

static bool is_connecting(void *opaque)
{
    return g_str_equal(qio_connect_task_phase(opaque), "connect");
}

/* The queue of the peer is full. */
static void test_cancel_full_backlog(void)
{
    g_autofree char *path = NULL;
    Outcome outcome = {};
    QIOConnectTask *task;
    GArray *fillers;
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    fd = io_fixture_listen_unix(path, 1);
    fillers = io_fixture_fill_backlog(path);
    task = start(io_fixture_unix(path), &outcome);
    io_fixture_run_until(NULL, is_connecting, task);
    cancel_elsewhere(task);
    expect_cancelled(task, &outcome);
    io_fixture_close_all(fillers);
    close(fd);
    unlink(path);
    io_fixture_finish();
}

/* It goes on as soon as the peer takes somebody. */
static void test_full_backlog(void)
{
    g_autofree char *path = NULL;
    Outcome outcome = {};
    QIOConnectTask *task;
    GArray *fillers;
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    fd = io_fixture_listen_unix(path, 1);
    fillers = io_fixture_fill_backlog(path);
    task = start(io_fixture_unix(path), &outcome);
    io_fixture_run_until(NULL, is_connecting, task);
    g_assert_false(outcome.done);
    close(accept(fd, NULL, NULL));
    finish(task, &outcome);
    g_assert_nonnull(outcome.ioc);
    outcome_free(&outcome);
    io_fixture_close_all(fillers);
    close(fd);
    unlink(path);
    io_fixture_finish();
}

/* SYNs of whom are dropped, as by a host that is gone. */
static void test_cancel_tcp_connect(void)
{
    Outcome outcomes[4] = {};
    QIOConnectTask *tasks[4];
    char port[6];
    int fd, pending = 0;

    io_fixture_start();
    fd = io_fixture_listen_inet(port, 0);
    for (int i = 0; i < 4; i++) {
        tasks[i] = start(io_fixture_inet("127.0.0.1", port), &outcomes[i]);
        io_fixture_run_until(NULL, is_connecting, tasks[i]);
    }
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    for (int i = 0; i < 4; i++) {
        if (qio_connect_task_cancel(tasks[i])) {
            pending++;
            expect_cancelled(tasks[i], &outcomes[i]);
        } else {
            finish(tasks[i], &outcomes[i]);
            outcome_free(&outcomes[i]);
        }
    }
    g_assert_cmpint(pending, >, 0);
    close(fd);
    io_fixture_finish();
}

static void test_cancel_after(void)
{
    g_autofree char *path = NULL;
    Outcome outcome = {};
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    fd = io_fixture_listen_unix(path, 8);
    finish(start(io_fixture_unix(path), &outcome), &outcome); /* cancels */
    g_assert_nonnull(outcome.ioc);
    outcome_free(&outcome);
    close(fd);
    unlink(path);
    io_fixture_finish();
}

static void test_abandon(void)
{
    g_autofree char *path = NULL;
    Outcome outcome = {};
    QIOConnectTask *task;
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    fd = io_fixture_listen_unix(path, 8);
    resolver_hold();
    task = start(io_fixture_inet("held.test", "1"), &outcome);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    resolver_wait(1);
    qio_connect_task_abandon(task);
    qio_connect_task_abandon(task);
    g_assert_false(qio_connect_task_cancel(task));
    qio_connect_task_unref(task);

    task = start(io_fixture_unix(path), &outcome);
    qio_connect_task_cancel(task);
    qio_connect_task_abandon(task);
    qio_connect_task_unref(task);
    resolver_release();
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    g_assert_cmpint(outcome.calls, ==, 0);
    close(fd);
    unlink(path);
    io_fixture_finish();
}

#define RACE_ROUNDS 300

typedef struct Race {
    QIOConnectTask *task; /* atomic; set when the race begins */
    int delay_us;
    bool cancelled;
} Race;

static void *race_thread(void *opaque)
{
    Race *race = opaque;
    QIOConnectTask *task;
    gint64 start;

    do {
        task = g_atomic_pointer_get(&race->task);
    } while (!task);
    start = g_get_monotonic_time();
    while (g_get_monotonic_time() < start + race->delay_us) {
    }
    race->cancelled = qio_connect_task_cancel(task);
    return NULL;
}

static void race_once(const char *path, int delay_us, int *n_cancelled)
{
    Outcome outcome = {};
    Race race = {.delay_us = delay_us};
    GThread *thread = g_thread_new("race", race_thread, &race);
    QIOConnectTask *task = start(io_fixture_unix(path), &outcome);

    g_atomic_pointer_set(&race.task, task);
    io_fixture_run_until_flag(NULL, &outcome.done);
    g_thread_join(thread);
    g_assert(race.cancelled == (outcome.ioc == NULL));
    *n_cancelled += race.cancelled;
    qio_connect_task_unref(task);
    outcome_free(&outcome);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}

/*
 * Cancelled by another thread at whatever step it is: when it says so there
 * is no channel, else there is one.
 */
static void test_cancel_race(void)
{
    g_autofree char *path = NULL;
    int fd, n_cancelled = 0;

    io_fixture_start();
    path = io_fixture_path("s");
    fd = io_fixture_listen_unix(path, RACE_ROUNDS + 1);
    for (int i = 0; i < RACE_ROUNDS; i++) {
        race_once(path, i % 20, &n_cancelled);
    }
    g_test_message("%d of %d were cancelled", n_cancelled, RACE_ROUNDS);
    close(fd);
    unlink(path);
    io_fixture_finish();
}

static void on_done_elsewhere(QIOChannel *ioc, const Error *err, void *opaque)
{
    g_assert_nonnull(iothread_current());
    qio_channel_unref(ioc);
    g_atomic_int_inc((int *)opaque);
}

static bool all_done(void *opaque)
{
    return g_atomic_int_get((int *)opaque) == RACE_ROUNDS;
}

/* On the context of another thread, which is not ours to run. */
static void test_other_thread(void)
{
    g_autoptr(IOThread) iothread = NULL;
    g_autoptr(SocketAddress) addr = NULL;
    g_autofree char *path = NULL;
    int fd, done = 0;
    gint64 deadline =
        g_get_monotonic_time() + FIXTURE_DEADLINE_S * G_USEC_PER_SEC;

    io_fixture_start();
    iothread = iothread_new("io");
    path = io_fixture_path("s");
    fd = io_fixture_listen_unix(path, RACE_ROUNDS + 1);
    addr = io_fixture_unix(path);
    for (int i = 0; i < RACE_ROUNDS; i++) {
        g_autoptr(QIOConnectTask) task =
            qio_connect_task_new(addr, iothread_get_g_main_context(iothread),
                                 on_done_elsewhere, &done);

        if (i % 2) {
            qio_connect_task_cancel(task);
        }
    }
    while (!all_done(&done) && g_get_monotonic_time() < deadline) {
        g_thread_yield();
    }
    g_assert_true(all_done(&done));
    g_clear_pointer(&iothread, iothread_unref);
    close(fd);
    unlink(path);
    io_fixture_finish();
}

static void test_sync(void)
{
    g_autoptr(Error) err = NULL;
    g_autoptr(SocketAddress) addr = NULL;
    g_autofree char *path = NULL;
    QIOChannel *ioc;
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    addr = io_fixture_unix(path);
    g_assert_null(qio_connect_sync(addr, NULL, NULL, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "No such file"));
    fd = io_fixture_listen_unix(path, 1);
    ioc = qio_connect_sync(addr, NULL, NULL, &error_abort);
    qio_channel_unref(ioc);
    close(fd);
    unlink(path);
    io_fixture_finish();
}

static void sync_started(QIOConnectTask *task, void *opaque)
{
    GThread **thread = opaque;

    *thread = g_thread_new("cancel", cancel_thread, qio_connect_task_ref(task));
}

static void *resolve_then_cancel(void *opaque)
{
    resolver_wait(1);
    qio_connect_task_cancel(opaque);
    qio_connect_task_unref(opaque);
    return NULL;
}

static void sync_started_resolve(QIOConnectTask *task, void *opaque)
{
    GThread **thread = opaque;

    *thread =
        g_thread_new("cancel", resolve_then_cancel, qio_connect_task_ref(task));
}

/* Cancelled while it resolves, it leaves nothing: no context, no descriptor. */
static void test_sync_cancel_resolve(void)
{
    g_autoptr(SocketAddress) addr = io_fixture_inet("held.test", "1");
    g_autoptr(Error) err = NULL;
    GThread *thread;

    io_fixture_start();
    resolver_hold();
    g_assert_null(qio_connect_sync(addr, sync_started_resolve, &thread, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "was cancelled"));
    g_thread_join(thread);
    resolver_release();
    io_fixture_finish();
}

static void test_sync_cancel_backlog(void)
{
    g_autoptr(SocketAddress) addr = NULL;
    g_autoptr(Error) err = NULL;
    g_autofree char *path = NULL;
    GThread *thread;
    GArray *fillers;
    int fd;

    io_fixture_start();
    path = io_fixture_path("s");
    addr = io_fixture_unix(path);
    fd = io_fixture_listen_unix(path, 1);
    fillers = io_fixture_fill_backlog(path);
    g_assert_null(qio_connect_sync(addr, sync_started, &thread, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "was cancelled"));
    g_thread_join(thread);
    io_fixture_close_all(fillers);
    close(fd);
    unlink(path);
    io_fixture_finish();
}

int main(int argc, char **argv)
{
    qemu_mutex_init(&resolver_lock);
    qemu_cond_init(&resolver_cond);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io/connect/connect", test_connect);
    g_test_add_func("/io/connect/errors", test_errors);
    g_test_add_func("/io/connect/no-family", test_no_family);
    g_test_add_func("/io/connect/long-path", test_long_path);
    g_test_add_func("/io/connect/resolve", test_resolve);
    g_test_add_func("/io/connect/full-backlog", test_full_backlog);
    g_test_add_func("/io/connect/cancel/at-once", test_cancel_at_once);
    g_test_add_func("/io/connect/cancel/resolve", test_cancel_resolve);
    g_test_add_func("/io/connect/cancel/full-backlog",
                    test_cancel_full_backlog);
    g_test_add_func("/io/connect/cancel/tcp", test_cancel_tcp_connect);
    g_test_add_func("/io/connect/cancel/after", test_cancel_after);
    g_test_add_func("/io/connect/cancel/race", test_cancel_race);
    g_test_add_func("/io/connect/abandon", test_abandon);
    g_test_add_func("/io/connect/other-thread", test_other_thread);
    g_test_add_func("/io/connect/sync/outcome", test_sync);
    g_test_add_func("/io/connect/sync/cancel-resolve",
                    test_sync_cancel_resolve);
    g_test_add_func("/io/connect/sync/cancel-backlog",
                    test_sync_cancel_backlog);
    return g_test_run();
}
