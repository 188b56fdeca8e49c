/*
 * Repair: plans for both sorts of server, and their execution.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "json.h"
#include "nbd-probe.h"
#include "repair-internal.h"
#include "wire-error.h"

#define PROBE_MS 3000
#define NODE_PREFIX "blockdev:"

void repair_add_step(json_object *steps, const char *command,
                     json_object *arguments)
{
    json_object *step = json_object_new_object();

    json_set_string(step, "command", command);
    json_set(step, "arguments", arguments);
    json_object_array_add(steps, step);
}

static json_object *ask_status(Lane *lane, GError **errp)
{
    g_autoptr(json_object) request = json_object_new_object();

    json_set_string(request, "op", "status");
    return lane_call(lane, request, errp);
}

static void plan_yankd(const char *node, json_object *steps)
{
    json_object *arguments = json_object_new_object();

    json_set_string(arguments, "node-name", node);
    repair_add_step(steps, "blockdev-reconnect", arguments);
}

static void plan_cont(json_object *steps)
{
    json_object *step = json_object_new_object();

    json_set_string(step, "command", "cont");
    json_set_string(step, "if", "io-error");
    json_object_array_add(steps, step);
}

static bool plan_each(Lane *lane, bool yankd, json_object *names,
                      json_object *steps, GError **errp)
{
    for (size_t i = 0, n = json_length(names); i < n; i++) {
        const char *name =
            json_object_get_string(json_object_array_get_idx(names, i));
        const char *node = name + strlen(NODE_PREFIX);

        if (!g_str_has_prefix(name, NODE_PREFIX)) {
            continue;
        }
        if (yankd) {
            plan_yankd(node, steps);
        } else if (!repair_plan_stock(lane, node, steps, errp)) {
            g_prefix_error(errp, "no way to repair '%s': ", name);
            return false;
        }
    }
    if (!yankd && json_length(steps) > 0) {
        plan_cont(steps);
    }
    return true;
}

json_object *repair_plan(Lane *lane, json_object *names, GError **errp)
{
    g_autoptr(json_object) status = ask_status(lane, errp);
    json_object *steps;

    if (!status) {
        return NULL;
    }
    steps = json_object_new_array();
    if (!plan_each(lane, json_get_bool(status, "yankd", false), names, steps,
                   errp)) {
        json_object_put(steps);
        return NULL;
    }
    return steps;
}

/* A path that is relative, is so for the process and not for us. */
static char *path_of_process(const char *path, json_object *status)
{
    gint64 pid = json_get_int(status, "pid", 0);

    return !g_path_is_absolute(path) && pid > 0
               ? g_strdup_printf("/proc/%" G_GINT64_FORMAT "/cwd/%s", pid, path)
               : g_strdup(path);
}

static bool probe(json_object *server, json_object *status, GError **errp)
{
    g_autoptr(json_object) seen = NULL;
    const char *path = json_get_string(server, "path");

    if (path) {
        g_autofree char *ours = path_of_process(path, status);

        seen = json_object_new_object();
        json_set_string(seen, "path", ours);
    }
    return nbd_probe(path ? seen : server, PROBE_MS, errp);
}

/* Whoever connects to a server that is silent, hangs again. */
static bool probe_servers(Lane *lane, json_object *steps, GError **errp)
{
    g_autoptr(json_object) status = ask_status(lane, errp);

    if (!status) {
        return false;
    }
    for (size_t i = 0, n = json_length(steps); i < n; i++) {
        json_object *arguments =
            json_get(json_object_array_get_idx(steps, i), "arguments");
        json_object *server = json_get_object(arguments, "server");

        if (server && !probe(server, status, errp)) {
            g_prefix_error(errp, "nothing was repaired: ");
            return false;
        }
    }
    return true;
}

/* Whether the condition of @step, if it has one, holds. */
static bool is_wanted(Lane *lane, json_object *step)
{
    const char *state = json_get_string(step, "if");
    g_autoptr(json_object) status = NULL;

    if (!state) {
        return true;
    }
    status = lane_execute(lane, false, "query-status", NULL, 0, NULL);
    return g_strcmp0(json_get_string(status, "status"), state) == 0;
}

static bool run_step(Lane *lane, json_object *step, GError **errp)
{
    g_autoptr(json_object) result = NULL;
    const char *command = json_get_string(step, "command");
    GError *err = NULL;

    if (!is_wanted(lane, step)) {
        json_set_bool(step, "done", false);
        return true;
    }
    result = lane_execute(lane, false, command, json_get(step, "arguments"), 0,
                          &err);
    json_set_bool(step, "done", result != NULL);
    if (!result) {
        json_set(step, "error", wire_error_to_json(err));
        g_propagate_prefixed_error(errp, err,
                                   "repair stopped at '%s': ", command);
    }
    return result != NULL;
}

bool repair_run(Lane *lane, json_object *steps, GError **errp)
{
    if (!probe_servers(lane, steps, errp)) {
        return false;
    }
    for (size_t i = 0, n = json_length(steps); i < n; i++) {
        if (!run_step(lane, json_object_array_get_idx(steps, i), errp)) {
            return false;
        }
    }
    return true;
}

char *repair_step_text(json_object *step)
{
    json_object *arguments = json_get_object(step, "arguments");
    GString *text = g_string_new(json_get_string(step, "command"));

    if (arguments) {
        json_object_object_foreach(arguments, key, value)
        {
            g_string_append_printf(
                text, " %s=%s", key,
                json_object_is_type(value, json_type_string)
                    ? json_object_get_string(value)
                    : json_object_to_json_string_ext(
                          value, JSON_C_TO_STRING_PLAIN |
                                     JSON_C_TO_STRING_NOSLASHESCAPE));
        }
    }
    if (json_get_string(step, "if")) {
        g_string_append(text, ", if the guest has paused on the error");
    }
    return g_string_free(text, FALSE);
}
