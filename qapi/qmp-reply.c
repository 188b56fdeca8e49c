/*
 * Deferred replies: connects command handlers to the monitor, on which this
 * library must not depend.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qmp-reply.h"

static const QmpReplyOps *reply_ops;

void qmp_reply_init(const QmpReplyOps *ops)
{
    reply_ops = ops;
}

QmpReply *qmp_reply_take(void)
{
    return reply_ops ? reply_ops->take() : NULL;
}

void qmp_reply_send(QmpReply *reply, Error *err)
{
    reply_ops->send(reply, err);
}
