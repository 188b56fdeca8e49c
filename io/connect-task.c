/*
 * Connect task: every step runs on the thread of the task's context.  Other
 * threads touch only what the task's lock guards.
 *
 *   start -> resolve -> connect (address by address) -> done
 *
 * Two calls may block for ever: name resolution, and connect(2) to a unix
 * path, which looks the path up in a file system.  They run on side threads
 * (qemu/aside.h).
 *
 * Cancelling marks the task and wakes the context up, where the task ends and
 * abandons a side thread that still runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/un.h>
#include "io/connect-task.h"
#include "io/inherited-fd.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/aside.h"
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
    AsideCall *aside; /* resolves or connects to a path, or NULL */
    Error *err;       /* of the last address that was tried */
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
 * Runs @fn(@opaque) on the context's thread, and then frees @opaque.  After the
 * task is done it only frees @opaque, since the context may not run any more.
 *
 * Holds the lock up to the end: the task drops its reference to the context
 * under this lock when it is done, and both g_source_attach() and
 * g_source_unref() access the context.
 */
static void task_post(QIOConnectTask *task, GSourceFunc fn, void *opaque,
                      GDestroyNotify free_opaque)
{
    GSource *source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, fn, opaque, free_opaque);
    WITH_QEMU_LOCK_GUARD(&task->lock) {
        if (!task->done) {
            g_source_attach(source, task->context);
            g_source_unref(source);
            return;
        }
    }
    g_source_unref(source);
}

static void task_stop_io(QIOConnectTask *task)
{
    g_clear_pointer(&task->watch, fd_watch_free);
    g_clear_pointer(&task->aside, aside_unref);
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

static void task_connect_returned(QIOConnectTask *task, int err)
{
    if (err == EINPROGRESS) {
        task->watch =
            fd_watch_new(task->context, task->fd, task_writable, task);
        fd_watch_set_events(task->watch, G_IO_OUT);
    } else if (err == EAGAIN) {
        task->retry = g_timeout_source_new(BACKLOG_RETRY_MS);
        g_source_set_callback(task->retry, task_retry, task, NULL);
        g_source_attach(task->retry, task->context);
    } else {
        task_connect_ended(task, err);
    }
}

/* A connect(2) to a unix path on a side thread, which owns the socket. */
typedef struct PathConnect {
    QIOConnectTask *task; /* exists until the task has dropped the call */
    SocketTarget target;
    int fd;
    int err;
} PathConnect;

static void path_connect_free(gpointer opaque)
{
    PathConnect *pc = opaque;

    if (pc->fd >= 0) {
        close(pc->fd);
    }
    g_free(pc);
}

static void path_connect_run(void *opaque)
{
    PathConnect *pc = opaque;

    pc->err =
        connect(pc->fd, (struct sockaddr *)&pc->target.addr, pc->target.len)
            ? errno
            : 0;
}

static void path_connect_returned(void *opaque)
{
    PathConnect *pc = opaque;
    QIOConnectTask *task = pc->task;

    task->fd = pc->fd;
    pc->fd = -1;
    g_clear_pointer(&task->aside, aside_unref);
    task_connect_returned(task, pc->err);
}

static void task_connect_path(QIOConnectTask *task, const SocketTarget *target)
{
    g_autofree char *what =
        g_strdup_printf("connecting to '%s'", task->addr->u.q_unix.path);
    PathConnect *pc = g_new0(PathConnect, 1);

    pc->task = task;
    pc->target = *target;
    pc->fd = task->fd;
    task->fd = -1;
    g_clear_pointer(&task->err, error_free);
    task->aside =
        aside_start_async(what, path_connect_run, pc, path_connect_free,
                          task->context, path_connect_returned, &task->err);
    if (!task->aside) {
        task_connect_next(task);
    }
}

/* An abstract name of a unix socket is not looked up in a file system. */
static bool is_path(const SocketTarget *target)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&target->addr;

    return target->addr.ss_family == AF_UNIX && un->sun_path[0];
}

static void task_connect(QIOConnectTask *task)
{
    SocketTarget *target =
        &g_array_index(task->targets, SocketTarget, task->next_target - 1);

    if (is_path(target)) {
        task_connect_path(task, target);
        return;
    }
    task_connect_returned(
        task, connect(task->fd, (struct sockaddr *)&target->addr, target->len)
                  ? errno
                  : 0);
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

/* A name resolution on a side thread. */
typedef struct Resolution {
    QIOConnectTask *task; /* exists until the task has dropped the call */
    InetSocketAddress *inet;
    GArray *targets;
    Error *err;
} Resolution;

static void resolution_free(gpointer opaque)
{
    Resolution *r = opaque;

    qapi_free_InetSocketAddress(r->inet);
    g_clear_pointer(&r->targets, g_array_unref);
    error_free(r->err);
    g_free(r);
}

static void resolution_run(void *opaque)
{
    Resolution *r = opaque;

    r->targets = socket_resolve_inet(r->inet, 0, &r->err);
}

static void resolution_returned(void *opaque)
{
    Resolution *r = opaque;
    QIOConnectTask *task = r->task;

    g_clear_pointer(&task->aside, aside_unref);
    error_propagate(&task->err, g_steal_pointer(&r->err));
    task_resolved(task, g_steal_pointer(&r->targets));
}

static void task_resolve_inet(QIOConnectTask *task)
{
    GArray *targets =
        socket_resolve_inet(&task->addr->u.inet, SOCKET_RESOLVE_NUMERIC, NULL);
    g_autofree char *what = NULL;
    Resolution *r;

    if (targets) {
        task_resolved(task, targets);
        return;
    }
    what = g_strdup_printf("resolving '%s'", task->addr->u.inet.host);
    r = g_new0(Resolution, 1);
    r->task = task;
    r->inet = QAPI_CLONE(InetSocketAddress, &task->addr->u.inet);
    task->aside =
        aside_start_async(what, resolution_run, r, resolution_free,
                          task->context, resolution_returned, &task->err);
    if (!task->aside) {
        task_finish(task, NULL);
    }
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
