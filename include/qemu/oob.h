/*
 * The out-of-band contract, enforced.
 *
 * Code that rescues a hung process must never wait for what hangs.  It
 *   1. ends quickly,
 *   2. makes no system call that may block,
 *   3. takes only fast locks: locks whose every holder obeys 1 to 3.
 * A debug build (CONFIG_DEBUG_CHECKS) marks a thread while it is in an
 * OOB section (an OOB handler, a yank function) or holds a fast lock, and the
 * monitor thread for good; it aborts with the call's name when a blocking call
 * happens under the mark.  An event loop thread that has no such mark still
 * must not use paths, which may lead to a dead file system.
 *
 * The main thread may wait, but each wait of it belongs to a registered
 * instance whose yank ends it, or has a bound that the user can see.  Code
 * that waits without a time limit says which, by OOB_WAIT_YANK() or
 * OOB_WAIT_BOUND(); a debug build aborts where neither is said.
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
 * The calling thread serves others from the event loop of @context (a
 * GMainContext) and is called @name: from now on it uses no paths.  @name must
 * stay valid.
 */
void oob_loop_thread_enter(const char *name, void *context);
/* The calling thread, which has entered the above, never blocks at all. */
void oob_loop_thread_mark(void);
/* Around the wait for events, for which an event loop is made. */
void oob_loop_poll_begin(void);
void oob_loop_poll_end(void);
/* Whether an iteration of @context is what the calling thread is for. */
bool oob_is_own_loop(void *context);

/*
 * The calling thread is a main thread that says why each of its waits ends.
 * @is_registered: whether there is an instance of this type and id; id is NULL
 *     where the type has no ids.  Any thread.
 */
typedef bool OobIsRegistered(const char *type, const char *id);
void oob_main_thread_enter(OobIsRegistered *is_registered);
/* What OOB_WAIT_YANK() and OOB_WAIT_BOUND() below call. */
void oob_wait_begin(const char *type, const char *id);
void oob_wait_end(void);
/* States that @call has no time limit; aborts on a main thread without reason. */
void oob_assert_wait_ends(const char *call);
/* Whether the calling thread is a main thread and no reason is stated. */
bool oob_needs_reason(void);

/*
 * States that @call may block; aborts if this thread may not.  Our own
 * waits call it, and the wrappers of libc's (util/oob-wrap-*.c).
 */
void oob_assert_may_block(const char *call);
/* False under a mark. */
bool oob_may_block(void);
/* The same for a @call that uses a path. */
void oob_assert_may_use_paths(const char *call);
bool oob_may_use_paths(void);
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
static inline void oob_loop_thread_enter(const char *name, void *context)
{
}
static inline void oob_loop_thread_mark(void)
{
}
static inline void oob_loop_poll_begin(void)
{
}
static inline void oob_loop_poll_end(void)
{
}
static inline void oob_wait_begin(const char *type, const char *id)
{
}
static inline void oob_wait_end(void)
{
}
static inline void oob_assert_wait_ends(const char *call)
{
}
static inline void oob_assert_may_block(const char *call)
{
}
static inline void oob_assert_may_use_paths(const char *call)
{
}
#endif

static inline void oob_wait_leave(const int *unused)
{
    oob_wait_end();
}

#define OOB_WAIT_SCOPE(type, id)                                               \
    __attribute__((cleanup(oob_wait_leave), unused)) const int G_PASTE(        \
        oob_wait_, __COUNTER__) = (oob_wait_begin(type, id), 0)

/*
 * To the end of the scope: a yank of the instance of @type and @id (strings, as
 * in "blockdev:n0"; @id is NULL for "migration") ends what this thread waits
 * for.  Call it without locks.
 */
#define OOB_WAIT_YANK(type, id) OOB_WAIT_SCOPE(type, id)
/* To the end of the scope: @bound says in words what bounds the waits. */
#define OOB_WAIT_BOUND(bound) OOB_WAIT_SCOPE(NULL, NULL)

#endif
