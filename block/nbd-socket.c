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

void nbd_socket_lost(NbdState *s)
{
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
    g_clear_pointer(&s->h, nbd_close);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        ioc = g_steal_pointer(&s->ioc);
    }
    nbd_io_requeue(s);
}

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
