/*
 * Channels over descriptors: sockets, and pairs of files.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <sys/socket.h>
#include "channel-internal.h"
#include "qemu/lockable.h"

typedef struct QIOChannelFd {
    QIOChannel parent;
    bool is_socket;
    bool blocking;            /* set while nobody reads or writes */
    unsigned read_timeout_ms; /* the same */

    /*
     * Guards that the descriptors are open while shutdown uses them, and
     * shut.  Fast; nothing is taken under it.
     */
    QemuMutex lock;
    int read_fd;
    int write_fd;
    bool shut;
} QIOChannelFd;

static QIOChannelFd *to_fd(QIOChannel *ioc)
{
    return container_of(ioc, QIOChannelFd, parent);
}

/* What errno means, in the terms of include/io/channel.h. */
static ssize_t transfer_failed(QIOChannelFd *self, const char *what,
                               Error **errp)
{
    bool would_block = errno == EAGAIN || errno == EWOULDBLOCK;

    if (would_block && !self->blocking) {
        return QIO_CHANNEL_ERR_BLOCK;
    }
    if (would_block) {
        error_setg(errp, "Unable to %s %s: silent for %u ms", what,
                   self->parent.peer, self->read_timeout_ms);
        return -1;
    }
    error_setg_errno(errp, errno, "Unable to %s %s", what, self->parent.peer);
    return -1;
}

/*
 * For sockets: O_NONBLOCK belongs to all processes that share an inherited
 * socket, and any of them may clear it.
 */
static int never_wait(const QIOChannelFd *self)
{
    return self->blocking ? 0 : MSG_DONTWAIT;
}

static ssize_t fd_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                        QIOChannelReadMode mode, Error **errp)
{
    QIOChannelFd *self = to_fd(ioc);
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = niov};
    /* Woken up once for all of it, and not for each packet. */
    int flags = mode == QIO_CHANNEL_READ_FULL ? MSG_WAITALL : 0;
    ssize_t n;

    flags |= never_wait(self);

    do {
        n = self->is_socket ? recvmsg(self->read_fd, &msg, flags)
                            : readv(self->read_fd, iov, niov);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : transfer_failed(self, "read from", errp);
}

static ssize_t fd_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                         Error **errp)
{
    QIOChannelFd *self = to_fd(ioc);
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = niov};
    ssize_t n;

    do {
        /* A peer that is gone is an error, not a signal. */
        n = self->is_socket
                ? sendmsg(self->write_fd, &msg, MSG_NOSIGNAL | never_wait(self))
                : writev(self->write_fd, iov, niov);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : transfer_failed(self, "write to", errp);
}

static bool fd_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    QIOChannelFd *self = to_fd(ioc);
    int fds[] = {self->read_fd, self->write_fd};

    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i] >= 0 && !g_unix_set_fd_nonblocking(fds[i], !enabled, NULL)) {
            error_setg_errno(errp, errno, "Unable to make %s %s", ioc->peer,
                             enabled ? "blocking" : "non-blocking");
            return false;
        }
    }
    self->blocking = enabled;
    return true;
}

static bool fd_set_read_timeout(QIOChannel *ioc, unsigned ms, Error **errp)
{
    QIOChannelFd *self = to_fd(ioc);
    struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    if (setsockopt(self->read_fd, SOL_SOCKET, SO_RCVTIMEO, &limit,
                   sizeof(limit)) < 0) {
        error_setg_errno(errp, errno, "Unable to limit the wait for %s",
                         ioc->peer);
        return false;
    }
    self->read_timeout_ms = ms;
    return true;
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

static int fd_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    QIOChannelFd *self = to_fd(ioc);
    QEMU_LOCK_GUARD(&self->lock);

    if (!self->is_socket || self->read_fd < 0 || self->shut) {
        error_setg(errp, "%s cannot be shut down: %s", ioc->peer,
                   self->is_socket ? "it is closed" : "it is no socket");
        return -1;
    }
    if (shutdown(self->read_fd, shutdown_how(how)) < 0) {
        error_setg_errno(errp, errno, "Unable to shut down %s", ioc->peer);
        return -1;
    }
    self->shut = how == QIO_CHANNEL_SHUTDOWN_BOTH;
    return 0;
}

static void fd_close(QIOChannel *ioc)
{
    QIOChannelFd *self = to_fd(ioc);
    int read_fd, write_fd;

    WITH_QEMU_LOCK_GUARD(&self->lock) {
        read_fd = self->read_fd;
        write_fd = self->write_fd;
        self->read_fd = self->write_fd = -1;
    }
    if (read_fd >= 0) {
        close(read_fd);
    }
    if (write_fd >= 0 && write_fd != read_fd) {
        close(write_fd);
    }
}

static int fd_get_read_fd(QIOChannel *ioc)
{
    return to_fd(ioc)->read_fd;
}

static int fd_get_write_fd(QIOChannel *ioc)
{
    return to_fd(ioc)->write_fd;
}

static void fd_destroy(QIOChannel *ioc)
{
    QIOChannelFd *self = to_fd(ioc);

    fd_close(ioc);
    qemu_mutex_destroy(&self->lock);
    g_free(self);
}

static const QIOChannelOps fd_ops = {
    .readv = fd_readv,
    .writev = fd_writev,
    .set_blocking = fd_set_blocking,
    .set_read_timeout = fd_set_read_timeout,
    .shutdown = fd_shutdown,
    .close = fd_close,
    .get_read_fd = fd_get_read_fd,
    .get_write_fd = fd_get_write_fd,
    .destroy = fd_destroy,
};

QIOChannel *qio_channel_fd_new(int read_fd, int write_fd, char *peer,
                               bool is_socket)
{
    QIOChannelFd *self = g_new0(QIOChannelFd, 1);

    qio_channel_init(&self->parent, &fd_ops, peer);
    self->is_socket = is_socket;
    self->read_fd = read_fd;
    self->write_fd = write_fd;
    qemu_mutex_init(&self->lock);
    return &self->parent;
}
