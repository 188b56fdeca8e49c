/*
 * Errors: one object says what went wrong, in words a user can act on.
 *
 * A function that can fail takes a last parameter `Error **errp` and also
 * returns its failure (false, NULL or a negative number).  On success it
 * leaves errp alone; on failure it sets it exactly once.  errp may be NULL
 * (the caller does not care why), &error_abort or &error_fatal.
 * Libraries never print; only the edge (main, the monitor, a tool) does.
 *
 * All functions here may be called on any thread and are OOB-safe but for the
 * report functions, which write to stderr.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_ERROR_H
#define QAPI_ERROR_H

typedef struct Error Error;

/* The classes of QMP's wire format. */
typedef enum ErrorClass {
    ERROR_CLASS_GENERIC_ERROR,
    ERROR_CLASS_COMMAND_NOT_FOUND,
    ERROR_CLASS_DEVICE_NOT_ACTIVE,
    ERROR_CLASS_DEVICE_NOT_FOUND,
    ERROR_CLASS_KVM_MISSING_CAP,
} ErrorClass;

/* Passed as errp: an error here is a bug (abort) or ends the program. */
extern Error *error_abort;
extern Error *error_fatal;

void error_setg(Error **errp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void error_set(Error **errp, ErrorClass cls, const char *fmt, ...)
    G_GNUC_PRINTF(3, 4);
/* Appends ": " and strerror(@err) when @err (a positive errno) is not 0. */
void error_setg_errno(Error **errp, int err, const char *fmt, ...)
    G_GNUC_PRINTF(3, 4);
/* Puts text before the message of *@errp, which must be set (or NULL). */
void error_prepend(Error **errp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Hands @local_err to @dst_errp, or frees it; either way it is consumed. */
void error_propagate(Error **dst_errp, Error *local_err);

/* The message; belongs to @err. */
const char *error_get_pretty(const Error *err);
ErrorClass error_get_class(const Error *err);
/* The class as QMP spells it, such as "GenericError". */
const char *error_class_name(ErrorClass cls);
Error *error_copy(const Error *err);
void error_free(Error *err);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Error, error_free)

/* Edge only: one line on stderr, behind the program's name; frees @err. */
void error_report_err(Error *err);
void error_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void warn_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

#endif
