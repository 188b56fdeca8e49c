/*
 * Connecting for those who may wait: a task on a context of their own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io/connect-task.h"
#include "qemu/main-context.h"
#include "qemu/oob.h"

typedef struct SyncConnect {
    QIOChannel *ioc;
    Error *err;
    bool done;
} SyncConnect;

static void sync_connect_done(QIOChannel *ioc, const Error *err, void *opaque)
{
    SyncConnect *sync = opaque;

    sync->ioc = ioc;
    sync->err = err ? error_copy(err) : NULL;
    sync->done = true;
}

QIOChannel *qio_connect_sync(const SocketAddress *addr,
                             void (*started)(QIOConnectTask *task,
                                             void *opaque),
                             void *opaque, Error **errp)
{
    g_autoptr(GMainContext) context = NULL;
    g_autoptr(QIOConnectTask) task = NULL;
    SyncConnect sync = {};

    oob_assert_may_block("qio_connect_sync");
    context = main_context_new(errp);
    if (!context) {
        return NULL;
    }
    g_main_context_acquire(context);
    task = qio_connect_task_new(addr, context, sync_connect_done, &sync);
    if (started) {
        started(task, opaque);
    }
    while (!sync.done) {
        g_main_context_iteration(context, TRUE);
    }
    g_main_context_release(context);
    error_propagate(errp, sync.err);
    return sync.ioc;
}
