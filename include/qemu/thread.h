/*
 * Mutexes, conditions and named threads.
 *
 * Every QemuMutex is fast in the sense of include/qemu/oob.h unless it was
 * set up by qemu_mutex_init_slow().  Each lock says beside its declaration
 * what it guards and where it stands in the order.  A debug build checks
 * that a mutex is unlocked by its owner and not taken twice by one thread.
 *
 * Built on pthreads, which ThreadSanitizer understands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_THREAD_H
#define QEMU_THREAD_H

#include <pthread.h>
#include "qapi/error.h"

typedef struct QemuMutex {
    pthread_mutex_t lock;
    bool slow;
#ifdef CONFIG_DEBUG_CHECKS
    pthread_t owner; /* meaningful while owned */
    int owned;       /* atomic */
#endif
} QemuMutex;

typedef struct QemuCond {
    pthread_cond_t cond;
} QemuCond;

typedef struct QemuThread {
    pthread_t thread;
} QemuThread;

void qemu_mutex_init(QemuMutex *mutex);
/* A lock under which its holder may block; never taken in OOB code. */
void qemu_mutex_init_slow(QemuMutex *mutex);
void qemu_mutex_destroy(QemuMutex *mutex);
void qemu_mutex_lock(QemuMutex *mutex);
void qemu_mutex_unlock(QemuMutex *mutex);
/* True when this thread holds @mutex; debug builds only, else always true. */
bool qemu_mutex_is_mine(QemuMutex *mutex);

void qemu_cond_init(QemuCond *cond);
void qemu_cond_destroy(QemuCond *cond);
void qemu_cond_signal(QemuCond *cond);
void qemu_cond_broadcast(QemuCond *cond);
/* Blocks, with @mutex released meanwhile; it must be the only lock held. */
void qemu_cond_wait(QemuCond *cond, QemuMutex *mutex);
/* The same for at most @ms milliseconds; false when they ran out. */
bool qemu_cond_timedwait(QemuCond *cond, QemuMutex *mutex, int ms);

/* The values of @joinable below. */
#define QEMU_THREAD_JOINABLE true
#define QEMU_THREAD_DETACHED false

/*
 * Starts @fn(@arg) on a thread called @name (at most 15 characters are
 * shown), with all signals blocked.
 * @joinable: true: the caller must call qemu_thread_join(); false: the
 * thread frees itself, and @thread means nothing after this call.
 * Returns false with errp set when the system refuses another thread.
 * Any thread; does not block.
 */
bool qemu_thread_try_create(QemuThread *thread, const char *name,
                            void *(*fn)(void *), void *arg, bool joinable,
                            Error **errp);
/*
 * Like qemu_thread_try_create(), for tests: aborts if the system refuses the
 * thread.
 */
void qemu_thread_create(QemuThread *thread, const char *name,
                        void *(*fn)(void *), void *arg, bool joinable);
/* Waits for @thread to end and returns what its function returned.  Blocks. */
void *qemu_thread_join(QemuThread *thread);

/*
 * Lets the calling thread give way to others of this machine, for good: for
 * bulk work beside requests that somebody waits for.
 */
void qemu_thread_give_way(void);

#endif
