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

#endif
