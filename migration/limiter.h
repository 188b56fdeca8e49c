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
 * Asks to send @bytes at @rate bytes a second (0: no limit), and waits until
 * that is all right or @link is cut.  The rate may be another each time.
 * Blocks; a cut of the link ends the wait.
 */
void limiter_take(Limiter *limiter, Link *link, uint64_t bytes,
                  uint64_t (*rate)(void));

#endif
