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
 * Enough calls at a time to keep a flash drive's queue filled, few enough
 * that the workers of one slow disk do not drown a small machine in threads.
 */
#define THREAD_POOL_MAX_WORKERS 16

/* Runs on a worker, where it may block; returns what the completion gets. */
typedef int ThreadPoolWork(ThreadPoolItem *item);
/* Runs on the I/O thread of the item; may free it. */
typedef void ThreadPoolDone(ThreadPoolItem *item, int ret);

/* A piece of work.  The submitter owns it and keeps it until @done runs. */
struct ThreadPoolItem {
    ThreadPoolWork *work;
    ThreadPoolDone *done;
    IOThread *iothread; /* that @done runs on */
    /* ---- The rest is the pool's. ---- */
    int ret;
    ThreadPoolItem *next;
};

/*
 * Makes a pool with one worker, which it keeps; further ones come and go with
 * the work.  Main thread; does not block.  Returns NULL with errp set when no
 * thread can be had.
 */
ThreadPool *thread_pool_new(Error **errp);

/*
 * Ends the workers.  The pool must have no work left whose @done has not
 * begun.  NULL is allowed.  Main thread; blocks for a moment only.
 */
void thread_pool_free(ThreadPool *pool);

/*
 * Runs @item->work on a worker, and then @item->done on @item->iothread, which
 * must live until then.  Work begins in the order of submission and ends in
 * any order.  When no further thread can be had, it waits for the workers that
 * there are.  Any thread; does not block.
 */
void thread_pool_submit(ThreadPool *pool, ThreadPoolItem *item);

#endif
