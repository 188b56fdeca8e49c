/*
 * The marks of the out-of-band contract: what this thread is in, and the
 * abort when it blocks nevertheless.  Debug builds only.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/oob.h"

#ifdef CONFIG_DEBUG_CHECKS

/*
 * Only the outermost section's name is kept: it says who made the promise.
 * Plain thread-local integers, since wrappers of libc's calls read them on
 * every call.
 */
static __thread unsigned sections;
static __thread unsigned fast_locks;
static __thread const char *section_name;

void oob_section_enter(const char *what)
{
    if (sections++ == 0) {
        section_name = what;
    }
}

void oob_section_leave(void)
{
    g_assert(sections > 0);
    if (--sections == 0) {
        section_name = NULL;
    }
}

void oob_fast_lock_taken(void)
{
    fast_locks++;
}

void oob_fast_lock_released(void)
{
    g_assert(fast_locks > 0);
    fast_locks--;
}

bool oob_may_block(void)
{
    return sections == 0 && fast_locks == 0;
}

void oob_assert_may_block(const char *call)
{
    if (G_LIKELY(oob_may_block())) {
        return;
    }
    if (sections) {
        fprintf(stderr, "%s() may block, called in OOB section '%s'\n", call,
                section_name);
    } else {
        fprintf(stderr, "%s() may block, called under a fast lock\n", call);
    }
    abort();
}

#endif
