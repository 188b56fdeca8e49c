/*
 * The state of a domain, judged from what "status" found out.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "json.h"
#include "state.h"

static const struct {
    const char *name;
    Colour colour;
    ExitCode exit_code;
} states[STATE__MAX] = {
    [STATE_RUNNING] = {"running", COLOUR_GOOD, EXIT_OK},
    [STATE_GUEST_SILENT] = {"guest-silent", COLOUR_WARN, EXIT_GUEST_SILENT},
    [STATE_STUCK] = {"stuck", COLOUR_BAD, EXIT_STUCK},
    [STATE_HUNG] = {"hung", COLOUR_BAD, EXIT_NO_LANE},
    [STATE_UNREACHABLE] = {"unreachable", COLOUR_WARN, EXIT_UNREACHABLE},
};

const char *state_name(State state)
{
    return states[state].name;
}

State state_of_name(const char *name)
{
    for (int i = 0; i < STATE__MAX; i++) {
        if (g_strcmp0(name, states[i].name) == 0) {
            return i;
        }
    }
    return STATE_UNREACHABLE;
}

Colour state_colour(State state)
{
    return states[state].colour;
}

ExitCode state_exit_code(State state)
{
    return states[state].exit_code;
}

/* The ping of @lane among those of @status, or NULL. */
static json_object *find_ping(json_object *status, const char *lane)
{
    json_object *pings = json_get_array(status, "pings");
    size_t n = pings ? json_object_array_length(pings) : 0;

    for (size_t i = 0; i < n; i++) {
        json_object *ping = json_object_array_get_idx(pings, i);

        if (g_strcmp0(json_get_string(ping, "lane"), lane) == 0) {
            return ping;
        }
    }
    return NULL;
}

static bool is_silent(json_object *status, const char *lane)
{
    json_object *ping = find_ping(status, lane);

    return ping && !json_get_bool(ping, "answered", false);
}

static gint64 silent_ms(json_object *status, const char *lane)
{
    json_object *ms = json_get(find_ping(status, lane), "ms");

    return ms ? json_object_get_double(ms) : 0;
}

static State judge(json_object *status)
{
    json_object *error = json_get_object(status, "error");

    if (error) {
        return g_strcmp0(json_get_string(error, "code"), "no-negotiation") == 0
                   ? STATE_HUNG
                   : STATE_UNREACHABLE;
    }
    if (is_silent(status, "in-band")) {
        return is_silent(status, "out-of-band") ? STATE_HUNG : STATE_STUCK;
    }
    return is_silent(status, "agent") ? STATE_GUEST_SILENT : STATE_RUNNING;
}

/* Since when, and in which command, whoever knows it best. */
static void add_stuck(json_object *status)
{
    json_object *running = json_get_object(status, "running");
    json_object *job = json_get_object(status, "job");
    const char *command = json_get_string(running, "command");
    gint64 ms = silent_ms(status, "in-band");

    ms = MAX(ms, json_get_int(running, "running-ms", 0));
    ms = MAX(ms, json_get_int(job, "ms", 0));
    ms = MAX(ms, json_get_int(status, "main-loop-stalled-ms", 0));
    json_set_int(status, "stuck-ms", ms);
    json_set_string(status, "stuck-in",
                    command ? command : json_get_string(job, "command"));
}

void state_add(json_object *status)
{
    State state = judge(status);

    json_set_string(status, "state", state_name(state));
    if (state == STATE_STUCK) {
        add_stuck(status);
    }
}

static char *stuck_text(json_object *status)
{
    g_autofree char *time =
        output_duration(json_get_int(status, "stuck-ms", 0) * 1000);
    const char *command = json_get_string(status, "stuck-in");

    return command ? g_strdup_printf("main loop stuck for %s in '%s'", time,
                                     command)
                   : g_strdup_printf("main loop stuck for %s", time);
}

char *state_text(json_object *status)
{
    const char *why = json_get_string(json_get_object(status, "error"), "desc");
    const char *run_state = json_get_string(status, "run-state");

    switch (state_of_name(json_get_string(status, "state"))) {
    case STATE_RUNNING:
        return g_strdup(run_state ? run_state : "running");
    case STATE_GUEST_SILENT:
        return g_strdup("guest silent");
    case STATE_STUCK:
        return stuck_text(status);
    case STATE_HUNG:
        return g_strdup("hung, and nobody holds a lane to it");
    default:
        return g_strdup_printf("monitor unreachable: %s", why ? why : "?");
    }
}
