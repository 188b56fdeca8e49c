/*
 * NBD client: libnbd's handle and its socket, in the event loop.
 *
 * libnbd closes the socket by itself when the connection dies, within any of
 * its calls.  So what must be done before the next poll is deferred to the end
 * of the round: to follow libnbd's wishes, or to see that it is over.
 *
 * All of it runs on the I/O thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "nbd-internal.h"
#include "qemu/lockable.h"

static GIOCondition wanted_events(unsigned direction)
{
    return (direction & LIBNBD_AIO_DIRECTION_READ ? G_IO_IN : 0) |
           (direction & LIBNBD_AIO_DIRECTION_WRITE ? G_IO_OUT : 0);
}

static void update_watch(void *opaque)
{
    NbdState *s = opaque;
    unsigned direction = nbd_aio_get_direction(s->h);

    s->watch_stale = false;
    if (direction != s->direction) {
        s->direction = direction;
        fd_watch_set_events(s->watch, wanted_events(direction));
    }
}

void nbd_socket_touch(NbdState *s)
{
    if (!s->watch_stale) {
        s->watch_stale = true;
        iothread_defer(update_watch, s);
    }
}

static void handle_lost(void *opaque)
{
    nbd_on_lost(opaque);
}

void nbd_socket_lost(NbdState *s, const char *reason)
{
    if (reason && !s->lost_reason) {
        s->lost_reason = g_strdup(reason);
    }
    if (!s->lost) {
        s->lost = true;
        iothread_defer(handle_lost, s);
    }
}

static void undefer(NbdState *s)
{
    if (s->watch_stale) {
        iothread_undefer(update_watch, s);
        s->watch_stale = false;
    }
    if (s->lost) {
        iothread_undefer(handle_lost, s);
    }
}

void nbd_socket_unwatch(NbdState *s)
{
    undefer(s);
    g_clear_pointer(&s->watch, fd_watch_free);
}

void nbd_socket_settle(NbdState *s)
{
    if (s->lost) {
        nbd_on_lost(s);
    }
}

/* After this, libnbd touches no buffer any more. */
void nbd_socket_drop(NbdState *s)
{
    g_autoptr(QIOChannel) ioc = NULL;

    nbd_socket_unwatch(s);
    s->lost = false;
    g_clear_pointer(&s->lost_reason, g_free);
    g_clear_pointer(&s->h, nbd_close);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        ioc = g_steal_pointer(&s->ioc);
    }
    nbd_io_requeue(s);
}

/* ---- The connection that was yanked. ---- */

/*
 * Reads and discards data: a server must be able to send the rest of a reply
 * before it can close the connection.
 */
void nbd_socket_check_old(NbdState *s)
{
    char buf[16 * 1024];
    ssize_t n = recv(qio_channel_get_read_fd(s->old), buf, sizeof(buf), 0);

    if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE))) {
        nbd_on_old_closed(s);
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        /*
         * The network reported an error: the state of the server remains
         * unknown.
         */
        g_clear_pointer(&s->old_watch, fd_watch_free);
    }
}

static void old_ready(GIOCondition condition, void *opaque)
{
    nbd_socket_check_old(opaque);
}

void nbd_socket_watch_old(NbdState *s)
{
    s->old_watch = fd_watch_new(iothread_get_g_main_context(s->node->iothread),
                                qio_channel_get_read_fd(s->old), old_ready, s);
    fd_watch_set_events(s->old_watch, G_IO_IN);
}

void nbd_socket_keep_old(NbdState *s)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->old = g_steal_pointer(&s->ioc);
    }
    qio_channel_shutdown(s->old, QIO_CHANNEL_SHUTDOWN_WRITE, NULL);
    nbd_socket_watch_old(s);
}

void nbd_socket_drop_old(NbdState *s)
{
    g_clear_pointer(&s->old_watch, fd_watch_free);
    g_clear_pointer(&s->old, qio_channel_unref);
}

/* ---- The socket in the event loop. ---- */

static void socket_ready(GIOCondition condition, void *opaque)
{
    NbdState *s = opaque;

    switch (s->phase) {
    case NBD_PHASE_HANDSHAKE:
        nbd_on_handshake(s, condition);
        break;
    case NBD_PHASE_DISCONNECT:
        nbd_io_ready(s, condition);
        if (!s->lost) {
            nbd_on_disconnect(s);
        }
        break;
    default:
        nbd_io_ready(s, condition);
        break;
    }
}

void nbd_socket_watch(NbdState *s)
{
    s->watch = fd_watch_new(iothread_get_g_main_context(s->node->iothread),
                            nbd_aio_get_fd(s->h), socket_ready, s);
    s->direction = 0;
    nbd_socket_touch(s);
}
