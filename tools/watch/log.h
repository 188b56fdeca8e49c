/*
 * What the service says: lines for people on standard error, and a journal of
 * incidents as JSON lines for programs.
 *
 * Each is written by a thread of its own: a disk or a pipe that hangs, for it
 * may hang with what is watched, delays neither a rescue nor the other of the
 * two.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_LOG_H
#define TOOLS_WATCH_LOG_H

#include <stdbool.h>
#include <json-c/json.h>
#include <glib.h>

/*
 * Begins.  @journal: path of a file that is appended to, made with mode 0640;
 * NULL: none is kept
 */
bool watch_log_start(const char *journal, GError **errp);
/* Writes what is left, for at most two seconds, and ends. */
void watch_log_stop(void);
/*
 * Opens the journal anew by name, after the file has been moved away.  @first
 * (or NULL) is the line that a file begins with which is empty then; it stays
 * the caller's.
 */
void watch_log_reopen(json_object *first);

/* One line for people, made safe.  Any thread, does not block. */
void watch_log(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* One line of the journal; @line stays the caller's.  The same. */
void watch_journal(json_object *line);

/* The time of day in ISO 8601, UTC; g_free() it. */
char *watch_time(void);

#endif
