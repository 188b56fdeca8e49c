/*
 * The status of a domain: what was found out of it, judged and in words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "json.h"
#include "status.h"

static const struct {
    const char *name;
    Colour colour;
    ExitCode exit_code;
} states[STATE__MAX] = {
    [STATE_RUNNING] = {"running", COLOUR_GOOD, EXIT_OK},
    [STATE_GUEST_SILENT] = {"guest-silent", COLOUR_WARN, EXIT_GUEST_SILENT},
    [STATE_IO_ERROR] = {"io-error", COLOUR_BAD, EXIT_GUEST_FAILED},
    [STATE_INTERNAL_ERROR] = {"internal-error", COLOUR_BAD, EXIT_GUEST_FAILED},
    [STATE_GUEST_PANICKED] = {"guest-panicked", COLOUR_BAD, EXIT_GUEST_FAILED},
    [STATE_WATCHDOG] = {"watchdog", COLOUR_BAD, EXIT_GUEST_FAILED},
    [STATE_STUCK] = {"stuck", COLOUR_BAD, EXIT_STUCK},
    [STATE_HUNG] = {"hung", COLOUR_BAD, EXIT_NO_LANE},
    [STATE_UNREACHABLE] = {"unreachable", COLOUR_WARN, EXIT_UNREACHABLE},
};

const char *state_name(State state)
{
    return states[state].name;
}

ExitCode state_exit_code(State state)
{
    return states[state].exit_code;
}

bool state_answers(State state)
{
    return state < STATE_STUCK;
}

State state_of_guest(const char *run_state)
{
    for (State state = STATE_IO_ERROR; state <= STATE_WATCHDOG; state++) {
        if (g_strcmp0(run_state, states[state].name) == 0) {
            return state;
        }
    }
    return STATE_RUNNING;
}

/* The ping of @lane among those of @status, or NULL. */
static json_object *find_ping(json_object *status, const char *lane)
{
    json_object *pings = json_get_array(status, "pings");

    for (size_t i = 0, n = json_length(pings); i < n; i++) {
        json_object *ping = json_object_array_get_idx(pings, i);

        if (g_strcmp0(json_get_string(ping, "lane"), lane) == 0) {
            return ping;
        }
    }
    return NULL;
}

bool status_ping_answered(json_object *status, const char *lane)
{
    return json_get_bool(find_ping(status, lane), "answered", false);
}

/* The code of the error of the ping of @lane, or NULL. */
static const char *ping_error(json_object *status, const char *lane)
{
    json_object *error = json_get_object(find_ping(status, lane), "error");

    return json_get_string(error, "code");
}

static gint64 silent_ms(json_object *status, const char *lane)
{
    json_object *ms = json_get(find_ping(status, lane), "ms");

    return ms ? json_object_get_double(ms) : 0;
}

static bool is_lost(const char *code)
{
    return g_strcmp0(code, "closed") == 0 || g_strcmp0(code, "gone") == 0;
}

/* The error of the connection that was lost meanwhile, or NULL. */
static json_object *lost_error(json_object *status)
{
    static const char *const lanes[] = {"in-band", "out-of-band"};

    for (size_t i = 0; i < G_N_ELEMENTS(lanes); i++) {
        if (is_lost(ping_error(status, lanes[i]))) {
            return json_get_object(find_ping(status, lanes[i]), "error");
        }
    }
    return NULL;
}

/* There is a connection, and the main loop did not answer. */
static State judge_silence(json_object *status)
{
    const char *code = ping_error(status, "out-of-band");
    json_object *error = json_object_get(lost_error(status));

    if (!error && !code) {
        return STATE_STUCK;
    }
    if (!error && g_str_equal(code, "no-oob")) {
        return STATE_HUNG;
    }
    if (!error) {
        error = json_object_new_object();
        json_set_string(error, "code", "timeout");
        json_set_string(error, "desc",
                        "it answers neither in-band nor out-of-band");
    }
    json_set(status, "error", error);
    return STATE_UNREACHABLE;
}

static State judge(json_object *status)
{
    const char *code =
        json_get_string(json_get_object(status, "error"), "code");
    State guest;

    if (code) {
        return g_str_equal(code, "no-negotiation") ? STATE_HUNG
                                                   : STATE_UNREACHABLE;
    }
    if (!status_ping_answered(status, "in-band")) {
        return judge_silence(status);
    }
    guest = state_of_guest(json_get_string(status, "run-state"));
    return guest == STATE_RUNNING && ping_error(status, "agent")
               ? STATE_GUEST_SILENT
               : guest;
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

void status_judge(json_object *status)
{
    State state = judge(status);

    json_set_string(status, "state", state_name(state));
    if (state == STATE_STUCK) {
        add_stuck(status);
    }
}

State status_state(json_object *status)
{
    const char *name = json_get_string(status, "state");

    for (int i = 0; i < STATE__MAX; i++) {
        if (g_strcmp0(name, states[i].name) == 0) {
            return i;
        }
    }
    return STATE_UNREACHABLE;
}

/* A guest that does not run, be it as it was told, is worth a look. */
Colour status_colour(json_object *status)
{
    State state = status_state(status);
    const char *run_state = json_get_string(status, "run-state");

    if (state == STATE_RUNNING && run_state &&
        !g_str_equal(run_state, "running")) {
        return COLOUR_WARN;
    }
    return states[state].colour;
}

static char *stuck_text(json_object *status)
{
    g_autofree char *time =
        output_duration_ms(json_get_int(status, "stuck-ms", 0));
    const char *command = json_get_string(status, "stuck-in");

    return command ? g_strdup_printf("main loop stuck for %s in '%s'", time,
                                     command)
                   : g_strdup_printf("main loop stuck for %s", time);
}

char *status_text(json_object *status)
{
    const char *why = json_get_string(json_get_object(status, "error"), "desc");
    const char *run_state = json_get_string(status, "run-state");

    switch (status_state(status)) {
    case STATE_RUNNING:
        return g_strdup(run_state ? run_state : "running");
    case STATE_GUEST_SILENT:
        return g_strdup("guest silent");
    case STATE_STUCK:
        return stuck_text(status);
    case STATE_HUNG:
        return g_strdup("hung, and nobody holds a lane to it");
    case STATE_IO_ERROR:
    case STATE_INTERNAL_ERROR:
    case STATE_GUEST_PANICKED:
    case STATE_WATCHDOG:
        return g_strdup(run_state);
    default:
        return g_strdup_printf("monitor unreachable: %s", why ? why : "?");
    }
}
