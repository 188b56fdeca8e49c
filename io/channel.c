/*
 * Channels: reading, writing, and being cut from any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "channel-internal.h"
#include "qemu/lockable.h"

QIOChannel *qio_channel_new(int read_fd, int write_fd, char *peer,
                            bool is_socket)
{
    QIOChannel *ioc = g_new0(QIOChannel, 1);

    ioc->refcount = 1;
    ioc->peer = peer;
    ioc->is_socket = is_socket;
    ioc->read_fd = read_fd;
    ioc->write_fd = write_fd;
    qemu_mutex_init(&ioc->lock);
    return ioc;
}

QIOChannel *qio_channel_ref(QIOChannel *ioc)
{
    __atomic_fetch_add(&ioc->refcount, 1, __ATOMIC_RELAXED);
    return ioc;
}

void qio_channel_unref(QIOChannel *ioc)
{
    if (!ioc || __atomic_sub_fetch(&ioc->refcount, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    qio_channel_close(ioc);
    qemu_mutex_destroy(&ioc->lock);
    g_free(ioc->peer);
    g_free(ioc);
}

/* The result of a transfer, in the terms of the header. */
static ssize_t transferred(ssize_t n, const char *what, QIOChannel *ioc,
                           Error **errp)
{
    if (n >= 0) {
        return n;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return QIO_CHANNEL_ERR_BLOCK;
    }
    error_setg_errno(errp, errno, "Unable to %s %s", what, ioc->peer);
    return -1;
}

ssize_t qio_channel_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                          Error **errp)
{
    ssize_t n;

    do {
        n = readv(ioc->read_fd, iov, niov);
    } while (n < 0 && errno == EINTR);
    return transferred(n, "read from", ioc, errp);
}

ssize_t qio_channel_writev(QIOChannel *ioc, const struct iovec *iov,
                           size_t niov, Error **errp)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = niov};
    ssize_t n;

    do {
        /* A peer that is gone is an error, not a signal. */
        n = ioc->is_socket ? sendmsg(ioc->write_fd, &msg, MSG_NOSIGNAL)
                           : writev(ioc->write_fd, iov, niov);
    } while (n < 0 && errno == EINTR);
    return transferred(n, "write to", ioc, errp);
}

ssize_t qio_channel_read(QIOChannel *ioc, void *buf, size_t len, Error **errp)
{
    struct iovec iov = {.iov_base = buf, .iov_len = len};

    return qio_channel_readv(ioc, &iov, 1, errp);
}

ssize_t qio_channel_write(QIOChannel *ioc, const void *buf, size_t len,
                          Error **errp)
{
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};

    return qio_channel_writev(ioc, &iov, 1, errp);
}

static int shutdown_how(QIOChannelShutdown how)
{
    switch (how) {
    case QIO_CHANNEL_SHUTDOWN_READ:
        return SHUT_RD;
    case QIO_CHANNEL_SHUTDOWN_WRITE:
        return SHUT_WR;
    default:
        return SHUT_RDWR;
    }
}

int qio_channel_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    QEMU_LOCK_GUARD(&ioc->lock);

    if (!ioc->is_socket || ioc->read_fd < 0 || ioc->shut) {
        error_setg(errp, "%s cannot be shut down: %s", ioc->peer,
                   ioc->is_socket ? "it is closed" : "it is no socket");
        return -1;
    }
    if (shutdown(ioc->read_fd, shutdown_how(how)) < 0) {
        error_setg_errno(errp, errno, "Unable to shut down %s", ioc->peer);
        return -1;
    }
    ioc->shut = how == QIO_CHANNEL_SHUTDOWN_BOTH;
    return 0;
}

void qio_channel_close(QIOChannel *ioc)
{
    int read_fd, write_fd;

    WITH_QEMU_LOCK_GUARD(&ioc->lock) {
        read_fd = ioc->read_fd;
        write_fd = ioc->write_fd;
        ioc->read_fd = ioc->write_fd = -1;
    }
    if (read_fd >= 0) {
        close(read_fd);
    }
    if (write_fd >= 0 && write_fd != read_fd) {
        close(write_fd);
    }
}

int qio_channel_get_read_fd(QIOChannel *ioc)
{
    return ioc->read_fd;
}

int qio_channel_get_write_fd(QIOChannel *ioc)
{
    return ioc->write_fd;
}

const char *qio_channel_peer(QIOChannel *ioc)
{
    return ioc->peer;
}
