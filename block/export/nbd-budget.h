/*
 * Memory for data that clients have requested and not yet read, shared by all
 * clients of the process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_EXPORT_NBD_BUDGET_H
#define BLOCK_EXPORT_NBD_BUDGET_H

#include "nbd-proto.h"

/* In bytes.  The reserve is an eighth of this, in addition. */
#define NBD_REPLY_BUDGET (512 * MiB)
G_STATIC_ASSERT(NBD_REPLY_BUDGET / 8 >= NBD_MAX_PAYLOAD);

/*
 * Takes @bytes for a client that holds @held bytes already.  Returns false if
 * that exceeds the client's share until others give memory back.  Any thread;
 * does not wait.
 */
bool nbd_budget_take(uint64_t held, uint64_t bytes);
void nbd_budget_give(uint64_t bytes);
uint64_t nbd_budget_used(void);
/* Returns true if clients should give back memory that they can do without. */
bool nbd_budget_is_short(void);

/* For tests, while the process has no clients. */
void nbd_budget_set_limit(uint64_t bytes);

#endif
