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
 * @fine says, from @params, that this very call does not block.  It is only
 * looked at under a mark.
 */
#define OOB_WRAP(ret, name, params, args, fine)                                \
    ret __real_##name params;                                                  \
    ret __wrap_##name params;                                                  \
    ret __wrap_##name params                                                   \
    {                                                                          \
        if (G_UNLIKELY(!oob_may_block()) && !(fine)) {                         \
            oob_assert_may_block(#name);                                       \
        }                                                                      \
        return __real_##name args;                                             \
    }

/* The same for a call that has an alias with 64-bit offsets. */
#define OOB_WRAP_64(ret, name, params, args, fine)                             \
    OOB_WRAP(ret, name, params, args, fine)                                    \
    OOB_WRAP(ret, name##64, params, args, fine)

#endif
