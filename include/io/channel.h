/*
 * QIOChannel: a byte stream that can be cut from any thread.
 *
 * Reads and writes belong to one thread at a time and never block: they give
 * QIO_CHANNEL_ERR_BLOCK instead.  qio_channel_shutdown() may be called by any
 * thread at any moment, as long as the caller holds a reference.
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
/* The last one closes the channel.  Any thread; NULL is fine. */
void qio_channel_unref(QIOChannel *ioc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QIOChannel, qio_channel_unref)

/*
 * Bytes moved, 0 at the end of the stream (reads), QIO_CHANNEL_ERR_BLOCK, or
 * -1 with errp set.
 */
ssize_t qio_channel_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                          Error **errp);
ssize_t qio_channel_writev(QIOChannel *ioc, const struct iovec *iov,
                           size_t niov, Error **errp);
ssize_t qio_channel_read(QIOChannel *ioc, void *buf, size_t len, Error **errp);
ssize_t qio_channel_write(QIOChannel *ioc, const void *buf, size_t len,
                          Error **errp);

/*
 * Ends the stream: whoever reads or writes it, now or later, sees its end.
 * 0, or -1 with errp set when it was closed or shut already.
 * Any thread, OOB-safe.
 */
int qio_channel_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp);

/* Closes the descriptor now; later calls fail.  Owner's thread. */
void qio_channel_close(QIOChannel *ioc);

/* For polling; reading and writing may use different ones (stdio). */
int qio_channel_get_read_fd(QIOChannel *ioc);
int qio_channel_get_write_fd(QIOChannel *ioc);

/* For messages: "unix:/run/x.sock", "127.0.0.1:10809"; belongs to @ioc. */
const char *qio_channel_peer(QIOChannel *ioc);

#endif
