/*
 * The state of a domain, judged from its pings.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tools/json.h"
#include "tools/status.h"

#define OOB(x) "{'lane': 'out-of-band', 'ms': 0.1, " x "}"
#define IN_BAND(x) "{'lane': 'in-band', 'ms': 3000.5, " x "}"
#define AGENT(x) "{'lane': 'agent', 'ms': 3000, " x "}"
#define YES "'answered': true"
#define NO(code) "'answered': false, 'error': {'code': '" code "'}"

static json_object *judged(const char *text)
{
    g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
    json_object *status = json_tokener_parse(json);

    g_assert_nonnull(status);
    status_judge(status);
    return status;
}

static void check(const char *text, State state, const char *words)
{
    g_autoptr(json_object) status = judged(text);
    g_autofree char *said = status_text(status);

    g_assert_cmpstr(json_get_string(status, "state"), ==, state_name(state));
    g_assert_cmpint(status_state(status), ==, state);
    g_assert_cmpstr(said, ==, words);
}

static void test_well(void)
{
    check("{'pings': [" OOB(YES) "," IN_BAND(YES) "]}", STATE_RUNNING,
          "running");
    check("{'pings': [" OOB(YES) "," IN_BAND(YES) "," AGENT(
              YES) "],"
                   " 'run-state': 'paused'}",
          STATE_RUNNING, "paused");
    /* What cannot be rescued may yet be well. */
    check("{'pings': [" OOB(NO("no-oob")) "," IN_BAND(YES) "]}", STATE_RUNNING,
          "running");
    check("{'pings': [" OOB(YES) "," IN_BAND(YES) "," AGENT(NO("timeout")) "]}",
          STATE_GUEST_SILENT, "guest silent");
}

static void test_guest_failed(void)
{
    static const char *const names[] = {"io-error", "internal-error",
                                        "guest-panicked", "watchdog"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *text =
            g_strdup_printf("{'pings': [" OOB(YES) "," IN_BAND(YES) "," AGENT(
                                NO("timeout")) "],"
                                               " 'run-state': '%s'}",
                            names[i]);
        g_autoptr(json_object) status = judged(text);
        State state = status_state(status);

        check(text, STATE_IO_ERROR + i, names[i]);
        g_assert_cmpint(state_exit_code(state), ==, EXIT_GUEST_FAILED);
        g_assert_cmpint(status_colour(status), ==, COLOUR_BAD);
        g_assert_true(state_answers(state));
    }
    /* A main loop that hangs is the first thing to be told. */
    check("{'pings': [" OOB(YES) "," IN_BAND(
              NO("timeout")) "],"
                             " 'run-state': 'io-error'}",
          STATE_STUCK, "main loop stuck for 3.0 s");
}

static void test_stuck(void)
{
    check("{'pings': [" OOB(YES) "," IN_BAND(NO("timeout")) "]}", STATE_STUCK,
          "main loop stuck for 3.0 s");
    check("{'pings': [" OOB(YES) "," IN_BAND(
              NO("timeout")) "],"
                             " 'running': {'command': 'blockdev-del', "
                             "'running-ms': 12000}}",
          STATE_STUCK, "main loop stuck for 12 s in 'blockdev-del'");
    check("{'pings': [" OOB(YES) "," IN_BAND(
              NO("busy")) "],"
                          " 'job': {'command': 'stop', 'ms': 75000}}",
          STATE_STUCK, "main loop stuck for 75 s in 'stop'");
    check("{'pings': [" OOB(YES) "," IN_BAND(
              NO("timeout")) "],"
                             " 'main-loop-stalled-ms': 900000}",
          STATE_STUCK, "main loop stuck for 15 min");
    check("{'pings': [" OOB(YES) "," IN_BAND(
              NO("timeout")) "],"
                             " 'running': {'running-ms': 9223372036854775807}}",
          STATE_STUCK, "main loop stuck for 153722867281 min");
}

static void test_lost(void)
{
    check("{'pings': [" OOB(NO("no-oob")) "," IN_BAND(NO("timeout")) "]}",
          STATE_HUNG, "hung, and nobody holds a lane to it");
    check("{'error': {'code': 'no-negotiation', 'desc': 'x'}}", STATE_HUNG,
          "hung, and nobody holds a lane to it");
    check("{'error': {'code': 'connect', 'desc': 'refused'}}",
          STATE_UNREACHABLE, "monitor unreachable: refused");
    check("{'pings': [" OOB(NO("timeout")) "," IN_BAND(NO("timeout")) "]}",
          STATE_UNREACHABLE,
          "monitor unreachable: it answers neither in-band nor out-of-band");
    check("{'pings': [{'lane': 'out-of-band', 'answered': false,"
          " 'error': {'code': 'closed', 'desc': 'gone'}},"
          " {'lane': 'in-band', 'answered': false,"
          " 'error': {'code': 'gone', 'desc': 'gone'}}]}",
          STATE_UNREACHABLE, "monitor unreachable: gone");
    check("{'pings': [" OOB(
              YES) ", {'lane': 'in-band', 'answered': false,"
                   " 'error': {'code': 'closed', 'desc': 'ended'}}]}",
          STATE_UNREACHABLE, "monitor unreachable: ended");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tools/status/well", test_well);
    g_test_add_func("/tools/status/guest-failed", test_guest_failed);
    g_test_add_func("/tools/status/stuck", test_stuck);
    g_test_add_func("/tools/status/lost", test_lost);
    return g_test_run();
}
