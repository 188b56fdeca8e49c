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
 * Binds and listens.  A stale unix socket file is replaced, and the file is
 * removed again by free.  Main thread; may resolve a host name.
 */
QIONetListener *qio_net_listener_new(const SocketAddress *addr, int backlog,
                                     Error **errp);
/* The same; @cancel_fd (an eventfd) ends a resolution, which is an error. */
QIONetListener *qio_net_listener_new_cancel(const SocketAddress *addr,
                                            int backlog, int cancel_fd,
                                            Error **errp);
/* Closes the sockets; NULL is fine.  Thread of its context. */
void qio_net_listener_free(QIONetListener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QIONetListener, qio_net_listener_free)

/* Where it listens (port numbers filled in); belongs to @listener. */
const SocketAddress *qio_net_listener_address(QIONetListener *listener);

/*
 * False when the file of a unix socket is not there any more, or is another
 * one.  Main thread; looks at the file system.
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
 * Whether a client waits to be accepted, while nobody is told.  Thread of its
 * context; does not block.
 */
bool qio_net_listener_has_client(QIONetListener *listener);

/*
 * Waits for one client.  Main thread; blocks until a client comes or @cancel_fd
 * (an eventfd) becomes readable, which is an error.
 */
QIOChannel *qio_net_listener_wait_client(QIONetListener *listener,
                                         int cancel_fd, Error **errp);

#endif
