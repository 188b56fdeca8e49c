/*
 * The shell's line: editing, history and completion, by readline.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_SHELL_LINE_H
#define TOOLS_SHELL_LINE_H

#include <stdbool.h>
#include "schema.h"

/* A line without its end, which is the callee's; NULL: the end of input. */
typedef void ShellLineFn(char *line, void *data);

/*
 * Takes the terminal: lines that are typed go to @fn.  Reads the history of
 * earlier shells.  There is one at a time, on one thread.
 */
void shell_line_begin(const char *prompt, ShellLineFn *fn, void *data);
/* Gives the terminal back, and writes the history. */
void shell_line_end(void);

/* Standard input is readable. */
void shell_line_read(void);
/* Forgets what is typed, and begins anew. */
void shell_line_drop(void);
/* Takes the terminal again, after the process was stopped. */
void shell_line_resume(void);
/* Whatever is printed between the two comes above the line that is typed. */
void shell_line_hide(void);
void shell_line_show(void);

/* What completion goes by from now on; stays the caller's. */
void shell_line_set_schema(Schema *schema);

#endif
