/*
 * Calls on side threads that may be left behind.
 *
 * Some calls may never return, and nothing can interrupt them: a path on a
 * dead file system, a FIFO without a peer, a silent name server.  Such a call
 * runs on a thread of its own.  Its owner waits for it with a bound or until
 * it is cancelled, or is notified on an event loop.  An owner that lets go of
 * a call that still runs abandons it: the call is listed until it returns,
 * and its result is dropped.
 *
 * The owner and the side thread share @opaque.  The side thread alone may
 * touch it while the call runs, and the owner alone afterwards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_ASIDE_H
#define QEMU_ASIDE_H

#include "qapi/error.h"

/* The usual bound of a command that waits for a side thread. */
#define ASIDE_TIMEOUT_MS 10000

/*
 * At most this many calls may be abandoned; then no further one is started.
 * Those with the same words are bounded on their own: an owner that tries a
 * dead path again and again does not use up what others need.
 */
#define ASIDE_MAX_ABANDONED 256
#define ASIDE_MAX_ABANDONED_SAME 8

typedef struct AsideCall AsideCall;
typedef void AsideFn(void *opaque);

/*
 * Starts @fn(@opaque) on a thread of its own.  Any thread; does not block.
 *
 * @what: the call in words, such as "opening '/images/a.raw'"; copied.  It
 *     names the object, since ASIDE_MAX_ABANDONED_SAME counts equal words.
 * @free_opaque: frees @opaque when neither the owner nor the side thread
 *     needs it any more, on the thread of whichever lets go last; called
 *     exactly once, also on failure; NULL when nothing is to be freed
 *
 * Returns a call whose owner the caller is.  Returns NULL with errp set when
 * no thread can be had or too many calls are abandoned, all in all or with
 * these words.
 */
AsideCall *aside_start(const char *what, AsideFn *fn, void *opaque,
                       GDestroyNotify free_opaque, Error **errp);

/*
 * The same without a wait: runs @done(@opaque) on @context when the call has
 * returned, unless its owner has let go before.  Call this, and let go, on
 * the thread that runs @context, which the owner keeps alive until it lets go.
 */
AsideCall *aside_start_async(const char *what, AsideFn *fn, void *opaque,
                             GDestroyNotify free_opaque, GMainContext *context,
                             AsideFn *done, Error **errp);

/*
 * Waits until the call has returned: true.  Returns false with errp set when
 * @timeout_ms milliseconds have passed or the wait was cancelled; a negative
 * @timeout_ms is no limit, and then something must be able to cancel the
 * wait.  Any thread; blocks.
 */
bool aside_wait(AsideCall *call, int timeout_ms, Error **errp);

/*
 * Makes aside_wait() fail, now or when it is called.  The call itself goes
 * on.  Any thread that holds a reference, OOB-safe.  True when the call had
 * not returned and was not cancelled before.
 */
bool aside_cancel(AsideCall *call);

/* One more owner.  Any thread, OOB-safe. */
AsideCall *aside_ref(AsideCall *call);
/*
 * Lets go; when the last owner does, a call that still runs is abandoned.
 * NULL is allowed.  Any thread; does not block unless @free_opaque does.
 */
void aside_unref(AsideCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AsideCall, aside_unref)

/*
 * Calls @fn for each abandoned call, oldest first, with the words given to
 * aside_start() and the microseconds since the call began.  @fn runs under a
 * fast lock.  Any thread, OOB-safe.
 */
typedef void AsideAbandonedFn(const char *what, int64_t age_us, void *opaque);
void aside_foreach_abandoned(AsideAbandonedFn *fn, void *opaque);

/*
 * Waits until no abandoned call runs any more, for at most @timeout_ms
 * milliseconds; then it returns false.  For the end of the process: some calls
 * that nobody waits for remove files.  Any thread; blocks.
 */
bool aside_wait_abandoned(int timeout_ms);

#endif
