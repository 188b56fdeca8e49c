/*
 * What a client of the control socket has not read yet.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <sys/socket.h>
#include "output.h"

#define MAX_WAITING (16 * 1024 * 1024)

struct WatchOutput {
    int refs; /* atomic */
    int fd;
    /* Guards what follows; innermost. */
    GMutex lock;
    GByteArray *waiting;
    bool writing; /* the main loop writes on as soon as there is room */
    bool ended;
};

WatchOutput *watch_output_new(int fd)
{
    WatchOutput *output = g_new0(WatchOutput, 1);

    output->refs = 1;
    output->fd = fd;
    g_mutex_init(&output->lock);
    output->waiting = g_byte_array_new();
    return output;
}

WatchOutput *watch_output_ref(WatchOutput *output)
{
    g_atomic_int_inc(&output->refs);
    return output;
}

void watch_output_unref(WatchOutput *output)
{
    if (g_atomic_int_dec_and_test(&output->refs)) {
        close(output->fd);
        g_byte_array_unref(output->waiting);
        g_mutex_clear(&output->lock);
        g_free(output);
    }
}

static void unref(void *opaque)
{
    watch_output_unref(opaque);
}

/* Locked. */
static void end(WatchOutput *output)
{
    output->ended = true;
    g_byte_array_set_size(output->waiting, 0);
    shutdown(output->fd, SHUT_RDWR);
}

/* Locked.  Writes what there is room for. */
static void flush(WatchOutput *output)
{
    ssize_t n;

    while (!output->ended && output->waiting->len) {
        n = send(output->fd, output->waiting->data, output->waiting->len,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            if (errno != EAGAIN) {
                end(output);
            }
            return;
        }
        g_byte_array_remove_range(output->waiting, 0, n);
    }
}

static gboolean room(int fd, GIOCondition condition, void *opaque)
{
    WatchOutput *output = opaque;
    bool more;

    g_mutex_lock(&output->lock);
    flush(output);
    more = output->waiting->len > 0;
    output->writing = more;
    g_mutex_unlock(&output->lock);
    return more;
}

void watch_output_send(WatchOutput *output, json_object *value)
{
    const char *text = json_object_to_json_string_ext(
        value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    size_t len = strlen(text);

    g_mutex_lock(&output->lock);
    if (output->ended || output->waiting->len + len >= MAX_WAITING) {
        end(output);
    } else {
        g_byte_array_append(output->waiting, (const guint8 *)text, len);
        g_byte_array_append(output->waiting, (const guint8 *)"\n", 1);
        if (!output->writing) {
            flush(output);
        }
        if (!output->writing && output->waiting->len) {
            output->writing = true;
            g_unix_fd_add_full(G_PRIORITY_DEFAULT, output->fd, G_IO_OUT, room,
                               watch_output_ref(output), unref);
        }
    }
    g_mutex_unlock(&output->lock);
}

void watch_output_end(WatchOutput *output)
{
    g_mutex_lock(&output->lock);
    end(output);
    g_mutex_unlock(&output->lock);
}
