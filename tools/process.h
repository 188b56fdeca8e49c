/*
 * Processes of this host: what they were started with.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_PROCESS_H
#define TOOLS_PROCESS_H

#include <stdbool.h>
#include <glib.h>

/* The command line of @pid; NULL when it cannot be read.  g_strfreev() it. */
char **process_argv(int pid);
/* @arg without its one or two dashes; NULL when it has none. */
const char *process_option(const char *arg);
/* Both paths lead to the same file. */
bool process_same_file(const char *one, const char *other);

#endif
