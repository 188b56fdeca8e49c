/*
 * TLS channels: a channel over a channel.
 *
 * A TLS channel is used as any channel is, after its handshake.  It blocks as
 * the channel below it does.  qio_channel_shutdown() of it only shuts that
 * one, and so ends a handshake, a read or a write of any thread at once.
 *
 * A stream that ends without the peer's good-bye was cut: reads say so with
 * an error, but for the side that shut it down itself, which sees an end.
 * qio_channel_close() says good-bye when that needs no wait; who only drops
 * the last reference, as on the way out of a failure, cuts the stream.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_TLS_H
#define IO_CHANNEL_TLS_H

#include "io/channel.h"
#include "qom/tls-creds.h"

typedef enum QIOChannelTLSHandshake {
    QIO_CHANNEL_TLS_FAILED = -1,    /* errp is set */
    QIO_CHANNEL_TLS_DONE = 0,       /* read and write now */
    QIO_CHANNEL_TLS_WANT_READ = 1,  /* again when the descriptor is readable */
    QIO_CHANNEL_TLS_WANT_WRITE = 2, /* again when it is writable */
} QIOChannelTLSHandshake;

/*
 * The two ends of a TLS session over @master.  Both take references of what
 * they are given; nobody else reads, writes or closes @master from then on.
 *
 * @creds: of that endpoint
 * @hostname: whose certificate the server must show; NULL is fine where none
 *     is checked (PSK, or verify-peer off)
 *
 * NULL with errp set on failure.  Any thread; do not block.
 */
QIOChannel *qio_channel_tls_new_client(QIOChannel *master,
                                       QCryptoTLSCreds *creds,
                                       const char *hostname, Error **errp);
QIOChannel *qio_channel_tls_new_server(QIOChannel *master,
                                       QCryptoTLSCreds *creds, Error **errp);

/*
 * Makes the handshake, of a blocking channel: 0, or -1 with errp set, after
 * which the channel is only good for closing.  Blocks as long as the peer is
 * silent, unless qio_channel_set_read_timeout() or a shutdown ends it.  A peer
 * that sends a byte now and then is no silent one: what must end at a fixed
 * time shuts the channel down.
 */
int qio_channel_tls_handshake(QIOChannel *ioc, Error **errp);

/* One step of it, of a non-blocking channel.  Owner's thread. */
QIOChannelTLSHandshake qio_channel_tls_handshake_step(QIOChannel *ioc,
                                                      Error **errp);

#endif
