/*
 * What a client of the control socket has not read yet: bounded, and written
 * without ever waiting for it.
 *
 * Any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_OUTPUT_H
#define TOOLS_WATCH_OUTPUT_H

#include <json-c/json.h>
#include <glib.h>

typedef struct WatchOutput WatchOutput;

/* For the socket @fd, non-blocking, which it takes.  One reference. */
WatchOutput *watch_output_new(int fd);
WatchOutput *watch_output_ref(WatchOutput *output);
/* The last one closes the socket. */
void watch_output_unref(WatchOutput *output);
/*
 * Sends @value as a line; stays the caller's.  A client for whom too much
 * waits is shut down, which its reader sees as its end.
 */
void watch_output_send(WatchOutput *output, json_object *value);
/* Shuts the socket down; nothing is sent any more. */
void watch_output_end(WatchOutput *output);

#endif
