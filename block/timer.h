/*
 * Timers of a block node, on its I/O thread, with nanosecond resolution (a
 * GSource has milliseconds, too coarse for the latency of a disk).
 *
 * I/O thread only, but for new and free.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_TIMER_H
#define BLOCK_TIMER_H

#include "qapi/error.h"

typedef struct BlockTimers BlockTimers;
typedef struct BlockTimer BlockTimer;
typedef void BlockTimerFn(void *opaque);

/* NULL with errp set when the system has no descriptor left.  Any thread. */
BlockTimers *block_timers_new(Error **errp);
/* Detached; timers that run are dropped.  Any thread; NULL is fine. */
void block_timers_free(BlockTimers *timers);

/* Runs @fn(@opaque) once, @ns nanoseconds from now. */
BlockTimer *block_timer_start(BlockTimers *timers, uint64_t ns,
                              BlockTimerFn *fn, void *opaque);
/* @timer must not have fired; NULL is fine. */
void block_timer_cancel(BlockTimers *timers, BlockTimer *timer);

/*
 * Lets go of the I/O thread; timers keep their deadlines.  The next call of
 * block_timers_attach() or block_timer_start() binds to the thread it is on.
 */
void block_timers_detach(BlockTimers *timers);
void block_timers_attach(BlockTimers *timers);

#endif
