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

/*
 * Returns the device that @s replaces, if that listens at the path at which @s
 * must listen; otherwise NULL.  Also NULL for a relative path, since the
 * working directory may have been another one then.
 */
static SocketChardev *server_predecessor(SocketChardev *s)
{
    SocketChardev *old = (SocketChardev *)s->parent.replaces;
    const char *path = s->addr->u.q_unix.path;

    if (!old || old->parent.cls != &chardev_socket || !old->listener ||
        s->addr->type != SOCKET_ADDRESS_TYPE_UNIX || path[0] != '/' ||
        !g_str_equal(s->addr_text, old->addr_text) ||
        !qio_net_listener_is_at_path(old->listener)) {
        return NULL;
    }
    return old;
}

static void server_give_back(SocketChardev *s, SocketChardev *old)
{
    old->listener = g_steal_pointer(&s->listener);
    if (!old->ioc) {
        char_socket_server_listen(old);
    }
}

/*
 * Listens.  A yank ends the wait for a name server or a file system, if the
 * address needs one.
 */
static bool server_listen(SocketChardev *s, SocketChardev *old, int cancel_fd,
                          Error **errp)
{
    bool is_unix = s->addr->type == SOCKET_ADDRESS_TYPE_UNIX;

    if (old) {
        s->listener = g_steal_pointer(&old->listener);
        qio_net_listener_set_client_fn(s->listener, NULL, NULL, NULL);
        return true;
    }
    activity_set_phase(s->activity, is_unix ? "listen" : "resolve");
    if (!server_begin_wait(s, cancel_fd,
                           is_unix ? "attempt to listen at"
                                   : "name resolution for")) {
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
    SocketChardev *old = server_predecessor(s);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ActivityRequest request;
    bool ok;

    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to create an eventfd");
        return false;
    }
    activity_begin(s->activity, &request);
    ok = server_listen(s, old, fd, errp) && (!wait || server_wait(s, fd, errp));
    server_end_wait(s);
    activity_end(s->activity, &request);
    close(fd);
    if (ok && !wait) {
        char_socket_server_listen(s);
    }
    if (!ok && old) {
        server_give_back(s, old);
    }
    return ok;
}

void char_socket_server_close(SocketChardev *s)
{
    g_clear_pointer(&s->listener, qio_net_listener_free);
}
