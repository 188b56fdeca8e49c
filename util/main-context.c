/*
 * Event loops where the system may have nothing left for them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include "qemu/main-context.h"

/*
 * GLib needs one descriptor, and ends the process when it gets none.  What is
 * tried here another thread may take right away; but whoever runs out of
 * descriptors has none for a long time, and not by chance just now.
 */
GMainContext *main_context_new(Error **errp)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to create an event loop");
        return NULL;
    }
    close(fd);
    return g_main_context_new();
}

void __attribute__((noinline)) main_context_release(GMainContext *context)
{
    g_main_context_unref(context);
    /* Prevents a tail call: this function must be in the stack of a report. */
    __asm__ volatile("" ::: "memory");
}
