/*
 * Calls on side threads.
 *
 * Some calls may never return, and nothing can interrupt them: a path on a dead
 * file system, a FIFO without a peer, a silent name server.  Such a call runs
 * on a thread of its own.  Its owner waits for it with a time limit or until it
 * is cancelled, or is notified on an event loop.  An owner that drops its
 * reference while the call still runs abandons the call: it is listed until it
 * returns, and its result is dropped.
 *
 * The owner and the side thread share @opaque.  Only the side thread may access
 * it while the call runs, and only the owner after that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_ASIDE_H
#define QEMU_ASIDE_H

#include "qapi/error.h"

/* The usual time limit of a command that waits for a side thread. */
#define ASIDE_TIMEOUT_MS 10000

/*
 * At most this many calls may be abandoned; beyond that no call is started.
 * Calls with the same description have a limit of their own, so that an owner
 * that tries a dead path again and again does not exhaust the common limit.  It
 * counts the calls that began more than ASIDE_STUCK_MS milliseconds ago.
 */
#define ASIDE_MAX_ABANDONED 256
#define ASIDE_MAX_ABANDONED_SAME 8
#define ASIDE_STUCK_MS 1000

typedef struct AsideCall AsideCall;
typedef void AsideFn(void *opaque);

/*
 * Starts @fn(@opaque) on a thread of its own.  Any thread; does not block.
 *
 * @what: describes the call, such as "opening '/images/a.raw'"; copied.  It
 *     names the object, since ASIDE_MAX_ABANDONED_SAME counts equal
 *     descriptions.
 * @free_opaque: frees @opaque when neither the owner nor the side thread needs
 *     it any more, on the thread that drops the last reference; called exactly
 *     once, also on failure; NULL if @opaque needs no freeing
 *
 * Returns a call that the caller owns.  Returns NULL with errp set when the
 * system refuses a thread or too many calls are abandoned, in total or with
 * this description.
 */
AsideCall *aside_start(const char *what, AsideFn *fn, void *opaque,
                       GDestroyNotify free_opaque, Error **errp);

/*
 * Like aside_start(), for an owner that does not wait: runs @done(@opaque) on
 * @context after the call has returned, unless the owner has dropped its
 * reference before.  Call this function and aside_unref() on the thread that
 * runs @context.  The owner keeps @context alive until aside_unref().
 */
AsideCall *aside_start_async(const char *what, AsideFn *fn, void *opaque,
                             GDestroyNotify free_opaque, GMainContext *context,
                             AsideFn *done, Error **errp);

/*
 * Waits until the call has returned, and then returns true.  Returns false with
 * errp set when @timeout_ms milliseconds have passed or the wait was cancelled.
 * A negative @timeout_ms means no limit; the wait must then be cancellable by
 * another thread.  Any thread; blocks.
 */
bool aside_wait(AsideCall *call, int timeout_ms, Error **errp);

/*
 * Makes a present or later aside_wait() fail.  The call itself goes on.
 * Returns true if the call had neither returned nor been cancelled before.  Any
 * thread that holds a reference, OOB-safe.
 */
bool aside_cancel(AsideCall *call);

/* Adds an owner and returns @call.  Any thread, OOB-safe. */
AsideCall *aside_ref(AsideCall *call);
/*
 * Drops an owner's reference.  When the last owner does so, a call that still
 * runs is abandoned.  NULL is allowed.  Any thread; does not block unless
 * @free_opaque does.
 */
void aside_unref(AsideCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AsideCall, aside_unref)

/*
 * Calls @fn for each abandoned call, oldest first, with the description given
 * to aside_start() and the microseconds since the call began.  @fn runs under a
 * fast lock.  Any thread, OOB-safe.
 */
typedef void AsideAbandonedFn(const char *what, int64_t age_us, void *opaque);
void aside_foreach_abandoned(AsideAbandonedFn *fn, void *opaque);

/*
 * Waits until no abandoned call runs any more.  Returns false after @timeout_ms
 * milliseconds.  For the end of the process: some abandoned calls remove files.
 * Any thread; blocks.
 */
bool aside_wait_abandoned(int timeout_ms);

#endif
