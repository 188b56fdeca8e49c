/*
 * Streams: a connection to a socket, from the address to its end.
 *
 * All of it belongs to the I/O thread, functions and callbacks alike.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_STREAM_H
#define CLIENT_STREAM_H

#include "client-internal.h"
#include "qom/tls-creds.h"

typedef struct YcStream YcStream;

/* Each may free the stream. */
typedef struct YcStreamOps {
    void (*connected)(void *opaque);
    void (*received)(const char *buf, size_t len, void *opaque);
    /* What did not fit into the socket at once is sent now. */
    void (*sent)(void *opaque);
    /* The end, by @err, the callee's; nothing comes after it. */
    void (*failed)(GError *err, void *opaque);
} YcStreamOps;

/* The largest piece that is received at once. */
#define YC_STREAM_PIECE (64 * KiB)

/* How to speak TLS; no TLS without @creds. */
typedef struct YcStreamTLS {
    QCryptoTLSCreds *creds;
    char *hostname; /* whose certificate the peer must show; NULL: no X.509 */
} YcStreamTLS;

/*
 * Starts to connect to @addr, known to users as @peer; with TLS, which must
 * live as long as the stream, it is connected after the handshake.
 */
YcStream *yc_stream_new(const SocketAddress *addr, const char *peer,
                        const YcStreamTLS *tls, const YcStreamOps *ops,
                        void *opaque);
/* Ends the connection; no callback comes any more.  NULL is fine. */
void yc_stream_free(YcStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YcStream, yc_stream_free)

/*
 * The process that listens at the other end of a unix socket; 0 when it is
 * another sort of socket, or not connected.
 */
pid_t yc_stream_peer_pid(const YcStream *stream);

/*
 * Sends @text, which it takes, and whose last byte is white space.  One at a
 * time: only when the stream is connected and not busy.
 */
void yc_stream_send(YcStream *stream, GString *text);
/* Something is not sent yet; its end is told by the sent callback. */
bool yc_stream_busy(const YcStream *stream);
/*
 * Drops what is not sent yet, when none of it has left; then the stream is
 * no longer busy.  False when there is nothing to drop, or it is too late.
 */
bool yc_stream_recall(YcStream *stream);

#endif
