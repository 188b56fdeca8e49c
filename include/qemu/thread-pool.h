/*
 * Blocking work (file I/O) off an I/O thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_THREAD_POOL_H
#define QEMU_THREAD_POOL_H

#include "qemu/iothread.h"

/* Runs on a worker; returns what the completion is to be told. */
typedef int ThreadPoolWork(void *opaque);
typedef void ThreadPoolDone(int ret, void *opaque);

/*
 * Runs @work(@opaque) on a worker thread, where it may block, and then
 * @done(its result, @opaque) on @iothread, which must live until then.
 * Work is begun in order of submission and ends in any.  Any thread,
 * OOB-safe but when it has to start a worker; does not block.
 */
void thread_pool_submit(IOThread *iothread, ThreadPoolWork *work,
                        ThreadPoolDone *done, void *opaque);

/*
 * Waits for all work, posts its completions and ends the workers.  Main
 * thread, at exit, before the I/O threads end; nobody submits meanwhile.
 */
void thread_pool_cleanup(void);

#endif
