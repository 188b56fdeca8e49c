/*
 * The instances of a domain: query-yank-status, or query-yank where there is
 * no more.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domain-internal.h"
#include "monitor-chardev.h"
#include "yank-internal.h"

#define CHARDEV "chardev:"

bool yc_instance_is_monitor(const char *name, char *const *monitors)
{
    const char *id = name + strlen(CHARDEV);

    return g_str_has_prefix(name, CHARDEV) &&
           (!monitors || yc_monitor_chardev_by_name(id) ||
            g_strv_contains((const char *const *)monitors, id));
}

void yc_yank_propagate_error(YcDomain *dom, const char *command, GError *err,
                             GError **errp)
{
    if (g_error_matches(err, YC_ERROR, YC_ERROR_QMP_COMMAND_NOT_FOUND)) {
        g_set_error(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_UNSUPPORTED,
                    "domain '%s': %s: the server has no %s; QEMU has it since "
                    "6.0, qemu-storage-daemon never",
                    yc_domain_name(dom),
                    yc_qmp_client_address(yc_domain_lane(dom)), command);
        g_error_free(err);
        return;
    }
    g_propagate_error(errp, err);
}

static char *member_text(json_object *object, const char *member)
{
    json_object *value = yc_message_member(object, member, json_type_string);

    return value ? g_strdup(json_object_get_string(value)) : NULL;
}

/* 0 where there is none. */
static guint64 member_count(json_object *object, const char *member)
{
    return json_object_get_uint64(
        yc_message_member(object, member, json_type_int));
}

static gint64 member_ms(json_object *object, const char *member)
{
    json_object *value = yc_message_member(object, member, json_type_int);

    return value ? json_object_get_int64(value) : -1;
}

static void read_status(YcInstance *instance, json_object *status)
{
    instance->has_status = true;
    instance->functions = member_count(status, "functions");
    instance->yanks = member_count(status, "yanks");
    instance->in_flight = member_count(status, "in-flight");
    instance->idle_ms = member_ms(status, "idle-ms");
    instance->oldest_ms = member_ms(status, "oldest-ms");
    instance->phase = member_text(status, "phase");
    instance->peer = member_text(status, "peer");
    instance->reason = member_text(status, "reason");
    instance->stalled = json_object_get_boolean(
        yc_message_member(status, "stalled", json_type_boolean));
}

/* @item: of query-yank-status when @with_status, else of query-yank. */
static YcInstance *read_instance(json_object *item, bool with_status,
                                 char *const *monitors, GError **errp)
{
    json_object *typed =
        with_status ? yc_message_member(item, "instance", json_type_object)
                    : item;
    char *name = yc_instance_name(typed, errp);
    YcInstance *instance;

    if (!name) {
        return NULL;
    }
    instance = g_new0(YcInstance, 1);
    instance->name = name;
    instance->monitor = yc_instance_is_monitor(name, monitors);
    instance->idle_ms = -1;
    instance->oldest_ms = -1;
    if (with_status) {
        read_status(instance, item);
    }
    return instance;
}

static void instance_free(void *instance)
{
    yc_instance_free(instance);
}

static GPtrArray *read_instances(YcDomain *dom, json_object *list,
                                 bool with_status, GError **errp)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(instance_free);
    g_auto(GStrv) monitors = yc_domain_monitor_chardevs(dom);

    if (!json_object_is_type(list, json_type_array)) {
        g_set_error(errp, YC_ERROR, YC_ERROR_PROTOCOL,
                    "%s: the list of yank instances is no array",
                    yc_qmp_client_address(yc_domain_lane(dom)));
        return NULL;
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        YcInstance *instance = read_instance(json_object_array_get_idx(list, i),
                                             with_status, monitors, errp);

        if (!instance) {
            g_prefix_error(errp,
                           "%s: ", yc_qmp_client_address(yc_domain_lane(dom)));
            return NULL;
        }
        g_ptr_array_add(all, instance);
    }
    return g_steal_pointer(&all);
}

GPtrArray *yc_domain_query_yank(YcDomain *dom, int timeout_ms, GError **errp)
{
    int64_t deadline = yc_deadline(&timeout_ms);
    json_object *list = NULL;
    GError *err = NULL;
    bool with_status = true;
    GPtrArray *all = NULL;

    if (!yc_domain_oob(dom, "query-yank-status", NULL, yc_ms_until(deadline),
                       &list, &err) &&
        g_error_matches(err, YC_ERROR, YC_ERROR_QMP_COMMAND_NOT_FOUND)) {
        g_clear_error(&err);
        with_status = false;
        yc_domain_oob(dom, "query-yank", NULL, yc_ms_until(deadline), &list,
                      &err);
    }
    if (err) {
        yc_yank_propagate_error(dom, "query-yank", err, errp);
        return NULL;
    }
    all = read_instances(dom, list, with_status, errp);
    json_object_put(list);
    return all;
}
