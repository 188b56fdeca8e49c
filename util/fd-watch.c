/*
 * FdWatch: watches one file descriptor in a GMainContext.
 *
 * GLib wakes the context up whenever a polled descriptor is added, removed or
 * modified through its API, at the cost of one or two system calls.  Therefore
 * a watch adds its poll record once and then changes the events in place; GLib
 * reads them anew before each poll.
 *
 * Such a watch is a GSource of its own, and a context checks all of its sources
 * in each iteration.  For kinds of descriptors of which there may be thousands,
 * shared watches keep the cost of an iteration constant: all shared watches of
 * a context together are one source, which polls an epoll instance.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/epoll.h>
#include "qemu/fd-watch.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"

#define UNASKED (G_IO_HUP | G_IO_ERR | G_IO_NVAL)

/* How many events a shared source reads from the kernel at a time. */
#define BATCH 64

/* poll(), epoll and GLib use the same event bits. */
G_STATIC_ASSERT((int)EPOLLIN == POLLIN && (int)EPOLLOUT == POLLOUT);
G_STATIC_ASSERT((int)EPOLLHUP == POLLHUP && (int)EPOLLERR == POLLERR);

typedef struct OwnSource OwnSource;
typedef struct SharedSource SharedSource;

struct FdWatch {
    GMainContext *context;
    int fd;
    GIOCondition events;
    bool polled; /* fd is in the poll record or the epoll instance */
    FdWatchFn *fn;
    void *opaque;
    SharedSource *shared; /* NULL unless the watch is a shared one */
    OwnSource *own;       /* NULL for a shared watch that epoll accepts */
};

struct OwnSource {
    GSource source; /* first member, since GLib allocates the struct */
    GPollFD poll;
    FdWatch *watch;
};

struct SharedSource {
    GSource source; /* first member, since GLib allocates the struct */
    GMainContext *context;
    int epoll_fd;
    guint n_watches; /* guarded by shared_lock */
    /*
     * Events read from the kernel and not yet passed on.  The context's thread.
     */
    struct epoll_event ready[BATCH];
    int n_ready;
};

/* Guards the table.  Fast; under it the lock of a context is taken. */
static QemuMutex shared_lock;
static GHashTable *shared_sources; /* GMainContext -> SharedSource */

static void __attribute__((constructor)) fd_watch_construct(void)
{
    qemu_mutex_init(&shared_lock);
}

/*
 * Removes the descriptor from the poll until events are asked for again.  The
 * kernel reports a hang-up in each poll; a watch for no events passes it on
 * only once.
 */
static void watch_park(FdWatch *watch)
{
    watch->polled = false;
    if (watch->own) {
        g_source_remove_poll(&watch->own->source, &watch->own->poll);
    } else {
        epoll_ctl(watch->shared->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    }
}

/*
 * Runs the callback, which may free @watch: the caller must not access @watch
 * afterwards.
 */
static void watch_tell(FdWatch *watch, GIOCondition reported)
{
    GIOCondition condition = reported & (watch->events | UNASKED);

    if (!condition) {
        return;
    }
    if (!watch->events) {
        watch_park(watch);
    }
    watch->fn(condition, watch->opaque);
}

static gboolean own_check(GSource *source)
{
    OwnSource *own = (OwnSource *)source;

    return own->watch->polled && own->poll.revents;
}

static gboolean own_dispatch(GSource *source, GSourceFunc fn, gpointer opaque)
{
    OwnSource *own = (OwnSource *)source;
    GIOCondition reported = own->poll.revents;

    own->poll.revents = 0;
    watch_tell(own->watch, reported);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs own_funcs = {
    .check = own_check,
    .dispatch = own_dispatch,
};

static void watch_attach(GSource *source, GMainContext *context)
{
    /*
     * Otherwise GLib removes and adds the poll record around each dispatch, at
     * the cost of more system calls.
     */
    g_source_set_can_recurse(source, TRUE);
    g_source_attach(source, context);
}

static void own_attach(FdWatch *watch)
{
    OwnSource *own = (OwnSource *)g_source_new(&own_funcs, sizeof(OwnSource));

    own->poll.fd = watch->fd;
    own->watch = watch;
    watch->own = own;
    watch_attach(&own->source, watch->context);
}

/* A callback may free watches that have events in the same batch. */
static gboolean shared_dispatch(GSource *source, GSourceFunc fn,
                                gpointer opaque)
{
    SharedSource *shared = (SharedSource *)source;

    shared->n_ready = epoll_wait(shared->epoll_fd, shared->ready, BATCH, 0);
    for (int i = 0; i < shared->n_ready; i++) {
        FdWatch *watch = shared->ready[i].data.ptr;

        shared->ready[i].data.ptr = NULL;
        if (watch) {
            watch_tell(watch, shared->ready[i].events);
        }
    }
    shared->n_ready = 0;
    return G_SOURCE_CONTINUE;
}

static void shared_forget_ready(SharedSource *shared, FdWatch *watch)
{
    for (int i = 0; i < shared->n_ready; i++) {
        if (shared->ready[i].data.ptr == watch) {
            shared->ready[i].data.ptr = NULL;
        }
    }
}

static void shared_finalize(GSource *source)
{
    close(((SharedSource *)source)->epoll_fd);
}

static GSourceFuncs shared_funcs = {
    .dispatch = shared_dispatch,
    .finalize = shared_finalize,
};

/* Returns NULL when the process has no descriptor left. */
static SharedSource *shared_new(GMainContext *context)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    SharedSource *shared;

    if (fd < 0) {
        return NULL;
    }
    shared = (SharedSource *)g_source_new(&shared_funcs, sizeof(*shared));
    shared->context = context;
    shared->epoll_fd = fd;
    g_source_add_unix_fd(&shared->source, fd, G_IO_IN);
    watch_attach(&shared->source, context);
    return shared;
}

/*
 * Adds a watch to the shared source of @context.  Returns NULL when the source
 * cannot be made.
 */
static SharedSource *shared_get(GMainContext *context)
{
    SharedSource *shared;

    QEMU_LOCK_GUARD(&shared_lock);
    if (!shared_sources) {
        shared_sources = g_hash_table_new(NULL, NULL);
    }
    shared = g_hash_table_lookup(shared_sources, context);
    if (!shared) {
        shared = shared_new(context);
        if (!shared) {
            return NULL;
        }
        g_hash_table_insert(shared_sources, context, shared);
    }
    shared->n_watches++;
    return shared;
}

/*
 * Removes a watch.  The last one frees the source, and the last source the
 * table.
 */
static void shared_put(SharedSource *shared)
{
    WITH_QEMU_LOCK_GUARD(&shared_lock) {
        if (--shared->n_watches > 0) {
            return;
        }
        g_hash_table_remove(shared_sources, shared->context);
        if (g_hash_table_size(shared_sources) == 0) {
            g_clear_pointer(&shared_sources, g_hash_table_unref);
        }
    }
    g_source_destroy(&shared->source);
    g_source_unref(&shared->source);
}

static FdWatch *watch_new(GMainContext *context, int fd, FdWatchFn *fn,
                          void *opaque)
{
    FdWatch *watch = g_new0(FdWatch, 1);

    watch->context = context;
    watch->fd = fd;
    watch->fn = fn;
    watch->opaque = opaque;
    return watch;
}

FdWatch *fd_watch_new(GMainContext *context, int fd, FdWatchFn *fn,
                      void *opaque)
{
    FdWatch *watch = watch_new(context, fd, fn, opaque);

    own_attach(watch);
    return watch;
}

FdWatch *fd_watch_new_shared(GMainContext *context, int fd, FdWatchFn *fn,
                             void *opaque)
{
    FdWatch *watch =
        watch_new(context ? context : g_main_context_default(), fd, fn, opaque);

    watch->shared = shared_get(watch->context);
    if (!watch->shared) {
        own_attach(watch);
    }
    return watch;
}

/* No other thread may run the context right now. */
static void fd_watch_check_thread(FdWatch *watch)
{
#ifdef CONFIG_DEBUG_CHECKS
    g_assert(g_main_context_acquire(watch->context));
    g_main_context_release(watch->context);
#endif
}

static void own_set_events(FdWatch *watch, GIOCondition events)
{
    OwnSource *own = watch->own;

    own->poll.events = events;
    if (events && !watch->polled) {
        watch->polled = true;
        own->poll.revents = 0;
        g_source_add_poll(&own->source, &own->poll);
    }
}

/*
 * Returns false when the kernel refuses the descriptor: epoll watches no
 * regular files, and no descriptor twice in one instance.
 */
static bool shared_set_events(FdWatch *watch, GIOCondition events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int op = watch->polled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (!watch->polled && !events) {
        return true;
    }
    watch->polled =
        epoll_ctl(watch->shared->epoll_fd, op, watch->fd, &event) == 0;
    return watch->polled;
}

void fd_watch_set_events(FdWatch *watch, GIOCondition events)
{
    fd_watch_check_thread(watch);
    watch->events = events;
    if (!watch->own && !shared_set_events(watch, events)) {
        own_attach(watch);
    }
    if (watch->own) {
        own_set_events(watch, events);
    }
}

void fd_watch_free(FdWatch *watch)
{
    if (!watch) {
        return;
    }
    if (watch->own) {
        g_source_destroy(&watch->own->source);
        g_source_unref(&watch->own->source);
    } else if (watch->polled) {
        watch_park(watch);
    }
    if (watch->shared) {
        shared_forget_ready(watch->shared, watch);
        shared_put(watch->shared);
    }
    g_free(watch);
}
