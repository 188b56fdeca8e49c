/*
 * Thread pools for blocking work.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"
#include "qemu/thread-pool.h"

/* How long a worker other than the first waits for work before it ends. */
#define IDLE_MS 10000

/* A slot for a worker thread. */
typedef struct Worker {
    ThreadPool *pool;
    QemuThread thread;
    bool running; /* is counted in n_workers */
    bool started; /* has a thread to join, which may have ended */
} Worker;

struct ThreadPool {
    /*
     * Guards the members below except @thread.  Fast; no lock is taken under
     * it.
     */
    QemuMutex lock;
    QemuCond cond; /* work came, or stopping was set */
    ThreadPoolItem *head;
    ThreadPoolItem **tail;
    unsigned n_queued;
    unsigned n_idle;
    unsigned n_workers;
    bool stopping;
    Worker workers[THREAD_POOL_MAX_WORKERS];
};

static ThreadPoolItem *take_locked(ThreadPool *pool)
{
    ThreadPoolItem *item = pool->head;

    if (item) {
        pool->n_queued--;
        pool->head = item->next;
        if (!pool->head) {
            pool->tail = &pool->head;
        }
    }
    return item;
}

/*
 * Waits for work.  Returns NULL when the worker must end; it is not counted in
 * n_workers then.
 */
static ThreadPoolItem *next_item(Worker *worker)
{
    ThreadPool *pool = worker->pool;
    ThreadPoolItem *item;
    bool idle_for_long = false;

    QEMU_LOCK_GUARD(&pool->lock);
    pool->n_idle++;
    while (!(item = take_locked(pool)) && !pool->stopping &&
           !(idle_for_long && pool->n_workers > 1)) {
        idle_for_long = !qemu_cond_timedwait(&pool->cond, &pool->lock, IDLE_MS);
    }
    pool->n_idle--;
    if (!item) {
        worker->running = false;
        pool->n_workers--;
    }
    return item;
}

static void complete(void *opaque)
{
    ThreadPoolItem *item = opaque;

    item->done(item, item->ret);
}

static void *worker_main(void *opaque)
{
    ThreadPoolItem *item;

    while ((item = next_item(opaque))) {
        item->ret = item->work(item);
        iothread_post(item->iothread, complete, item);
    }
    return NULL;
}

/* Marks a free slot as running.  The caller starts its thread. */
static Worker *claim_slot_locked(ThreadPool *pool)
{
    for (unsigned i = 0; i < THREAD_POOL_MAX_WORKERS; i++) {
        Worker *worker = &pool->workers[i];

        if (!worker->running) {
            worker->running = true;
            pool->n_workers++;
            return worker;
        }
    }
    return NULL;
}

/* Starts the thread of @worker, a slot that this thread has claimed. */
static bool start_worker(Worker *worker, Error **errp)
{
    ThreadPool *pool = worker->pool;

    if (worker->started) {
        OOB_WAIT_BOUND("the worker thread is about to return");
        qemu_thread_join(&worker->thread); /* has ended, or is about to */
    }
    worker->started =
        qemu_thread_try_create(&worker->thread, "worker", worker_main, worker,
                               QEMU_THREAD_JOINABLE, errp);
    if (!worker->started) {
        QEMU_LOCK_GUARD(&pool->lock);
        worker->running = false;
        pool->n_workers--;
        return false;
    }
    return true;
}

void thread_pool_submit(ThreadPool *pool, ThreadPoolItem *item)
{
    Worker *worker = NULL;

    item->next = NULL;
    WITH_QEMU_LOCK_GUARD(&pool->lock) {
        g_assert(!pool->stopping);
        *pool->tail = item;
        pool->tail = &item->next;
        pool->n_queued++;
        qemu_cond_signal(&pool->cond);
        if (pool->n_queued > pool->n_idle) {
            worker = claim_slot_locked(pool);
        }
    }
    if (worker) {
        /*
         * On failure the first worker, which always runs, does the work later.
         */
        start_worker(worker, NULL);
    }
}

static void pool_destroy(ThreadPool *pool)
{
    qemu_cond_destroy(&pool->cond);
    qemu_mutex_destroy(&pool->lock);
    g_free(pool);
}

ThreadPool *thread_pool_new(Error **errp)
{
    ThreadPool *pool = g_new0(ThreadPool, 1);
    Worker *first = &pool->workers[0];

    qemu_mutex_init(&pool->lock);
    qemu_cond_init(&pool->cond);
    pool->tail = &pool->head;
    for (unsigned i = 0; i < THREAD_POOL_MAX_WORKERS; i++) {
        pool->workers[i].pool = pool;
    }
    first->running = true;
    pool->n_workers = 1;
    if (!start_worker(first, errp)) {
        pool_destroy(pool);
        return NULL;
    }
    return pool;
}

void thread_pool_free(ThreadPool *pool)
{
    if (!pool) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&pool->lock) {
        g_assert(!pool->head);
        pool->stopping = true;
        qemu_cond_broadcast(&pool->cond);
    }
    OOB_WAIT_BOUND("no worker has work, so each ends at once");
    for (unsigned i = 0; i < THREAD_POOL_MAX_WORKERS; i++) {
        if (pool->workers[i].started) {
            qemu_thread_join(&pool->workers[i].thread);
        }
    }
    pool_destroy(pool);
}
