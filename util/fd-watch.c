/*
 * FdWatch: one file descriptor in a GMainContext.
 *
 * GLib wakes its context up whenever a polled descriptor is added, removed or
 * modified through its API, at the cost of a system call or two.  Hence the
 * poll record is added once and its events are changed in place, which GLib
 * reads anew before each poll.
 *
 * Each such watch is a GSource, and a context looks at all of its sources in
 * each round.  Where there may be thousands of descriptors, shared watches
 * keep the cost of a round constant: all of a context together are one source,
 * which polls an epoll instance.
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

/* How many events a shared source takes from the kernel at a time. */
#define BATCH 64

/* The events of epoll, and GLib's, are those of poll(). */
G_STATIC_ASSERT((int)EPOLLIN == POLLIN && (int)EPOLLOUT == POLLOUT);
G_STATIC_ASSERT((int)EPOLLHUP == POLLHUP && (int)EPOLLERR == POLLERR);

typedef struct OwnSource OwnSource;
typedef struct SharedSource SharedSource;

struct FdWatch {
    GMainContext *context;
    int fd;
    GIOCondition events;
    bool polled; /* the kernel is, or will be, asked about fd */
    FdWatchFn *fn;
    void *opaque;
    SharedSource *shared; /* NULL unless the watch is a shared one */
    OwnSource *own;       /* NULL in a shared watch that the kernel accepts */
};

struct OwnSource {
    GSource source; /* first, since GLib allocates it */
    GPollFD poll;
    FdWatch *watch;
};

struct SharedSource {
    GSource source; /* first, since GLib allocates it */
    GMainContext *context;
    int epoll_fd;
    guint n_watches; /* guarded by shared_lock */
    /* The context's thread: events taken and not yet told. */
    struct epoll_event ready[BATCH];
    int n_ready;
};

/* Guards the table.  Fast; the lock of a context is taken under it. */
static QemuMutex shared_lock;
static GHashTable *shared_sources; /* GMainContext -> SharedSource */

static void __attribute__((constructor)) fd_watch_construct(void)
{
    qemu_mutex_init(&shared_lock);
}

/*
 * A hang-up goes on being reported.  A watch for no events is told once, and
 * then the descriptor is left out of the poll until events are asked for
 * again.
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

/* The last thing a source does with @watch, which @fn may free. */
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
    /* Else GLib takes its record out during dispatch, which is costly, too. */
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

/* NULL when there is no descriptor left for it. */
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

/* The one of @context, with one more watch; NULL when there is none. */
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

/* One watch less.  The table goes with its last entry. */
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
 * False when the kernel refuses: it watches no files, and no descriptor twice
 * for one epoll instance.
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
