/*
 * Processes of this host: what they were started with, as QEMU has it.
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
/*
 * "socket,id=x,path=a,,b" at its commas, of which a double one stands for
 * itself; g_strfreev() it.
 */
char **process_parts(const char *value);
/* The value of @key in such parts, which keep it; NULL: not there. */
const char *process_part(char **parts, const char *key);
/* Both paths lead to the same file. */
bool process_same_file(const char *one, const char *other);

#endif
