/*
 * Posts between threads, where the posted function runs, and its consequences
 * free the context or the I/O thread, before the post has returned.
 *
 * The calls of GLib with which a post ends are held up in the posting thread,
 * so that this order of events is certain.  The context must live until the
 * post has returned.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <dlfcn.h>
#include <sched.h>
#include "io-fixture.h"
#include "io/connect-task.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/iothread.h"
#include "qemu/thread.h"

/* How long a post is delayed, for its consequences to happen. */
#define HOLD_MS 100

/* All atomic: a post is held up under fast locks, where nothing may block. */
static int held;       /* a post is held up */
static int let_go;     /* the owner has dropped the context */
static int n_contexts; /* how many are alive */

/* Whether posts of this thread are held up at their end. */
static __thread bool hold_my_posts;

/* The context must exist, whatever its owner has done meanwhile. */
static void hold_up(void)
{
    int64_t end_us = g_get_monotonic_time() + HOLD_MS * 1000;

    if (!hold_my_posts) {
        return;
    }
    g_atomic_int_set(&held, 1);
    while (!g_atomic_int_get(&let_go) && g_get_monotonic_time() < end_us) {
        sched_yield();
    }
    g_assert_cmpint(g_atomic_int_get(&n_contexts), ==, 1);
}

/* Replaces GLib's function. */
void g_source_unref(GSource *source)
{
    __typeof__(&g_source_unref) real = dlsym(RTLD_NEXT, "g_source_unref");

    hold_up();
    real(source);
}

void g_main_context_wakeup(GMainContext *context)
{
    __typeof__(&g_main_context_wakeup) real =
        dlsym(RTLD_NEXT, "g_main_context_wakeup");

    hold_up();
    real(context);
}

static gboolean never(gpointer opaque)
{
    g_assert_not_reached();
}

static void context_gone(gpointer opaque)
{
    g_atomic_int_add(&n_contexts, -1);
}

/* Replaces GLib's function; a source in the context notes when it is freed. */
GMainContext *g_main_context_new(void)
{
    __typeof__(&g_main_context_new) real =
        dlsym(RTLD_NEXT, "g_main_context_new");
    GMainContext *context = real();
    GSource *witness = g_timeout_source_new_seconds(G_MAXUINT);

    g_atomic_int_inc(&n_contexts);
    g_source_set_callback(witness, never, NULL, context_gone);
    g_source_attach(witness, context);
    g_source_unref(witness);
    return context;
}

static void wait_until(const int *value, int wanted)
{
    while (g_atomic_int_get(value) != wanted) {
        sched_yield();
    }
}

static void reset(void)
{
    g_atomic_int_set(&held, 0);
    g_atomic_int_set(&let_go, 0);
}

/* From now on a delayed post continues. */
static void owner_lets_go(void)
{
    wait_until(&held, 1);
    g_atomic_int_set(&let_go, 1);
}

static void nothing(void *opaque)
{
}

static void *post(void *opaque)
{
    hold_my_posts = true;
    iothread_post(opaque, nothing, NULL);
    return NULL;
}

/* The thread that gets the post ends meanwhile. */
static void test_iothread_post(void)
{
    IOThread *iothread = iothread_new("victim");
    QemuThread thread;

    reset();
    qemu_thread_create(&thread, "poster", post, iothread, QEMU_THREAD_JOINABLE);
    wait_until(&held, 1);
    /* The wake-up that is held up, as if a peer had sent something. */
    g_main_context_wakeup(iothread_get_g_main_context(iothread));
    iothread_unref(iothread);
    owner_lets_go();
    qemu_thread_join(&thread);
    wait_until(&n_contexts, 0);
}

static void *cancel(void *opaque)
{
    hold_my_posts = true;
    g_assert_true(qio_connect_task_cancel(opaque));
    qio_connect_task_unref(opaque);
    return NULL;
}

typedef struct Canceller {
    QemuThread thread;
} Canceller;

static void start_canceller(QIOConnectTask *task, void *opaque)
{
    qemu_thread_create(&((Canceller *)opaque)->thread, "canceller", cancel,
                       qio_connect_task_ref(task), QEMU_THREAD_JOINABLE);
}

/* The thread that waits for the connection returns and frees its context. */
static void test_connect_cancel(void)
{
    Canceller canceller;
    Error *err = NULL;
    g_autofree char *path = NULL;
    g_autoptr(SocketAddress) addr = NULL;
    g_autoptr(GArray) queue = NULL;
    int fd;

    io_fixture_start();
    path = io_fixture_path("full");
    addr = io_fixture_unix(path);
    fd = io_fixture_listen_unix(path, 0);
    /* A full queue keeps the task connecting. */
    queue = io_fixture_fill_backlog(path);
    reset();
    g_assert_null(qio_connect_sync(addr, start_canceller, &canceller, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "was cancelled"));
    error_free(err);
    owner_lets_go();
    qemu_thread_join(&canceller.thread);
    wait_until(&n_contexts, 0);
    io_fixture_close_all(g_steal_pointer(&queue));
    close(fd);
    unlink(path);
    io_fixture_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/post-lifetime/iothread-post", test_iothread_post);
    g_test_add_func("/post-lifetime/connect-cancel", test_connect_cancel);
    return g_test_run();
}
