/*
 * FdWatch: one file descriptor in a GMainContext.
 *
 * GLib wakes its context up whenever a polled descriptor is added, removed or
 * modified through its API, at the cost of a system call or two.  Hence the
 * poll record is added once and its events are changed in place, which GLib
 * reads anew before each poll.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/fd-watch.h"

#define UNASKED (G_IO_HUP | G_IO_ERR | G_IO_NVAL)

struct FdWatch {
    GSource source; /* first, since GLib allocates it */
    GPollFD poll;
    bool polled; /* poll is known to the source */
    FdWatchFn *fn;
    void *opaque;
};

static gboolean fd_watch_check(GSource *source)
{
    FdWatch *watch = (FdWatch *)source;

    return watch->polled && watch->poll.revents;
}

/*
 * A hang-up goes on being reported.  Whoever asked for no events is told
 * once, and then the descriptor is left out of the poll until he asks again.
 */
static void fd_watch_park(FdWatch *watch)
{
    g_source_remove_poll(&watch->source, &watch->poll);
    watch->polled = false;
}

static gboolean fd_watch_dispatch(GSource *source, GSourceFunc fn,
                                  gpointer opaque)
{
    FdWatch *watch = (FdWatch *)source;
    GIOCondition condition =
        watch->poll.revents & (watch->poll.events | UNASKED);

    watch->poll.revents = 0;
    if (!condition) {
        return G_SOURCE_CONTINUE;
    }
    if (!watch->poll.events) {
        fd_watch_park(watch);
    }
    watch->fn(condition, watch->opaque);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs fd_watch_funcs = {
    .check = fd_watch_check,
    .dispatch = fd_watch_dispatch,
};

FdWatch *fd_watch_new(GMainContext *context, int fd, FdWatchFn *fn,
                      void *opaque)
{
    FdWatch *watch = (FdWatch *)g_source_new(&fd_watch_funcs, sizeof(FdWatch));

    watch->poll.fd = fd;
    watch->fn = fn;
    watch->opaque = opaque;
    /* Else GLib takes its record out during dispatch, which is costly, too. */
    g_source_set_can_recurse(&watch->source, TRUE);
    g_source_attach(&watch->source, context);
    return watch;
}

/* No other thread may run the context right now. */
static void fd_watch_check_thread(FdWatch *watch)
{
#ifdef CONFIG_DEBUG_CHECKS
    GMainContext *context = g_source_get_context(&watch->source);

    g_assert(g_main_context_acquire(context));
    g_main_context_release(context);
#endif
}

void fd_watch_set_events(FdWatch *watch, GIOCondition events)
{
    fd_watch_check_thread(watch);
    watch->poll.events = events;
    if (events && !watch->polled) {
        watch->polled = true;
        watch->poll.revents = 0;
        g_source_add_poll(&watch->source, &watch->poll);
    }
}

void fd_watch_free(FdWatch *watch)
{
    if (watch) {
        g_source_destroy(&watch->source);
        g_source_unref(&watch->source);
    }
}
