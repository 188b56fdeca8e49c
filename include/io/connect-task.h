/*
 * Connect task: resolves an address and connects without blocking its thread,
 * and can be cancelled from any thread at any moment.
 *
 * Name resolution, and connect(2) to a unix path, run on side threads
 * (qemu/aside.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CONNECT_TASK_H
#define IO_CONNECT_TASK_H

#include "io/channel-socket.h"
#include "qemu/activity.h"

typedef struct QIOConnectTask QIOConnectTask;

/*
 * The outcome, on the thread of the task's context, exactly once: a channel
 * that is now the callee's, or NULL and why (@err stays the task's).
 */
typedef void QIOConnectFn(QIOChannel *ioc, const Error *err, void *opaque);

/*
 * Starts to connect to @addr, with events on @context.  Never calls @fn
 * before it returns.  Any thread; does not block.  The caller holds a
 * reference, and the task another until @fn has run.  Whoever stops running
 * @context before that abandons the task.
 */
QIOConnectTask *qio_connect_task_new(const SocketAddress *addr,
                                     GMainContext *context, QIOConnectFn *fn,
                                     void *opaque);
QIOConnectTask *qio_connect_task_ref(QIOConnectTask *task);
void qio_connect_task_unref(QIOConnectTask *task);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QIOConnectTask, qio_connect_task_unref)

/*
 * Makes the task end soon with an error, unless it has ended.  Any thread,
 * OOB-safe, as often as one likes.  True when there was something to cancel.
 */
bool qio_connect_task_cancel(QIOConnectTask *task);

/*
 * Ends the task without a call of its fn, ever: for an owner that goes away.
 * Thread of the context, or after that thread has ended.
 */
void qio_connect_task_abandon(QIOConnectTask *task);

/*
 * Tells @activity the phase, now and whenever it changes; @activity must live
 * until the task has ended.  Thread of the context.
 */
void qio_connect_task_set_activity(QIOConnectTask *task, Activity *activity);

/* "resolve" or "connect", a static string.  Any thread, OOB-safe. */
const char *qio_connect_task_phase(QIOConnectTask *task);

/*
 * Connects, and blocks until that has succeeded or failed.  @started (may be
 * NULL) gets the task before the wait begins, so that another thread can end
 * the wait by cancelling the task.  Any thread that may block.  Returns a
 * channel that the caller owns, or NULL with errp set.
 */
QIOChannel *qio_connect_sync(const SocketAddress *addr,
                             void (*started)(QIOConnectTask *task,
                                             void *opaque),
                             void *opaque, Error **errp);

#endif
