/*
 * Limiter: keeps what several threads send within so many bytes a second.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_LIMITER_H
#define MIGRATION_LIMITER_H

#include "link.h"

/* Zeroes to begin with; migration_lock. */
typedef struct Limiter {
    uint64_t rate;  /* bytes a second, as last seen */
    int64_t due_us; /* when what was sent so far is paid for */
} Limiter;

/*
 * Waits until what was sent so far is paid for at @get_rate() bytes a second
 * (0: no limit), or @link is cut, or *@stop (migration_lock; may be NULL) is
 * set.  The rate may change meanwhile.  Blocks; a cut of the link ends it.
 */
void limiter_wait(Limiter *limiter, Link *link, uint64_t (*get_rate)(void),
                  const bool *stop);
/* Whether that would block.  Any thread. */
bool limiter_must_wait(Limiter *limiter, uint64_t rate);
/* So many bytes will be sent at once, at most about.  Any thread. */
void limiter_charge(Limiter *limiter, uint64_t bytes, uint64_t rate);
/* Of @charged bytes, @sent went over the link in the end.  Any thread. */
void limiter_settle(Limiter *limiter, uint64_t charged, uint64_t sent,
                    uint64_t rate);

#endif
