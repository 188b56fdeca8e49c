/*
 * The out-of-band contract, enforced.
 *
 * Code that rescues a hung process must never wait for the cause of the hang.
 * Such code
 *   1. ends quickly,
 *   2. makes no system call that may block,
 *   3. takes only fast locks: locks whose every holder obeys 1 to 3.
 *
 * A debug build (CONFIG_DEBUG_CHECKS) marks a thread while it is in an OOB
 * section (an OOB handler, a yank function) or holds a fast lock; the monitor
 * thread is always marked.  A blocking call on a marked thread aborts with the
 * name of the call.  An event loop thread without such a mark still must not
 * use paths, which may lead to a dead file system.
 *
 * The main thread may wait, but each of its waits belongs to a registered
 * instance whose yank ends it, or has a time limit that the user can see.  Code
 * that waits without a time limit states the reason, by OOB_WAIT_YANK() or
 * OOB_WAIT_BOUND(); a debug build aborts where neither is stated.  A release
 * build compiles all of this to nothing.
 *
 * docs/devel/oob.rst explains the rules to authors of handlers.
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
 * Declares that the calling thread, called @name, serves others from the event
 * loop of @context (a GMainContext).  From now on the thread must not use
 * paths.  @name must stay valid.
 */
void oob_loop_thread_enter(const char *name, void *context);
/*
 * Declares that the calling thread never blocks.  After
 * oob_loop_thread_enter().
 */
void oob_loop_thread_mark(void);
/* Call these around the poll for events, the one wait an event loop may do. */
void oob_loop_poll_begin(void);
void oob_loop_poll_end(void);
/* Returns true if the calling thread exists to run @context. */
bool oob_is_own_loop(void *context);

/*
 * Declares that the calling thread is a main thread, which must state why each
 * of its waits ends.
 * @is_registered: returns true if an instance of this type and id exists; id is
 *     NULL for a type without ids.  Any thread.
 */
typedef bool OobIsRegistered(const char *type, const char *id);
void oob_main_thread_enter(OobIsRegistered *is_registered);
/* Called by OOB_WAIT_YANK() and OOB_WAIT_BOUND() below. */
void oob_wait_begin(const char *type, const char *id);
void oob_wait_end(void);
/*
 * Declares that @call waits without a time limit.  Aborts if this thread is a
 * main thread and has stated no reason.
 */
void oob_assert_wait_ends(const char *call);
/* Returns true if this thread is a main thread that has stated no reason. */
bool oob_needs_reason(void);

/*
 * States that @call may block; aborts if this thread may not.  Our own
 * waits call it, and the wrappers of libc's (util/oob-wrap-*.c).
 */
void oob_assert_may_block(const char *call);
/* False under a mark. */
bool oob_may_block(void);
/* Like the two above, for a @call that uses a path. */
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
 * Declares until the end of the scope: a yank of the instance of @type and @id
 * (strings, as in "blockdev:n0"; @id is NULL for "migration") ends the waits of
 * this thread.  Use it without holding locks.
 */
#define OOB_WAIT_YANK(type, id) OOB_WAIT_SCOPE(type, id)
/* Declares until the end of the scope: @bound says what limits the waits. */
#define OOB_WAIT_BOUND(bound) OOB_WAIT_SCOPE(NULL, NULL)

#endif
