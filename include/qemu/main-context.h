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
 * Creates GLib's default context, which is otherwise created on first use.
 * Main thread, at startup.  False with errp set when no descriptor is left.
 */
bool main_context_default_init(Error **errp);

/*
 * Drops the reference to @context that was held for a post to another thread's
 * event loop.  Any thread, OOB-safe.
 *
 * This is a separate function because the thread sanitizer does not see that
 * GLib counts references atomically: tests/tsan.supp names it.
 */
void main_context_release(GMainContext *context);

#endif
