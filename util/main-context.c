/*
 * Event loops where the system may have nothing left for them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include "qemu/main-context.h"

/*
 * GLib needs one descriptor for a context, and ends the process when it gets
 * none.  Another thread may take the descriptor that is tried here; but a
 * process that runs out of descriptors has none for a long time.
 */
static bool has_descriptor(Error **errp)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to create an event loop");
        return false;
    }
    close(fd);
    return true;
}

GMainContext *main_context_new(Error **errp)
{
    return has_descriptor(errp) ? g_main_context_new() : NULL;
}

bool main_context_default_init(Error **errp)
{
    return has_descriptor(errp) && g_main_context_default();
}

void __attribute__((noinline)) main_context_release(GMainContext *context)
{
    g_main_context_unref(context);
    /* Prevents a tail call: this function must be in the stack of a report. */
    __asm__ volatile("" ::: "memory");
}
