/*
 * How the wrappers of calls that may block are made.
 *
 * The linker's --wrap=NAME (util/meson.build) sends our own calls of NAME to
 * __wrap_NAME and calls __real_NAME what it replaces.  Calls inside shared
 * libraries go by it: a wake-up of GLib's is none of ours.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef UTIL_OOB_WRAP_H
#define UTIL_OOB_WRAP_H

#include "qemu/oob.h"

/*
 * Defines a wrapper of @name.  @may_X selects the check, oob_may_X().  @fine is
 * an expression of @params that is true if this call does not block; @ends is
 * one that is true if it has a time limit.  Both are evaluated only on threads
 * that are checked.
 */
#define OOB_WRAP_CALL(ret, name, params, args, may_X, fine, ends)              \
    ret __real_##name params;                                                  \
    ret __wrap_##name params;                                                  \
    ret __wrap_##name params                                                   \
    {                                                                          \
        if (G_UNLIKELY(!oob_##may_X()) && !(fine)) {                           \
            oob_assert_##may_X(#name);                                         \
        }                                                                      \
        if (G_UNLIKELY(oob_needs_reason()) && !(fine) && !(ends)) {            \
            oob_assert_wait_ends(#name);                                       \
        }                                                                      \
        return __real_##name args;                                             \
    }

/* Wraps a call that waits without a time limit, unless @fine is true. */
#define OOB_WRAP(ret, name, params, args, fine)                                \
    OOB_WRAP_CALL(ret, name, params, args, may_block, fine, false)

/* Wraps a call that waits; it has a time limit if @ends is true. */
#define OOB_WRAP_TIMED(ret, name, params, args, fine, ends)                    \
    OOB_WRAP_CALL(ret, name, params, args, may_block, fine, ends)

/*
 * Wraps a call that uses a path, which may lead to a dead file system: even an
 * event loop thread that may block otherwise must not make it.
 */
#define OOB_WRAP_PATH(ret, name, params, args, fine)                           \
    OOB_WRAP_CALL(ret, name, params, args, may_use_paths, fine, false)

/* Like OOB_WRAP(), for calls that have an alias with 64-bit offsets. */
#define OOB_WRAP_64(ret, name, params, args, fine)                             \
    OOB_WRAP(ret, name, params, args, fine)                                    \
    OOB_WRAP(ret, name##64, params, args, fine)

#define OOB_WRAP_PATH_64(ret, name, params, args)                              \
    OOB_WRAP_PATH(ret, name, params, args, false)                              \
    OOB_WRAP_PATH(ret, name##64, params, args, false)

#endif
