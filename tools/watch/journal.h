/*
 * The journal of an earlier service: the numbers that it has used.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_JOURNAL_H
#define TOOLS_WATCH_JOURNAL_H

#include <glib.h>

/*
 * The highest number of an incident in the journal @path; 0 when the file does
 * not exist, is no regular file, cannot be read or has no incident.  Reads the
 * file, from its end, and so may block.
 */
guint64 journal_last_incident(const char *path);

#endif
