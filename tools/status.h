/*
 * The status of a domain: what was found out of it, judged and in words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_STATUS_H
#define TOOLS_STATUS_H

#include <json-c/json.h>
#include "exit-code.h"
#include "output.h"

typedef enum State {
    STATE_RUNNING,      /* main loop and agent, if it has one, answer */
    STATE_GUEST_SILENT, /* the main loop answers, the guest agent does not */
    /* The main loop answers; the guest has stopped, not because it was told to */
    STATE_IO_ERROR,
    STATE_INTERNAL_ERROR,
    STATE_GUEST_PANICKED,
    STATE_WATCHDOG,
    STATE_STUCK,       /* answers out-of-band, not in-band */
    STATE_HUNG,        /* hangs, and there is no lane to it */
    STATE_UNREACHABLE, /* no connection, or no answer on any lane */
    STATE__MAX,
} State;

/*
 * "running", "guest-silent", "stuck", "hung", "unreachable"; those of a guest
 * that has stopped are called as query-status calls them, "io-error" etc.
 */
const char *state_name(State state);
ExitCode state_exit_code(State state);
/* The main loop answers. */
bool state_answers(State state);
/*
 * What query-status says in member "status", as a state of a guest that has
 * stopped on an error; STATE_RUNNING when @run_state (or NULL) is none of these.
 */
State state_of_guest(const char *run_state);

/* The answer of the operation "status", whole or as far as it is made. */

/* That of @lane ("in-band") among its pings; false when not asked. */
bool status_ping_answered(json_object *status, const char *lane);
/*
 * Adds "state", and "stuck-ms" and "stuck-in" (a command) where they are known
 * of one that is stuck.
 */
void status_judge(json_object *status);
State status_state(json_object *status);
Colour status_colour(json_object *status);
/*
 * The state for people: "running", "main loop stuck for 12 s in
 * 'blockdev-del'", ...; g_free() it.
 */
char *status_text(json_object *status);

#endif
