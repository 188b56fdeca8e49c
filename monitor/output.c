/*
 * What a client has not read yet: a bounded buffer, written without ever
 * blocking.
 *
 * Any thread may append and write, under the lock, so that a reply leaves
 * from the thread that made it.  Only what the socket does not take at once
 * is left to the monitor thread, which can wait for the socket.
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
        .kick = kick,
        .opaque = opaque,
    };
    qemu_mutex_init(&out->lock);
}

void mon_output_destroy(MonOutput *out)
{
    qio_channel_unref(out->ioc);
    g_byte_array_unref(out->buf);
    qemu_mutex_destroy(&out->lock);
}

static size_t unread_locked(const MonOutput *out)
{
    return out->buf->len - out->written;
}

static void empty_locked(MonOutput *out)
{
    out->written = 0;
    if (out->buf->len > KEEP_BYTES) {
        g_byte_array_unref(out->buf);
        out->buf = g_byte_array_new();
    } else {
        g_byte_array_set_size(out->buf, 0);
    }
}

static void kick_locked(MonOutput *out)
{
    if (!out->kicked) {
        out->kicked = true;
        out->kick(out->opaque);
    }
}

static void break_locked(MonOutput *out)
{
    out->broken = true;
    empty_locked(out);
    kick_locked(out);
}

static bool dead_locked(const MonOutput *out)
{
    return !out->ioc || out->broken;
}

static void flush_locked(MonOutput *out)
{
    while (unread_locked(out) > 0) {
        ssize_t n = qio_channel_write(out->ioc, out->buf->data + out->written,
                                      unread_locked(out), NULL);

        if (n == QIO_CHANNEL_ERR_BLOCK) {
            out->blocked = true;
            kick_locked(out);
            return;
        }
        if (n < 0) {
            break_locked(out);
            return;
        }
        out->written += n;
    }
    empty_locked(out);
}

static void try_flush_locked(MonOutput *out)
{
    if (!dead_locked(out) && !out->blocked) {
        flush_locked(out);
    }
}

/* Moves what is unread to the front, once that is the smaller half. */
static void compact_locked(MonOutput *out)
{
    if (out->written > out->buf->len / 2) {
        g_byte_array_remove_range(out->buf, 0, out->written);
        out->written = 0;
    }
}

/*
 * The bound counts what was there before: however long a single reply is, a
 * client that reads gets it.
 */
static void append_locked(MonOutput *out, const char *text, size_t len)
{
    if (unread_locked(out) > FLUSH_BYTES) {
        try_flush_locked(out);
    }
    if (dead_locked(out)) {
        return;
    }
    if (unread_locked(out) > MON_OUTPUT_MAX_BYTES) {
        out->overflow = true;
        break_locked(out);
        return;
    }
    compact_locked(out);
    g_byte_array_append(out->buf, (const guint8 *)text, len);
}

void mon_output_append(MonOutput *out, const char *text, size_t len)
{
    QEMU_LOCK_GUARD(&out->lock);

    append_locked(out, text, len);
}

void mon_output_flush(MonOutput *out)
{
    QEMU_LOCK_GUARD(&out->lock);

    try_flush_locked(out);
}

void mon_output_send(MonOutput *out, const char *text, size_t len)
{
    QEMU_LOCK_GUARD(&out->lock);

    append_locked(out, text, len);
    try_flush_locked(out);
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

MonOutputState mon_output_service(MonOutput *out)
{
    QEMU_LOCK_GUARD(&out->lock);

    out->blocked = false;
    out->kicked = true; /* no need to ask for what is going on */
    try_flush_locked(out);
    out->kicked = false;
    return state_locked(out);
}

/* One try to write; false when there is nothing more to wait for. */
static bool drain_step(MonOutput *out, struct pollfd *poll_fd)
{
    QEMU_LOCK_GUARD(&out->lock);

    out->blocked = false;
    try_flush_locked(out);
    if (dead_locked(out) || unread_locked(out) == 0) {
        return false;
    }
    poll_fd->fd = qio_channel_get_write_fd(out->ioc);
    poll_fd->events = POLLOUT;
    return true;
}

void mon_output_drain(MonOutput *out, int64_t deadline_us)
{
    struct pollfd poll_fd = {0};

    while (drain_step(out, &poll_fd)) {
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

    if (out->ioc) {
        qio_channel_close(out->ioc);
        g_clear_pointer(&out->ioc, qio_channel_unref);
        empty_locked(out);
    }
}

size_t mon_output_unread(MonOutput *out)
{
    QEMU_LOCK_GUARD(&out->lock);

    return unread_locked(out);
}
