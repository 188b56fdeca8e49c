/*
 * What the kinds of channels implement and share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_INTERNAL_H
#define IO_CHANNEL_INTERNAL_H

#include "io/channel.h"

/* How much a read should bring. */
typedef enum QIOChannelReadMode {
    QIO_CHANNEL_READ_SOME, /* what is there */
    QIO_CHANNEL_READ_FULL, /* a blocking channel may wait until all is */
} QIOChannelReadMode;

/* Contracts as in include/io/channel.h. */
typedef struct QIOChannelOps {
    ssize_t (*readv)(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                     QIOChannelReadMode mode, Error **errp);
    ssize_t (*writev)(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                      Error **errp);
    bool (*set_blocking)(QIOChannel *ioc, bool enabled, Error **errp);
    bool (*set_read_timeout)(QIOChannel *ioc, unsigned ms, Error **errp);
    int (*shutdown)(QIOChannel *ioc, QIOChannelShutdown how, Error **errp);
    void (*close)(QIOChannel *ioc);
    int (*get_read_fd)(QIOChannel *ioc);
    int (*get_write_fd)(QIOChannel *ioc);
    /*
     * Nobody refers to it: closes it, as any thread may, and frees the struct
     * of its kind.
     */
    void (*destroy)(QIOChannel *ioc);
} QIOChannelOps;

/* The start of each kind's own struct. */
struct QIOChannel {
    const QIOChannelOps *ops;
    int refcount; /* atomic */
    char *peer;   /* constant */
};

/* The first reference; takes @peer. */
void qio_channel_init(QIOChannel *ioc, const QIOChannelOps *ops, char *peer);

/*
 * A channel over descriptors (either may be -1), which it takes, as it does
 * @peer.  They are non-blocking already.
 */
QIOChannel *qio_channel_fd_new(int read_fd, int write_fd, char *peer,
                               bool is_socket);

#endif
