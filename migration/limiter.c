/*
 * Limiting the rate of a link.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "limiter.h"

/* A thread that was late may make good for so much. */
#define BURST_US 20000
/* A new rate is noticed after so long. */
#define LOOK_MS 100

/* How long the next section has to wait, in microseconds. */
static int64_t time_left(Limiter *limiter, uint64_t rate)
{
    int64_t now = g_get_monotonic_time();

    if (limiter->rate != rate) {
        limiter->rate = rate;
        limiter->due_us = now;
    }
    limiter->due_us = MAX(limiter->due_us, now - BURST_US);
    return limiter->due_us - now;
}

void limiter_wait(Limiter *limiter, Link *link, uint64_t (*get_rate)(void),
                  const bool *stop)
{
    uint64_t rate = get_rate();
    int64_t left;

    if (!rate) {
        return;
    }
    QEMU_LOCK_GUARD(&migration_lock);
    while (rate && (left = time_left(limiter, rate)) > 0 &&
           !link_is_cut_locked(link) && !(stop && *stop)) {
        qemu_cond_timedwait(&migration_cond, &migration_lock,
                            MIN((left + 999) / 1000, LOOK_MS));
        rate = get_rate();
    }
}

bool limiter_must_wait(Limiter *limiter, uint64_t rate)
{
    if (!rate) {
        return false;
    }
    QEMU_LOCK_GUARD(&migration_lock);
    return time_left(limiter, rate) > 0;
}

void limiter_charge(Limiter *limiter, uint64_t bytes, uint64_t rate)
{
    limiter_settle(limiter, 0, bytes, rate);
}

void limiter_settle(Limiter *limiter, uint64_t charged, uint64_t sent,
                    uint64_t rate)
{
    if (!rate) {
        return;
    }
    QEMU_LOCK_GUARD(&migration_lock);
    time_left(limiter, rate); /* it may be another since */
    limiter->due_us += sent * G_USEC_PER_SEC / rate;
    limiter->due_us -= charged * G_USEC_PER_SEC / rate;
    if (sent < charged) {
        qemu_cond_broadcast(&migration_cond); /* it is due earlier */
    }
}
