/*
 * Lock ranks: what this thread holds, and the abort on a breach of the order.
 * Debug builds only.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "lock.h"

#ifdef CONFIG_DEBUG_CHECKS

/* More than ranks there are: one thread holds one lock of each at most. */
#define MAX_HELD 8

typedef struct Held {
    YcRank rank;
    const char *what;
    const char *name;
} Held;

static __thread Held held[MAX_HELD];
static __thread unsigned n_held;

void yc_rank_enter(YcRank rank, const char *what, const char *name)
{
    for (unsigned i = 0; i < n_held; i++) {
        if (held[i].rank >= rank) {
            fprintf(stderr,
                    "lock order: taking %s '%s' while holding %s '%s'\n", what,
                    name, held[i].what, held[i].name);
            abort();
        }
    }
    g_assert(n_held < MAX_HELD);
    held[n_held++] = (Held){.rank = rank, .what = what, .name = name};
}

static unsigned find_held(YcRank rank, const char *name)
{
    unsigned i = 0;

    while (i < n_held && (held[i].rank != rank || held[i].name != name)) {
        i++;
    }
    return i;
}

bool yc_rank_is_entered(YcRank rank, const char *name)
{
    return find_held(rank, name) < n_held;
}

/* Not always the latest: the domain goes before its monitor. */
void yc_rank_leave(YcRank rank, const char *name)
{
    unsigned i = find_held(rank, name);

    g_assert(i < n_held);
    n_held--;
    memmove(&held[i], &held[i + 1], (n_held - i) * sizeof(held[0]));
}

void yc_rank_assert_none(const char *where)
{
    if (n_held) {
        fprintf(stderr, "lock order: %s while holding %s '%s'\n", where,
                held[0].what, held[0].name);
        abort();
    }
}

#else

void yc_rank_enter(YcRank rank, const char *what, const char *name)
{
}

bool yc_rank_is_entered(YcRank rank, const char *name)
{
    return true;
}

void yc_rank_leave(YcRank rank, const char *name)
{
}

void yc_rank_assert_none(const char *where)
{
}

#endif
