/*
 * The yank of instances of a domain, out-of-band or not at all.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/ping.h"
#include "domain-internal.h"
#include "yank-internal.h"

/* Who drops a monitor's connection loses its answer, and may lose more. */
static bool check_no_monitor(YcDomain *dom, const char *const *names,
                             GError **errp)
{
    g_auto(GStrv) monitors = yc_domain_monitor_chardevs(dom);

    for (int i = 0; names[i]; i++) {
        if (yc_instance_is_monitor(names[i], monitors)) {
            g_set_error(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_REFUSED,
                        "domain '%s': '%s' is not yanked: it carries a "
                        "monitor, or may carry one, and its manager may end "
                        "the process when that drops",
                        yc_domain_name(dom), names[i]);
            return false;
        }
    }
    return true;
}

/* {"instances": [...]}; json_object_put() it. */
static json_object *yank_arguments(const char *const *names, GError **errp)
{
    g_autoptr(json_object) arguments = json_object_new_object();
    json_object *instances = json_object_new_array();

    json_object_object_add(arguments, "instances", instances);
    for (int i = 0; names[i]; i++) {
        json_object *typed = yc_instance_typed(names[i], errp);

        if (!typed) {
            return NULL;
        }
        json_object_array_add(instances, typed);
    }
    return g_steal_pointer(&arguments);
}

static char **read_cut(json_object *cut)
{
    GPtrArray *words = g_ptr_array_new();

    for (size_t i = 0; i < json_object_array_length(cut); i++) {
        const char *text =
            json_object_get_string(json_object_array_get_idx(cut, i));

        g_ptr_array_add(words, g_strdup(text ? text : ""));
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, false);
}

/* What the report @yanked of the server has on @name; NULL: nothing. */
static json_object *find_report(json_object *yanked, const char *name)
{
    if (!json_object_is_type(yanked, json_type_array)) {
        return NULL;
    }
    for (size_t i = 0; i < json_object_array_length(yanked); i++) {
        json_object *item = json_object_array_get_idx(yanked, i);
        json_object *value = yc_message_member(item, "name", json_type_string);

        if (value && g_str_equal(json_object_get_string(value), name)) {
            return item;
        }
    }
    return NULL;
}

static YcYanked *read_yanked(json_object *report, const char *name)
{
    YcYanked *yanked = g_new0(YcYanked, 1);
    json_object *functions =
        yc_message_member(report, "functions", json_type_int);
    json_object *cut = yc_message_member(report, "cut", json_type_array);

    yanked->name = g_strdup(name);
    if (functions && cut) {
        yanked->told = true;
        yanked->functions = json_object_get_uint64(functions);
        yanked->cut = read_cut(cut);
    }
    return yanked;
}

static void yanked_free(void *yanked)
{
    yc_yanked_free(yanked);
}

/* Stock answers with an empty object, which is a report without a word. */
static GPtrArray *read_result(json_object *result, const char *const *names)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(yanked_free);
    json_object *yanked = NULL;

    if (json_object_is_type(result, json_type_object)) {
        json_object_object_get_ex(result, "yanked", &yanked);
    }
    for (int i = 0; names[i]; i++) {
        g_ptr_array_add(all,
                        read_yanked(find_report(yanked, names[i]), names[i]));
    }
    return all;
}

bool yc_domain_may_yank(YcDomain *dom, int timeout_ms, GError **errp)
{
    GError *err = NULL;
    gint64 us;

    if (yc_domain_ping(dom, YC_PING_OOB, timeout_ms, &us, &err)) {
        return true;
    }
    g_propagate_prefixed_error(errp, err, "nothing was yanked: ");
    return false;
}

bool yc_domain_yank(YcDomain *dom, const char *const *names, unsigned flags,
                    int timeout_ms, GPtrArray **yanked, GError **errp)
{
    g_autoptr(json_object) arguments = yank_arguments(names, errp);
    g_autoptr(json_object) result = NULL;
    int64_t deadline = yc_deadline(&timeout_ms);
    GError *err = NULL;

    if (!arguments ||
        (!(flags & YC_YANK_FORCE) && !check_no_monitor(dom, names, errp)) ||
        !yc_domain_may_yank(dom, timeout_ms, errp)) {
        return false;
    }
    if (!yc_domain_oob(dom, "yank", arguments, yc_ms_until(deadline), &result,
                       &err)) {
        yc_yank_propagate_error(dom, "yank", err, errp);
        return false;
    }
    if (yanked) {
        *yanked = read_result(result, names);
    }
    return true;
}
