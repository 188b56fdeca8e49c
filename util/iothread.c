/*
 * IOThread: a named thread with an event loop, and its default instance.
 *
 * Three parts meet in the loop:
 *  - posts from any thread: an array under a lock, and one GSource that is
 *    ready while it holds something (no source is allocated per post);
 *  - deferred functions: run by the first of all prepare() functions, hence
 *    before GLib asks which file descriptors to poll for what, so that they
 *    may change watches and timers;
 *  - the poll function (util/iothread-poll.c), which may spin for a while
 *    before it sleeps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/iothread.h"
#include "qemu/lockable.h"
#include "qemu/main-context.h"
#include "qemu/oob.h"
#include "iothread-internal.h"

/*
 * How often functions deferred by deferred functions are run before the loop
 * looks at its file descriptors again.
 */
#define DEFER_ROUNDS 8

typedef struct Call {
    IOThreadFn *fn; /* NULL: taken back */
    void *opaque;
} Call;

struct IOThread {
    char *name;
    int refcount; /* atomic */
    GMainContext *context;
    GSource *post_source;
    GSource *defer_source;
    QemuThread thread;

    /*
     * Guards posted and the done flags of RunCall.  Fast; nothing is taken
     * under it.
     */
    QemuMutex lock;
    QemuCond run_cond; /* a RunCall is done */
    GArray *posted;    /* of Call */
    int n_posted;      /* atomic copy of posted->len, to look without lock */

    /* The thread's own. */
    GArray *posts_running;
    GArray *deferred;
    GArray *defers_running;
    bool running;
    IOThreadPoll poll;
};

typedef struct IOThreadSource {
    GSource source;
    IOThread *iothread;
} IOThreadSource;

static __thread IOThread *current_iothread;
static IOThread *default_iothread; /* main thread only */

static bool iothread_has_posts(IOThread *iothread)
{
    return __atomic_load_n(&iothread->n_posted, __ATOMIC_RELAXED) != 0;
}

static void iothread_take_posts(IOThread *iothread)
{
    GArray *taken;

    QEMU_LOCK_GUARD(&iothread->lock);
    taken = iothread->posted;
    iothread->posted = iothread->posts_running;
    iothread->posts_running = taken;
    __atomic_store_n(&iothread->n_posted, 0, __ATOMIC_RELAXED);
}

static void iothread_run_posts(IOThread *iothread)
{
    iothread_take_posts(iothread);
    for (guint i = 0; i < iothread->posts_running->len; i++) {
        Call call = g_array_index(iothread->posts_running, Call, i);

        call.fn(call.opaque);
    }
    g_array_set_size(iothread->posts_running, 0);
}

static gboolean post_prepare(GSource *source, gint *timeout)
{
    return iothread_has_posts(((IOThreadSource *)source)->iothread);
}

static gboolean post_check(GSource *source)
{
    return iothread_has_posts(((IOThreadSource *)source)->iothread);
}

static gboolean post_dispatch(GSource *source, GSourceFunc fn, gpointer opaque)
{
    iothread_run_posts(((IOThreadSource *)source)->iothread);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs post_source_funcs = {
    .prepare = post_prepare,
    .check = post_check,
    .dispatch = post_dispatch,
};

static void iothread_run_deferred(IOThread *iothread)
{
    GArray *calls = iothread->deferred;

    iothread->deferred = iothread->defers_running;
    iothread->defers_running = calls;
    for (guint i = 0; i < calls->len; i++) {
        Call call = g_array_index(calls, Call, i);

        if (call.fn) {
            call.fn(call.opaque);
        }
    }
    g_array_set_size(calls, 0);
}

static gboolean defer_prepare(GSource *source, gint *timeout)
{
    IOThread *iothread = ((IOThreadSource *)source)->iothread;

    for (int i = 0; i < DEFER_ROUNDS && iothread->deferred->len; i++) {
        iothread_run_deferred(iothread);
    }
    *timeout = iothread->deferred->len ? 0 : -1;
    return FALSE;
}

static gboolean defer_check(GSource *source)
{
    return FALSE;
}

static gboolean defer_dispatch(GSource *source, GSourceFunc fn, gpointer opaque)
{
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs defer_source_funcs = {
    .prepare = defer_prepare,
    .check = defer_check,
    .dispatch = defer_dispatch,
};

static gint iothread_poll(GPollFD *fds, guint n_fds, gint timeout)
{
    IOThread *iothread = current_iothread;
    gint n;

    /* Posted by this very thread, which wakes nobody up. */
    if (iothread_has_posts(iothread)) {
        timeout = 0;
    }
    oob_loop_poll_begin();
    n = iothread_poll_wait(&iothread->poll, fds, n_fds, timeout);
    oob_loop_poll_end();
    return n;
}

static void *iothread_main(void *opaque)
{
    IOThread *iothread = opaque;

    current_iothread = iothread;
    oob_loop_thread_enter(iothread->name, iothread->context);
    while (iothread->running) {
        g_main_context_iteration(iothread->context, TRUE);
    }
    /* What was asked for before the end is done before the end. */
    while (iothread_has_posts(iothread) || iothread->deferred->len) {
        iothread_run_posts(iothread);
        iothread_run_deferred(iothread);
    }
    return NULL;
}

static GSource *iothread_add_source(IOThread *iothread, GSourceFuncs *funcs,
                                    int priority)
{
    GSource *source = g_source_new(funcs, sizeof(IOThreadSource));

    ((IOThreadSource *)source)->iothread = iothread;
    g_source_set_priority(source, priority);
    g_source_attach(source, iothread->context);
    return source;
}

static void iothread_remove_source(GSource *source)
{
    g_source_destroy(source);
    g_source_unref(source);
}

/* The thread has ended, or was never started. */
static void iothread_free(IOThread *iothread)
{
    iothread_remove_source(iothread->post_source);
    iothread_remove_source(iothread->defer_source);
    g_main_context_unref(iothread->context);
    g_array_unref(iothread->posted);
    g_array_unref(iothread->posts_running);
    g_array_unref(iothread->deferred);
    g_array_unref(iothread->defers_running);
    qemu_cond_destroy(&iothread->run_cond);
    qemu_mutex_destroy(&iothread->lock);
    g_free(iothread->name);
    g_free(iothread);
}

IOThread *iothread_try_new(const char *name, Error **errp)
{
    GMainContext *context = main_context_new(errp);
    IOThread *iothread;

    if (!context) {
        return NULL;
    }
    iothread = g_new0(IOThread, 1);
    iothread->name = g_strdup(name);
    iothread->refcount = 1;
    iothread->running = true;
    qemu_mutex_init(&iothread->lock);
    qemu_cond_init(&iothread->run_cond);
    iothread->posted = g_array_new(FALSE, FALSE, sizeof(Call));
    iothread->posts_running = g_array_new(FALSE, FALSE, sizeof(Call));
    iothread->deferred = g_array_new(FALSE, FALSE, sizeof(Call));
    iothread->defers_running = g_array_new(FALSE, FALSE, sizeof(Call));

    iothread->context = context;
    g_main_context_set_poll_func(iothread->context, iothread_poll);
    iothread->defer_source =
        iothread_add_source(iothread, &defer_source_funcs, G_MININT);
    iothread->post_source =
        iothread_add_source(iothread, &post_source_funcs, G_PRIORITY_DEFAULT);
    if (!qemu_thread_try_create(&iothread->thread, name, iothread_main,
                                iothread, QEMU_THREAD_JOINABLE, errp)) {
        iothread_free(iothread);
        return NULL;
    }
    return iothread;
}

IOThread *iothread_new(const char *name)
{
    return iothread_try_new(name, &error_abort);
}

IOThread *iothread_ref(IOThread *iothread)
{
    __atomic_fetch_add(&iothread->refcount, 1, __ATOMIC_RELAXED);
    return iothread;
}

static void iothread_quit(void *opaque)
{
    IOThread *iothread = opaque;

    iothread->running = false;
}

void iothread_unref(IOThread *iothread)
{
    if (!iothread ||
        __atomic_sub_fetch(&iothread->refcount, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    g_assert(current_iothread != iothread);
    OOB_WAIT_BOUND("an I/O thread never blocks");
    iothread_post(iothread, iothread_quit, iothread);
    qemu_thread_join(&iothread->thread);
    iothread_free(iothread);
}

const char *iothread_name(const IOThread *iothread)
{
    return iothread->name;
}

GMainContext *iothread_get_g_main_context(IOThread *iothread)
{
    return iothread->context;
}

IOThread *iothread_current(void)
{
    return current_iothread;
}

void iothread_post(IOThread *iothread, IOThreadFn *fn, void *opaque)
{
    Call call = {.fn = fn, .opaque = opaque};
    GMainContext *context = NULL;

    WITH_QEMU_LOCK_GUARD(&iothread->lock) {
        /*
         * The first post after a round wakes the thread up for all that follow.
         */
        if (iothread->posted->len == 0 && current_iothread != iothread) {
            context = g_main_context_ref(iothread->context);
        }
        g_array_append_val(iothread->posted, call);
        __atomic_store_n(&iothread->n_posted, 1, __ATOMIC_RELAXED);
    }
    /*
     * @fn may already have run and caused @iothread to be freed: access only
     * the context, to which a reference is held.
     */
    if (context) {
        g_main_context_wakeup(context);
        main_context_release(context);
    }
}

static void mark_this_thread(void *unused)
{
    oob_loop_thread_mark();
}

void iothread_mark_oob(IOThread *iothread)
{
    iothread_post(iothread, mark_this_thread, NULL);
}

typedef struct RunCall {
    IOThread *iothread;
    Call call;
    bool done;
} RunCall;

static void iothread_run_call(void *opaque)
{
    RunCall *run = opaque;

    run->call.fn(run->call.opaque);
    QEMU_LOCK_GUARD(&run->iothread->lock);
    run->done = true;
    qemu_cond_broadcast(&run->iothread->run_cond);
}

void iothread_run(IOThread *iothread, IOThreadFn *fn, void *opaque)
{
    RunCall run = {.iothread = iothread, .call = {fn, opaque}};

    if (current_iothread == iothread) {
        fn(opaque);
        return;
    }
    /* It may be done before it is waited for, which is no excuse. */
    oob_assert_may_block("iothread_run");
    OOB_WAIT_BOUND("an I/O thread never blocks");
    iothread_post(iothread, iothread_run_call, &run);
    QEMU_LOCK_GUARD(&iothread->lock);
    while (!run.done) {
        qemu_cond_wait(&iothread->run_cond, &iothread->lock);
    }
}

/* The newest come last and are asked for again the most. */
static Call *find_call(GArray *calls, IOThreadFn *fn, void *opaque)
{
    for (guint i = calls->len; i-- > 0;) {
        Call *call = &g_array_index(calls, Call, i);

        if (call->opaque == opaque && call->fn == fn) {
            return call;
        }
    }
    return NULL;
}

void iothread_defer(IOThreadFn *fn, void *opaque)
{
    IOThread *iothread = current_iothread;
    Call call = {.fn = fn, .opaque = opaque};

    g_assert(iothread);
    if (!find_call(iothread->deferred, fn, opaque)) {
        g_array_append_val(iothread->deferred, call);
    }
}

void iothread_undefer(IOThreadFn *fn, void *opaque)
{
    IOThread *iothread = current_iothread;
    Call *call;

    g_assert(iothread);
    call = find_call(iothread->deferred, fn, opaque);
    if (call) {
        call->fn = NULL;
    }
    call = find_call(iothread->defers_running, fn, opaque);
    if (call) {
        call->fn = NULL;
    }
}

void iothread_set_poll_max_ns(IOThread *iothread, int64_t ns)
{
    iothread_poll_set_max_ns(&iothread->poll, ns);
}

int64_t iothread_get_poll_max_ns(IOThread *iothread)
{
    return iothread_poll_get_max_ns(&iothread->poll);
}

/*
 * It does not spin: with no more processors than peers on this machine, the
 * time spent spinning is taken from them.
 */
bool iothread_default_init(Error **errp)
{
    if (!default_iothread) {
        default_iothread = iothread_try_new("iothread", errp);
    }
    return default_iothread;
}

IOThread *iothread_default(void)
{
    iothread_default_init(&error_abort);
    return default_iothread;
}

void iothread_default_cleanup(void)
{
    g_clear_pointer(&default_iothread, iothread_unref);
}
