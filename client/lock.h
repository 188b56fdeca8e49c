/*
 * Locks of the domain half of the library, each with a rank.
 *
 * The order: a lock is taken only while every lock that this thread holds has
 * a lower rank.  So the driver's list comes first, then one domain, and then
 * either the monitor or the agent, which are no locks of their own but marks
 * under the domain's lock that outlive it.  A debug build keeps the ranks that
 * each thread holds, and aborts with both names on a breach.
 *
 * All of these locks are fast: nothing sleeps under them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_LOCK_H
#define CLIENT_LOCK_H

#include <glib.h>
#include "qemu/thread.h"

typedef enum YcRank {
    YC_RANK_DRIVER = 1,
    YC_RANK_DOMAIN,
    YC_RANK_MONITOR,
    YC_RANK_AGENT = YC_RANK_MONITOR, /* never both */
} YcRank;

typedef struct YcLock {
    QemuMutex mutex;
    YcRank rank;
    const char *what; /* of static storage: "domain" */
    const char *name; /* lives as long as the lock: "vm1" */
    pid_t owner;      /* atomic; 0: nobody */
} YcLock;

void yc_lock_init(YcLock *lock, YcRank rank, const char *what,
                  const char *name);
void yc_lock_destroy(YcLock *lock);
void yc_lock_take(YcLock *lock);
/* False, with nothing done, when this thread does not hold it. */
bool yc_lock_drop(YcLock *lock);
bool yc_lock_is_mine(YcLock *lock);
/*
 * Waits on @cond until @deadline (g_get_monotonic_time()) with @lock, which
 * must be the only one held, released meanwhile; false when that has passed.
 */
bool yc_lock_wait(YcLock *lock, QemuCond *cond, int64_t deadline);

static inline void yc_lock_guard_drop(YcLock *lock)
{
    yc_lock_drop(lock);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YcLock, yc_lock_guard_drop)

static inline YcLock *yc_lock_guard_take(YcLock *lock)
{
    yc_lock_take(lock);
    return lock;
}

/* Holds @lock until the end of the enclosing block. */
#define YC_LOCK_GUARD_NAME2(line) yc_lock_guard_##line
#define YC_LOCK_GUARD_NAME(line) YC_LOCK_GUARD_NAME2(line)
#define YC_LOCK_GUARD(lock)                                                    \
    g_autoptr(YcLock) YC_LOCK_GUARD_NAME(__LINE__) G_GNUC_UNUSED =             \
        yc_lock_guard_take(lock)

/* Of the calling thread, as messages name it. */
pid_t yc_thread_id(void);

/* What is held without a mutex of its own: the monitor, the agent. */
void yc_rank_enter(YcRank rank, const char *what, const char *name);
void yc_rank_leave(YcRank rank, const char *name);
/* Whether this thread is in that; a release build does not know: true. */
bool yc_rank_is_entered(YcRank rank, const char *name);
/* Before code of the user is called. */
void yc_rank_assert_none(const char *where);

/*
 * A mistake of the caller: aborts a debug build with the message, else sets
 * @errp to YC_DOMAIN_ERROR_MISUSE.
 */
void yc_misuse(GError **errp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

#endif
