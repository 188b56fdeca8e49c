/*
 * FdWatch: one file descriptor watched in a GMainContext, with the events
 * changed cheaply as often as needed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_FD_WATCH_H
#define QEMU_FD_WATCH_H

typedef struct FdWatch FdWatch;

/* @condition: what poll() reported; G_IO_HUP and G_IO_ERR come unasked. */
typedef void FdWatchFn(GIOCondition condition, void *opaque);

/*
 * Watches @fd (which stays the caller's) in @context; starts with no events.
 * @fn runs on the thread of @context and may free the watch.
 */
FdWatch *fd_watch_new(GMainContext *context, int fd, FdWatchFn *fn,
                      void *opaque);
/*
 * Like fd_watch_new(), for kinds of descriptors of which there may be thousands
 * with little traffic each: an idle watch adds no cost to an iteration of the
 * event loop, but each change of its events costs a system call.  Free the
 * watch before @fd is closed.
 */
FdWatch *fd_watch_new_shared(GMainContext *context, int fd, FdWatchFn *fn,
                             void *opaque);
/* Watches for @events (G_IO_IN, G_IO_OUT).  Thread of the context. */
void fd_watch_set_events(FdWatch *watch, GIOCondition events);
/* No callback comes after it.  Thread of the context; NULL is fine. */
void fd_watch_free(FdWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdWatch, fd_watch_free)

#endif
