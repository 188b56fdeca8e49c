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

/*
 * From here on a yank ends the wait, which is for @what.  False when one came
 * before.
 */
static bool server_begin_wait(SocketChardev *s, int fd, const char *what)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->wait_fd = fd;
    s->wait_what = what;
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
        what = g_strdup_printf("%s %s", s->wait_what, s->addr_text);
        yank_report_cut(what);
    }
}

/* Where nobody has to be asked for a name, a yank finds nothing to end. */
static bool server_listen(SocketChardev *s, int cancel_fd, Error **errp)
{
    activity_set_phase(s->activity, "resolve");
    if (!server_begin_wait(s, cancel_fd, "name resolution for")) {
        eventfd_write(cancel_fd, 1);
    }
    s->listener =
        qio_net_listener_new_cancel(s->addr, BACKLOG, cancel_fd, errp);
    return s->listener;
}

static bool server_wait(SocketChardev *s, int cancel_fd, Error **errp)
{
    QIOChannel *ioc;

    activity_set_phase(s->activity, "waiting for a client");
    if (!server_begin_wait(s, cancel_fd, "wait for a client on")) {
        error_setg(errp, "Chardev '%s' was yanked", s->parent.id);
        return false;
    }
    ioc = qio_net_listener_wait_client(s->listener, cancel_fd, errp);
    return ioc && char_socket_connected(s, ioc, errp);
}

bool char_socket_server_open(SocketChardev *s, bool wait, Error **errp)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ActivityRequest request;
    bool ok;

    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to create an eventfd");
        return false;
    }
    activity_begin(s->activity, &request);
    ok = server_listen(s, fd, errp) && (!wait || server_wait(s, fd, errp));
    server_end_wait(s);
    activity_end(s->activity, &request);
    close(fd);
    if (ok && !wait) {
        char_socket_server_listen(s);
    }
    return ok;
}

void char_socket_server_close(SocketChardev *s)
{
    g_clear_pointer(&s->listener, qio_net_listener_free);
}
