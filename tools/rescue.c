/*
 * Rescue: which instances to yank, the yank, and whether it helped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/yank.h"
#include "exit-code.h"
#include "json.h"
#include "rescue.h"

static json_object *ask_instances(Lane *lane, GError **errp)
{
    g_autoptr(json_object) request = json_object_new_object();

    json_set_string(request, "op", "instances");
    return lane_call(lane, request, errp);
}

/* For how long its main loop has hung, or -1 when it does not, or not tell. */
static gint64 ask_hung_ms(Lane *lane)
{
    g_autoptr(json_object) info =
        lane_execute(lane, true, "query-dispatch", NULL, 0, NULL);

    return json_get_int(info, "main-loop-stalled-ms", -1);
}

/*
 * @hung_ms: while the main loop hangs, a request that waits for as long is
 * stalled, before the server calls it so.  The two ages are taken a moment
 * apart: hence the quarter.
 */
static bool is_chosen(json_object *instance, RescueChoice choice,
                      gint64 hung_ms)
{
    gint64 oldest_ms = json_get_int(instance, "oldest-ms", -1);

    if (!json_get_string(instance, "name")) {
        return false;
    }
    if (json_get_int(instance, "functions", 1) == 0) {
        return false; /* listed, but there is nothing that a yank could cut */
    }
    if (choice == RESCUE_ALL) {
        return !json_get_bool(instance, "monitor", false);
    }
    return json_get_bool(instance, "stalled", false) ||
           (hung_ms >= 0 && oldest_ms >= hung_ms - hung_ms / 4);
}

/* A server that does not tell which instance is stalled, tells no phase. */
static bool check_tells_stalled(Lane *lane, json_object *instances,
                                GError **errp)
{
    for (size_t i = 0, n = json_length(instances); i < n; i++) {
        if (!json_get(json_object_array_get_idx(instances, i), "stalled")) {
            g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                        "domain '%s': its server does not tell which "
                        "instance is stalled; name instances, or use --all",
                        lane_domain(lane));
            return false;
        }
    }
    return true;
}

json_object *rescue_choose(Lane *lane, RescueChoice choice, GError **errp)
{
    g_autoptr(json_object) instances = ask_instances(lane, errp);
    gint64 hung_ms = -1;
    json_object *names;

    if (!instances || (choice == RESCUE_STALLED &&
                       !check_tells_stalled(lane, instances, errp))) {
        return NULL;
    }
    if (choice == RESCUE_STALLED) {
        hung_ms = ask_hung_ms(lane);
    }
    names = json_object_new_array();
    for (size_t i = 0, n = json_length(instances); i < n; i++) {
        json_object *instance = json_object_array_get_idx(instances, i);

        if (is_chosen(instance, choice, hung_ms)) {
            json_object_array_add(names,
                                  json_object_get(json_get(instance, "name")));
        }
    }
    return names;
}

static char *read_typed(const char *given, GError **errp)
{
    g_autoptr(json_object) typed = json_parse(given, "instance", errp);
    char *name = typed ? yc_instance_name(typed, NULL) : NULL;

    if (typed && !name) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "instance '%s' is wrong: allowed are {\"type\": "
                    "\"block-node\", \"node-name\": NODE}, {\"type\": "
                    "\"chardev\", \"id\": ID} and {\"type\": "
                    "\"migration\"}",
                    given);
    }
    return name;
}

/* The string name of what is one already, or the text of a typed object. */
static char *read_name(const char *given, GError **errp)
{
    g_autoptr(json_object) typed = NULL;

    if (given[0] == '{') {
        return read_typed(given, errp);
    }
    typed = yc_instance_typed(given, errp);
    return typed ? g_strdup(given) : NULL;
}

json_object *rescue_names(char **given, GError **errp)
{
    json_object *names = json_object_new_array();
    GError *err = NULL;

    for (; *given; given++) {
        g_autofree char *name = read_name(*given, &err);

        if (!name) {
            g_set_error(errp, EXIT_ERROR, EXIT_USAGE, "%s", err->message);
            g_error_free(err);
            json_object_put(names);
            return NULL;
        }
        json_object_array_add(names, json_object_new_string(name));
    }
    return names;
}

/* The instance @name, or NULL. */
static json_object *find(json_object *instances, const char *name)
{
    for (size_t i = 0, n = json_length(instances); i < n; i++) {
        json_object *instance = json_object_array_get_idx(instances, i);

        if (g_strcmp0(json_get_string(instance, "name"), name) == 0) {
            return instance;
        }
    }
    return NULL;
}

static char *all_names(json_object *instances)
{
    GString *names = g_string_new(NULL);

    for (size_t i = 0, n = json_length(instances); i < n; i++) {
        const char *name =
            json_get_string(json_object_array_get_idx(instances, i), "name");

        g_string_append_printf(names, "%s'%s'", i ? ", " : "",
                               name ? name : "?");
    }
    return g_string_free(names, FALSE);
}

/* Why @name would not be yanked, or NULL; @code: set then. */
static char *why_not(json_object *instances, const char *name, bool force,
                     ExitCode *code)
{
    json_object *instance = find(instances, name);
    g_autofree char *names = NULL;

    *code = EXIT_REFUSED;
    if (json_get_bool(instance, "own", false)) {
        return g_strdup_printf("'%s' is not yanked: it is the connection that "
                               "the yank would go by",
                               name);
    }
    if (json_get_bool(instance, "monitor", false) && !force) {
        return g_strdup_printf("'%s' is not yanked: it carries a monitor, "
                               "or may carry one, and its manager may end the "
                               "process when that drops; --force does it all "
                               "the same",
                               name);
    }
    if (instance) {
        return NULL;
    }
    *code = EXIT_NOT_FOUND;
    names = all_names(instances);
    return names[0] ? g_strdup_printf("it has no instance '%s', only %s", name,
                                      names)
                    : g_strdup_printf("it has no instance '%s', nor any other",
                                      name);
}

bool rescue_check(Lane *lane, json_object *names, bool force, GError **errp)
{
    g_autoptr(json_object) instances = ask_instances(lane, errp);

    if (!instances) {
        return false;
    }
    for (size_t i = 0, n = json_length(names); i < n; i++) {
        ExitCode code;
        g_autofree char *why =
            why_not(instances,
                    json_object_get_string(json_object_array_get_idx(names, i)),
                    force, &code);

        if (why) {
            g_set_error(errp, EXIT_ERROR, code, "domain '%s': %s",
                        lane_domain(lane), why);
            return false;
        }
    }
    return true;
}

json_object *rescue_yank(Lane *lane, json_object *names, bool force,
                         GError **errp)
{
    g_autoptr(json_object) request = json_object_new_object();

    json_set_string(request, "op", "yank");
    json_set(request, "instances", json_object_get(names));
    json_set_bool(request, "force", force);
    return lane_call(lane, request, errp);
}

bool rescue_verify(Lane *lane, gint64 *us, GError **errp)
{
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) pong = NULL;
    gint64 start = g_get_monotonic_time();

    json_set_string(request, "op", "ping");
    json_set_string(request, "lane", "in-band");
    pong = lane_call(lane, request, errp);
    *us = g_get_monotonic_time() - start;
    if (!pong) {
        return false;
    }
    if (!json_get_bool(pong, "answered", false)) {
        g_set_error(errp, EXIT_ERROR, EXIT_STUCK,
                    "domain '%s': its main loop still does not answer",
                    lane_domain(lane));
        return false;
    }
    return true;
}
