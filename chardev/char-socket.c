/*
 * Socket devices: the peer, and the yank.
 *
 * A yank reaches a device from before its first blocking step until it is
 * closed, or until a monitor takes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "char-socket-internal.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"
#include "qemu/yank.h"

/* OOB-safe; any thread. */
static void char_socket_yank(void *opaque)
{
    SocketChardev *s = opaque;

    QEMU_LOCK_GUARD(&s->lock);
    s->yanked = true;
    if (s->ioc &&
        qio_channel_shutdown(s->ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL) == 0) {
        g_autofree char *what =
            g_strdup_printf("connection to %s", qio_channel_peer(s->ioc));

        yank_report_cut(what);
    }
    char_socket_client_cut(s);
    char_socket_server_wait_cut(s);
}

static bool char_socket_register(SocketChardev *s, Error **errp)
{
    g_autofree char *name =
        yank_instance_name(CHARDEV_YANK_INSTANCE(s->parent.id));

    if (!chardev_register_yank(&s->parent, char_socket_yank, s, errp)) {
        return false;
    }
    s->activity = activity_new(name);
    activity_set_peer(s->activity, s->addr_text);
    return true;
}

static void char_socket_unregister(SocketChardev *s)
{
    if (s->activity) {
        chardev_unregister_yank(&s->parent, char_socket_yank, s);
        g_clear_pointer(&s->activity, activity_free);
    }
}

/* Whoever sends nothing is not read from; but a peer that goes is noticed. */
static void char_socket_hangup(GIOCondition condition, void *opaque)
{
    char_socket_disconnected(opaque);
}

bool char_socket_connected(SocketChardev *s, QIOChannel *ioc, Error **errp)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!s->yanked) {
            s->ioc = ioc;
        }
    }
    if (s->ioc != ioc) {
        qio_channel_unref(ioc);
        error_setg(errp, "Chardev '%s' was yanked", s->parent.id);
        return false;
    }
    activity_set_phase(s->activity, "connected");
    activity_set_peer(s->activity, qio_channel_peer(ioc));
    s->hangup_watch = fd_watch_new_shared(
        s->context, qio_channel_get_read_fd(ioc), char_socket_hangup, s);
    fd_watch_set_events(s->hangup_watch, POLLRDHUP);
    return true;
}

static void char_socket_drop_peer(SocketChardev *s)
{
    QIOChannel *ioc;

    g_clear_pointer(&s->hangup_watch, fd_watch_free);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        ioc = g_steal_pointer(&s->ioc);
    }
    qio_channel_unref(ioc);
}

void char_socket_disconnected(SocketChardev *s)
{
    char_socket_drop_peer(s);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->yanked = false; /* it cut what is gone now */
    }
    if (s->server) {
        char_socket_server_listen(s);
    } else {
        activity_set_phase(s->activity, "disconnected");
        char_socket_client_reconnect(s);
    }
}

static bool char_socket_check(const ChardevSocket *options, bool server,
                              Error **errp)
{
    if (server && options->has_reconnect) {
        error_setg(errp, "'reconnect' option is incompatible with socket in "
                         "server listen mode");
        return false;
    }
    if (!server && options->has_wait) {
        error_setg(errp, "'wait' option is incompatible with socket in client "
                         "connect mode");
        return false;
    }
    if (options->has_reconnect &&
        (options->reconnect < 0 || options->reconnect > G_MAXINT / 1000)) {
        error_setg(errp, "'reconnect' must be from 0 to %d seconds",
                   G_MAXINT / 1000);
        return false;
    }
    return true;
}

static void char_socket_close(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;

    char_socket_unregister(s);
    char_socket_server_close(s);
    char_socket_client_close(s);
    char_socket_drop_peer(s);
    qemu_mutex_destroy(&s->lock);
    g_free(s->addr_text);
    qapi_free_SocketAddress(s->addr);
}

static bool char_socket_open(Chardev *chr, const ChardevBackend *backend,
                             Error **errp)
{
    SocketChardev *s = (SocketChardev *)chr;
    const ChardevSocket *options = backend->u.socket.data;
    bool server = !options->has_server || options->server;
    bool wait = options->has_wait && options->wait;
    bool ok;

    if (!char_socket_check(options, server, errp)) {
        return false;
    }
    s->server = server;
    s->context = g_main_context_default();
    s->reconnect_s = options->has_reconnect ? options->reconnect : 0;
    s->addr = socket_address_flatten(options->addr);
    s->addr_text = socket_address_to_string(s->addr);
    s->wait_fd = -1;
    qemu_mutex_init(&s->lock);
    ok = char_socket_register(s, errp);
    if (ok) {
        OOB_WAIT_YANK("chardev", chr->id);
        ok = server ? char_socket_server_open(s, wait, errp)
                    : char_socket_client_open(s, errp);
    }
    if (!ok) {
        char_socket_close(chr);
    }
    return ok;
}

/* Writes what the peer takes now, or waits until it takes more. */
static ssize_t char_socket_write_some(SocketChardev *s, const char *buf,
                                      size_t len, Error **errp)
{
    ssize_t n = qio_channel_write(s->ioc, buf, len, errp);

    if (n == QIO_CHANNEL_ERR_BLOCK) {
        struct pollfd pfd = {qio_channel_get_write_fd(s->ioc), POLLOUT, 0};

        OOB_WAIT_YANK("chardev", s->parent.id);

        poll(&pfd, 1, -1);
        return 0;
    }
    return n;
}

static bool char_socket_write_all(Chardev *chr, const void *buf, size_t len,
                                  Error **errp)
{
    SocketChardev *s = (SocketChardev *)chr;
    ActivityRequest request;
    const char *p = buf;
    ssize_t n = 0;

    if (!s->ioc) {
        return true;
    }
    activity_begin(s->activity, &request);
    while (len && n >= 0) {
        n = char_socket_write_some(s, p, len, errp);
        if (n > 0) {
            p += n;
            len -= n;
            activity_progress(s->activity);
        }
    }
    activity_end(s->activity, &request);
    if (n < 0) {
        char_socket_disconnected(s);
    }
    return n >= 0;
}

void char_socket_start_session(SocketChardev *s, QIOChannel *ioc)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->sessions++;
    }
    s->fn(ioc, s->opaque);
}

static void char_socket_start_sessions(void *opaque)
{
    SocketChardev *s = opaque;
    QIOChannel *ioc;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        ioc = g_steal_pointer(&s->ioc);
    }
    if (ioc) {
        char_socket_start_session(s, ioc);
    }
    if (s->server) {
        char_socket_server_listen(s);
    } else if (!ioc) {
        char_socket_client_connect(s);
    }
}

static bool char_socket_attach_monitor(Chardev *chr, IOThread *iothread,
                                       ChardevSessionFn *fn, void *opaque,
                                       Error **errp)
{
    SocketChardev *s = (SocketChardev *)chr;

    char_socket_unregister(s);
    g_clear_pointer(&s->hangup_watch, fd_watch_free);
    if (s->server) {
        qio_net_listener_set_client_fn(s->listener, NULL, NULL, NULL);
        qio_net_listener_use_reserve(s->listener);
    } else {
        char_socket_client_close(s);
    }
    s->context = iothread_get_g_main_context(iothread);
    s->fn = fn;
    s->opaque = opaque;
    iothread_post(iothread, char_socket_start_sessions, s);
    return true;
}

static void char_socket_detach_monitor(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;

    if (s->server) {
        qio_net_listener_set_client_fn(s->listener, NULL, NULL, NULL);
    }
    char_socket_client_close(s);
}

static void char_socket_session_ended(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->sessions--;
    }
    if (!s->server) {
        char_socket_client_reconnect(s);
    }
}

const ChardevClass chardev_socket = {
    .kind = CHARDEV_BACKEND_KIND_SOCKET,
    .instance_size = sizeof(SocketChardev),
    .yankable = true,
    .open = char_socket_open,
    .close = char_socket_close,
    .write_all = char_socket_write_all,
    .filename = char_socket_filename,
    .attach_monitor = char_socket_attach_monitor,
    .detach_monitor = char_socket_detach_monitor,
    .session_ended = char_socket_session_ended,
};
