/*
 * A GMainContext, or an error.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_MAIN_CONTEXT_H
#define QEMU_MAIN_CONTEXT_H

#include "qapi/error.h"

/*
 * NULL with errp set when the process has no descriptor left.  Any thread; the
 * caller drops it by g_main_context_unref().
 */
GMainContext *main_context_new(Error **errp);

/*
 * Drops the reference to @context that a post to another thread's loop held.
 * Any thread, OOB-safe.
 *
 * It is a function of its own for the thread sanitizer, which does not see
 * that GLib counts references atomically: tests/tsan.supp names it.
 */
void main_context_release(GMainContext *context);

#endif
