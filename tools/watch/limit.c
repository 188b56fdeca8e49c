/*
 * How many yanks a domain has had within the hour.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "limit.h"

#define HOUR_US (3600 * (gint64)G_USEC_PER_SEC)

struct YankLimit {
    int refs; /* atomic */
    /* Guards what follows; innermost. */
    GMutex lock;
    GQueue yanks; /* gint64 *: when, the latest last */
};

YankLimit *yank_limit_new(void)
{
    YankLimit *limit = g_new0(YankLimit, 1);

    limit->refs = 1;
    g_mutex_init(&limit->lock);
    g_queue_init(&limit->yanks);
    return limit;
}

YankLimit *yank_limit_ref(YankLimit *limit)
{
    g_atomic_int_inc(&limit->refs);
    return limit;
}

void yank_limit_unref(YankLimit *limit)
{
    if (limit && g_atomic_int_dec_and_test(&limit->refs)) {
        g_queue_clear_full(&limit->yanks, g_free);
        g_mutex_clear(&limit->lock);
        g_free(limit);
    }
}

void yank_limit_count(YankLimit *limit)
{
    gint64 now = g_get_monotonic_time();

    g_mutex_lock(&limit->lock);
    g_queue_push_tail(&limit->yanks, g_memdup2(&now, sizeof(now)));
    g_mutex_unlock(&limit->lock);
}

unsigned yank_limit_used(YankLimit *limit)
{
    gint64 since = g_get_monotonic_time() - HOUR_US;
    gint64 *oldest;
    unsigned used;

    g_mutex_lock(&limit->lock);
    while ((oldest = g_queue_peek_head(&limit->yanks)) && *oldest <= since) {
        g_free(g_queue_pop_head(&limit->yanks));
    }
    used = limit->yanks.length;
    g_mutex_unlock(&limit->lock);
    return used;
}
