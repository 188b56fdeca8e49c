/*
 * Listener: accepts clients in an event loop, or waits for one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "fd-reserve.h"
#include "io/net-listener.h"
#include "net-listen.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/fd-watch.h"
#include "qemu/oob.h"

/* When accept() fails for want of descriptors, for instance. */
#define ACCEPT_PAUSE_MS 200

struct QIONetListener {
    ListenSockets *sockets;
    FdWatch **watches; /* as many as sockets; NULL while nobody is told */
    bool uses_reserve; /* accepts with a descriptor of the reserve if needed */
    GSource *pause;
    GMainContext *context;
    QIONetListenerFn *fn;
    void *opaque;
};

QIONetListener *qio_net_listener_new_cancel(const SocketAddress *addr,
                                            int backlog, int cancel_fd,
                                            Error **errp)
{
    ListenSockets *sockets = listen_sockets_new(addr, backlog, cancel_fd, errp);
    QIONetListener *listener;

    if (!sockets) {
        return NULL;
    }
    listener = g_new0(QIONetListener, 1);
    listener->sockets = sockets;
    return listener;
}

QIONetListener *qio_net_listener_new(const SocketAddress *addr, int backlog,
                                     Error **errp)
{
    return qio_net_listener_new_cancel(addr, backlog, -1, errp);
}

static void listener_unwatch(QIONetListener *listener)
{
    if (listener->pause) {
        g_source_destroy(listener->pause);
        g_clear_pointer(&listener->pause, g_source_unref);
    }
    if (listener->watches) {
        for (guint i = 0; i < listener->sockets->fds->len; i++) {
            fd_watch_free(listener->watches[i]);
        }
        g_clear_pointer(&listener->watches, g_free);
    }
}

void qio_net_listener_free(QIONetListener *listener)
{
    if (listener) {
        listener_unwatch(listener);
        listen_sockets_free(listener->sockets);
        if (listener->uses_reserve) {
            fd_reserve_disable();
        }
        g_free(listener);
    }
}

const SocketAddress *qio_net_listener_address(QIONetListener *listener)
{
    return listener->sockets->addr;
}

bool qio_net_listener_is_at_path(QIONetListener *listener)
{
    return listen_sockets_are_at_path(listener->sockets);
}

void qio_net_listener_use_reserve(QIONetListener *listener)
{
    listener->uses_reserve = true;
    fd_reserve_enable();
}

/* Returns a descriptor, or -1 with errno set. */
static int accept_fd(QIONetListener *listener, int listen_fd)
{
    int fd;

    if (!listener->uses_reserve && !fd_reserve_fill()) {
        errno = EMFILE;
        return -1;
    }
    do {
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (fd < 0 && (errno == EMFILE || errno == ENFILE) &&
             listener->uses_reserve && fd_reserve_use());
    return fd;
}

/* A client, or NULL with errp set; *@again: there was none after all. */
static QIOChannel *accept_client(QIONetListener *listener, int listen_fd,
                                 bool *again, Error **errp)
{
    int fd = accept_fd(listener, listen_fd);
    QIOChannel *ioc;

    *again =
        fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED);
    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to accept a client");
        return NULL;
    }
    ioc = qio_channel_socket_new_fd(fd, errp);
    if (!ioc) {
        close(fd);
    }
    return ioc;
}

static void listener_set_events(QIONetListener *listener, GIOCondition events)
{
    for (guint i = 0; i < listener->sockets->fds->len; i++) {
        fd_watch_set_events(listener->watches[i], events);
    }
}

static gboolean listener_go_on(gpointer opaque)
{
    QIONetListener *listener = opaque;

    g_clear_pointer(&listener->pause, g_source_unref);
    listener_set_events(listener, G_IO_IN);
    return G_SOURCE_REMOVE;
}

/* The client that waits would make the loop spin. */
static void listener_pause(QIONetListener *listener)
{
    listener_set_events(listener, 0);
    listener->pause = g_timeout_source_new(ACCEPT_PAUSE_MS);
    g_source_set_callback(listener->pause, listener_go_on, listener, NULL);
    g_source_attach(listener->pause, listener->context);
}

static int listener_ready_fd(QIONetListener *listener)
{
    GArray *fds = listener->sockets->fds;

    for (guint i = 0; i < fds->len; i++) {
        struct pollfd pfd = {g_array_index(fds, int, i), POLLIN, 0};

        if (poll(&pfd, 1, 0) == 1) {
            return pfd.fd;
        }
    }
    return -1;
}

bool qio_net_listener_has_client(QIONetListener *listener)
{
    return listener_ready_fd(listener) >= 0;
}

static void listener_readable(GIOCondition condition, void *opaque)
{
    QIONetListener *listener = opaque;
    int fd = listener_ready_fd(listener);
    QIOChannel *ioc;
    bool again;

    if (fd < 0 || listener->pause) {
        return;
    }
    ioc = accept_client(listener, fd, &again, NULL);
    if (ioc) {
        listener->fn(ioc, listener->opaque);
    } else if (!again) {
        listener_pause(listener);
    }
}

void qio_net_listener_set_client_fn(QIONetListener *listener,
                                    GMainContext *context, QIONetListenerFn *fn,
                                    void *opaque)
{
    GArray *fds = listener->sockets->fds;

    listener_unwatch(listener);
    listener->context = context;
    listener->fn = fn;
    listener->opaque = opaque;
    if (!fn) {
        return;
    }
    listener->watches = g_new0(FdWatch *, fds->len);
    for (guint i = 0; i < fds->len; i++) {
        listener->watches[i] = fd_watch_new_shared(
            context, g_array_index(fds, int, i), listener_readable, listener);
    }
    listener_set_events(listener, G_IO_IN);
}

QIOChannel *qio_net_listener_wait_client(QIONetListener *listener,
                                         int cancel_fd, Error **errp)
{
    GArray *fds = listener->sockets->fds;
    g_autofree struct pollfd *pfds = g_new0(struct pollfd, fds->len + 1);

    oob_assert_may_block("qio_net_listener_wait_client");
    for (guint i = 0; i < fds->len; i++) {
        pfds[i] = (struct pollfd){g_array_index(fds, int, i), POLLIN, 0};
    }
    pfds[fds->len] = (struct pollfd){cancel_fd, POLLIN, 0};
    while (poll(pfds, fds->len + 1, -1) < 0 || !pfds[fds->len].revents) {
        int fd = listener_ready_fd(listener);
        bool again = true;
        Error *err = NULL;
        QIOChannel *ioc =
            fd < 0 ? NULL : accept_client(listener, fd, &again, &err);

        if (ioc || !again) {
            error_propagate(errp, err);
            return ioc;
        }
        error_free(err);
    }
    error_setg(errp, "Waiting for a client was cancelled");
    return NULL;
}
