/*
 * Name resolution for those who may wait: the name server is asked by a thread
 * of its own, which is left alone when the wait is cancelled.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/oob.h"
#include "qemu/thread.h"
#include "socket-address-internal.h"

/* Of two threads; the last one to let go frees it. */
typedef struct ResolveWait {
    int refcount; /* atomic */
    InetSocketAddress *inet;
    unsigned flags;
    int done_fd; /* an eventfd: done is set */
    bool done;   /* atomic: what follows is there */
    GArray *targets;
    Error *err;
} ResolveWait;

static void resolve_wait_unref(ResolveWait *wait)
{
    if (__atomic_sub_fetch(&wait->refcount, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    qapi_free_InetSocketAddress(wait->inet);
    g_clear_pointer(&wait->targets, g_array_unref);
    error_free(wait->err);
    close(wait->done_fd);
    g_free(wait);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ResolveWait, resolve_wait_unref)

static void *resolve_thread(void *opaque)
{
    g_autoptr(ResolveWait) wait = opaque;

    wait->targets = socket_resolve_inet(wait->inet, wait->flags, &wait->err);
    __atomic_store_n(&wait->done, true, __ATOMIC_RELEASE);
    eventfd_write(wait->done_fd, 1);
    return NULL;
}

static ResolveWait *resolve_begin(const InetSocketAddress *inet, unsigned flags,
                                  Error **errp)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ResolveWait *wait;
    QemuThread thread;

    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to create an eventfd");
        return NULL;
    }
    wait = g_new0(ResolveWait, 1);
    wait->refcount = 2; /* the caller's, and the thread's */
    wait->inet = QAPI_CLONE(InetSocketAddress, inet);
    wait->flags = flags;
    wait->done_fd = fd;
    if (!qemu_thread_try_create(&thread, "resolve", resolve_thread, wait,
                                QEMU_THREAD_DETACHED, errp)) {
        wait->refcount = 1;
        resolve_wait_unref(wait);
        return NULL;
    }
    return wait;
}

/* False when @cancel_fd came first. */
static bool resolve_await(ResolveWait *wait, int cancel_fd)
{
    struct pollfd pfds[] = {
        {wait->done_fd, POLLIN, 0},
        {cancel_fd, POLLIN, 0},
    };

    while (poll(pfds, G_N_ELEMENTS(pfds), -1) < 0) {
        /* Interrupted. */
    }
    return __atomic_load_n(&wait->done, __ATOMIC_ACQUIRE);
}

GArray *socket_resolve_inet_wait(const InetSocketAddress *inet, unsigned flags,
                                 int cancel_fd, Error **errp)
{
    g_autoptr(ResolveWait) wait = NULL;
    GArray *targets =
        socket_resolve_inet(inet, flags | SOCKET_RESOLVE_NUMERIC, NULL);

    oob_assert_may_block("socket_resolve_inet_wait");
    if (targets) {
        return targets;
    }
    wait = resolve_begin(inet, flags, errp);
    if (!wait) {
        return NULL;
    }
    if (!resolve_await(wait, cancel_fd)) {
        error_setg(errp, "address resolution was cancelled for %s:%s",
                   inet->host, inet->port);
        return NULL;
    }
    error_propagate(errp, g_steal_pointer(&wait->err));
    return g_steal_pointer(&wait->targets);
}
