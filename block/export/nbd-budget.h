/*
 * Memory for data that clients have asked for and not yet taken, shared by all
 * clients of the process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_EXPORT_NBD_BUDGET_H
#define BLOCK_EXPORT_NBD_BUDGET_H

#include "nbd-proto.h"

/* In bytes; a reserve of an eighth comes on top. */
#define NBD_REPLY_BUDGET (512 * MiB)
G_STATIC_ASSERT(NBD_REPLY_BUDGET / 8 >= NBD_MAX_PAYLOAD);

/*
 * Takes @bytes for a client that holds @held bytes already.  False when that
 * would be more than its share: others have to give some back first.  Any
 * thread; does not wait.
 */
bool nbd_budget_take(uint64_t held, uint64_t bytes);
void nbd_budget_give(uint64_t bytes);
uint64_t nbd_budget_used(void);
/* Whether clients should give back what they can do without. */
bool nbd_budget_is_short(void);

/* For tests, while there are no clients. */
void nbd_budget_set_limit(uint64_t bytes);

#endif
