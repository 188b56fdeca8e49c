/*
 * Locks with owners; their ranks are in lock-rank.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/domain.h"
#include "lock.h"

pid_t yc_thread_id(void)
{
    static __thread pid_t id;

    if (!id) {
        id = gettid();
    }
    return id;
}

void yc_lock_init(YcLock *lock, YcRank rank, const char *what, const char *name)
{
    qemu_mutex_init(&lock->mutex);
    lock->rank = rank;
    lock->what = what;
    lock->name = name;
    lock->owner = 0;
}

void yc_lock_destroy(YcLock *lock)
{
    qemu_mutex_destroy(&lock->mutex);
}

static void set_owner(YcLock *lock, pid_t owner)
{
    __atomic_store_n(&lock->owner, owner, __ATOMIC_RELAXED);
}

bool yc_lock_is_mine(YcLock *lock)
{
    return __atomic_load_n(&lock->owner, __ATOMIC_RELAXED) == yc_thread_id();
}

void yc_lock_take(YcLock *lock)
{
    yc_rank_enter(lock->rank, lock->what, lock->name);
    qemu_mutex_lock(&lock->mutex);
    set_owner(lock, yc_thread_id());
}

bool yc_lock_drop(YcLock *lock)
{
    if (!yc_lock_is_mine(lock)) {
        yc_misuse(NULL, "unlocking %s '%s', which this thread does not hold",
                  lock->what, lock->name);
        return false;
    }
    set_owner(lock, 0);
    qemu_mutex_unlock(&lock->mutex);
    yc_rank_leave(lock->rank, lock->name);
    return true;
}

bool yc_lock_wait(YcLock *lock, QemuCond *cond, int64_t deadline)
{
    int64_t left = deadline - g_get_monotonic_time();

    if (left <= 0) {
        return false;
    }
    set_owner(lock, 0);
    yc_rank_leave(lock->rank, lock->name);
    yc_rank_assert_none("waiting under a lock");
    qemu_cond_timedwait(cond, &lock->mutex, MIN(left / 1000 + 1, G_MAXINT32));
    yc_rank_enter(lock->rank, lock->what, lock->name);
    set_owner(lock, yc_thread_id());
    return true;
}

void yc_misuse(GError **errp, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
#ifdef CONFIG_DEBUG_CHECKS
    fprintf(stderr, "misuse of the client library: %s\n", text);
    abort();
#endif
    g_set_error_literal(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_MISUSE, text);
}
