/*
 * Listener: one or more listening sockets of one address.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_NET_LISTENER_H
#define IO_NET_LISTENER_H

#include "io/channel-socket.h"

typedef struct QIONetListener QIONetListener;

/* A client came; @ioc is the callee's. */
typedef void QIONetListenerFn(QIOChannel *ioc, void *opaque);

/*
 * Binds and listens.  The file of a unix socket is replaced when no process
 * listens there any more, and is removed again by free.  Any thread that may
 * block: a side thread resolves host names and looks at the file system.
 * Waits for as long as a resolution takes, and for at most ASIDE_TIMEOUT_MS
 * for a file system.
 */
QIONetListener *qio_net_listener_new(const SocketAddress *addr, int backlog,
                                     Error **errp);
/*
 * The same; the wait ends with an error when @cancel_fd (an eventfd, a
 * timerfd; -1: none) becomes readable.
 */
QIONetListener *qio_net_listener_new_cancel(const SocketAddress *addr,
                                            int backlog, int cancel_fd,
                                            Error **errp);
/*
 * Closes the sockets and removes the file, unless another one is there by now;
 * NULL is fine.  The thread of the context, or another one once no client
 * function is set.  A side thread removes the file, for which an I/O thread
 * does not wait, and others do for a moment.
 */
void qio_net_listener_free(QIONetListener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QIONetListener, qio_net_listener_free)

/* Where it listens (port numbers filled in); belongs to @listener. */
const SocketAddress *qio_net_listener_address(QIONetListener *listener);

/*
 * False when the file of a unix socket is not there any more, or is another
 * one, or when that is not found out in time.  Any thread that may block.
 */
bool qio_net_listener_is_at_path(QIONetListener *listener);

/*
 * Calls @fn for each client, on the thread of @context; NULL stops that.
 * Call it on that thread, or before it runs.
 */
void qio_net_listener_set_client_fn(QIONetListener *listener,
                                    GMainContext *context, QIONetListenerFn *fn,
                                    void *opaque);

/*
 * The clients of @listener are operators: they get one of the descriptors that
 * are kept in reserve when there are no others, while clients of other
 * listeners wait.  Before its clients are accepted; does not block.
 */
void qio_net_listener_use_reserve(QIONetListener *listener);

/*
 * Whether a client waits to be accepted, while nobody is told.  Thread of its
 * context; does not block.
 */
bool qio_net_listener_has_client(QIONetListener *listener);

/*
 * Waits for one client, while no client function is set.  Any thread that may
 * block; ends with an error when @cancel_fd (an eventfd) becomes readable.
 */
QIOChannel *qio_net_listener_wait_client(QIONetListener *listener,
                                         int cancel_fd, Error **errp);

#endif
