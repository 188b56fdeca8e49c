/*
 * The two threads of the library: made for the first client, shared by all.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-internal.h"
#include "qemu/lockable.h"

/*
 * Guards what follows.  Slow: threads are started under it.  Nothing else is
 * taken under it but what that takes.
 */
static QemuMutex lock;
static QemuCond released;
static unsigned n_holders;
/* Changed only while nobody holds them. */
static IOThread *io_thread;
static IOThread *event_thread;

static void __attribute__((constructor)) threads_init(void)
{
    qemu_mutex_init_slow(&lock);
    qemu_cond_init(&released);
}

/* Both or none; under the lock. */
static bool threads_start(Error **errp)
{
    IOThread *io = iothread_try_new("yc-io", errp);
    IOThread *events = io ? iothread_try_new("yc-events", errp) : NULL;

    if (!events) {
        iothread_unref(io);
        return false;
    }
    io_thread = io;
    event_thread = events;
    return true;
}

bool yc_threads_hold(GError **errp)
{
    Error *err = NULL;

    QEMU_LOCK_GUARD(&lock);
    if (!io_thread && !threads_start(&err)) {
        yc_error_take(errp, YC_ERROR_CONNECT, err);
        return false;
    }
    n_holders++;
    return true;
}

void yc_threads_release(void)
{
    QEMU_LOCK_GUARD(&lock);
    n_holders--;
    qemu_cond_broadcast(&released);
}

IOThread *yc_io_thread(void)
{
    return io_thread;
}

IOThread *yc_event_thread(void)
{
    return event_thread;
}

/* True when nobody holds the threads, which are then no longer known. */
static bool threads_take(int64_t deadline, IOThread **io, IOThread **events)
{
    QEMU_LOCK_GUARD(&lock);
    while (n_holders) {
        int64_t left = deadline - g_get_monotonic_time();

        if (left <= 0) {
            return false;
        }
        qemu_cond_timedwait(&released, &lock, left / 1000 + 1);
    }
    *io = g_steal_pointer(&io_thread);
    *events = g_steal_pointer(&event_thread);
    return true;
}

bool yc_cleanup(int timeout_ms)
{
    int64_t deadline = yc_deadline(&timeout_ms);
    IOThread *io, *events;

    if (iothread_current() || !threads_take(deadline, &io, &events)) {
        return false;
    }
    iothread_unref(io);
    iothread_unref(events);
    return true;
}
