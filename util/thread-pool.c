/*
 * Thread pool for blocking work.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/thread-pool.h"

/*
 * Enough calls at a time to keep a flash drive's queue filled, few enough
 * that workers of one slow disk do not drown a small machine in threads;
 * what exceeds it waits its turn here instead of inside the kernel.
 */
#define MAX_WORKERS 16

typedef struct PoolWork {
    IOThread *iothread;
    ThreadPoolWork *work;
    ThreadPoolDone *done;
    void *opaque;
    int ret;
    struct PoolWork *next;
} PoolWork;

static struct {
    /* Guards all below.  Fast; nothing is taken under it. */
    QemuMutex lock;
    QemuCond cond; /* work came, or stopping was set */
    PoolWork *head;
    PoolWork **tail;
    unsigned n_queued;
    unsigned n_idle;
    unsigned n_workers;
    bool stopping;
    /* Slots below n_workers; set by submitters, read when all are gone. */
    QemuThread workers[MAX_WORKERS];
} pool;

static void __attribute__((constructor)) thread_pool_init(void)
{
    qemu_mutex_init(&pool.lock);
    qemu_cond_init(&pool.cond);
    pool.tail = &pool.head;
}

/* NULL when the worker is to end. */
static PoolWork *pool_next(void)
{
    PoolWork *item;

    QEMU_LOCK_GUARD(&pool.lock);
    pool.n_idle++;
    while (!pool.head && !pool.stopping) {
        qemu_cond_wait(&pool.cond, &pool.lock);
    }
    pool.n_idle--;
    item = pool.head;
    if (item) {
        pool.n_queued--;
        pool.head = item->next;
        if (!pool.head) {
            pool.tail = &pool.head;
        }
    }
    return item;
}

static void pool_complete(void *opaque)
{
    PoolWork *item = opaque;

    item->done(item->ret, item->opaque);
    g_free(item);
}

static void *pool_worker(void *unused)
{
    PoolWork *item;

    while ((item = pool_next())) {
        item->ret = item->work(item->opaque);
        iothread_post(item->iothread, pool_complete, item);
    }
    return NULL;
}

/* Returns the slot of a worker to start, or -1. */
static int pool_enqueue(PoolWork *item)
{
    QEMU_LOCK_GUARD(&pool.lock);

    g_assert(!pool.stopping);
    *pool.tail = item;
    pool.tail = &item->next;
    pool.n_queued++;
    qemu_cond_signal(&pool.cond);
    if (pool.n_queued > pool.n_idle && pool.n_workers < MAX_WORKERS) {
        return pool.n_workers++;
    }
    return -1;
}

void thread_pool_submit(IOThread *iothread, ThreadPoolWork *work,
                        ThreadPoolDone *done, void *opaque)
{
    PoolWork *item = g_new0(PoolWork, 1);
    int slot;

    item->iothread = iothread;
    item->work = work;
    item->done = done;
    item->opaque = opaque;
    slot = pool_enqueue(item);
    if (slot >= 0) {
        qemu_thread_create(&pool.workers[slot], "worker", pool_worker, NULL,
                           true);
    }
}

void thread_pool_cleanup(void)
{
    WITH_QEMU_LOCK_GUARD(&pool.lock) {
        pool.stopping = true;
        qemu_cond_broadcast(&pool.cond);
    }
    for (unsigned i = 0; i < pool.n_workers; i++) {
        qemu_thread_join(&pool.workers[i]);
    }
    pool.n_workers = 0;
    pool.stopping = false;
}
