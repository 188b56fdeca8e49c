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
 * A yank leads from any phase to yanked.  From there blockdev-reconnect leads
 * to connect, or first to close-wait if the server has not closed the yanked
 * connection yet.  Closing the node leads from any phase to closed.
 *
 * All phase changes happen in enter(), on the I/O thread.  The main thread
 * posts its requests to that thread and waits on a condition.  A yank sets a
 * mark, cuts the present connection or attempt, and posts.
 *
 * If libnbd refuses a server for its flags, the phase changes once from
 * handshake back to connect, for another kind of handshake.
 *
 * The mark is what makes a yank stick: a connect task or handshake which
 * succeeds after it finds the mark and goes no further.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-internal.h"
#include "qapi/qapi-events-block-core.h"
#include "qemu/lockable.h"

#define BACKOFF_MAX 16 /* seconds */
/* Longest pause between attempts while requests wait, in seconds. */
#define BACKOFF_HELD 1
/* A waiting request starts an attempt, but not more often than this. */
#define REQUEST_PAUSE_US 100000
/* Time limit of an attempt in seconds, if open-timeout is not given. */
#define ATTEMPT_TIMEOUT_S 10
#define TO(phase) (1u << NBD_PHASE_##phase)

static const char *const phase_names[NBD_PHASE__MAX] = {
    [NBD_PHASE_CLOSED] = "closed",
    [NBD_PHASE_CONNECT] = "connect",
    [NBD_PHASE_HANDSHAKE] = "handshake",
    [NBD_PHASE_TRANSMISSION] = "transmission",
    [NBD_PHASE_RECONNECT_WAIT] = "reconnect-wait",
    [NBD_PHASE_DISCONNECT] = "disconnecting",
    [NBD_PHASE_YANKED] = "yanked",
    [NBD_PHASE_CLOSE_WAIT] = "close-wait",
};

static const unsigned allowed[NBD_PHASE__MAX] = {
    [NBD_PHASE_CLOSED] = TO(CONNECT) | TO(YANKED),
    [NBD_PHASE_CONNECT] =
        TO(HANDSHAKE) | TO(RECONNECT_WAIT) | TO(YANKED) | TO(CLOSED),
    [NBD_PHASE_HANDSHAKE] = TO(TRANSMISSION) | TO(CONNECT) |
                            TO(RECONNECT_WAIT) | TO(YANKED) | TO(CLOSED),
    [NBD_PHASE_TRANSMISSION] =
        TO(RECONNECT_WAIT) | TO(DISCONNECT) | TO(YANKED) | TO(CLOSED),
    [NBD_PHASE_RECONNECT_WAIT] = TO(CONNECT) | TO(YANKED) | TO(CLOSED),
    [NBD_PHASE_DISCONNECT] = TO(CLOSED),
    [NBD_PHASE_YANKED] = TO(CONNECT) | TO(CLOSE_WAIT) | TO(CLOSED),
    [NBD_PHASE_CLOSE_WAIT] = TO(CONNECT) | TO(YANKED) | TO(CLOSED),
};

static void enter(NbdState *s, NbdPhase to);
static void revive(NbdState *s);

static uint32_t attempt_timeout(const NbdState *s)
{
    return s->open_timeout ? s->open_timeout : ATTEMPT_TIMEOUT_S;
}

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

/* Restores the state before blockdev-reconnect. */
static void revival_failed(NbdState *s, const Error *err)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->yanked = true;
    }
    enter(s, NBD_PHASE_YANKED);
    settle(s, err);
}

static void attempt_failed(NbdState *s, const Error *err)
{
    error_free(s->last_error);
    s->last_error = error_copy(err);
    activity_set_reason(s->activity, error_get_pretty(err));
    if (is_yanked(s)) {
        enter_yanked_and_settle(s);
    } else if (s->opening && !s->open_timer) {
        enter(s, NBD_PHASE_CLOSED);
        settle(s, err);
    } else if (s->opening) {
        enter(s, NBD_PHASE_RECONNECT_WAIT);
    } else if (s->reviving) {
        revival_failed(s, err);
    } else {
        enter(s, NBD_PHASE_RECONNECT_WAIT);
        settle(s, err);
        nbd_io_attempt_failed(s);
    }
}

static void attempt_expired(void *opaque)
{
    NbdState *s = opaque;
    g_autoptr(Error) err = NULL;

    s->attempt_timer = NULL;
    error_setg(&err, "Failed to %s '%s': no answer within %u s",
               s->phase == NBD_PHASE_CONNECT ? "connect to" : "negotiate with",
               s->address_str, attempt_timeout(s));
    attempt_failed(s, err);
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

static bool main_thread_waits(NbdState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->outcome == NBD_OUTCOME_PENDING;
}

/*
 * Until attempt_end() the attempt counts as a request in flight.  While the
 * main thread waits, its own request counts instead.
 */
static void attempt_begin(NbdState *s)
{
    s->attempt_counts = !main_thread_waits(s);
    if (s->attempt_counts) {
        activity_begin(s->activity, &s->attempt);
    }
    s->attempt_us = g_get_monotonic_time();
    s->attempt_timer = block_timer_start(
        s->timers, attempt_timeout(s) * NS_PER_S, attempt_expired, s);
}

static void attempt_end(NbdState *s)
{
    block_timer_cancel(s->timers, s->attempt_timer);
    s->attempt_timer = NULL;
    if (s->attempt_counts) {
        activity_end(s->activity, &s->attempt);
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

/*
 * Runs under the lock, so that a resize cannot exceed the size of a new server.
 */
static bool server_is_same(NbdState *s, const NbdInfo *info, Error **errp)
{
    uint64_t size;

    QEMU_LOCK_GUARD(&s->lock);
    /*
     * In bytes, not block_node_size(), which is rounded up and may exceed the
     * size of any server so far.
     */
    size = __atomic_load_n(&s->node->size, __ATOMIC_RELAXED);
    if (!nbd_handshake_same(&s->info, size, info, errp)) {
        return false;
    }
    s->server_size = info->size;
    return true;
}

static void report_refused(NbdState *s, const Error *err)
{
    const char *reason = error_get_pretty(err);

    if (g_strcmp0(s->refused, reason) != 0) {
        g_free(s->refused);
        s->refused = g_strdup(reason);
        qapi_event_send_block_connection_refused(s->node->name, reason);
    }
}

void nbd_on_handshake(NbdState *s, GIOCondition condition)
{
    g_autoptr(Error) err = NULL;
    NbdInfo info;
    bool ready, flagless = s->flagless.on;

    if (!nbd_handshake_step(s, condition, &ready, &err)) {
        if (s->flagless.on && !flagless) {
            enter(s, NBD_PHASE_CONNECT);
        } else {
            s->flagless.on = false;
            attempt_failed(s, err);
        }
        return;
    }
    if (!ready) {
        nbd_socket_touch(s);
        return;
    }
    if (!nbd_handshake_info(s, &info, &err)) {
        attempt_failed(s, err);
        return;
    }
    if (s->has_info && !server_is_same(s, &info, &err)) {
        report_refused(s, err);
        attempt_failed(s, err);
        return;
    }
    if (is_yanked(s)) {
        enter_yanked_and_settle(s);
        return;
    }
    if (!s->has_info) {
        s->info = info;
        s->server_size = info.size;
    }
    enter(s, NBD_PHASE_TRANSMISSION);
}

/*
 * The connection is lost or unusable.  The next attempt starts at once if the
 * connection had worked or requests wait, but not before the pause between
 * attempts is over.
 */
void nbd_on_lost(NbdState *s)
{
    if (s->phase == NBD_PHASE_DISCONNECT) {
        enter(s, NBD_PHASE_CLOSED);
    } else if (is_yanked(s)) {
        enter_yanked_and_settle(s);
    } else {
        nbd_io_lost(s);
        if (s->progress) {
            s->backoff = 0;
        }
        enter(s, NBD_PHASE_RECONNECT_WAIT);
        nbd_io_attempt_failed(s);
        if (s->progress || s->waiting.head) {
            nbd_on_request_waits(s);
        }
    }
}

void nbd_on_old_closed(NbdState *s)
{
    nbd_socket_drop_old(s);
    if (s->phase == NBD_PHASE_CLOSE_WAIT) {
        revive(s);
    }
}

static void retry_at(NbdState *s, int64_t us);

void nbd_on_request_waits(NbdState *s)
{
    if (s->phase == NBD_PHASE_RECONNECT_WAIT) {
        retry_at(s, s->attempt_us + REQUEST_PAUSE_US);
    }
}

void nbd_on_last_attempt(NbdState *s)
{
    if (s->phase == NBD_PHASE_RECONNECT_WAIT) {
        enter(s, NBD_PHASE_CONNECT);
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

static void start_retry_timer(NbdState *s, int64_t us)
{
    int64_t now = g_get_monotonic_time();

    s->retry_us = us;
    s->retry_timer =
        block_timer_start(s->timers, MAX(us - now, 0) * 1000, retry, s);
}

/*
 * Starts the next attempt no later than @us.  The timer does not exist yet if a
 * request arrives while the phase is being entered.
 */
static void retry_at(NbdState *s, int64_t us)
{
    if (s->retry_timer && us < s->retry_us) {
        block_timer_cancel(s->timers, s->retry_timer);
        start_retry_timer(s, us);
    }
}

/*
 * Reconnects after a yank; discards what is known about the yanked connection.
 */
static void revive(NbdState *s)
{
    nbd_socket_drop_old(s);
    nbd_io_reset_patience(s);
    s->backoff = 0;
    enter(s, NBD_PHASE_CONNECT);
}

static void close_expired(void *opaque)
{
    NbdState *s = opaque;
    g_autoptr(Error) err = NULL;

    s->close_timer = NULL;
    if (s->force) {
        revive(s);
        return;
    }
    error_setg(&err,
               "The server at '%s' has not closed the yanked connection "
               "within %u s: it may still carry out old writes after "
               "newer ones. Stop that server or cut it off from its storage "
               "(fencing), or use 'force' to take the risk",
               s->address_str, s->close_timeout);
    revival_failed(s, err);
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

static void cancel_open_timer(NbdState *s)
{
    block_timer_cancel(s->timers, s->open_timer);
    s->open_timer = NULL;
}

static void report_lost(NbdState *s)
{
    g_autofree char *text = NULL;

    if (is_yanked(s)) {
        text = g_strdup("The connection was yanked");
    } else {
        text = g_strdup_printf(
            "Lost the connection to '%s': %s", s->address_str,
            s->lost_reason ? s->lost_reason : "the server closed it");
    }
    activity_set_reason(s->activity, text);
    qapi_event_send_block_connection_lost(s->node->name, text);
}

static void leave(NbdState *s, NbdPhase from, NbdPhase to)
{
    switch (from) {
    case NBD_PHASE_CONNECT:
        if (to != NBD_PHASE_HANDSHAKE) {
            attempt_abandon(s);
            attempt_end(s);
        }
        break;
    case NBD_PHASE_HANDSHAKE:
        if (to != NBD_PHASE_TRANSMISSION) {
            nbd_socket_drop(s);
        }
        attempt_end(s);
        break;
    case NBD_PHASE_TRANSMISSION:
        if (to == NBD_PHASE_DISCONNECT) {
            break;
        }
        if (to != NBD_PHASE_CLOSED) {
            report_lost(s);
        }
        if (to == NBD_PHASE_YANKED) {
            nbd_socket_keep_old(s);
        }
        nbd_socket_drop(s);
        break;
    case NBD_PHASE_RECONNECT_WAIT:
        block_timer_cancel(s->timers, s->retry_timer);
        s->retry_timer = NULL;
        break;
    case NBD_PHASE_DISCONNECT:
        nbd_socket_drop(s);
        break;
    case NBD_PHASE_CLOSE_WAIT:
        block_timer_cancel(s->timers, s->close_timer);
        s->close_timer = NULL;
        break;
    default:
        break;
    }
}

/*
 * The server may be another process than before, without the writes that the
 * old process acknowledged and did not flush.
 */
static void check_unflushed(NbdState *s)
{
    bool lost = nbd_io_is_unflushed(s);

    if (lost) {
        s->n_flushed = s->n_written;
        s->flush_owed = true;
    }
    activity_set_reason(s->activity,
                        s->flush_owed
                            ? "Writes that were acknowledged before the "
                              "connection was lost were not flushed: the next "
                              "flush fails"
                            : NULL);
    qapi_event_send_block_connection_regained(s->node->name, lost);
}

static void enter_transmission(NbdState *s)
{
    cancel_open_timer(s);
    s->opening = false;
    s->reviving = false;
    g_clear_pointer(&s->refused, g_free);
    if (s->has_info) {
        check_unflushed(s);
    } else {
        activity_set_reason(s->activity, NULL);
    }
    s->has_info = true;
    nbd_io_connected(s);
    settle(s, NULL);
    nbd_io_resend(s);
}

static void enter_reconnect_wait(NbdState *s)
{
    unsigned pause;

    s->backoff = MIN(MAX(s->backoff * 2, 1), BACKOFF_MAX);
    pause = s->patience == NBD_PATIENCE_WAITING && s->waiting.head
                ? MIN(s->backoff, BACKOFF_HELD)
                : s->backoff;
    start_retry_timer(s, g_get_monotonic_time() + pause * G_USEC_PER_SEC);
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
    cancel_open_timer(s);
    nbd_io_reset_patience(s);
    s->reviving = false;
    nbd_io_fail_waiting(s);
}

static void enter_close_wait(NbdState *s)
{
    s->close_timer = block_timer_start(s->timers, s->close_timeout * NS_PER_S,
                                       close_expired, s);
    nbd_socket_check_old(s);
}

static void enter_closed(NbdState *s)
{
    cancel_open_timer(s);
    nbd_io_reset_patience(s);
    nbd_socket_drop_old(s);
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
        attempt_begin(s);
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
    case NBD_PHASE_CLOSE_WAIT:
        enter_close_wait(s);
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

/*
 * Removes the marks of the yanks that came before blockdev-reconnect.  This
 * must not happen before the posts of these yanks have run: otherwise a
 * connection that they cut would look like a lost one.
 */
static void forgive(NbdState *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    if (s->n_forgiven == s->n_yanks) {
        s->yanked = false;
    }
}

void nbd_on_reconnect(void *opaque)
{
    NbdState *s = opaque;

    nbd_socket_settle(s);
    begin_outcome(s);
    forgive(s);
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
        if (s->old) {
            enter(s, NBD_PHASE_CLOSE_WAIT);
        } else {
            revive(s);
        }
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
    g_clear_pointer(&s->old_watch, fd_watch_free);
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
    if (s->old) {
        nbd_socket_watch_old(s);
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
