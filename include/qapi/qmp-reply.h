/*
 * Replies that come later than their command returns.
 *
 * An out-of-band handler must not wait.  One whose outcome takes longer takes
 * its reply with it, returns, and has the reply sent when the outcome is
 * known.  Other requests of the client are served in between.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_QMP_REPLY_H
#define QAPI_QMP_REPLY_H

#include "qapi/error.h"

typedef struct QmpReply QmpReply;

/*
 * The reply to the command that this thread runs, at most once a command.  The
 * handler then returns without an error, and what it returned is sent unless
 * qmp_reply_send() gives an error.  NULL for a command that runs in-band: its
 * handler waits for the outcome itself.  OOB-safe.
 */
QmpReply *qmp_reply_take(void);

/*
 * Sends the reply: an error, or with a NULL @err what the handler returned.
 * Consumes both; called exactly once.  Any thread, OOB-safe.
 */
void qmp_reply_send(QmpReply *reply, Error *err);

/* The monitor's part. */
typedef struct QmpReplyOps {
    QmpReply *(*take)(void);
    void (*send)(QmpReply *reply, Error *err);
} QmpReplyOps;

/* Before any command runs. */
void qmp_reply_init(const QmpReplyOps *ops);

#endif
