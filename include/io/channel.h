/*
 * QIOChannel: a byte stream that can be cut from any thread.
 *
 * A channel starts non-blocking, for event loops: reads and writes never wait
 * and give QIO_CHANNEL_ERR_BLOCK instead.  qio_channel_set_blocking() makes it
 * one for threads that do nothing else.  Either way one thread at a time
 * reads, and one at a time writes; these may be two.  Any thread that holds a
 * reference may call qio_channel_shutdown() at any moment.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_H
#define IO_CHANNEL_H

#include <sys/uio.h>
#include "qapi/error.h"

#define QIO_CHANNEL_ERR_BLOCK (-2)

typedef struct QIOChannel QIOChannel;

typedef enum QIOChannelShutdown {
    QIO_CHANNEL_SHUTDOWN_READ = 1,
    QIO_CHANNEL_SHUTDOWN_WRITE = 2,
    QIO_CHANNEL_SHUTDOWN_BOTH = 3,
} QIOChannelShutdown;

QIOChannel *qio_channel_ref(QIOChannel *ioc);
/* The last one closes the channel.  Any thread, OOB-safe; NULL is fine. */
void qio_channel_unref(QIOChannel *ioc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QIOChannel, qio_channel_unref)

/*
 * Bytes moved, 0 at the end of the stream (reads), QIO_CHANNEL_ERR_BLOCK, or
 * -1 with errp set.
 *
 * A TLS channel may hold bytes that its descriptor does not show any more, and
 * bytes that it took but could not send: whoever polls reads until
 * QIO_CHANNEL_ERR_BLOCK first, and offers what a write refused with that
 * again, from the same byte on.
 */
ssize_t qio_channel_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                          Error **errp);
ssize_t qio_channel_writev(QIOChannel *ioc, const struct iovec *iov,
                           size_t niov, Error **errp);
ssize_t qio_channel_read(QIOChannel *ioc, void *buf, size_t len, Error **errp);
ssize_t qio_channel_write(QIOChannel *ioc, const void *buf, size_t len,
                          Error **errp);

/*
 * Makes reads and writes wait (@enabled), or not.  A wait ends at once when
 * any thread calls qio_channel_shutdown().  Owner's thread, while nobody reads
 * or writes; does not block.  False with errp set on failure.
 */
bool qio_channel_set_blocking(QIOChannel *ioc, bool enabled, Error **errp);

/*
 * From now on a read of a blocking channel that gets no byte for @ms
 * milliseconds is an error; 0 is no limit, as at the start.  For phases such
 * as handshakes, where the peer owes an answer.  Sockets, and channels over
 * them; owner's thread, does not block.
 */
bool qio_channel_set_read_timeout(QIOChannel *ioc, unsigned ms, Error **errp);

/*
 * Reads @len bytes.  Blocking channels only.
 *
 * Returns 1 when all are there, 0 when the stream ended before the first one,
 * -1 with errp set on an error, which an end after the first one is too.
 * The content of @buf is undefined but for 1.
 */
int qio_channel_read_all(QIOChannel *ioc, void *buf, size_t len, Error **errp);

/*
 * Writes all of @iov, of any length; its elements are changed on the way.
 * Blocking channels only.  0, or -1 with errp set, when any part may have been
 * sent.
 */
int qio_channel_writev_all(QIOChannel *ioc, struct iovec *iov, size_t niov,
                           Error **errp);

/*
 * Ends the stream: whoever reads or writes it, now or later, sees its end.
 * 0, or -1 with errp set when it was closed or shut already.
 * Any thread, OOB-safe.
 */
int qio_channel_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp);

/*
 * Ends the stream in good order and closes the descriptor now; later calls
 * fail.  Owner's thread, while nobody reads or writes; does not block, but is
 * not OOB-safe.
 */
void qio_channel_close(QIOChannel *ioc);

/* For polling; reading and writing may use different ones (stdio). */
int qio_channel_get_read_fd(QIOChannel *ioc);
int qio_channel_get_write_fd(QIOChannel *ioc);

/* For messages: "unix:/run/x.sock", "127.0.0.1:10809"; belongs to @ioc. */
const char *qio_channel_peer(QIOChannel *ioc);

#endif
