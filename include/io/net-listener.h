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
 * Binds and listens; returns a listener that the caller frees, or NULL with
 * errp set.  Replaces the file of a unix socket on which no process listens any
 * more; qio_net_listener_free() removes the file.  Any thread that may block: a
 * side thread resolves host names and accesses the file system.  The wait for a
 * name has no limit; the wait for a file system is ASIDE_TIMEOUT_MS at most.
 */
QIONetListener *qio_net_listener_new(const SocketAddress *addr, int backlog,
                                     Error **errp);
/*
 * Like qio_net_listener_new().  The wait also ends, with an error, when
 * @cancel_fd (an eventfd or a timerfd; -1: none) becomes readable.
 */
QIONetListener *qio_net_listener_new_cancel(const SocketAddress *addr,
                                            int backlog, int cancel_fd,
                                            Error **errp);
/*
 * Closes the sockets, and removes the file of a unix socket unless another file
 * has its name by now.  NULL is allowed.  Call on the thread of the context, or
 * on another thread once no client function is set.  A side thread removes the
 * file; the caller waits for it for a few seconds at most, and not at all on an
 * I/O thread.
 */
void qio_net_listener_free(QIONetListener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QIONetListener, qio_net_listener_free)

/* Where it listens (port numbers filled in); belongs to @listener. */
const SocketAddress *qio_net_listener_address(QIONetListener *listener);

/*
 * Returns false when the file of a unix socket is missing or was replaced by
 * another one, or when the file system does not answer in time.  Any thread
 * that may block.
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
 * Marks the clients of @listener as operators: when the process has no
 * descriptor left, they get one from the reserve, while clients of other
 * listeners wait.  Call before the first client is accepted; does not block.
 */
void qio_net_listener_use_reserve(QIONetListener *listener);

/*
 * Returns true if a client waits to be accepted.  Only for a listener without a
 * client function.  Thread of its context; does not block.
 */
bool qio_net_listener_has_client(QIONetListener *listener);

/*
 * Waits for one client and returns its channel, which the caller owns.  Only
 * for a listener without a client function.  Returns NULL with errp set when
 * @cancel_fd (an eventfd) becomes readable.  Any thread that may block.
 */
QIOChannel *qio_net_listener_wait_client(QIONetListener *listener,
                                         int cancel_fd, Error **errp);

#endif
