/*
 * Listening socket devices.
 *
 * A device takes one client, and the next one when that is gone.  With a
 * monitor it takes as many as come, each a session of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include "char-socket-internal.h"
#include "qemu/lockable.h"
#include "qemu/yank.h"

#define BACKLOG 128

static void server_client(QIOChannel *ioc, void *opaque)
{
    SocketChardev *s = opaque;

    if (s->fn) {
        char_socket_start_session(s, ioc);
        return;
    }
    qio_net_listener_set_client_fn(s->listener, NULL, NULL, NULL);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->yanked = false; /* it was for the client before */
    }
    if (!char_socket_connected(s, ioc, NULL)) {
        char_socket_disconnected(s);
    }
}

void char_socket_server_listen(SocketChardev *s)
{
    if (s->activity) {
        activity_set_phase(s->activity, "listening");
        activity_set_peer(s->activity, s->addr_text);
    }
    qio_net_listener_set_client_fn(s->listener, s->context, server_client, s);
}

/* From here on a yank ends the wait; false when one came before. */
static bool server_begin_wait(SocketChardev *s, int fd)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->wait_fd = fd;
    return !s->yanked;
}

static void server_end_wait(SocketChardev *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->wait_fd = -1;
}

void char_socket_server_wait_cut(SocketChardev *s)
{
    uint64_t one = 1;
    g_autofree char *what = NULL;

    if (s->wait_fd < 0) {
        return;
    }
    if (write(s->wait_fd, &one, sizeof(one)) == sizeof(one)) {
        what = g_strdup_printf("wait for a client on %s", s->addr_text);
        yank_report_cut(what);
    }
}

static bool server_wait(SocketChardev *s, Error **errp)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    QIOChannel *ioc = NULL;

    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to create an eventfd");
        return false;
    }
    activity_set_phase(s->activity, "waiting for a client");
    activity_begin(s->activity);
    if (server_begin_wait(s, fd)) {
        ioc = qio_net_listener_wait_client(s->listener, fd, errp);
    } else {
        error_setg(errp, "Chardev '%s' was yanked", s->parent.id);
    }
    server_end_wait(s);
    activity_end(s->activity);
    close(fd);
    return ioc && char_socket_connected(s, ioc, errp);
}

bool char_socket_server_open(SocketChardev *s, bool wait, Error **errp)
{
    s->listener = qio_net_listener_new(s->addr, BACKLOG, errp);
    if (!s->listener) {
        return false;
    }
    if (wait) {
        return server_wait(s, errp);
    }
    char_socket_server_listen(s);
    return true;
}

void char_socket_server_close(SocketChardev *s)
{
    g_clear_pointer(&s->listener, qio_net_listener_free);
}
