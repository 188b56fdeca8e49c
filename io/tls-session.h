/*
 * A TLS session that knows no socket: bytes of the peer go in, bytes for the
 * peer come out, and nothing here ever waits for it.
 *
 * One thread may receive while another sends, as a channel allows.  What
 * either may change for the other (TLS 1.3 replaces keys on the way, by the
 * wish of both sides) lies under a lock of the session, which is never held
 * over a transfer: so a writer that is stuck does not stop the reader.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_TLS_SESSION_H
#define IO_TLS_SESSION_H

#include "qom/tls-creds.h"

/* The most that tls_session_send() takes at once. */
#define TLS_SESSION_MAX_RECORD 16384

/* More bytes of the peer are needed: tls_session_feed(). */
#define TLS_SESSION_NEEDS_INPUT (-2)
/* The peer's bytes ended without a good-bye. */
#define TLS_SESSION_CUT (-3)

typedef struct TLSSession TLSSession;

/*
 * For the endpoint that @creds are for; a client wants @hostname in the
 * server's certificate (NULL: it is not checked).  @peer is for messages.
 */
TLSSession *tls_session_new(QCryptoTLSCreds *creds, const char *hostname,
                            const char *peer, Error **errp);
void tls_session_free(TLSSession *session);

/*
 * Goes on with the handshake: 0 when done, TLS_SESSION_NEEDS_INPUT, or -1 with
 * errp set.  Any result may leave output.  Only one thread uses the session
 * before the end of the handshake.
 */
int tls_session_handshake(TLSSession *session, Error **errp);

/*
 * Receiver: where the peer's bytes are to be put, all used up as far as the
 * session could; and that @len of them (0: the end) are there now.
 */
void *tls_session_input(TLSSession *session, size_t *size);
void tls_session_feed(TLSSession *session, size_t len);

/*
 * Receiver: bytes received, 0 after the peer's good-bye,
 * TLS_SESSION_NEEDS_INPUT, TLS_SESSION_CUT, or -1 with errp set.
 */
ssize_t tls_session_receive(TLSSession *session, void *buf, size_t len,
                            Error **errp);

/*
 * Sender: makes output of 1 to TLS_SESSION_MAX_RECORD bytes; false with errp
 * set on failure.
 */
bool tls_session_send(TLSSession *session, const void *buf, size_t len,
                      Error **errp);
/* Sender: makes output of a good-bye. */
void tls_session_bye(TLSSession *session);

/* Sender: appends the output to @out, which is empty. */
void tls_session_take_output(TLSSession *session, GByteArray **out);

#endif
