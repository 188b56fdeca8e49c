/*
 * Channels: what is the same for all kinds, and the way to what is not.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <limits.h>
#include "channel-internal.h"
#include "qemu/oob.h"

void qio_channel_init(QIOChannel *ioc, const QIOChannelOps *ops, char *peer)
{
    ioc->ops = ops;
    ioc->refcount = 1;
    ioc->peer = peer;
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
    g_free(ioc->peer);
    ioc->ops->destroy(ioc);
}

ssize_t qio_channel_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                          Error **errp)
{
    return ioc->ops->readv(ioc, iov, niov, QIO_CHANNEL_READ_SOME, errp);
}

ssize_t qio_channel_writev(QIOChannel *ioc, const struct iovec *iov,
                           size_t niov, Error **errp)
{
    return ioc->ops->writev(ioc, iov, niov, errp);
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

bool qio_channel_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    return ioc->ops->set_blocking(ioc, enabled, errp);
}

bool qio_channel_set_read_timeout(QIOChannel *ioc, unsigned ms, Error **errp)
{
    return ioc->ops->set_read_timeout(ioc, ms, errp);
}

/* What a transfer that must be complete makes of @n, which is not positive. */
static int incomplete(QIOChannel *ioc, ssize_t n, bool started, Error **errp)
{
    if (n == QIO_CHANNEL_ERR_BLOCK) {
        error_setg(errp, "The channel to %s does not wait", ioc->peer);
        return -1;
    }
    if (n == 0 && started) {
        error_setg(errp, "Unexpected end of the stream from %s", ioc->peer);
        return -1;
    }
    return n;
}

int qio_channel_read_all(QIOChannel *ioc, void *buf, size_t len, Error **errp)
{
    size_t done = 0;

    oob_assert_may_block("qio_channel_read_all");
    while (done < len) {
        struct iovec iov = {(char *)buf + done, len - done};
        ssize_t n = ioc->ops->readv(ioc, &iov, 1, QIO_CHANNEL_READ_FULL, errp);

        if (n <= 0) {
            return incomplete(ioc, n, done > 0, errp);
        }
        done += n;
    }
    return 1;
}

/* Drops the first @n bytes, and what is empty then. */
static void iov_advance(struct iovec **iov, size_t *niov, size_t n)
{
    while (*niov && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        (*iov)++;
        (*niov)--;
    }
    if (n) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + n;
        (*iov)->iov_len -= n;
    }
}

int qio_channel_writev_all(QIOChannel *ioc, struct iovec *iov, size_t niov,
                           Error **errp)
{
    oob_assert_may_block("qio_channel_writev_all");
    iov_advance(&iov, &niov, 0);
    while (niov) {
        ssize_t n =
            ioc->ops->writev(ioc, iov, MIN(niov, (size_t)IOV_MAX), errp);

        if (n < 0) {
            return incomplete(ioc, n, true, errp);
        }
        iov_advance(&iov, &niov, n);
    }
    return 0;
}

int qio_channel_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    return ioc->ops->shutdown(ioc, how, errp);
}

void qio_channel_close(QIOChannel *ioc)
{
    ioc->ops->close(ioc);
}

int qio_channel_get_read_fd(QIOChannel *ioc)
{
    return ioc->ops->get_read_fd(ioc);
}

int qio_channel_get_write_fd(QIOChannel *ioc)
{
    return ioc->ops->get_write_fd(ioc);
}

const char *qio_channel_peer(QIOChannel *ioc)
{
    return ioc->peer;
}
