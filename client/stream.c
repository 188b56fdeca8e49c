/*
 * Streams: a connection to a socket, from the address to its end.
 *
 * A peer that closes has perhaps said something before, which counts: so a
 * failed write ends the stream only after what can be read has been read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "io/channel-tls.h"
#include "io/connect-task.h"
#include "qemu/fd-watch.h"
#include "stream.h"

struct YcStream {
    char *peer;
    const YcStreamOps *ops;
    void *opaque;
    const YcStreamTLS *tls;

    QIOConnectTask *task; /* until it has ended */
    QIOChannel *ioc;      /* once connected */
    FdWatch *watch;
    GString *out; /* what is being sent, or NULL */
    size_t n_sent;
    GError *broken; /* why writing failed */
};

static char read_buf[YC_STREAM_PIECE];

static void stream_closed(YcStream *stream)
{
    stream->ops->failed(g_error_new(YC_ERROR, YC_ERROR_CLOSED,
                                    "%s: the peer closed the connection",
                                    stream->peer),
                        stream->opaque);
}

static void stream_read_failed(YcStream *stream, Error *err)
{
    GError *gerr = NULL;

    yc_error_take(&gerr, YC_ERROR_CLOSED, err);
    stream->ops->failed(gerr, stream->opaque);
}

static void stream_read_more(void *opaque);

/* False when there is nothing to read now; else @stream may be gone. */
static bool stream_read(YcStream *stream)
{
    Error *err = NULL;
    ssize_t n = qio_channel_read(stream->ioc, read_buf, sizeof(read_buf), &err);

    if (n == QIO_CHANNEL_ERR_BLOCK) {
        return false;
    }
    if (n > 0 && stream->tls->creds) {
        iothread_defer(stream_read_more, stream);
    }
    if (n > 0) {
        stream->ops->received(read_buf, n, stream->opaque);
    } else if (n == 0) {
        stream_closed(stream);
    } else {
        stream_read_failed(stream, err);
    }
    return true;
}

/* TLS may hold what has left the socket, which then no longer tells of it. */
static void stream_read_more(void *opaque)
{
    stream_read(opaque);
}

/* Deferred: reads what there is, piece by piece, before the end. */
static void stream_drain(void *opaque)
{
    YcStream *stream = opaque;

    iothread_defer(stream_drain, stream);
    if (!stream_read(stream)) {
        iothread_undefer(stream_drain, stream);
        stream->ops->failed(g_steal_pointer(&stream->broken), stream->opaque);
    }
}

static void stream_write_failed(YcStream *stream, Error *err)
{
    yc_error_take(&stream->broken, YC_ERROR_CLOSED, err);
    g_clear_pointer(&stream->watch, fd_watch_free);
    iothread_defer(stream_drain, stream);
}

static void stream_out_done(YcStream *stream)
{
    g_string_free(stream->out, TRUE);
    stream->out = NULL;
    fd_watch_set_events(stream->watch, G_IO_IN);
}

/*
 * The last byte of a message, which is white space, is a TLS record of its own.
 * Stock QEMU takes single bytes from a monitor and waits for the socket in
 * between, where what it has decrypted already does not show: without another
 * record behind it, it would never see the end of a message.
 */
static size_t stream_piece(const YcStream *stream)
{
    size_t left = stream->out->len - stream->n_sent;

    return stream->tls->creds && left > 1 ? left - 1 : left;
}

static void stream_write(YcStream *stream)
{
    while (stream->n_sent < stream->out->len) {
        Error *err = NULL;
        ssize_t n =
            qio_channel_write(stream->ioc, stream->out->str + stream->n_sent,
                              stream_piece(stream), &err);

        if (n == QIO_CHANNEL_ERR_BLOCK) {
            fd_watch_set_events(stream->watch, G_IO_IN | G_IO_OUT);
            return;
        }
        if (n < 0) {
            stream_write_failed(stream, err);
            return;
        }
        stream->n_sent += n;
    }
    stream_out_done(stream);
}

static void stream_ready(GIOCondition condition, void *opaque)
{
    YcStream *stream = opaque;

    if ((condition & G_IO_OUT) && stream->out) {
        stream_write(stream);
        if (!stream->out) {
            stream->ops->sent(stream->opaque);
            return; /* it may be gone; what is to be read comes next time */
        }
    }
    if (stream->watch && (condition & ~G_IO_OUT)) {
        stream_read(stream);
    }
}

/* Up to here it was on the way; now it is there. */
static void stream_up(YcStream *stream)
{
    fd_watch_free(stream->watch);
    stream->watch = fd_watch_new(iothread_get_g_main_context(yc_io_thread()),
                                 qio_channel_get_read_fd(stream->ioc),
                                 stream_ready, stream);
    fd_watch_set_events(stream->watch, G_IO_IN);
    if (stream->tls->creds) {
        /* It may have come with the last of the handshake. */
        iothread_defer(stream_read_more, stream);
    }
    stream->ops->connected(stream->opaque);
}

static void stream_tls_failed(YcStream *stream, Error *err)
{
    GError *gerr = NULL;

    yc_error_take(&gerr, YC_ERROR_CONNECT, err);
    stream->ops->failed(gerr, stream->opaque);
}

static void stream_handshake(GIOCondition condition, void *opaque)
{
    YcStream *stream = opaque;
    Error *err = NULL;

    switch (qio_channel_tls_handshake_step(stream->ioc, &err)) {
    case QIO_CHANNEL_TLS_WANT_READ:
        fd_watch_set_events(stream->watch, G_IO_IN);
        break;
    case QIO_CHANNEL_TLS_WANT_WRITE:
        fd_watch_set_events(stream->watch, G_IO_OUT);
        break;
    case QIO_CHANNEL_TLS_DONE:
        stream_up(stream);
        break;
    default:
        stream_tls_failed(stream, err);
        break;
    }
}

static void stream_start_tls(YcStream *stream)
{
    Error *err = NULL;
    QIOChannel *ioc = qio_channel_tls_new_client(
        stream->ioc, stream->tls->creds, stream->tls->hostname, &err);

    if (!ioc) {
        stream_tls_failed(stream, err);
        return;
    }
    qio_channel_unref(stream->ioc);
    stream->ioc = ioc;
    stream->watch =
        fd_watch_new(iothread_get_g_main_context(yc_io_thread()),
                     qio_channel_get_read_fd(ioc), stream_handshake, stream);
    stream_handshake(0, stream);
}

static void stream_connected(QIOChannel *ioc, const Error *err, void *opaque)
{
    YcStream *stream = opaque;

    g_clear_pointer(&stream->task, qio_connect_task_unref);
    if (!ioc) {
        GError *gerr = NULL;

        yc_error_take(&gerr, YC_ERROR_CONNECT, error_copy(err));
        stream->ops->failed(gerr, stream->opaque);
        return;
    }
    stream->ioc = ioc;
    if (stream->tls->creds) {
        stream_start_tls(stream);
    } else {
        stream_up(stream);
    }
}

YcStream *yc_stream_new(const SocketAddress *addr, const char *peer,
                        const YcStreamTLS *tls, const YcStreamOps *ops,
                        void *opaque)
{
    YcStream *stream = g_new0(YcStream, 1);

    stream->peer = g_strdup(peer);
    stream->tls = tls;
    stream->ops = ops;
    stream->opaque = opaque;
    stream->task =
        qio_connect_task_new(addr, iothread_get_g_main_context(yc_io_thread()),
                             stream_connected, stream);
    return stream;
}

void yc_stream_free(YcStream *stream)
{
    if (!stream) {
        return;
    }
    if (stream->task) {
        qio_connect_task_abandon(stream->task);
        qio_connect_task_unref(stream->task);
    }
    iothread_undefer(stream_drain, stream);
    iothread_undefer(stream_read_more, stream);
    g_clear_pointer(&stream->watch, fd_watch_free);
    if (stream->ioc) {
        /* With TLS's good-bye, which letting go leaves out. */
        qio_channel_close(stream->ioc);
        qio_channel_unref(stream->ioc);
    }
    if (stream->out) {
        g_string_free(stream->out, TRUE);
    }
    g_clear_error(&stream->broken);
    g_free(stream->peer);
    g_free(stream);
}

pid_t yc_stream_peer_pid(const YcStream *stream)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);

    if (!stream->ioc || getsockopt(qio_channel_get_read_fd(stream->ioc),
                                   SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        return 0;
    }
    return peer.pid;
}

void yc_stream_send(YcStream *stream, GString *text)
{
    g_assert(stream->ioc && !stream->out);
    stream->out = text;
    stream->n_sent = 0;
    stream_write(stream);
}

bool yc_stream_busy(const YcStream *stream)
{
    return stream->out != NULL;
}

bool yc_stream_recall(YcStream *stream)
{
    /* TLS has encrypted some of it already, which must go its way. */
    if (!stream->out || stream->n_sent || stream->broken ||
        stream->tls->creds) {
        return false;
    }
    stream_out_done(stream);
    return true;
}
