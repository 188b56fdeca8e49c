/*
 * The connection of an NBD client node: its phases, and what leads from one
 * to another.
 *
 *              open            connected          negotiated
 *     closed --------> connect ---------> handshake --------> transmission
 *        ^               ^ |                  |                |  |
 *        |        timer, | | failed           | failed         |  | close
 *        |     reconnect | v                  v           lost |  v
 *        |         reconnect-wait <----------------------------+ disconnect
 *        |                                                        |
 *        +--------------------------------------------------------+
 *
 * A yank leads from any phase to yanked, and blockdev-reconnect from there to
 * connect.  Closing leads from any phase to closed.  All phase changes happen
 * in enter(), on the I/O thread.  The main thread posts its wishes there and
 * waits on a condition; a yank sets a mark, cuts what there is, and posts.
 *
 * The mark is what makes a yank stick: a connect task or handshake which
 * succeeds after it finds the mark and goes no further.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-internal.h"
#include "qemu/lockable.h"

#define BACKOFF_MAX 16 /* seconds */
#define TO(phase) (1u << NBD_PHASE_##phase)

static const char *const phase_names[NBD_PHASE__MAX] = {
    [NBD_PHASE_CLOSED] = "closed",
    [NBD_PHASE_CONNECT] = "connect",
    [NBD_PHASE_HANDSHAKE] = "handshake",
    [NBD_PHASE_TRANSMISSION] = "transmission",
    [NBD_PHASE_RECONNECT_WAIT] = "reconnect-wait",
    [NBD_PHASE_DISCONNECT] = "disconnecting",
    [NBD_PHASE_YANKED] = "yanked",
};

static const unsigned allowed[NBD_PHASE__MAX] = {
    [NBD_PHASE_CLOSED] = TO(CONNECT) | TO(YANKED),
    [NBD_PHASE_CONNECT] =
        TO(HANDSHAKE) | TO(RECONNECT_WAIT) | TO(YANKED) | TO(CLOSED),
    [NBD_PHASE_HANDSHAKE] =
        TO(TRANSMISSION) | TO(RECONNECT_WAIT) | TO(YANKED) | TO(CLOSED),
    [NBD_PHASE_TRANSMISSION] = TO(CONNECT) | TO(RECONNECT_WAIT) |
                               TO(DISCONNECT) | TO(YANKED) | TO(CLOSED),
    [NBD_PHASE_RECONNECT_WAIT] = TO(CONNECT) | TO(YANKED) | TO(CLOSED),
    [NBD_PHASE_DISCONNECT] = TO(CLOSED),
    [NBD_PHASE_YANKED] = TO(CONNECT) | TO(CLOSED),
};

static void enter(NbdState *s, NbdPhase to);

static bool is_yanked(NbdState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->yanked;
}

/* The main thread waits from now on; what happened before does not count. */
static void begin_outcome(NbdState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->outcome = NBD_OUTCOME_PENDING;
}

/*
 * Tells the main thread, if it waits, how it ended; NULL: well.  Comes after
 * the change of phase, so that whoever was told sees it.
 */
static void settle(NbdState *s, const Error *err)
{
    QEMU_LOCK_GUARD(&s->lock);
    if (s->outcome == NBD_OUTCOME_PENDING) {
        s->outcome = err ? NBD_OUTCOME_FAILED : NBD_OUTCOME_CONNECTED;
        s->outcome_error = err ? error_copy(err) : NULL;
        qemu_cond_broadcast(&s->cond);
    }
}

static void enter_yanked_and_settle(NbdState *s)
{
    g_autoptr(Error) err = NULL;

    if (s->phase != NBD_PHASE_YANKED) {
        enter(s, NBD_PHASE_YANKED);
    }
    error_setg(&err, "The connection to '%s' was yanked", s->address_str);
    settle(s, err);
}

/* ---- One attempt to connect. ---- */

static void attempt_failed(NbdState *s, const Error *err)
{
    error_free(s->last_error);
    s->last_error = error_copy(err);
    if (is_yanked(s)) {
        enter_yanked_and_settle(s);
    } else if (s->opening && !s->open_timer) {
        enter(s, NBD_PHASE_CLOSED);
        settle(s, err);
    } else if (s->opening) {
        enter(s, NBD_PHASE_RECONNECT_WAIT);
    } else if (s->reviving) {
        WITH_QEMU_LOCK_GUARD(&s->lock) {
            s->yanked = true;
        }
        enter(s, NBD_PHASE_YANKED);
        settle(s, err);
    } else {
        enter(s, NBD_PHASE_RECONNECT_WAIT);
        settle(s, err);
    }
}

static void attempt_done(QIOChannel *ioc, const Error *err, void *opaque)
{
    NbdState *s = opaque;
    g_autoptr(QIOConnectTask) task = NULL;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        task = g_steal_pointer(&s->task);
        s->ioc = ioc;
    }
    if (ioc) {
        enter(s, NBD_PHASE_HANDSHAKE);
    } else {
        attempt_failed(s, err);
    }
}

static void attempt_start(NbdState *s)
{
    QIOConnectTask *task = qio_connect_task_new(
        s->address, iothread_get_g_main_context(s->node->iothread),
        attempt_done, s);

    s->progress = false;
    qio_connect_task_set_activity(task, s->activity);
    QEMU_LOCK_GUARD(&s->lock);
    s->task = task;
    if (s->yanked) {
        qio_connect_task_cancel(task);
    }
}

static void attempt_abandon(NbdState *s)
{
    g_autoptr(QIOConnectTask) task = NULL;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        task = g_steal_pointer(&s->task);
    }
    if (task) {
        qio_connect_task_abandon(task);
    }
}

void nbd_on_handshake(NbdState *s, GIOCondition condition)
{
    g_autoptr(Error) err = NULL;
    NbdInfo info;
    bool ready;

    if (!nbd_handshake_step(s, condition, &ready, &err)) {
        attempt_failed(s, err);
        return;
    }
    if (!ready) {
        nbd_socket_touch(s);
        return;
    }
    if (!nbd_handshake_info(s, &info, &err) ||
        (s->has_info && !nbd_handshake_same(&s->info, &info, &err))) {
        attempt_failed(s, err);
        return;
    }
    if (is_yanked(s)) {
        enter_yanked_and_settle(s);
        return;
    }
    if (!s->has_info) {
        s->info = info;
        s->has_info = true;
    }
    enter(s, NBD_PHASE_TRANSMISSION);
}

/* The server is gone, or nobody can talk with it any more. */
void nbd_on_lost(NbdState *s)
{
    if (s->phase == NBD_PHASE_DISCONNECT) {
        enter(s, NBD_PHASE_CLOSED);
    } else if (is_yanked(s)) {
        enter_yanked_and_settle(s);
    } else {
        nbd_io_hold_begin(s);
        if (s->progress) {
            s->backoff = 0;
            enter(s, NBD_PHASE_CONNECT);
        } else {
            enter(s, NBD_PHASE_RECONNECT_WAIT);
        }
        if (!s->hold) {
            nbd_io_fail_waiting(s);
        }
    }
}

/* Once the good-bye is on its way, nothing is left to wait for. */
void nbd_on_disconnect(NbdState *s)
{
    if (nbd_aio_get_direction(s->h) & LIBNBD_AIO_DIRECTION_WRITE) {
        nbd_socket_touch(s);
    } else {
        enter(s, NBD_PHASE_CLOSED);
    }
}

static void enter_handshake(NbdState *s)
{
    g_autoptr(Error) err = NULL;

    if (!nbd_handshake_start(s, &err)) {
        attempt_failed(s, err);
        return;
    }
    nbd_socket_watch(s);
    nbd_on_handshake(s, 0);
}

/* ---- Phases. ---- */

static void retry(void *opaque)
{
    NbdState *s = opaque;

    s->retry_timer = NULL;
    enter(s, NBD_PHASE_CONNECT);
}

static void open_expired(void *opaque)
{
    NbdState *s = opaque;
    g_autoptr(Error) err = NULL;

    s->open_timer = NULL;
    if (s->last_error) {
        err = error_copy(s->last_error);
    } else {
        error_setg(&err, "Failed to connect to '%s': Connection timed out",
                   s->address_str);
    }
    enter(s, NBD_PHASE_CLOSED);
    settle(s, err);
}

static void cancel_timers(NbdState *s)
{
    nbd_io_hold_end(s);
    block_timer_cancel(s->timers, s->open_timer);
    s->open_timer = NULL;
}

static void leave(NbdState *s, NbdPhase from, NbdPhase to)
{
    switch (from) {
    case NBD_PHASE_CONNECT:
        if (to != NBD_PHASE_HANDSHAKE) {
            attempt_abandon(s);
        }
        break;
    case NBD_PHASE_HANDSHAKE:
        if (to != NBD_PHASE_TRANSMISSION) {
            nbd_socket_drop(s);
        }
        break;
    case NBD_PHASE_TRANSMISSION:
        if (to != NBD_PHASE_DISCONNECT) {
            nbd_socket_drop(s);
        }
        break;
    case NBD_PHASE_RECONNECT_WAIT:
        block_timer_cancel(s->timers, s->retry_timer);
        s->retry_timer = NULL;
        break;
    case NBD_PHASE_DISCONNECT:
        nbd_socket_drop(s);
        break;
    default:
        break;
    }
}

static void enter_transmission(NbdState *s)
{
    cancel_timers(s);
    s->opening = false;
    s->reviving = false;
    settle(s, NULL);
    nbd_io_resend(s);
}

static void enter_reconnect_wait(NbdState *s)
{
    s->backoff = MIN(MAX(s->backoff * 2, 1), BACKOFF_MAX);
    s->retry_timer =
        block_timer_start(s->timers, s->backoff * NS_PER_S, retry, s);
}

static void enter_disconnect(NbdState *s)
{
    if (nbd_aio_disconnect(s->h, 0) < 0) {
        enter(s, NBD_PHASE_CLOSED);
    } else {
        nbd_on_disconnect(s);
    }
}

static void enter_yanked(NbdState *s)
{
    cancel_timers(s);
    s->reviving = false;
    nbd_io_fail_waiting(s);
}

static void enter_closed(NbdState *s)
{
    cancel_timers(s);
    nbd_io_fail_waiting(s);
    QEMU_LOCK_GUARD(&s->lock);
    s->closed = true;
    qemu_cond_broadcast(&s->cond);
}

static void enter(NbdState *s, NbdPhase to)
{
    NbdPhase from = s->phase;

    g_assert(allowed[from] & (1u << to));
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->phase = to;
    }
    activity_set_phase(s->activity, phase_names[to]);
    leave(s, from, to);
    switch (to) {
    case NBD_PHASE_CONNECT:
        attempt_start(s);
        break;
    case NBD_PHASE_HANDSHAKE:
        enter_handshake(s);
        break;
    case NBD_PHASE_TRANSMISSION:
        enter_transmission(s);
        break;
    case NBD_PHASE_RECONNECT_WAIT:
        enter_reconnect_wait(s);
        break;
    case NBD_PHASE_DISCONNECT:
        enter_disconnect(s);
        break;
    case NBD_PHASE_YANKED:
        enter_yanked(s);
        break;
    default:
        enter_closed(s);
        break;
    }
}

/* ---- What other threads post. ---- */

void nbd_on_open(void *opaque)
{
    NbdState *s = opaque;

    begin_outcome(s);
    s->opening = true;
    if (is_yanked(s)) {
        enter_yanked_and_settle(s);
        return;
    }
    if (s->open_timeout) {
        s->open_timer = block_timer_start(s->timers, s->open_timeout * NS_PER_S,
                                          open_expired, s);
    }
    enter(s, NBD_PHASE_CONNECT);
}

void nbd_on_reconnect(void *opaque)
{
    NbdState *s = opaque;

    nbd_socket_settle(s);
    begin_outcome(s);
    switch (s->phase) {
    case NBD_PHASE_TRANSMISSION:
        settle(s, NULL);
        break;
    case NBD_PHASE_RECONNECT_WAIT:
        enter(s, NBD_PHASE_CONNECT);
        break;
    case NBD_PHASE_YANKED:
        if (is_yanked(s)) {
            enter_yanked_and_settle(s);
            break;
        }
        s->reviving = true;
        s->backoff = 0;
        nbd_io_hold_begin(s);
        enter(s, NBD_PHASE_CONNECT);
        break;
    default:
        break; /* the attempt that runs decides */
    }
}

void nbd_on_close(void *opaque)
{
    NbdState *s = opaque;

    if (s->phase == NBD_PHASE_TRANSMISSION && !s->lost) {
        enter(s, NBD_PHASE_DISCONNECT);
    } else if (s->phase == NBD_PHASE_CLOSED) {
        enter_closed(s);
    } else {
        enter(s, NBD_PHASE_CLOSED);
    }
}

void nbd_on_detach(void *opaque)
{
    NbdState *s = opaque;

    nbd_socket_settle(s);
    if (s->phase == NBD_PHASE_CONNECT) {
        attempt_abandon(s);
    }
    nbd_socket_unwatch(s);
    block_timers_detach(s->timers);
}

void nbd_on_attach(void *opaque)
{
    NbdState *s = opaque;

    block_timers_attach(s->timers);
    if (s->h) {
        nbd_socket_watch(s);
    } else if (s->phase == NBD_PHASE_CONNECT) {
        attempt_start(s);
    }
    if (is_yanked(s)) {
        nbd_on_yank(s);
    }
}

void nbd_on_yank(void *opaque)
{
    NbdState *s = opaque;

    switch (s->phase) {
    case NBD_PHASE_CLOSED: /* opening it will find the mark */
    case NBD_PHASE_YANKED:
        break;
    case NBD_PHASE_DISCONNECT:
        enter(s, NBD_PHASE_CLOSED);
        break;
    default:
        enter_yanked_and_settle(s);
        break;
    }
}
