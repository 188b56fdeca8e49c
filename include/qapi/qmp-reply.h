/*
 * Deferred replies: a reply that is sent after the command handler has
 * returned.
 *
 * An out-of-band handler must not wait.  A handler whose outcome takes longer
 * takes its reply, returns, and sends the reply when the outcome is known.  The
 * monitor serves other requests of the client in between.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_QMP_REPLY_H
#define QAPI_QMP_REPLY_H

#include "qapi/error.h"

typedef struct QmpReply QmpReply;

/*
 * Takes over the reply to the command that this thread runs; at most once per
 * command.  The handler then returns without an error, and its return value is
 * sent unless qmp_reply_send() gives an error.  Returns NULL for a command that
 * runs in-band: its handler waits for the outcome itself.  OOB-safe.
 */
QmpReply *qmp_reply_take(void);

/*
 * Sends the reply: @err, or the handler's return value if @err is NULL.
 * Consumes both.  Call exactly once.  Any thread, OOB-safe.
 */
void qmp_reply_send(QmpReply *reply, Error *err);

/* Implemented by the monitor. */
typedef struct QmpReplyOps {
    QmpReply *(*take)(void);
    void (*send)(QmpReply *reply, Error *err);
} QmpReplyOps;

/* Call before any command runs. */
void qmp_reply_init(const QmpReplyOps *ops);

#endif
