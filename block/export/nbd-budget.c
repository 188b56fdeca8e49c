/*
 * Memory for data that clients have requested and not yet read, shared by all
 * clients of the process.
 *
 * A client may hold as much memory as is still free.  Therefore each new client
 * gets a share of the rest, even if all others take as much as they may, and
 * the sum stays within the limit.  A client that holds nothing may also use a
 * reserve.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-budget.h"

static uint64_t limit = NBD_REPLY_BUDGET;
static uint64_t used; /* atomic */

bool nbd_budget_take(uint64_t held, uint64_t bytes)
{
    uint64_t now = __atomic_load_n(&used, __ATOMIC_RELAXED);
    uint64_t most;

    do {
        most = held ? limit - MIN(limit, now) : limit / 8 * 9 - now;
        if (held + bytes > most) {
            return false;
        }
    } while (!__atomic_compare_exchange_n(&used, &now, now + bytes, true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

void nbd_budget_give(uint64_t bytes)
{
    __atomic_fetch_sub(&used, bytes, __ATOMIC_RELAXED);
}

uint64_t nbd_budget_used(void)
{
    return __atomic_load_n(&used, __ATOMIC_RELAXED);
}

bool nbd_budget_is_short(void)
{
    return nbd_budget_used() > limit / 4;
}

void nbd_budget_set_limit(uint64_t bytes)
{
    limit = bytes;
}
