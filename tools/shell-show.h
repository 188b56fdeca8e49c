/*
 * What the shell prints.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_SHELL_SHOW_H
#define TOOLS_SHELL_SHOW_H

#include "shell-session.h"

/* Prints @item, for people or as one line of JSON. */
void shell_show(const ShellItem *item, bool json);
/* The same of a request that was not sent. */
void shell_show_error(const GError *err, bool json);
void shell_show_help(void);

#endif
