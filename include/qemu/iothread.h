/*
 * IOThread: a named thread with an event loop (a GMainContext).
 *
 * Code on an I/O thread must never block on a peer.  Before each poll the
 * thread runs the functions that were deferred since the last poll, so that the
 * output of many callbacks (such as replies to a client) leaves in one system
 * call.
 *
 * The rule for posts between threads: code that posts to an event loop, an I/O
 * thread or a session of another thread holds a reference to every object that
 * the post accesses until the post has returned.  The posted function may run,
 * and its consequences may free those objects, before the post returns.
 * docs/devel/oob.rst shows examples.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_IOTHREAD_H
#define QEMU_IOTHREAD_H

#include "qapi/error.h"

typedef struct IOThread IOThread;
typedef void IOThreadFn(void *opaque);

/*
 * Starts a thread called @name.  Any thread; does not block.  The caller
 * holds a reference; the last iothread_unref() stops and joins the thread.
 * Returns NULL with errp set when no descriptor or no thread can be had.
 */
IOThread *iothread_try_new(const char *name, Error **errp);
/* Like iothread_try_new(), for tests: aborts if the system refuses a thread. */
IOThread *iothread_new(const char *name);
/* Returns @iothread with one more reference.  Any thread, OOB-safe. */
IOThread *iothread_ref(IOThread *iothread);
/*
 * Drops a reference; NULL is allowed.  Dropping the last one blocks until the
 * thread has run everything posted to it and has ended.  Any thread but
 * @iothread itself.
 */
void iothread_unref(IOThread *iothread);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IOThread, iothread_unref)

const char *iothread_name(const IOThread *iothread);

/* The context to attach sources to; lives as long as @iothread. */
GMainContext *iothread_get_g_main_context(IOThread *iothread);

/* The IOThread this code runs on, or NULL.  Any thread. */
IOThread *iothread_current(void);

/*
 * Queues @fn(@opaque) to run on @iothread, in the order of the posts.  The
 * caller guarantees that @iothread exists at the time of the call; @fn may drop
 * the last reference before iothread_post() returns.  Any thread, OOB-safe.
 */
void iothread_post(IOThread *iothread, IOThreadFn *fn, void *opaque);

/*
 * Declares that all code on @iothread keeps the out-of-band contract
 * (docs/devel/oob.rst); a debug build then enforces it.  Any thread.
 */
void iothread_mark_oob(IOThread *iothread);

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

/*
 * Starts the default I/O thread for data.  Returns false with errp set when the
 * system refuses the thread.  Main thread, once, at startup.
 */
bool iothread_default_init(Error **errp);
/*
 * The default I/O thread.  If iothread_default_init() was not called, as in
 * tests, the first call starts the thread.  Main thread.
 */
IOThread *iothread_default(void);
/* Ends the default I/O thread.  Main thread, at exit. */
void iothread_default_cleanup(void);

#endif
