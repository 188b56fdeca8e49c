/*
 * The out-of-band contract, enforced.
 *
 * Code that rescues a hung process must never wait for what hangs.  It
 *   1. ends quickly,
 *   2. makes no system call that may block,
 *   3. takes only fast locks: locks whose every holder obeys 1 to 3.
 * A debug build (CONFIG_DEBUG_CHECKS) marks a thread while it is in an
 * OOB section (an OOB handler, a yank function) or holds a fast lock, and
 * aborts with the call's name when a blocking call happens under the mark.
 * A release build compiles all of this to nothing.
 *
 * docs/devel/oob.rst explains the rules to those who write handlers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_OOB_H
#define QEMU_OOB_H

#ifdef CONFIG_DEBUG_CHECKS
/* Enters or leaves a section that must not block; nests.  Any thread. */
void oob_section_enter(const char *what);
void oob_section_leave(void);

/* Called by fast locks.  Any thread. */
void oob_fast_lock_taken(void);
void oob_fast_lock_released(void);

/*
 * States that @call may block; aborts if this thread may not.  Our own
 * waits call it, and the wrappers of libc's (util/oob-wrap-*.c).
 */
void oob_assert_may_block(const char *call);
/* False under a mark. */
bool oob_may_block(void);
#else
static inline void oob_section_enter(const char *what)
{
}
static inline void oob_section_leave(void)
{
}
static inline void oob_fast_lock_taken(void)
{
}
static inline void oob_fast_lock_released(void)
{
}
static inline void oob_assert_may_block(const char *call)
{
}
#endif

#endif
