/*
 * Connect task: every step runs on the thread of the task's context, so that
 * only "cancelled" and "done" are shared with other threads.
 *
 *   start -> resolve -> connect (address by address) -> done
 *
 * Cancelling marks the task and wakes the context up, where the task ends.
 * The resolver's thread is left alone then; it drops its result.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io/connect-task.h"
#include "io/inherited-fd.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/fd-watch.h"
#include "qemu/lockable.h"
#include "socket-address-internal.h"

/* A full backlog of a unix socket is not pollable: try again, not too often. */
#define BACKLOG_RETRY_MS 20

struct QIOConnectTask {
    int refcount; /* atomic */
    SocketAddress *addr;
    char *addr_text;
    QIOConnectFn *fn;
    void *opaque;

    /*
     * Guards what follows, written by the context's thread but for cancelled.
     * Fast; the lock of the context is taken under it.
     */
    QemuMutex lock;
    bool cancelled;
    bool done;
    const char *phase;
    /* NULL when done: it may hold sources that hold the task. */
    GMainContext *context;

    /* The context's thread. */
    Activity *activity; /* may be NULL */
    GArray *targets;    /* of SocketTarget */
    guint next_target;
    int fd;
    FdWatch *watch;
    GSource *retry;
    Error *err; /* of the last address that was tried */
};

static void task_connect_next(QIOConnectTask *task);

QIOConnectTask *qio_connect_task_ref(QIOConnectTask *task)
{
    __atomic_fetch_add(&task->refcount, 1, __ATOMIC_RELAXED);
    return task;
}

void qio_connect_task_unref(QIOConnectTask *task)
{
    if (!task || __atomic_sub_fetch(&task->refcount, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    qapi_free_SocketAddress(task->addr);
    g_free(task->addr_text);
    g_clear_pointer(&task->targets, g_array_unref);
    error_free(task->err);
    qemu_mutex_destroy(&task->lock);
    g_free(task);
}

static void task_unref_notify(gpointer opaque)
{
    qio_connect_task_unref(opaque);
}

/*
 * Runs @fn(@opaque) on the context's thread and frees @opaque then.  A task
 * that is done frees it only: its context may run no more.
 */
static void task_post(QIOConnectTask *task, GSourceFunc fn, void *opaque,
                      GDestroyNotify free_opaque)
{
    g_autoptr(GSource) source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, fn, opaque, free_opaque);
    QEMU_LOCK_GUARD(&task->lock);
    if (!task->done) {
        g_source_attach(source, task->context);
    }
}

static void task_stop_io(QIOConnectTask *task)
{
    g_clear_pointer(&task->watch, fd_watch_free);
    if (task->retry) {
        g_source_destroy(task->retry);
        g_clear_pointer(&task->retry, g_source_unref);
    }
    if (task->fd >= 0) {
        close(task->fd);
        task->fd = -1;
    }
}

/* From here on nothing is posted.  True when it was cancelled. */
static bool task_set_done(QIOConnectTask *task)
{
    g_autoptr(GMainContext) context = NULL;

    task_stop_io(task);
    QEMU_LOCK_GUARD(&task->lock);
    task->done = true;
    context = g_steal_pointer(&task->context);
    return task->cancelled;
}

/* Tells the outcome, once: @ioc, or the error of the task. */
static void task_finish(QIOConnectTask *task, QIOChannel *ioc)
{
    if (task_set_done(task)) {
        qio_channel_unref(ioc);
        ioc = NULL;
        g_clear_pointer(&task->err, error_free);
        error_setg(&task->err, "Connecting to '%s' was cancelled",
                   task->addr_text);
    }
    task->fn(ioc, ioc ? NULL : task->err, task->opaque);
    qio_connect_task_unref(task);
}

static bool task_is_done(QIOConnectTask *task)
{
    QEMU_LOCK_GUARD(&task->lock);
    return task->done;
}

static void task_set_phase(QIOConnectTask *task, const char *phase)
{
    if (task->activity) {
        activity_set_phase(task->activity, phase);
    }
    QEMU_LOCK_GUARD(&task->lock);
    task->phase = phase;
}

static gboolean task_cancelled(gpointer opaque)
{
    if (!task_is_done(opaque)) {
        task_finish(opaque, NULL);
    }
    return G_SOURCE_REMOVE;
}

bool qio_connect_task_cancel(QIOConnectTask *task)
{
    WITH_QEMU_LOCK_GUARD(&task->lock) {
        if (task->cancelled || task->done) {
            return false;
        }
        task->cancelled = true;
    }
    task_post(task, task_cancelled, qio_connect_task_ref(task),
              task_unref_notify);
    return true;
}

void qio_connect_task_abandon(QIOConnectTask *task)
{
    if (task_is_done(task)) {
        return;
    }
    task_set_done(task);
    qio_connect_task_unref(task);
}

void qio_connect_task_set_activity(QIOConnectTask *task, Activity *activity)
{
    task->activity = activity;
    activity_set_phase(activity, qio_connect_task_phase(task));
}

const char *qio_connect_task_phase(QIOConnectTask *task)
{
    QEMU_LOCK_GUARD(&task->lock);
    return task->phase;
}

static void task_set_error(QIOConnectTask *task, int err)
{
    const char *path = task->addr->type == SOCKET_ADDRESS_TYPE_UNIX
                           ? task->addr->u.q_unix.path
                           : task->addr_text;

    g_clear_pointer(&task->err, error_free);
    error_setg_errno(&task->err, err, "Failed to connect to '%s'", path);
}

/* The socket is connected, or failed to (@err, an errno). */
static void task_connect_ended(QIOConnectTask *task, int err)
{
    int fd = task->fd;
    QIOChannel *ioc;

    if (err) {
        task_stop_io(task);
        task_set_error(task, err);
        task_connect_next(task);
        return;
    }
    /* The watch goes before the channel owns the descriptor. */
    task->fd = -1;
    task_stop_io(task);
    g_clear_pointer(&task->err, error_free);
    ioc = qio_channel_socket_new_fd(fd, &task->err);
    if (!ioc) {
        close(fd);
    }
    task_finish(task, ioc);
}

static void task_writable(GIOCondition condition, void *opaque)
{
    QIOConnectTask *task = opaque;
    socklen_t len = sizeof(int);
    int err = 0;

    if (getsockopt(task->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0) {
        err = errno;
    }
    task_connect_ended(task, err);
}

static void task_connect(QIOConnectTask *task);

static gboolean task_retry(gpointer opaque)
{
    QIOConnectTask *task = opaque;

    g_clear_pointer(&task->retry, g_source_unref);
    task_connect(task);
    return G_SOURCE_REMOVE;
}

static void task_connect(QIOConnectTask *task)
{
    SocketTarget *target =
        &g_array_index(task->targets, SocketTarget, task->next_target - 1);

    if (!connect(task->fd, (struct sockaddr *)&target->addr, target->len)) {
        task_connect_ended(task, 0);
    } else if (errno == EINPROGRESS) {
        task->watch =
            fd_watch_new(task->context, task->fd, task_writable, task);
        fd_watch_set_events(task->watch, G_IO_OUT);
    } else if (errno == EAGAIN) {
        task->retry = g_timeout_source_new(BACKLOG_RETRY_MS);
        g_source_set_callback(task->retry, task_retry, task, NULL);
        g_source_attach(task->retry, task->context);
    } else {
        task_connect_ended(task, errno);
    }
}

static void task_set_keep_alive(QIOConnectTask *task)
{
    const InetSocketAddress *inet = &task->addr->u.inet;
    int on = 1;

    if (task->addr->type == SOCKET_ADDRESS_TYPE_INET && inet->has_keep_alive &&
        inet->keep_alive) {
        setsockopt(task->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
}

/* Tries the next address, or ends with the error of the last one. */
static void task_connect_next(QIOConnectTask *task)
{
    SocketTarget *target;

    if (task->next_target == task->targets->len) {
        task_finish(task, NULL);
        return;
    }
    target = &g_array_index(task->targets, SocketTarget, task->next_target++);
    task->fd = socket(target->addr.ss_family,
                      SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (task->fd < 0) {
        task_set_error(task, errno);
        task_connect_next(task);
        return;
    }
    task_set_keep_alive(task);
    task_connect(task);
}

/* Goes on with @targets, or ends with task->err when it is NULL. */
static void task_resolved(QIOConnectTask *task, GArray *targets)
{
    if (!targets) {
        task_finish(task, NULL);
        return;
    }
    task->targets = targets;
    task_set_phase(task, "connect");
    task_connect_next(task);
}

/* What the resolver's thread works on; it owns it until it is posted. */
typedef struct ResolveJob {
    QIOConnectTask *task;
    GArray *targets;
    Error *err;
} ResolveJob;

static void resolve_job_free(gpointer opaque)
{
    ResolveJob *job = opaque;

    g_clear_pointer(&job->targets, g_array_unref);
    error_free(job->err);
    qio_connect_task_unref(job->task);
    g_free(job);
}

static gboolean resolve_job_ended(gpointer opaque)
{
    ResolveJob *job = opaque;

    if (!task_is_done(job->task)) {
        error_propagate(&job->task->err, g_steal_pointer(&job->err));
        task_resolved(job->task, g_steal_pointer(&job->targets));
    }
    return G_SOURCE_REMOVE;
}

static void *resolve_job_thread(void *opaque)
{
    ResolveJob *job = opaque;
    /* The job may be gone before this thread has left the task's lock. */
    g_autoptr(QIOConnectTask) task = qio_connect_task_ref(job->task);

    job->targets = socket_resolve_inet(&task->addr->u.inet, 0, &job->err);
    task_post(task, resolve_job_ended, job, resolve_job_free);
    return NULL;
}

static void task_resolve_inet(QIOConnectTask *task)
{
    GArray *targets =
        socket_resolve_inet(&task->addr->u.inet, SOCKET_RESOLVE_NUMERIC, NULL);
    ResolveJob *job;
    QemuThread thread;

    if (targets) {
        task_resolved(task, targets);
        return;
    }
    job = g_new0(ResolveJob, 1);
    job->task = qio_connect_task_ref(task);
    qemu_thread_create(&thread, "resolve", resolve_job_thread, job,
                       QEMU_THREAD_DETACHED);
}

static void task_take_fd(QIOConnectTask *task)
{
    int fd = socket_address_take_fd(task->addr, &task->err);
    QIOChannel *ioc = NULL;

    if (fd >= 0 && socket_is_listening(fd)) {
        error_setg(&task->err,
                   "File descriptor '%d' is a listening socket, expected a "
                   "connected one",
                   fd);
    } else if (fd >= 0) {
        ioc = qio_channel_socket_new_fd(fd, &task->err);
    }
    if (fd >= 0 && !ioc) {
        inherited_fd_add(fd);
    }
    task_finish(task, ioc);
}

static gboolean task_start(gpointer opaque)
{
    QIOConnectTask *task = opaque;

    if (task_is_done(task)) {
        return G_SOURCE_REMOVE;
    }
    switch (task->addr->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        task_resolve_inet(task);
        break;
    case SOCKET_ADDRESS_TYPE_UNIX:
        task_resolved(task,
                      socket_resolve_unix(&task->addr->u.q_unix, &task->err));
        break;
    case SOCKET_ADDRESS_TYPE_FD:
        task_take_fd(task);
        break;
    default:
        g_assert_not_reached();
    }
    return G_SOURCE_REMOVE;
}

QIOConnectTask *qio_connect_task_new(const SocketAddress *addr,
                                     GMainContext *context, QIOConnectFn *fn,
                                     void *opaque)
{
    QIOConnectTask *task = g_new0(QIOConnectTask, 1);

    task->refcount = 2; /* the caller's, and its own until @fn has run */
    task->addr = QAPI_CLONE(SocketAddress, addr);
    task->addr_text = socket_address_to_string(addr);
    task->context = g_main_context_ref(context);
    task->fn = fn;
    task->opaque = opaque;
    task->fd = -1;
    task->phase = "resolve";
    qemu_mutex_init(&task->lock);
    task_post(task, task_start, qio_connect_task_ref(task), task_unref_notify);
    return task;
}
