/*
 * Error objects: setting, handing on, dying and reporting.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/message-thread.h"
#include "qemu/oob.h"

static void test_set(void)
{
    g_autoptr(Error) err = NULL;

    error_setg(&err, "disk '%s' is %d", "a", 7);
    g_assert_cmpstr(error_get_pretty(err), ==, "disk 'a' is 7");
    g_assert_cmpint(error_get_class(err), ==, ERROR_CLASS_GENERIC_ERROR);
    g_assert_cmpstr(error_class_name(error_get_class(err)), ==, "GenericError");
}

static void test_class(void)
{
    g_autoptr(Error) err = NULL;

    error_set(&err, ERROR_CLASS_DEVICE_NOT_FOUND, "no %s", "x");
    g_assert_cmpint(error_get_class(err), ==, ERROR_CLASS_DEVICE_NOT_FOUND);
    g_assert_cmpstr(error_class_name(error_get_class(err)), ==,
                    "DeviceNotFound");
    g_assert_cmpstr(error_class_name(ERROR_CLASS_COMMAND_NOT_FOUND), ==,
                    "CommandNotFound");
    g_assert_cmpstr(error_class_name(ERROR_CLASS_DEVICE_NOT_ACTIVE), ==,
                    "DeviceNotActive");
    g_assert_cmpstr(error_class_name(ERROR_CLASS_KVM_MISSING_CAP), ==,
                    "KVMMissingCap");
}

static void test_errno(void)
{
    g_autoptr(Error) with = NULL;
    g_autoptr(Error) without = NULL;

    errno = EPIPE;
    error_setg_errno(&with, ENOENT, "open");
    error_setg_errno(&without, 0, "open");
    g_assert_cmpint(errno, ==, EPIPE);
    g_assert_cmpstr(error_get_pretty(with), ==,
                    "open: No such file or directory");
    g_assert_cmpstr(error_get_pretty(without), ==, "open");
}

static void test_nobody_cares(void)
{
    error_setg(NULL, "lost");
    error_set(NULL, ERROR_CLASS_DEVICE_NOT_FOUND, "lost");
    error_setg_errno(NULL, EIO, "lost");
    error_prepend(NULL, "lost: ");
    error_propagate(NULL, NULL);
    error_free(NULL);
}

static void test_prepend(void)
{
    g_autoptr(Error) err = NULL;

    error_prepend(&err, "nothing to put it before: ");
    g_assert_null(err);
    error_setg(&err, "refused");
    error_prepend(&err, "node '%s': ", "n0");
    g_assert_cmpstr(error_get_pretty(err), ==, "node 'n0': refused");
}

static void test_propagate(void)
{
    g_autoptr(Error) dst = NULL;
    Error *local = NULL;

    error_propagate(&dst, NULL);
    g_assert_null(dst);
    error_setg(&local, "first");
    error_propagate(&dst, local);
    g_assert_true(dst == local);
    /* The first error is the one that is told. */
    local = NULL;
    error_setg(&local, "second");
    error_propagate(&dst, local);
    g_assert_cmpstr(error_get_pretty(dst), ==, "first");
    local = NULL;
    error_setg(&local, "third");
    error_propagate(NULL, local);
}

static void test_copy(void)
{
    g_autoptr(Error) err = NULL;
    g_autoptr(Error) copy = NULL;

    error_set(&err, ERROR_CLASS_DEVICE_NOT_ACTIVE, "idle");
    copy = error_copy(err);
    g_assert_true(copy != err);
    g_assert_cmpstr(error_get_pretty(copy), ==, "idle");
    g_assert_cmpint(error_get_class(copy), ==, ERROR_CLASS_DEVICE_NOT_ACTIVE);
}

static void test_abort(void)
{
    if (g_test_subprocess()) {
        error_setg(&error_abort, "a bug");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*Unexpected error: a bug*");
}

static void test_abort_propagated(void)
{
    Error *local = NULL;

    if (g_test_subprocess()) {
        error_setg(&local, "a bug");
        error_propagate(&error_abort, local);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*Unexpected error: a bug*");
}

static void test_fatal(void)
{
    if (g_test_subprocess()) {
        g_set_prgname("yankd");
        error_setg(&error_fatal, "no such option");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("yankd: no such option\n");
}

static void test_set_twice(void)
{
    if (g_test_subprocess()) {
        g_autoptr(Error) err = NULL;

        error_setg(&err, "one");
        error_setg(&err, "two");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
}

static void test_report(void)
{
    if (g_test_subprocess()) {
        Error *err = NULL;

        g_set_prgname("yankd");
        error_report("%d%%", 5);
        warn_report("slow");
        error_setg(&err, "gone");
        error_report_err(err);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("yankd: 5%\nyankd: warning: slow\n"
                              "yankd: gone\n");
}

#define N_MESSAGES 8000 /* more than pipe and queue hold */

/* Reads @fd up to the end of the line that contains @last. */
static char *read_until(int fd, const char *last)
{
    GString *text = g_string_new(NULL);
    char buf[4096];
    const char *found = NULL;

    while (!found || !strchr(found, '\n')) {
        ssize_t len = read(fd, buf, sizeof(buf));

        g_assert_cmpint(len, >, 0);
        g_string_append_len(text, buf, len);
        found = strstr(text->str, last);
    }
    return g_string_free(text, FALSE);
}

static void check_order(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    unsigned lost = 0;
    int next = 0;
    int n;

    for (char **line = lines; **line; line++) {
        if (sscanf(*line, "yankd: message %d ", &n) == 1) {
            g_assert_cmpint(n, ==, next);
            next++;
        } else if (!strcmp(*line, "yankd: last")) {
            g_assert_cmpint(next, ==, N_MESSAGES);
            return;
        } else {
            g_assert_cmpint(
                sscanf(*line, "yankd: warning: %u messages were lost", &lost),
                ==, 1);
            next += lost;
        }
    }
    g_assert_not_reached();
}

/* Makes standard error a pipe, which is read at fds[0]. */
static void stderr_to_pipe(int fds[2])
{
    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_cmpint(dup2(fds[1], STDERR_FILENO), ==, STDERR_FILENO);
}

/*
 * Nobody reads standard error: messages are queued, those beyond the bound
 * are counted, and out-of-band code may go on reporting.
 */
static void test_report_blocked(void)
{
    g_autofree char *text = NULL;
    int fds[2];

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 60 * G_USEC_PER_SEC, 0);
        g_test_trap_assert_passed();
        return;
    }
    g_set_prgname("yankd");
    stderr_to_pipe(fds);
    message_thread_start(&error_abort);
    oob_section_enter("test");
    for (int i = 0; i < N_MESSAGES; i++) {
        error_report("message %d %0100d", i, 0);
    }
    oob_section_leave();
    g_assert_false(message_thread_flush(10));

    text = read_until(fds[0], "messages were lost");
    error_report("last");
    {
        g_autofree char *rest = read_until(fds[0], "last");
        g_autofree char *all = g_strconcat(text, rest, NULL);

        check_order(all);
    }
    message_thread_stop(60000);
    /* Messages are written directly again. */
    error_report("end");
    g_free(read_until(fds[0], "end"));
}

/* GLib's warnings are queued as well; a blocked thread is abandoned. */
static void test_warning_blocked(void)
{
    g_autofree char *text = NULL;
    int fds[2];

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 60 * G_USEC_PER_SEC, 0);
        g_test_trap_assert_passed();
        return;
    }
    g_set_prgname("yankd");
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    stderr_to_pipe(fds);
    message_thread_start(&error_abort);
    oob_section_enter("test");
    g_warning("from %s", "GLib");
    oob_section_leave();
    text = read_until(fds[0], "GLib");
    g_assert_cmpstr(text, ==, "yankd: warning: from GLib\n");
    for (int i = 0; i < N_MESSAGES; i++) {
        error_report("message %d %0100d", i, 0);
    }
    message_thread_stop(10);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/set", test_set);
    g_test_add_func("/error/class", test_class);
    g_test_add_func("/error/errno", test_errno);
    g_test_add_func("/error/nobody-cares", test_nobody_cares);
    g_test_add_func("/error/prepend", test_prepend);
    g_test_add_func("/error/propagate", test_propagate);
    g_test_add_func("/error/copy", test_copy);
    g_test_add_func("/error/abort", test_abort);
    g_test_add_func("/error/abort-propagated", test_abort_propagated);
    g_test_add_func("/error/fatal", test_fatal);
    g_test_add_func("/error/set-twice", test_set_twice);
    g_test_add_func("/error/report", test_report);
    g_test_add_func("/error/report-blocked", test_report_blocked);
    g_test_add_func("/error/warning-blocked", test_warning_blocked);
    return g_test_run();
}
