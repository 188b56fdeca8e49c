/*
 * The output of a session: a bounded queue of data that the client has not read
 * yet, written without ever waiting for the client.
 *
 * Any thread may append and write, so that a reply is sent by the thread that
 * made it.  One thread writes at a time, without the lock, and continues with
 * data that other threads append meanwhile.  It leaves data that the socket
 * does not accept at once, and data beyond the limit of one turn, to the
 * session's thread, which can wait for the socket and serves other sessions in
 * between.
 *
 * Small pieces are collected in a buffer.  A large piece is not copied, so that
 * no long operation happens under the lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "monitor-internal.h"

/* Appending writes once so much has come together. */
#define FLUSH_BYTES (64 * KiB)

/* Pieces larger than this, in bytes, are not copied. */
#define SMALL_BYTES (4 * KiB)

/* A thread writes at most this much in one turn, in bytes. */
#define TURN_BYTES (256 * KiB)

MonText *mon_text_new(GString *text)
{
    MonText *t = g_new(MonText, 1);

    t->refcount = 1;
    t->len = text->len;
    t->data = g_string_free(text, FALSE);
    return t;
}

static MonText *text_ref(MonText *text)
{
    __atomic_fetch_add(&text->refcount, 1, __ATOMIC_RELAXED);
    return text;
}

void mon_text_unref(MonText *text)
{
    size_t len;

    if (!text || __atomic_sub_fetch(&text->refcount, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    len = text->len;
    g_free(text->data);
    g_free(text);
    mon_bulk_freed(len);
}

void mon_output_init(MonOutput *out, QIOChannel *ioc,
                     void (*kick)(void *opaque), void *opaque)
{
    *out = (MonOutput){
        .ioc = qio_channel_ref(ioc),
        .buf = g_string_new(NULL),
        .chunks = G_QUEUE_INIT,
        .kick = kick,
        .opaque = opaque,
    };
    qemu_mutex_init(&out->lock);
}

static void text_free(void *opaque)
{
    mon_text_unref(opaque);
}

static void empty_locked(MonOutput *out)
{
    g_string_truncate(out->buf, 0);
    g_queue_clear_full(&out->chunks, text_free);
    g_clear_pointer(&out->sending, mon_text_unref);
    out->sent = 0;
    out->unread = 0;
}

void mon_output_destroy(MonOutput *out)
{
    qio_channel_unref(out->ioc);
    empty_locked(out);
    g_string_free(out->buf, TRUE);
    qemu_mutex_destroy(&out->lock);
}

static void kick_locked(MonOutput *out)
{
    if (!out->kicked) {
        out->kicked = true;
        out->kick(out->opaque);
    }
}

static bool dead_locked(const MonOutput *out)
{
    return out->closed || out->broken;
}

static void close_locked(MonOutput *out)
{
    qio_channel_close(out->ioc);
    empty_locked(out);
}

static bool can_write_locked(const MonOutput *out)
{
    return !dead_locked(out) && !out->blocked && out->unread > 0;
}

static bool begin_flush(MonOutput *out)
{
    QEMU_LOCK_GUARD(&out->lock);

    if (out->writing || !can_write_locked(out)) {
        return false;
    }
    out->writing = true;
    return true;
}

/* Makes a chunk of the collected small pieces. */
static void seal_locked(MonOutput *out)
{
    if (out->buf->len) {
        g_queue_push_tail(&out->chunks, mon_text_new(out->buf));
        out->buf = g_string_new(NULL);
    }
}

static void end_flush_locked(MonOutput *out)
{
    out->writing = false;
    if (out->closed) {
        close_locked(out);
    } else if (out->broken) {
        empty_locked(out);
    } else if (can_write_locked(out)) {
        kick_locked(out);
    }
}

/*
 * Finds the next data to write.  Returns false, and ends the turn, when there
 * is none or @turn_left is 0.
 */
static bool next_piece(MonOutput *out, size_t turn_left, const char **data,
                       size_t *len)
{
    QEMU_LOCK_GUARD(&out->lock);
    if (!can_write_locked(out) || turn_left == 0) {
        end_flush_locked(out);
        return false;
    }
    if (!out->sending) {
        if (g_queue_is_empty(&out->chunks)) {
            seal_locked(out);
        }
        out->sending = g_queue_pop_head(&out->chunks);
        out->sent = 0;
    }
    *data = out->sending->data + out->sent;
    *len = MIN(out->sending->len - out->sent, turn_left);
    return true;
}

/*
 * Handles the result @n of a write.  Returns a chunk that was sent completely,
 * or NULL.
 */
static MonText *finish_piece(MonOutput *out, ssize_t n)
{
    QEMU_LOCK_GUARD(&out->lock);

    if (n == QIO_CHANNEL_ERR_BLOCK) {
        out->blocked = true;
        kick_locked(out);
    } else if (n < 0) {
        out->broken = true;
        kick_locked(out);
    } else {
        out->sent += n;
        out->unread -= n;
        if (out->sent == out->sending->len) {
            return g_steal_pointer(&out->sending);
        }
    }
    return NULL;
}

void mon_output_flush(MonOutput *out)
{
    size_t turn_left = TURN_BYTES;
    const char *data;
    size_t len;

    if (!begin_flush(out)) {
        return;
    }
    while (next_piece(out, turn_left, &data, &len)) {
        ssize_t n = qio_channel_write(out->ioc, data, len, NULL);

        mon_text_unref(finish_piece(out, n));
        turn_left -= MAX(n, 0);
    }
}

/*
 * Returns true if data may be appended.  The limit counts only earlier data, so
 * that a client that reads gets any single reply, however long it is.
 */
static bool admit_locked(MonOutput *out)
{
    if (dead_locked(out)) {
        return false;
    }
    if (out->unread > MON_OUTPUT_MAX_BYTES) {
        out->broken = true;
        out->overflow = true;
        kick_locked(out);
        return false;
    }
    return true;
}

static void append_locked(MonOutput *out, MonText *text)
{
    if (!admit_locked(out)) {
        return;
    }
    out->unread += text->len;
    if (text->len > SMALL_BYTES) {
        seal_locked(out);
        g_queue_push_tail(&out->chunks, text_ref(text));
        return;
    }
    g_string_append_len(out->buf, text->data, text->len);
    if (out->buf->len >= FLUSH_BYTES) {
        seal_locked(out);
    }
}

void mon_output_append(MonOutput *out, GString *text)
{
    g_autoptr(MonText) consumed = mon_text_new(text);
    size_t unread;

    WITH_QEMU_LOCK_GUARD(&out->lock) {
        append_locked(out, consumed);
        unread = out->unread;
    }
    if (unread > FLUSH_BYTES) {
        mon_output_flush(out);
    }
}

void mon_output_send(MonOutput *out, GString *text)
{
    g_autoptr(MonText) consumed = mon_text_new(text);

    WITH_QEMU_LOCK_GUARD(&out->lock) {
        append_locked(out, consumed);
    }
    mon_output_flush(out);
}

void mon_output_enable_events(MonOutput *out)
{
    QEMU_LOCK_GUARD(&out->lock);

    out->events = true;
}

void mon_output_event(MonOutput *out, MonText *text)
{
    QEMU_LOCK_GUARD(&out->lock);

    if (out->events && !dead_locked(out)) {
        append_locked(out, text);
        if (!out->blocked) {
            kick_locked(out);
        }
    }
}

static MonOutputState state_locked(const MonOutput *out)
{
    if (dead_locked(out)) {
        return out->overflow ? MON_OUTPUT_OVERFLOW : MON_OUTPUT_GONE;
    }
    return out->blocked ? MON_OUTPUT_BLOCKED : MON_OUTPUT_IDLE;
}

MonOutputState mon_output_service(MonOutput *out, bool writable)
{
    WITH_QEMU_LOCK_GUARD(&out->lock) {
        out->kicked = false;
        out->blocked = out->blocked && !writable;
    }
    mon_output_flush(out);
    QEMU_LOCK_GUARD(&out->lock);
    return state_locked(out);
}

void mon_output_drain(MonOutput *out, int64_t deadline_us)
{
    struct pollfd poll_fd = {
        .fd = qio_channel_get_write_fd(out->ioc),
        .events = POLLOUT,
    };

    do {
        int64_t left_ms = (deadline_us - g_get_monotonic_time()) / 1000;

        if (left_ms <= 0) {
            return;
        }
        if (mon_output_service(out, true) == MON_OUTPUT_BLOCKED) {
            poll(&poll_fd, 1, left_ms);
        }
    } while (mon_output_unread(out) > 0);
}

void mon_output_close(MonOutput *out)
{
    QEMU_LOCK_GUARD(&out->lock);

    if (out->closed) {
        return;
    }
    out->closed = true;
    /* Whoever writes has the channel, and closes it when done. */
    if (!out->writing) {
        close_locked(out);
    }
}

size_t mon_output_unread(MonOutput *out)
{
    QEMU_LOCK_GUARD(&out->lock);

    return dead_locked(out) ? 0 : out->unread;
}
