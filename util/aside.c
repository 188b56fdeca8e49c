/*
 * Calls on side threads that can be abandoned: see include/qemu/aside.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/aside.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"
#include "qemu/thread.h"

struct AsideCall {
    char *what;
    AsideFn *fn;
    void *opaque;
    GDestroyNotify free_opaque;
    int64_t begin_us;
    AsideFn *done; /* NULL if the owner waits by aside_wait() */
    /*
     * Where done is posted.  While the call has an owner, access it under the
     * lock only.
     */
    GMainContext *context;

    /* Members below: guarded by aside_lock. */
    QemuCond cond; /* signalled when returned or cancelled is set */
    unsigned owners;
    bool running; /* the side thread still needs the call */
    bool returned;
    bool cancelled;
    GSource *source; /* runs done; NULL before the call has returned */
    GList link;      /* in abandoned, while owners is 0 and running is set */
};

/*
 * Guards the members named above and the list below.  Fast; under it the lock
 * of a context is taken.
 */
static QemuMutex aside_lock;
static GQueue abandoned = G_QUEUE_INIT; /* of AsideCall, oldest first */
static QemuCond abandoned_cond; /* signalled when a call leaves the list */

static void __attribute__((constructor)) aside_init(void)
{
    qemu_mutex_init(&aside_lock);
    qemu_cond_init(&abandoned_cond);
}

static void aside_free_opaque(AsideCall *call)
{
    if (call->free_opaque) {
        call->free_opaque(call->opaque);
        call->free_opaque = NULL;
    }
}

static void aside_free(AsideCall *call)
{
    aside_free_opaque(call);
    if (call->source) {
        g_source_unref(call->source);
    }
    qemu_cond_destroy(&call->cond);
    g_free(call->what);
    g_free(call);
}

AsideCall *aside_ref(AsideCall *call)
{
    QEMU_LOCK_GUARD(&aside_lock);
    call->owners++;
    return call;
}

void aside_unref(AsideCall *call)
{
    GSource *source = NULL;
    bool last;

    if (!call) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&aside_lock) {
        last = --call->owners == 0;
        if (last && call->running) {
            g_queue_push_tail_link(&abandoned, &call->link);
            source = g_steal_pointer(&call->source);
            last = false;
        }
    }
    if (last) {
        aside_free(call);
    } else if (source) {
        /* It lets go of the call by aside_leave(). */
        g_source_destroy(source);
        g_source_unref(source);
    }
}

/* Runs on the owner's context. */
static gboolean aside_run_done(gpointer opaque)
{
    g_autoptr(AsideCall) call = NULL;

    WITH_QEMU_LOCK_GUARD(&aside_lock) {
        AsideCall *posted = opaque;

        if (posted->owners > 0) {
            posted->owners++;
            call = posted;
        }
    }
    if (call) {
        call->done(call->opaque);
    }
    return G_SOURCE_REMOVE;
}

/*
 * The side thread drops @call.  An abandoned call leaves the list only after
 * its @opaque was freed, since freeing it may remove files.
 */
static void aside_leave(gpointer opaque)
{
    AsideCall *call = opaque;
    bool last;

    WITH_QEMU_LOCK_GUARD(&aside_lock) {
        call->running = false;
        last = call->owners == 0;
    }
    if (!last) {
        return;
    }
    aside_free_opaque(call);
    WITH_QEMU_LOCK_GUARD(&aside_lock) {
        g_queue_unlink(&abandoned, &call->link);
        qemu_cond_broadcast(&abandoned_cond);
    }
    aside_free(call);
}

static void *aside_thread(void *opaque)
{
    AsideCall *call = opaque;
    bool post;

    call->fn(call->opaque);
    WITH_QEMU_LOCK_GUARD(&aside_lock) {
        call->returned = true;
        qemu_cond_broadcast(&call->cond);
        post = call->context && call->owners > 0;
        if (post) {
            call->source = g_idle_source_new();
            g_source_set_priority(call->source, G_PRIORITY_DEFAULT);
            g_source_set_callback(call->source, aside_run_done, call,
                                  aside_leave);
            g_source_attach(call->source, call->context);
        }
    }
    if (!post) {
        aside_leave(call);
    }
    return NULL;
}

/* Younger calls may just wait for a processor. */
static unsigned count_same_stuck_locked(const char *what)
{
    int64_t begin_us = g_get_monotonic_time() - ASIDE_STUCK_MS * 1000;
    unsigned n = 0;

    for (GList *link = abandoned.head; link; link = link->next) {
        AsideCall *call = link->data;

        n += call->begin_us < begin_us && g_str_equal(call->what, what);
    }
    return n;
}

static bool aside_has_room(const char *what, Error **errp)
{
    QEMU_LOCK_GUARD(&aside_lock);

    if (abandoned.length >= ASIDE_MAX_ABANDONED) {
        error_setg(errp,
                   "%u calls were abandoned and have not returned, the oldest "
                   "is %s; no more than that are allowed",
                   abandoned.length, ((AsideCall *)abandoned.head->data)->what);
        return false;
    }
    if (count_same_stuck_locked(what) >= ASIDE_MAX_ABANDONED_SAME) {
        error_setg(errp,
                   "%s was abandoned %d times and has not returned; no more "
                   "attempts than that are allowed",
                   what, ASIDE_MAX_ABANDONED_SAME);
        return false;
    }
    return true;
}

AsideCall *aside_start_async(const char *what, AsideFn *fn, void *opaque,
                             GDestroyNotify free_opaque, GMainContext *context,
                             AsideFn *done, Error **errp)
{
    AsideCall *call = g_new0(AsideCall, 1);
    QemuThread thread;

    call->what = g_strdup(what);
    call->fn = fn;
    call->opaque = opaque;
    call->free_opaque = free_opaque;
    call->context = context;
    call->done = done;
    call->begin_us = g_get_monotonic_time();
    call->owners = 1;
    call->running = true;
    call->link.data = call;
    qemu_cond_init(&call->cond);
    if (!aside_has_room(what, errp) ||
        !qemu_thread_try_create(&thread, "aside", aside_thread, call,
                                QEMU_THREAD_DETACHED, errp)) {
        aside_free(call);
        return NULL;
    }
    return call;
}

AsideCall *aside_start(const char *what, AsideFn *fn, void *opaque,
                       GDestroyNotify free_opaque, Error **errp)
{
    return aside_start_async(what, fn, opaque, free_opaque, NULL, NULL, errp);
}

bool aside_wait(AsideCall *call, int timeout_ms, Error **errp)
{
    int64_t end_us = g_get_monotonic_time() + timeout_ms * INT64_C(1000);

    oob_assert_may_block("aside_wait");
    QEMU_LOCK_GUARD(&aside_lock);
    while (!call->returned && !call->cancelled) {
        int64_t rest_us = end_us - g_get_monotonic_time();

        if (timeout_ms < 0) {
            qemu_cond_wait(&call->cond, &aside_lock);
        } else if (rest_us <= 0) {
            error_setg(errp, "%s did not end within %d ms and was abandoned",
                       call->what, timeout_ms);
            return false;
        } else {
            qemu_cond_timedwait(&call->cond, &aside_lock, rest_us / 1000 + 1);
        }
    }
    if (!call->returned) {
        error_setg(errp, "%s was cancelled", call->what);
    }
    return call->returned;
}

bool aside_cancel(AsideCall *call)
{
    QEMU_LOCK_GUARD(&aside_lock);

    if (call->returned || call->cancelled) {
        return false;
    }
    call->cancelled = true;
    qemu_cond_broadcast(&call->cond);
    return true;
}

void aside_foreach_abandoned(AsideAbandonedFn *fn, void *opaque)
{
    int64_t now_us = g_get_monotonic_time();

    QEMU_LOCK_GUARD(&aside_lock);
    for (GList *link = abandoned.head; link; link = link->next) {
        AsideCall *call = link->data;

        if (!call->returned) {
            fn(call->what, now_us - call->begin_us, opaque);
        }
    }
}

bool aside_wait_abandoned(int timeout_ms)
{
    int64_t end_us = g_get_monotonic_time() + timeout_ms * INT64_C(1000);

    oob_assert_may_block("aside_wait_abandoned");
    QEMU_LOCK_GUARD(&aside_lock);
    while (abandoned.length) {
        int64_t rest_us = end_us - g_get_monotonic_time();

        if (rest_us <= 0) {
            return false;
        }
        qemu_cond_timedwait(&abandoned_cond, &aside_lock, rest_us / 1000 + 1);
    }
    return true;
}
