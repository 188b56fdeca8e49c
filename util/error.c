/*
 * Error: one object that says what went wrong.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"

struct Error {
    char *msg;
    ErrorClass cls;
};

/* Only their addresses matter; nobody ever stores to them. */
Error *error_abort;
Error *error_fatal;

static void error_die_if_asked(Error **errp, Error *err)
{
    if (errp == &error_abort) {
        fprintf(stderr, "Unexpected error: %s\n", err->msg);
        abort();
    }
    if (errp == &error_fatal) {
        error_report_err(err);
        exit(1);
    }
}

static Error *error_new(ErrorClass cls, char *msg)
{
    Error *err = g_new(Error, 1);

    err->cls = cls;
    err->msg = msg;
    return err;
}

static void G_GNUC_PRINTF(4, 0)
    error_setv(Error **errp, ErrorClass cls, int os_err, const char *fmt,
               va_list ap)
{
    /* Callers read errno after they reported what it made fail. */
    int saved_errno = errno;
    g_autofree char *msg = NULL;

    if (!errp) {
        return;
    }
    g_assert(!*errp);

    msg = g_strdup_vprintf(fmt, ap);
    if (os_err) {
        char *with_errno = g_strdup_printf("%s: %s", msg, g_strerror(os_err));

        g_free(msg);
        msg = with_errno;
    }
    *errp = error_new(cls, g_steal_pointer(&msg));
    error_die_if_asked(errp, *errp);
    errno = saved_errno;
}

void error_setg(Error **errp, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    error_setv(errp, ERROR_CLASS_GENERIC_ERROR, 0, fmt, ap);
    va_end(ap);
}

void error_set(Error **errp, ErrorClass cls, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    error_setv(errp, cls, 0, fmt, ap);
    va_end(ap);
}

void error_setg_errno(Error **errp, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    error_setv(errp, ERROR_CLASS_GENERIC_ERROR, err, fmt, ap);
    va_end(ap);
}

void error_prepend(Error **errp, const char *fmt, ...)
{
    g_autofree char *prefix = NULL;
    char *msg;
    va_list ap;

    if (!errp || !*errp) {
        return;
    }
    va_start(ap, fmt);
    prefix = g_strdup_vprintf(fmt, ap);
    va_end(ap);

    msg = g_strconcat(prefix, (*errp)->msg, NULL);
    g_free((*errp)->msg);
    (*errp)->msg = msg;
}

void error_propagate(Error **dst_errp, Error *local_err)
{
    if (!local_err) {
        return;
    }
    error_die_if_asked(dst_errp, local_err);
    if (dst_errp && !*dst_errp) {
        *dst_errp = local_err;
    } else {
        error_free(local_err);
    }
}

const char *error_get_pretty(const Error *err)
{
    return err->msg;
}

ErrorClass error_get_class(const Error *err)
{
    return err->cls;
}

const char *error_class_name(ErrorClass cls)
{
    static const char *const names[] = {
        [ERROR_CLASS_GENERIC_ERROR] = "GenericError",
        [ERROR_CLASS_COMMAND_NOT_FOUND] = "CommandNotFound",
        [ERROR_CLASS_DEVICE_NOT_ACTIVE] = "DeviceNotActive",
        [ERROR_CLASS_DEVICE_NOT_FOUND] = "DeviceNotFound",
        [ERROR_CLASS_KVM_MISSING_CAP] = "KVMMissingCap",
    };

    g_assert((size_t)cls < G_N_ELEMENTS(names));
    return names[cls];
}

Error *error_copy(const Error *err)
{
    return error_new(err->cls, g_strdup(err->msg));
}

void error_free(Error *err)
{
    if (err) {
        g_free(err->msg);
        g_free(err);
    }
}
