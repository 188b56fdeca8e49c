/*
 * NBD client: requests and their replies, on the I/O thread.
 *
 * libnbd holds its lock while it calls back, so what it has received is
 * queued first and completed when its call has returned: a completion may
 * well submit the next request.
 *
 * A request stays in the list of those in flight until its reply came.  When
 * the connection goes, the list becomes the head of those which wait.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include "nbd-internal.h"

#define SIMPLE_REPLY_SIZE 16

static void complete(NbdState *s, BlockRequest *req, int ret)
{
    activity_end(s->activity, &req->activity);
    block_request_complete(req, ret);
}

static void link_in_flight(NbdState *s, BlockRequest *req)
{
    req->prev = NULL;
    req->next = s->in_flight;
    if (req->next) {
        req->next->prev = req;
    }
    s->in_flight = req;
}

static void unlink_in_flight(NbdState *s, BlockRequest *req)
{
    if (req->next) {
        req->next->prev = req->prev;
    }
    if (req->prev) {
        req->prev->next = req->next;
    } else {
        s->in_flight = req->next;
    }
}

/* ---- Acknowledged writes that may be lost with the server. ---- */

/*
 * Counts a write.  Discards do not count, since the content after a discard is
 * undefined.  A write that is followed by its own flush does not count, since
 * it is acknowledged only after that.
 */
static void note_success(NbdState *s, const BlockRequest *req)
{
    bool writes = req->op == BLOCK_OP_WRITE || req->op == BLOCK_OP_WRITE_ZEROES;

    if (writes && !(req->flags & BLOCK_REQ_FUA) &&
        !block_split_ends_in_flush(req)) {
        s->n_written++;
    } else if (req->op == BLOCK_OP_FLUSH) {
        s->n_flushed = MAX(s->n_flushed, GPOINTER_TO_SIZE(req->driver_data));
    }
}

bool nbd_io_is_unflushed(const NbdState *s)
{
    return s->info.caps.flush && !s->node->no_flush &&
           s->n_written != s->n_flushed;
}

/*
 * Returns true if @req is a flush that a user requested.  A flush that makes a
 * write stable (see block/split.c) covers only that write, which is repeated if
 * the connection is lost between the two.
 */
static bool is_plain_flush(const BlockRequest *req)
{
    return req->op == BLOCK_OP_FLUSH && !req->split;
}

/* ---- Requests and replies. ---- */

/*
 * libnbd is done with a request: within one of its calls.  ENOTCONN is its
 * word for a connection that is gone; no server's error is turned into it.
 */
static int reply_received(void *opaque, int *error)
{
    BlockRequest *req = opaque;
    NbdState *s = req->node->opaque;

    if (*error == ENOTCONN) {
        nbd_socket_lost(s, NULL);
        return 1;
    }
    unlink_in_flight(s, req);
    if (*error == 0) {
        note_success(s, req);
    }
    req->driver_data = GINT_TO_POINTER(*error);
    block_queue_push(&s->done, req);
    return 1;
}

/* Returns how many bytes the replies had on the wire. */
static uint64_t complete_done(NbdState *s)
{
    uint64_t bytes = 0;
    BlockRequest *req;

    while ((req = block_queue_pop(&s->done))) {
        int error = GPOINTER_TO_INT(req->driver_data);

        bytes += SIMPLE_REPLY_SIZE;
        if (req->op == BLOCK_OP_READ && !error) {
            bytes += req->bytes;
        }
        complete(s, req, -error);
    }
    return bytes;
}

static int64_t issue_zeroes(NbdState *s, BlockRequest *req,
                            nbd_completion_callback cb, uint32_t flags)
{
    if (!(req->flags & BLOCK_REQ_MAY_UNMAP)) {
        flags |= LIBNBD_CMD_FLAG_NO_HOLE;
    }
    if (req->flags & BLOCK_REQ_NO_FALLBACK) {
        flags |= LIBNBD_CMD_FLAG_FAST_ZERO;
    }
    return nbd_aio_zero(s->h, req->bytes, req->offset, cb, flags);
}

static int64_t issue(NbdState *s, BlockRequest *req)
{
    nbd_completion_callback cb = {
        .callback = reply_received,
        .user_data = req,
    };
    uint32_t flags = req->flags & BLOCK_REQ_FUA ? LIBNBD_CMD_FLAG_FUA : 0;

    switch (req->op) {
    case BLOCK_OP_READ:
        return nbd_aio_pread(s->h, req->buf, req->bytes, req->offset, cb, 0);
    case BLOCK_OP_WRITE:
        return nbd_aio_pwrite(s->h, req->buf, req->bytes, req->offset, cb,
                              flags);
    case BLOCK_OP_FLUSH:
        /* This flush covers the writes acknowledged so far. */
        req->driver_data = GSIZE_TO_POINTER(s->n_written);
        return nbd_aio_flush(s->h, cb, 0);
    case BLOCK_OP_DISCARD:
        return nbd_aio_trim(s->h, req->bytes, req->offset, cb, flags);
    default:
        return issue_zeroes(s, req, cb, flags);
    }
}

static void send_request(NbdState *s, BlockRequest *req)
{
    link_in_flight(s, req);
    if (issue(s, req) < 0) {
        if (nbd_aio_is_dead(s->h) == 1 || nbd_aio_is_closed(s->h) == 1) {
            nbd_socket_lost(s, nbd_error_text());
        } else {
            int err = nbd_get_errno();

            unlink_in_flight(s, req);
            complete(s, req, err ? -err : -EIO);
        }
        return;
    }
    nbd_socket_touch(s);
}

/* Does not fail requests that completions submit meanwhile. */
void nbd_io_fail_waiting(NbdState *s)
{
    BlockQueue queue = s->waiting;
    BlockRequest *req;

    if (!queue.head) {
        return;
    }
    block_queue_init(&s->waiting);
    while ((req = block_queue_pop(&queue))) {
        complete(s, req, -EIO);
    }
}

/* ---- Requests without a connection. ---- */

/* How long a request waits for one attempt, in seconds. */
#define LAST_ATTEMPT_S 2

static void patience_expired(void *opaque);

static void set_patience(NbdState *s, NbdPatience patience, uint32_t seconds)
{
    block_timer_cancel(s->timers, s->hold_timer);
    s->hold_timer = NULL;
    s->patience = patience;
    if (seconds) {
        s->hold_timer = block_timer_start(s->timers, seconds * NS_PER_S,
                                          patience_expired, s);
    }
}

void nbd_io_reset_patience(NbdState *s)
{
    set_patience(
        s, s->reconnect_delay ? NBD_PATIENCE_FRESH : NBD_PATIENCE_SPENT, 0);
}

static void patience_expired(void *opaque)
{
    NbdState *s = opaque;

    s->hold_timer = NULL;
    if (s->patience == NBD_PATIENCE_WAITING && s->waiting.head) {
        set_patience(s, NBD_PATIENCE_LAST, LAST_ATTEMPT_S);
        nbd_on_last_attempt(s);
    } else {
        set_patience(s, NBD_PATIENCE_SPENT, 0);
        nbd_io_fail_waiting(s);
    }
}

static bool may_wait(const NbdState *s)
{
    return s->phase == NBD_PHASE_TRANSMISSION ||
           s->phase == NBD_PHASE_RECONNECT_WAIT ||
           s->phase == NBD_PHASE_CONNECT || s->phase == NBD_PHASE_HANDSHAKE;
}

static void request_waits(NbdState *s)
{
    if (s->patience == NBD_PATIENCE_FRESH) {
        set_patience(s, NBD_PATIENCE_WAITING, s->reconnect_delay);
    } else if (s->patience == NBD_PATIENCE_SPENT) {
        set_patience(s, NBD_PATIENCE_LAST, LAST_ATTEMPT_S);
    }
    nbd_on_request_waits(s);
}

void nbd_io_lost(NbdState *s)
{
    if (s->progress) {
        nbd_io_reset_patience(s);
    }
    if (s->patience == NBD_PATIENCE_FRESH &&
        (s->in_flight || s->waiting.head)) {
        set_patience(s, NBD_PATIENCE_WAITING, s->reconnect_delay);
    }
}

void nbd_io_attempt_failed(NbdState *s)
{
    if (s->patience == NBD_PATIENCE_LAST || s->patience == NBD_PATIENCE_SPENT) {
        set_patience(s, NBD_PATIENCE_SPENT, 0);
        nbd_io_fail_waiting(s);
    }
}

/*
 * Does not reset patience; only a reply does, since a server may accept
 * requests and then die.
 */
void nbd_io_connected(NbdState *s)
{
    if (s->patience == NBD_PATIENCE_LAST) {
        set_patience(s, NBD_PATIENCE_SPENT, 0);
    }
}

static void fail_owed_flush(NbdState *s, BlockRequest *req)
{
    s->flush_owed = false;
    activity_set_reason(s->activity, NULL);
    complete(s, req, -EIO);
}

static void send_or_fail(NbdState *s, BlockRequest *req)
{
    if (G_UNLIKELY(s->flush_owed) && is_plain_flush(req)) {
        fail_owed_flush(s, req);
    } else {
        send_request(s, req);
    }
}

void nbd_submit(BlockNode *node, BlockRequest *req)
{
    NbdState *s = node->opaque;

    activity_begin(s->activity, &req->activity);
    if (req->op == BLOCK_OP_WRITE_ZEROES &&
        (req->flags & BLOCK_REQ_NO_FALLBACK) && !s->info.fast_zero) {
        complete(s, req, -ENOTSUP);
    } else if (s->phase == NBD_PHASE_TRANSMISSION && !s->lost) {
        send_or_fail(s, req);
    } else if (may_wait(s)) {
        block_queue_push(&s->waiting, req);
        request_waits(s);
    } else {
        complete(s, req, -EIO);
    }
}

static uint64_t readable_bytes(NbdState *s)
{
    int n = 0;

    return ioctl(nbd_aio_get_fd(s->h), FIONREAD, &n) < 0 ? 0 : n;
}

/*
 * Takes all replies that have come.  libnbd must not be told to read where
 * there is nothing: it would wait in the middle of a reply, and issue no
 * request before the next one comes.  Hence how much there is is asked once,
 * and what replies take is subtracted.
 */
static void read_replies(NbdState *s)
{
    uint64_t available = 0, taken;
    bool first = true;

    do {
        if (nbd_aio_notify_read(s->h) < 0) {
            nbd_socket_lost(s, nbd_error_text());
        } else if (!s->in_flight && nbd_aio_is_closed(s->h) == 1) {
            nbd_socket_lost(s, NULL);
        }
        taken = complete_done(s);
        s->progress |= taken > 0;
        if (first && taken && s->in_flight && !s->lost) {
            available = readable_bytes(s);
        } else {
            available -= MIN(taken, available);
        }
        first = false;
    } while (taken && available && !s->lost);
    if (!taken) {
        activity_progress(s->activity); /* a part of a reply came */
    }
}

void nbd_io_ready(NbdState *s, GIOCondition condition)
{
    unsigned direction = nbd_aio_get_direction(s->h);

    if ((direction & LIBNBD_AIO_DIRECTION_WRITE) && (condition & G_IO_OUT)) {
        if (nbd_aio_notify_write(s->h) < 0) {
            nbd_socket_lost(s, nbd_error_text());
        }
        activity_progress(s->activity);
        complete_done(s);
    }
    if (!s->lost && (condition & ~(unsigned)G_IO_OUT)) {
        read_replies(s);
    }
    nbd_socket_touch(s);
}

void nbd_io_requeue(NbdState *s)
{
    BlockQueue again;

    complete_done(s);
    block_queue_init(&again);
    /* The list has the newest first; the queue wants the oldest first. */
    for (BlockRequest *req = s->in_flight, *next; req; req = next) {
        next = req->next;
        req->next = again.head;
        if (!again.head) {
            again.tail = &req->next;
        }
        again.head = req;
    }
    s->in_flight = NULL;
    block_queue_concat(&again, &s->waiting);
    if (again.head) {
        s->waiting = again;
    } else {
        block_queue_init(&s->waiting);
    }
}

void nbd_io_resend(NbdState *s)
{
    BlockQueue queue = s->waiting, failed;
    bool writes_lost = s->flush_owed;
    BlockRequest *req;

    if (!queue.head) {
        return;
    }
    block_queue_init(&s->waiting);
    block_queue_init(&failed);
    while ((req = block_queue_pop(&queue))) {
        block_split_restart(req);
        if (writes_lost && is_plain_flush(req)) {
            block_queue_push(&failed, req);
        } else if (s->lost) {
            block_queue_push(&s->waiting, req);
        } else {
            send_request(s, req);
        }
    }
    while ((req = block_queue_pop(&failed))) {
        fail_owed_flush(s, req);
    }
}
