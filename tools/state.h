/*
 * The state of a domain, judged from what "status" found out.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_STATE_H
#define TOOLS_STATE_H

#include <json-c/json.h>
#include "exit-code.h"
#include "output.h"

typedef enum State {
    STATE_RUNNING,      /* main loop and agent, if it has one, answer */
    STATE_GUEST_SILENT, /* the main loop answers, the guest agent does not */
    STATE_STUCK,        /* answers out-of-band, not in-band */
    STATE_HUNG,         /* hangs, and there is no lane to it */
    STATE_UNREACHABLE,  /* no connection */
    STATE__MAX,
} State;

/* "running", "guest-silent", "stuck", "hung", "unreachable" */
const char *state_name(State state);
/* The reverse; what is unknown is STATE_UNREACHABLE. */
State state_of_name(const char *name);
Colour state_colour(State state);
ExitCode state_exit_code(State state);

/*
 * Adds "state" to @status, and "stuck-ms" and "stuck-in" (a command) where
 * they are known of one that is stuck.
 */
void state_add(json_object *status);

/*
 * The state of @status for people: "running", "main loop stuck for 12 s in
 * 'blockdev-del'", ...; g_free() it.
 */
char *state_text(json_object *status);

#endif
