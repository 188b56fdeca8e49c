/*
 * Printing errors at the program's edge.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/message-thread.h"
#include "qemu/oob.h"

static void print_message(const char *kind, const char *msg)
{
    const char *program = g_get_prgname();
    g_autofree char *line = g_strdup_printf(
        "%s%s%s%s\n", program ? program : "", program ? ": " : "", kind, msg);

    if (!message_thread_put(line)) {
        oob_assert_may_block("error_report");
        /* A single call, so that the lines of two threads never mix. */
        fputs(line, stderr);
    }
}

void error_report_err(Error *err)
{
    print_message("", error_get_pretty(err));
    error_free(err);
}

void error_report(const char *fmt, ...)
{
    g_autofree char *msg = NULL;
    va_list ap;

    va_start(ap, fmt);
    msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    print_message("", msg);
}

void warn_report(const char *fmt, ...)
{
    g_autofree char *msg = NULL;
    va_list ap;

    va_start(ap, fmt);
    msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    print_message("warning: ", msg);
}
