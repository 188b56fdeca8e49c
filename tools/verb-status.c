/*
 * yankctl status: one domain, in pings and instances.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "json.h"
#include "lane.h"
#include "output.h"
#include "status.h"
#include "verb.h"

static void print_head(json_object *status)
{
    g_autofree char *text = status_text(status);
    const char *program = json_get_string(status, "program");
    gint64 pid = json_get_int(status, "pid", 0);

    output_text(COLOUR_NONE, json_get_string(status, "name"));
    fputs(": ", stdout);
    output_text(status_colour(status), text);
    putchar('\n');
    if (program) {
        output_text(COLOUR_NONE, program);
        if (pid > 0) {
            printf(", process %" G_GINT64_FORMAT, pid);
        }
        fputs(", ", stdout);
    }
    output_text(COLOUR_NONE, json_get_string(status, "monitor"));
    puts(json_get_bool(status, "watched", false) ? ", held by the service"
                                                 : "");
}

static void add_ping(Table *table, json_object *ping)
{
    json_object *ms = json_get(ping, "ms");
    bool answered = json_get_bool(ping, "answered", false);
    const char *why = json_get_string(json_get_object(ping, "error"), "desc");

    table_add(table, COLOUR_NONE, g_strdup(json_get_string(ping, "lane")));
    table_add(table, COLOUR_NONE,
              output_duration(json_object_get_double(ms) * 1000));
    table_add(table, answered ? COLOUR_GOOD : COLOUR_BAD,
              g_strdup(answered ? "answered" : why));
}

static void print_pings(json_object *pings)
{
    static const char *const headings[] = {"PING", "TIME", "ANSWER", NULL};
    g_autoptr(Table) table = table_new(headings);

    for (size_t i = 0, n = json_length(pings); i < n; i++) {
        add_ping(table, json_object_array_get_idx(pings, i));
    }
    putchar('\n');
    table_print(table);
}

/* A member that only yankd tells. */
static char *number(json_object *instance, const char *key)
{
    gint64 value = json_get_int(instance, key, -1);

    return value < 0 ? NULL : g_strdup_printf("%" G_GINT64_FORMAT, value);
}

static char *duration(json_object *instance, const char *key)
{
    gint64 ms = json_get_int(instance, key, -1);

    return ms < 0 ? NULL : output_duration_ms(ms);
}

/* @reasons: with a last column for them */
static void add_instance(Table *table, json_object *instance, bool reasons)
{
    bool stalled = json_get_bool(instance, "stalled", false);
    bool monitor = json_get_bool(instance, "monitor", false);
    bool own = json_get_bool(instance, "own", false);
    const char *phase = json_get_string(instance, "phase");

    table_add(table, COLOUR_NONE, g_strdup(json_get_string(instance, "name")));
    table_add(table, COLOUR_NONE, number(instance, "in-flight"));
    table_add(table, stalled ? COLOUR_BAD : COLOUR_NONE,
              duration(instance, "oldest-ms"));
    table_add(table, COLOUR_NONE, duration(instance, "idle-ms"));
    table_add(table, COLOUR_NONE,
              stalled ? g_strdup_printf("%s, stalled", phase ? phase : "?")
                      : g_strdup(phase));
    table_add(table, COLOUR_NONE,
              g_strdup(own       ? "(carries this monitor)"
                       : monitor ? "(carries a monitor)"
                                 : json_get_string(instance, "peer")));
    if (reasons) {
        table_add(table, COLOUR_NONE,
                  g_strdup(json_get_string(instance, "reason")));
    }
}

static bool has_reasons(json_object *instances)
{
    for (size_t i = 0, n = json_length(instances); i < n; i++) {
        if (json_get_string(json_object_array_get_idx(instances, i),
                            "reason")) {
            return true;
        }
    }
    return false;
}

static void print_instances(json_object *instances)
{
    bool reasons = has_reasons(instances);
    const char *const headings[] = {"INSTANCE",
                                    "IN FLIGHT",
                                    "OLDEST",
                                    "IDLE",
                                    "PHASE",
                                    "PEER",
                                    reasons ? "REASON" : NULL,
                                    NULL};
    g_autoptr(Table) table = table_new(headings);

    for (size_t i = 0, n = json_length(instances); i < n; i++) {
        add_instance(table, json_object_array_get_idx(instances, i), reasons);
    }
    putchar('\n');
    table_print(table);
}

static void print_text(json_object *status)
{
    json_object *pings = json_get_array(status, "pings");
    json_object *instances = json_get_array(status, "instances");

    print_head(status);
    if (pings) {
        print_pings(pings);
    }
    if (json_length(instances) > 0) {
        print_instances(instances);
    }
}

static ExitCode run(const Options *options, char **arguments, GError **errp)
{
    g_autoptr(Lanes) lanes = lanes_new(options, errp);
    g_autoptr(Lane) lane =
        lanes ? lane_open_name(lanes, arguments[0], errp) : NULL;
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) status = NULL;

    json_set_string(request, "op", "status");
    if (!lane || !(status = lane_call(lane, request, errp))) {
        return EXIT_FAILED;
    }
    if (options->json) {
        output_json(status, true);
    } else {
        print_text(status);
    }
    return state_exit_code(status_state(status));
}

const Verb verb_status = {
    .name = "status",
    .arguments = "DOMAIN",
    .summary = "One domain: who answers, how fast, and what it waits for",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
