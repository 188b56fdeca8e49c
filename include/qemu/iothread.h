/*
 * IOThread: a named thread with an event loop (a GMainContext).
 *
 * What runs on it must never block on a peer.  Before each poll it runs the
 * functions deferred during that round, so that what many callbacks produced
 * (replies to a client, say) leaves in one system call.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_IOTHREAD_H
#define QEMU_IOTHREAD_H

#include "qapi/error.h"

typedef struct IOThread IOThread;
typedef void IOThreadFn(void *opaque);

/*
 * Starts a thread called @name.  Main thread; does not block.  The caller
 * holds a reference; the last iothread_unref() stops and joins it.
 */
IOThread *iothread_new(const char *name);
/* The same, or NULL with errp set when the process has no descriptor left. */
IOThread *iothread_try_new(const char *name, Error **errp);
IOThread *iothread_ref(IOThread *iothread);
/* Main thread; waits for the thread to end when it was the last reference. */
void iothread_unref(IOThread *iothread);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IOThread, iothread_unref)

const char *iothread_name(const IOThread *iothread);

/* The context to attach sources to; lives as long as @iothread. */
GMainContext *iothread_get_g_main_context(IOThread *iothread);

/* The IOThread this code runs on, or NULL.  Any thread. */
IOThread *iothread_current(void);

/* Queues @fn(@opaque) to run on @iothread, in order.  Any thread, OOB-safe. */
void iothread_post(IOThread *iothread, IOThreadFn *fn, void *opaque);

/*
 * Runs @fn(@opaque) on @iothread and waits until it has run; on @iothread
 * itself it is a plain call.  Blocks for a moment only, since an I/O thread
 * never blocks; still not OOB-safe.
 */
void iothread_run(IOThread *iothread, IOThreadFn *fn, void *opaque);

/*
 * Runs @fn(@opaque) once before the current I/O thread polls next; may be
 * called again from @fn.  On an I/O thread only.  Whoever may go away before
 * then calls iothread_undefer().
 */
void iothread_defer(IOThreadFn *fn, void *opaque);
void iothread_undefer(IOThreadFn *fn, void *opaque);

/*
 * How long the thread polls without sleeping, in nanoseconds, before it
 * waits for events; 0 turns busy polling off.  Any thread.
 */
void iothread_set_poll_max_ns(IOThread *iothread, int64_t ns);
int64_t iothread_get_poll_max_ns(IOThread *iothread);

/* The default I/O thread for data; made on first use.  Main thread. */
IOThread *iothread_default(void);
/* Ends the default I/O thread.  Main thread, at exit. */
void iothread_default_cleanup(void);

#endif
