/*
 * Operations: the instances of a domain, and the yank of some.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/qemu-cmdline.h"
#include "client/yank.h"
#include "exit-code.h"
#include "json.h"
#include "ops-internal.h"

/* The chardevs at @client's address, where its process tells; never NULL. */
static char **chardevs_of(YcQmpClient *client)
{
    const char *address = yc_qmp_client_address(client);
    g_autoptr(QemuCmdline) cmdline =
        g_str_has_prefix(address, "unix:")
            ? qemu_cmdline_of_process(yc_qmp_client_peer_pid(client))
            : NULL;

    return cmdline
               ? qemu_cmdline_chardevs_at(cmdline, address + strlen("unix:"))
               : g_new0(char *, 1);
}

/* Whether @name is the instance of a chardev in @own, or of its socket. */
static bool is_own(char *const *own, const char *name)
{
    for (; *own && name; own++) {
        g_autofree char *one = g_strconcat("chardev:", *own, NULL);
        g_autofree char *base = g_strconcat(one, "-base", NULL);

        if (g_str_equal(name, one) || g_str_equal(name, base)) {
            return true;
        }
    }
    return false;
}

static json_object *instance_to_json(const YcInstance *instance)
{
    json_object *json = json_object_new_object();

    json_set_string(json, "name", instance->name);
    json_set_bool(json, "monitor", instance->monitor);
    if (instance->has_status) {
        json_set_int(json, "functions", instance->functions);
        json_set_int(json, "yanks", instance->yanks);
        json_set_int(json, "in-flight", instance->in_flight);
        if (instance->idle_ms >= 0) {
            json_set_int(json, "idle-ms", instance->idle_ms);
        }
        if (instance->oldest_ms >= 0) {
            json_set_int(json, "oldest-ms", instance->oldest_ms);
        }
        json_set_string(json, "phase", instance->phase);
        json_set_string(json, "peer", instance->peer);
        json_set_string(json, "reason", instance->reason);
        json_set_bool(json, "stalled", instance->stalled);
    }
    return json;
}

json_object *ops_instances_to_json(GPtrArray *instances)
{
    json_object *array = json_object_new_array();

    for (guint i = 0; i < instances->len; i++) {
        json_object_array_add(array, instance_to_json(instances->pdata[i]));
    }
    return array;
}

json_object *ops_ask_instances(YcDomain *dom, int timeout_ms, GError **errp)
{
    g_autoptr(GPtrArray) instances =
        yc_domain_query_yank(dom, timeout_ms, errp);
    g_auto(GStrv) own = chardevs_of(yc_domain_lane(dom));
    json_object *array = instances ? ops_instances_to_json(instances) : NULL;

    for (size_t i = 0, n = json_length(array); i < n; i++) {
        json_object *instance = json_object_array_get_idx(array, i);

        if (is_own(own, json_get_string(instance, "name"))) {
            json_set_bool(instance, "own", true);
        }
    }
    return array;
}

json_object *op_instances(const OpTarget *target, json_object *request,
                          int timeout_ms, GError **errp)
{
    return ops_ask_instances(target->dom, timeout_ms, errp);
}

/* A string name of what may be the typed form; NULL on error. */
static char *read_name(json_object *instance, GError **errp)
{
    if (json_object_is_type(instance, json_type_string)) {
        return g_strdup(json_object_get_string(instance));
    }
    return yc_instance_name(instance, errp);
}

static char **read_names(json_object *request, GError **errp)
{
    json_object *array = json_get_array(request, "instances");
    g_auto(GStrv) names = NULL;
    size_t n = array ? json_object_array_length(array) : 0;

    if (!array) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "'instances', an array, is missing");
        return NULL;
    }
    names = g_new0(char *, n + 1);
    for (size_t i = 0; i < n; i++) {
        names[i] = read_name(json_object_array_get_idx(array, i), errp);
        if (!names[i]) {
            return NULL;
        }
    }
    return g_steal_pointer(&names);
}

static bool check_own(YcDomain *dom, const char *const *names, GError **errp)
{
    g_auto(GStrv) own = chardevs_of(yc_domain_lane(dom));

    for (; *names; names++) {
        if (is_own(own, *names)) {
            g_set_error(errp, EXIT_ERROR, EXIT_REFUSED,
                        "domain '%s': '%s' is not yanked: it is the "
                        "connection that the yank would go by",
                        yc_domain_name(dom), *names);
            return false;
        }
    }
    return true;
}

/* Whether none of @names carries one of @monitors, or (NULL) may do so. */
static bool check_monitors(YcDomain *dom, char **names, char **monitors,
                           GError **errp)
{
    for (; *names; names++) {
        const char *id = *names + strlen("chardev:");

        if (g_str_has_prefix(*names, "chardev:") &&
            (!monitors || g_strv_contains((const char *const *)monitors, id))) {
            g_set_error(errp, EXIT_ERROR, EXIT_REFUSED,
                        "domain '%s': '%s' is not yanked: it %s a monitor",
                        yc_domain_name(dom), *names,
                        monitors ? "carries" : "may carry");
            return false;
        }
    }
    return true;
}

void ops_yank_begin(const OpTarget *target, const char *const *names)
{
    if (target->yank_watcher) {
        target->yank_watcher->begin(target->yank_watcher->opaque, names);
    }
}

void ops_yank_end(const OpTarget *target, const GError *err)
{
    if (target->yank_watcher) {
        target->yank_watcher->end(target->yank_watcher->opaque, err);
    }
}

char **ops_check_yank(YcDomain *dom, json_object *arguments, int timeout_ms,
                      GError **errp)
{
    g_auto(GStrv) names = read_names(arguments, errp);
    g_auto(GStrv) monitors = yc_domain_monitor_chardevs(dom);

    return names && check_own(dom, (const char *const *)names, errp) &&
                   check_monitors(dom, names, monitors, errp) &&
                   yc_domain_may_yank(dom, timeout_ms, errp)
               ? g_steal_pointer(&names)
               : NULL;
}

static json_object *yanked_to_json(const YcYanked *yanked)
{
    json_object *json = json_object_new_object();

    json_set_string(json, "name", yanked->name);
    if (yanked->told) {
        json_object *cut = json_object_new_array();

        for (int i = 0; yanked->cut[i]; i++) {
            json_object_array_add(cut, json_object_new_string(yanked->cut[i]));
        }
        json_set_int(json, "functions", yanked->functions);
        json_set(json, "cut", cut);
    }
    return json;
}

json_object *op_yank(const OpTarget *target, json_object *request,
                     int timeout_ms, GError **errp)
{
    g_auto(GStrv) names = read_names(request, errp);
    unsigned flags = json_get_bool(request, "force", false) ? YC_YANK_FORCE : 0;
    g_autoptr(GPtrArray) yanked = NULL;
    GError *err = NULL;
    json_object *array;

    if (!names || !check_own(target->dom, (const char *const *)names, errp)) {
        return NULL;
    }
    ops_yank_begin(target, (const char *const *)names);
    yc_domain_yank(target->dom, (const char *const *)names, flags, timeout_ms,
                   &yanked, &err);
    ops_yank_end(target, err);
    if (err) {
        g_propagate_error(errp, err);
        return NULL;
    }
    array = json_object_new_array();
    for (guint i = 0; i < yanked->len; i++) {
        json_object_array_add(array, yanked_to_json(yanked->pdata[i]));
    }
    return array;
}
