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
 * A wrapper of @name.  @may_X is oob_may_X(), which the call asks for.
 * @fine says, from @params, that this very call does not block, and @ends that
 * it has a time limit: both are only looked at where they matter.
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

/* A call that waits without a time limit, unless it is @fine. */
#define OOB_WRAP(ret, name, params, args, fine)                                \
    OOB_WRAP_CALL(ret, name, params, args, may_block, fine, false)

/* A call that waits, with a time limit if @ends. */
#define OOB_WRAP_TIMED(ret, name, params, args, fine, ends)                    \
    OOB_WRAP_CALL(ret, name, params, args, may_block, fine, ends)

/*
 * A call that uses a path, which may lead to a dead file system: not even
 * event loops on which other calls may block may make it.
 */
#define OOB_WRAP_PATH(ret, name, params, args, fine)                           \
    OOB_WRAP_CALL(ret, name, params, args, may_use_paths, fine, false)

/* The same for calls that have an alias with 64-bit offsets. */
#define OOB_WRAP_64(ret, name, params, args, fine)                             \
    OOB_WRAP(ret, name, params, args, fine)                                    \
    OOB_WRAP(ret, name##64, params, args, fine)

#define OOB_WRAP_PATH_64(ret, name, params, args)                              \
    OOB_WRAP_PATH(ret, name, params, args, false)                              \
    OOB_WRAP_PATH(ret, name##64, params, args, false)

#endif
