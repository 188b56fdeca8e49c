/*
 * What a client has not read yet: a bounded buffer, written without ever
 * waiting for the client.
 *
 * Any thread may append and write, so that a reply leaves from the thread
 * that made it.  One thread writes at a time, without the lock, and goes on
 * with what others append meanwhile.  Only what the socket does not take at
 * once is left to the monitor thread, which can wait for the socket.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "monitor-internal.h"

/* Appending writes once so much has come together. */
#define FLUSH_BYTES (64 * KiB)

/* An empty buffer that has grown past this is given back. */
#define KEEP_BYTES (256 * KiB)

void mon_output_init(MonOutput *out, QIOChannel *ioc,
                     void (*kick)(void *opaque), void *opaque)
{
    *out = (MonOutput){
        .ioc = qio_channel_ref(ioc),
        .buf = g_byte_array_new(),
        .sending = g_byte_array_new(),
        .kick = kick,
        .opaque = opaque,
    };
    qemu_mutex_init(&out->lock);
}

void mon_output_destroy(MonOutput *out)
{
    qio_channel_unref(out->ioc);
    g_byte_array_unref(out->buf);
    g_byte_array_unref(out->sending);
    qemu_mutex_destroy(&out->lock);
}

static size_t unread_locked(const MonOutput *out)
{
    return out->buf->len + out->sending->len - out->sent;
}

static void empty(GByteArray **buf)
{
    if ((*buf)->len > KEEP_BYTES) {
        g_byte_array_unref(*buf);
        *buf = g_byte_array_new();
    } else {
        g_byte_array_set_size(*buf, 0);
    }
}

static void empty_locked(MonOutput *out)
{
    out->sent = 0;
    empty(&out->sending);
    empty(&out->buf);
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
    return !dead_locked(out) && !out->blocked && unread_locked(out) > 0;
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

/* What to write next; false, and the end of writing, when there is nothing. */
static bool next_chunk(MonOutput *out, const guint8 **data, size_t *len)
{
    QEMU_LOCK_GUARD(&out->lock);

    if (!can_write_locked(out)) {
        out->writing = false;
        if (out->closed) {
            close_locked(out);
        } else if (out->broken) {
            empty_locked(out);
        }
        return false;
    }
    if (out->sent == out->sending->len) {
        GByteArray *swap = out->sending;

        out->sending = out->buf;
        out->buf = swap;
        out->sent = 0;
        empty(&out->buf);
    }
    *data = out->sending->data + out->sent;
    *len = out->sending->len - out->sent;
    return true;
}

/* @n: what the write gave. */
static void finish_chunk(MonOutput *out, ssize_t n)
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
        if (unread_locked(out) == 0) {
            empty_locked(out);
        }
    }
}

void mon_output_flush(MonOutput *out)
{
    const guint8 *data;
    size_t len;

    if (!begin_flush(out)) {
        return;
    }
    while (next_chunk(out, &data, &len)) {
        finish_chunk(out, qio_channel_write(out->ioc, data, len, NULL));
    }
}

/*
 * The bound counts what was there before: however long a single reply is, a
 * client that reads gets it.
 */
static void append_locked(MonOutput *out, const char *text, size_t len)
{
    if (dead_locked(out)) {
        return;
    }
    if (unread_locked(out) > MON_OUTPUT_MAX_BYTES) {
        out->broken = true;
        out->overflow = true;
        kick_locked(out);
        return;
    }
    g_byte_array_append(out->buf, (const guint8 *)text, len);
}

void mon_output_append(MonOutput *out, const char *text, size_t len)
{
    size_t unread;

    WITH_QEMU_LOCK_GUARD(&out->lock) {
        append_locked(out, text, len);
        unread = unread_locked(out);
    }
    if (unread > FLUSH_BYTES) {
        mon_output_flush(out);
    }
}

void mon_output_send(MonOutput *out, const char *text, size_t len)
{
    WITH_QEMU_LOCK_GUARD(&out->lock) {
        append_locked(out, text, len);
    }
    mon_output_flush(out);
}

void mon_output_enable_events(MonOutput *out)
{
    QEMU_LOCK_GUARD(&out->lock);

    out->events = true;
}

void mon_output_event(MonOutput *out, const char *text, size_t len)
{
    QEMU_LOCK_GUARD(&out->lock);

    if (out->events && !dead_locked(out)) {
        append_locked(out, text, len);
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

    while (mon_output_service(out, true) == MON_OUTPUT_BLOCKED) {
        int64_t left_ms = (deadline_us - g_get_monotonic_time()) / 1000;

        if (left_ms <= 0) {
            return;
        }
        poll(&poll_fd, 1, left_ms);
    }
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

    return dead_locked(out) ? 0 : unread_locked(out);
}
