/*
 * Blocking work (file I/O) off an I/O thread.
 *
 * Each user has a pool of its own with a bounded number of workers.  Work that
 * never returns occupies the workers of one pool only, so other users are not
 * delayed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_THREAD_POOL_H
#define QEMU_THREAD_POOL_H

#include "qemu/iothread.h"

typedef struct ThreadPool ThreadPool;
typedef struct ThreadPoolItem ThreadPoolItem;

/*
 * Enough calls at a time to keep the queue of a flash drive filled, and few
 * enough that the workers of one slow disk do not overload a small machine.
 */
#define THREAD_POOL_MAX_WORKERS 16

/*
 * Runs on a worker, where it may block; its result is passed to ThreadPoolDone.
 */
typedef int ThreadPoolWork(ThreadPoolItem *item);
/* Runs on the I/O thread of the item; may free the item. */
typedef void ThreadPoolDone(ThreadPoolItem *item, int ret);

/* A piece of work.  The submitter owns it and keeps it until @done runs. */
struct ThreadPoolItem {
    ThreadPoolWork *work;
    ThreadPoolDone *done;
    IOThread *iothread; /* the thread on which done runs */
    /* ---- The members below belong to the pool. ---- */
    int ret;
    ThreadPoolItem *next;
};

/*
 * Makes a pool with one permanent worker; further workers start and end with
 * the load.  Returns NULL with errp set when the system refuses a thread.  Main
 * thread; does not block.
 */
ThreadPool *thread_pool_new(Error **errp);

/*
 * Ends the workers.  The @done of every submitted item must have begun.  NULL
 * is allowed.  Main thread; blocks for a moment only.
 */
void thread_pool_free(ThreadPool *pool);

/*
 * Runs @item->work on a worker, and then @item->done on @item->iothread, which
 * must exist until then.  Work begins in the order of submission and ends in
 * any order.  When the system refuses another thread, the item waits for an
 * existing worker.  Any thread; does not block.
 */
void thread_pool_submit(ThreadPool *pool, ThreadPoolItem *item);

#endif
