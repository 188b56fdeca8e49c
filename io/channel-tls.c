/*
 * TLS channels: bytes between a TLS session and the channel below.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "channel-internal.h"
#include "io/channel-tls.h"
#include "qemu/oob.h"
#include "qom/tls-creds-gnutls.h"
#include "tls-session.h"

/* So much is encrypted before it is sent: many records in one call. */
#define SEND_CHUNK (128 * KiB)

typedef struct QIOChannelTLS {
    QIOChannel parent;
    QIOChannel *master;
    TLSSession *session;
    bool ready;        /* the handshake is done; constant then */
    bool read_is_shut; /* atomic */

    /* The writer's. */
    GByteArray *sending;   /* output of the session, on its way */
    size_t sent;           /* of that */
    size_t accepted;       /* bytes of the caller in output, not told it yet */
    bool broken;           /* nothing can be sent any more */
    unsigned char *gather; /* small pieces, to make one record of them */
} QIOChannelTLS;

static QIOChannelTLS *to_tls(QIOChannel *ioc)
{
    return container_of(ioc, QIOChannelTLS, parent);
}

/* Sends what the session put out: 0, QIO_CHANNEL_ERR_BLOCK or -1. */
static int flush(QIOChannelTLS *self, Error **errp)
{
    for (;;) {
        ssize_t n;

        if (self->sent == self->sending->len) {
            g_byte_array_set_size(self->sending, 0);
            self->sent = 0;
            tls_session_take_output(self->session, &self->sending);
            if (!self->sending->len) {
                return 0;
            }
        }
        n = qio_channel_write(self->master, self->sending->data + self->sent,
                              self->sending->len - self->sent, errp);
        if (n < 0) {
            self->broken = n != QIO_CHANNEL_ERR_BLOCK;
            return n;
        }
        self->sent += n;
    }
}

/*
 * Takes the peer's bytes into the session, waiting for @at_least of them if
 * the channel waits: 0, QIO_CHANNEL_ERR_BLOCK or -1.
 */
static int fill(QIOChannelTLS *self, size_t at_least, Error **errp)
{
    size_t size;
    void *input = tls_session_input(self->session, &size);
    struct iovec iov = {input, size};
    QIOChannelReadMode mode = QIO_CHANNEL_READ_SOME;
    ssize_t n;

    if (at_least) {
        iov.iov_len = MIN(size, at_least);
        mode = QIO_CHANNEL_READ_FULL;
    }
    n = self->master->ops->readv(self->master, &iov, 1, mode, errp);
    if (n < 0) {
        return n;
    }
    tls_session_feed(self->session, n);
    return 0;
}

QIOChannelTLSHandshake qio_channel_tls_handshake_step(QIOChannel *ioc,
                                                      Error **errp)
{
    QIOChannelTLS *self = to_tls(ioc);

    for (;;) {
        int state =
            self->ready ? 0 : tls_session_handshake(self->session, errp);
        int ret;

        if (state == -1) {
            /* Why, for the peer; it may be gone. */
            flush(self, NULL);
            return QIO_CHANNEL_TLS_FAILED;
        }
        self->ready = state == 0;
        ret = flush(self, errp);
        if (ret == QIO_CHANNEL_ERR_BLOCK) {
            return QIO_CHANNEL_TLS_WANT_WRITE;
        }
        if (ret == 0 && self->ready) {
            return QIO_CHANNEL_TLS_DONE;
        }
        if (ret == 0) {
            ret = fill(self, 0, errp);
        }
        if (ret == QIO_CHANNEL_ERR_BLOCK) {
            return QIO_CHANNEL_TLS_WANT_READ;
        }
        if (ret < 0) {
            error_prepend(errp, "TLS handshake failed: ");
            return QIO_CHANNEL_TLS_FAILED;
        }
    }
}

int qio_channel_tls_handshake(QIOChannel *ioc, Error **errp)
{
    oob_assert_may_block("qio_channel_tls_handshake");
    switch (qio_channel_tls_handshake_step(ioc, errp)) {
    case QIO_CHANNEL_TLS_DONE:
        return 0;
    case QIO_CHANNEL_TLS_FAILED:
        return -1;
    default:
        error_setg(errp, "The channel to %s does not wait", ioc->peer);
        return -1;
    }
}

/*
 * How many bytes of the peer @len bytes of content need at least, after those
 * of one record that the session may hold.
 */
static size_t least_input(size_t len)
{
    const size_t held = TLS_SESSION_MAX_RECORD + 1 * KiB;

    return len > held ? len - held : 0;
}

static ssize_t stream_was_cut(QIOChannelTLS *self, Error **errp)
{
    if (__atomic_load_n(&self->read_is_shut, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    error_setg(errp, "The TLS stream from %s was cut", self->parent.peer);
    return -1;
}

static ssize_t tls_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                         QIOChannelReadMode mode, Error **errp)
{
    QIOChannelTLS *self = to_tls(ioc);
    bool full = mode == QIO_CHANNEL_READ_FULL;

    while (niov && !iov->iov_len) {
        iov++;
        niov--;
    }
    if (!niov) {
        return 0;
    }
    for (;;) {
        ssize_t n = tls_session_receive(self->session, iov->iov_base,
                                        iov->iov_len, errp);
        int ret;

        if (n == TLS_SESSION_CUT) {
            return stream_was_cut(self, errp);
        }
        if (n != TLS_SESSION_NEEDS_INPUT) {
            return n;
        }
        ret = fill(self, full ? least_input(iov->iov_len) : 0, errp);
        if (ret < 0) {
            return ret;
        }
    }
}

/* What is left to be written. */
typedef struct Pieces {
    const struct iovec *iov;
    size_t niov;
    size_t offset; /* in the first */
} Pieces;

static size_t pieces_first(Pieces *pieces, const char **data)
{
    while (pieces->niov && pieces->offset == pieces->iov->iov_len) {
        pieces->iov++;
        pieces->niov--;
        pieces->offset = 0;
    }
    if (!pieces->niov) {
        return 0;
    }
    *data = (const char *)pieces->iov->iov_base + pieces->offset;
    return pieces->iov->iov_len - pieces->offset;
}

/* The content of the next record, at most; 0 when there is none. */
static size_t next_record(QIOChannelTLS *self, Pieces *pieces,
                          const char **data)
{
    size_t len = pieces_first(pieces, data);
    size_t n = MIN(len, (size_t)TLS_SESSION_MAX_RECORD);
    size_t gathered = 0;

    /* What fills a record, or is the last, is taken where it lies. */
    if (n == TLS_SESSION_MAX_RECORD || pieces->niov <= 1) {
        pieces->offset += n;
        return n;
    }
    while (len && gathered < TLS_SESSION_MAX_RECORD) {
        n = MIN(len, TLS_SESSION_MAX_RECORD - gathered);
        memcpy(self->gather + gathered, *data, n);
        gathered += n;
        pieces->offset += n;
        len = pieces_first(pieces, data);
    }
    *data = (const char *)self->gather;
    return gathered;
}

/* Bytes that the session took of @iov, or -1. */
static ssize_t encrypt(QIOChannelTLS *self, const struct iovec *iov,
                       size_t niov, Error **errp)
{
    Pieces pieces = {iov, niov, 0};
    size_t done = 0;
    const char *data;
    size_t n;

    while (done < SEND_CHUNK && (n = next_record(self, &pieces, &data))) {
        if (!tls_session_send(self->session, data, n, errp)) {
            self->broken = true;
            return -1;
        }
        done += n;
    }
    return done;
}

static size_t pieces_size(const struct iovec *iov, size_t niov)
{
    size_t size = 0;

    for (size_t i = 0; i < niov; i++) {
        size += iov[i].iov_len;
    }
    return size;
}

static ssize_t tls_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                          Error **errp)
{
    QIOChannelTLS *self = to_tls(ioc);
    ssize_t n;

    /* What was taken and refused comes a second time. */
    if (!self->accepted) {
        n = encrypt(self, iov, niov, errp);
        if (n < 0) {
            return n;
        }
        self->accepted = n;
    }
    n = flush(self, errp);
    if (n < 0) {
        return n;
    }
    n = MIN(self->accepted, pieces_size(iov, niov));
    self->accepted -= n;
    return n;
}

static bool tls_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    return qio_channel_set_blocking(to_tls(ioc)->master, enabled, errp);
}

static bool tls_set_read_timeout(QIOChannel *ioc, unsigned ms, Error **errp)
{
    return qio_channel_set_read_timeout(to_tls(ioc)->master, ms, errp);
}

/* A good-bye would need the session, which may be in use: the peer sees a cut. */
static int tls_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    QIOChannelTLS *self = to_tls(ioc);

    if (how & QIO_CHANNEL_SHUTDOWN_READ) {
        __atomic_store_n(&self->read_is_shut, true, __ATOMIC_RELEASE);
    }
    return qio_channel_shutdown(self->master, how, errp);
}

static void tls_close(QIOChannel *ioc)
{
    QIOChannelTLS *self = to_tls(ioc);

    if (self->ready && !self->broken &&
        qio_channel_get_write_fd(self->master) >= 0 &&
        qio_channel_set_blocking(self->master, false, NULL)) {
        tls_session_bye(self->session);
        flush(self, NULL);
    }
    self->broken = true;
    qio_channel_close(self->master);
}

static int tls_get_read_fd(QIOChannel *ioc)
{
    return qio_channel_get_read_fd(to_tls(ioc)->master);
}

static int tls_get_write_fd(QIOChannel *ioc)
{
    return qio_channel_get_write_fd(to_tls(ioc)->master);
}

static void tls_destroy(QIOChannel *ioc)
{
    QIOChannelTLS *self = to_tls(ioc);

    qio_channel_close(self->master);
    tls_session_free(self->session);
    g_byte_array_unref(self->sending);
    g_free(self->gather);
    qio_channel_unref(self->master);
    g_free(self);
}

static const QIOChannelOps tls_ops = {
    .readv = tls_readv,
    .writev = tls_writev,
    .set_blocking = tls_set_blocking,
    .set_read_timeout = tls_set_read_timeout,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .get_read_fd = tls_get_read_fd,
    .get_write_fd = tls_get_write_fd,
    .destroy = tls_destroy,
};

static QIOChannel *tls_new(QIOChannel *master, QCryptoTLSCreds *creds,
                           const char *hostname, Error **errp)
{
    g_autofree char *peer = g_strdup(master->peer);
    TLSSession *session = tls_session_new(creds, hostname, peer, errp);
    QIOChannelTLS *self;

    if (!session) {
        return NULL;
    }
    self = g_new0(QIOChannelTLS, 1);
    qio_channel_init(&self->parent, &tls_ops, g_steal_pointer(&peer));
    self->master = qio_channel_ref(master);
    self->session = session;
    self->sending = g_byte_array_new();
    self->gather = g_malloc(TLS_SESSION_MAX_RECORD);
    return &self->parent;
}

static bool check_endpoint(QCryptoTLSCreds *creds,
                           QCryptoTLSCredsEndpoint endpoint, Error **errp)
{
    if (creds->endpoint != endpoint) {
        error_setg(errp, "Expecting TLS credentials with a %s endpoint",
                   QCryptoTLSCredsEndpoint_str(endpoint));
        return false;
    }
    return true;
}

QIOChannel *qio_channel_tls_new_client(QIOChannel *master,
                                       QCryptoTLSCreds *creds,
                                       const char *hostname, Error **errp)
{
    if (!check_endpoint(creds, QCRYPTO_TLS_CREDS_ENDPOINT_CLIENT, errp)) {
        return NULL;
    }
    if (!hostname && creds->type == GNUTLS_CRD_CERTIFICATE &&
        creds->verify_peer) {
        error_setg(errp, "No hostname available for TLS");
        return NULL;
    }
    return tls_new(master, creds, hostname, errp);
}

QIOChannel *qio_channel_tls_new_server(QIOChannel *master,
                                       QCryptoTLSCreds *creds, Error **errp)
{
    if (!check_endpoint(creds, QCRYPTO_TLS_CREDS_ENDPOINT_SERVER, errp)) {
        return NULL;
    }
    return tls_new(master, creds, NULL, errp);
}
