/*
 * In-band commands: one at a time on the main thread, in turn over the
 * sessions, one for each round of the main loop.
 *
 * The source is not recursive.  A command that runs the main context itself
 * (to drain a node, say) thus starts no other one, and answers no ping: as
 * long as it runs, the main loop has not come round.
 *
 * Nor does anything start while the process ends, when whoever takes down the
 * nodes may run the main context, too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"
#include "qemu/shutdown.h"

typedef struct Dispatcher {
    /* Guards all below and the MonSessionDispatch of all sessions.  Fast. */
    QemuMutex lock;
    GSource *source;
    GQueue round; /* sessions with requests, a reference each */
    MonRunning running;
    bool pinged;
} Dispatcher;

static Dispatcher dispatcher;

static void __attribute__((constructor)) dispatcher_lock_init(void)
{
    qemu_mutex_init(&dispatcher.lock);
}

static void wake_locked(void)
{
    if (dispatcher.source) {
        g_source_set_ready_time(dispatcher.source, 0);
    }
}

static void sleep_locked(void)
{
    if (dispatcher.source && !dispatcher.pinged) {
        g_source_set_ready_time(dispatcher.source, -1);
    }
}

static void sleep_if_done_locked(void)
{
    if (g_queue_is_empty(&dispatcher.round)) {
        sleep_locked();
    }
}

static bool take_ping(void)
{
    QEMU_LOCK_GUARD(&dispatcher.lock);
    bool pinged = dispatcher.pinged;

    dispatcher.pinged = false;
    sleep_if_done_locked();
    return pinged;
}

/* The session whose turn it is, with a reference, and its next request. */
static MonSession *take_request(MonRequest **req)
{
    QEMU_LOCK_GUARD(&dispatcher.lock);
    MonSession *session;

    if (shutdown_requested() != SHUTDOWN_CAUSE_NONE) {
        sleep_locked();
        return NULL;
    }
    while ((session = g_queue_pop_head(&dispatcher.round))) {
        *req = mon_queue_pop(&mon_session_dispatch(session)->queue);
        if (*req) {
            dispatcher.running = (MonRunning){
                .command = (*req)->cmd ? (*req)->cmd->name : NULL,
                .session = mon_session_number(session),
                .since_us = g_get_monotonic_time(),
            };
            return session;
        }
        mon_session_dispatch(session)->scheduled = false;
        mon_session_unref(session);
    }
    sleep_if_done_locked();
    return NULL;
}

/* Takes over the reference that take_request() gave. */
static void finish_request(MonSession *session)
{
    MonSessionDispatch *d = mon_session_dispatch(session);
    bool idle = false;

    WITH_QEMU_LOCK_GUARD(&dispatcher.lock) {
        dispatcher.running = (MonRunning){0};
        if (!g_queue_is_empty(&d->queue.requests)) {
            g_queue_push_tail(&dispatcher.round, session);
            return;
        }
        d->scheduled = false;
        idle = d->notify_idle;
        d->notify_idle = false;
        sleep_if_done_locked();
    }
    if (idle) {
        mon_session_idle(session);
    }
    mon_session_unref(session);
}

static void run_request(MonSession *session, MonRequest *req)
{
    mon_session_reply(session,
                      mon_request_run(req, mon_session_pretty(session)));
    mon_request_free(req);
}

static gboolean dispatcher_dispatch(GSource *source, GSourceFunc fn,
                                    gpointer opaque)
{
    MonRequest *req;
    MonSession *session;

    if (take_ping()) {
        mon_stall_watch_pong();
    }
    session = take_request(&req);
    if (session) {
        run_request(session, req);
        finish_request(session);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs dispatcher_funcs = {
    .dispatch = dispatcher_dispatch,
};

void mon_dispatcher_init(GMainContext *context)
{
    GSource *source = g_source_new(&dispatcher_funcs, sizeof(GSource));

    g_source_set_name(source, "qmp-dispatcher");
    g_source_attach(source, context);
    QEMU_LOCK_GUARD(&dispatcher.lock);
    dispatcher.source = source;
}

void mon_dispatcher_cleanup(void)
{
    GSource *source;
    MonSession *session;

    WITH_QEMU_LOCK_GUARD(&dispatcher.lock) {
        source = g_steal_pointer(&dispatcher.source);
    }
    g_source_destroy(source);
    g_source_unref(source);
    while ((session = g_queue_pop_head(&dispatcher.round))) {
        mon_dispatcher_forget(session);
        mon_session_unref(session);
    }
    dispatcher.pinged = false;
}

bool mon_dispatcher_submit(MonSession *session, MonRequest *req, bool bounded)
{
    MonSessionDispatch *d = mon_session_dispatch(session);

    QEMU_LOCK_GUARD(&dispatcher.lock);
    if (bounded && mon_queue_is_full(&d->queue, req->size)) {
        return false;
    }
    mon_queue_push(&d->queue, req);
    if (!d->scheduled) {
        d->scheduled = true;
        g_queue_push_tail(&dispatcher.round, mon_session_ref(session));
        wake_locked();
    }
    return true;
}

bool mon_dispatcher_is_full(MonSession *session)
{
    QEMU_LOCK_GUARD(&dispatcher.lock);

    return mon_queue_is_full(&mon_session_dispatch(session)->queue, 0);
}

bool mon_dispatcher_notify_idle(MonSession *session)
{
    MonSessionDispatch *d = mon_session_dispatch(session);

    QEMU_LOCK_GUARD(&dispatcher.lock);
    d->notify_idle = d->scheduled;
    return d->scheduled;
}

bool mon_dispatcher_forget(MonSession *session)
{
    MonSessionDispatch *d = mon_session_dispatch(session);
    MonQueue forgotten = {.requests = G_QUEUE_INIT};

    WITH_QEMU_LOCK_GUARD(&dispatcher.lock) {
        d->notify_idle = false;
        mon_queue_move(&forgotten, &d->queue);
    }
    /* Without the lock, since it may take long. */
    return mon_queue_clear(&forgotten);
}

void mon_dispatcher_queued(MonSession *session, size_t *requests, size_t *bytes)
{
    MonQueue *queue = &mon_session_dispatch(session)->queue;

    QEMU_LOCK_GUARD(&dispatcher.lock);
    *requests = queue->requests.length;
    *bytes = queue->bytes;
}

MonRunning mon_dispatcher_running(void)
{
    QEMU_LOCK_GUARD(&dispatcher.lock);

    return dispatcher.running;
}

void mon_dispatcher_ping(void)
{
    QEMU_LOCK_GUARD(&dispatcher.lock);

    dispatcher.pinged = true;
    wake_locked();
}
