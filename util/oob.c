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

/* Name of a thread that serves others from an event loop, or NULL. */
static __thread const char *loop_name;
static __thread void *loop_context;
static __thread bool loop_marked;
static __thread bool loop_polls;

/* Set on a main thread, which must state why its waits end; otherwise NULL. */
static __thread OobIsRegistered *wait_is_registered;
static __thread unsigned wait_reasons;

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

void oob_loop_thread_enter(const char *name, void *context)
{
    loop_name = name;
    loop_context = context;
}

void oob_loop_thread_mark(void)
{
    g_assert(loop_name);
    loop_marked = true;
}

void oob_loop_poll_begin(void)
{
    loop_polls = true;
}

void oob_loop_poll_end(void)
{
    loop_polls = false;
}

static bool is_unmarked(void)
{
    return sections == 0 && fast_locks == 0;
}

bool oob_is_own_loop(void *context)
{
    return loop_name && context == loop_context && is_unmarked();
}

bool oob_may_block(void)
{
    return is_unmarked() && (!loop_marked || loop_polls);
}

bool oob_may_use_paths(void)
{
    return is_unmarked() && !loop_name;
}

static void G_GNUC_NORETURN die(const char *call)
{
    if (sections) {
        fprintf(stderr, "%s() may block, called in OOB section '%s'\n", call,
                section_name);
    } else if (fast_locks) {
        fprintf(stderr, "%s() may block, called under a fast lock\n", call);
    } else {
        fprintf(stderr,
                "%s() may block, called on the event loop thread "
                "'%s'\n",
                call, loop_name);
    }
    abort();
}

void oob_assert_may_block(const char *call)
{
    if (G_UNLIKELY(!oob_may_block())) {
        die(call);
    }
}

void oob_assert_may_use_paths(const char *call)
{
    if (G_UNLIKELY(!oob_may_use_paths())) {
        die(call);
    }
}

void oob_main_thread_enter(OobIsRegistered *is_registered)
{
    wait_is_registered = is_registered;
}

void oob_wait_begin(const char *type, const char *id)
{
    wait_reasons++;
    if (type && wait_is_registered && !wait_is_registered(type, id)) {
        fprintf(stderr,
                "the main thread waits for the instance %s%s%s, which "
                "is not registered\n",
                type, id ? ":" : "", id ? id : "");
        abort();
    }
}

void oob_wait_end(void)
{
    g_assert(wait_reasons > 0);
    wait_reasons--;
}

bool oob_needs_reason(void)
{
    return wait_is_registered && !wait_reasons;
}

void oob_assert_wait_ends(const char *call)
{
    if (G_UNLIKELY(oob_needs_reason())) {
        fprintf(stderr,
                "%s() on the main thread may wait for ever: say which "
                "instance or bound ends it\n",
                call);
        abort();
    }
}

#endif
