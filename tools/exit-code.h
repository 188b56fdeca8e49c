/*
 * Exit codes: what a script may rely on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_EXIT_CODE_H
#define TOOLS_EXIT_CODE_H

#include <glib.h>

typedef enum ExitCode {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_UNREACHABLE = 4,
    EXIT_TIMEOUT = 5,
    EXIT_STUCK = 6,
    EXIT_NO_LANE = 7,
    EXIT_REFUSED = 8,
    EXIT_GUEST_SILENT = 9,
    EXIT_GUEST_FAILED = 10,
    EXIT__MAX,
} ExitCode;

/* What @code means, in a few words; a static string. */
const char *exit_code_meaning(ExitCode code);

/* Errors of the tools themselves: a GError whose code is an ExitCode. */
#define EXIT_ERROR (exit_error_quark())
GQuark exit_error_quark(void);

/* The code to exit with after @err, of whichever library. */
ExitCode exit_code_of(const GError *err);

#endif
