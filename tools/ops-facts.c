/*
 * Operations: what a repair has to know of the block nodes of a stock QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "json.h"
#include "ops-internal.h"

/* A device, its bus, and the controller that the bus belongs to. */
#define MAX_LEVELS 4

static int ms_until(gint64 deadline)
{
    gint64 left_ms = (deadline - g_get_monotonic_time()) / 1000;

    return CLAMP(left_ms, 1, G_MAXINT);
}

static json_object *get_property(YcDomain *dom, const char *path,
                                 const char *property, gint64 deadline)
{
    g_autoptr(json_object) arguments = json_object_new_object();

    json_set_string(arguments, "path", path);
    json_set_string(arguments, "property", property);
    return ops_in_band(dom, "qom-get", arguments, ms_until(deadline), NULL);
}

/* The id of the I/O thread that serves the device @qdev, or NULL. */
static char *find_iothread(YcDomain *dom, const char *qdev, gint64 deadline)
{
    g_autofree char *path = g_strdup(qdev);

    for (int i = 0; i < MAX_LEVELS && g_get_monotonic_time() < deadline; i++) {
        g_autoptr(json_object) thread =
            get_property(dom, path, "iothread", deadline);
        g_autoptr(json_object) bus = NULL;
        const char *text;

        if (json_object_is_type(thread, json_type_string)) {
            text = json_object_get_string(thread);
            return *text ? g_path_get_basename(text) : NULL;
        }
        bus = get_property(dom, path, "parent_bus", deadline);
        text = json_object_is_type(bus, json_type_string)
                   ? json_object_get_string(bus)
                   : "";
        if (!*text) {
            return NULL;
        }
        g_free(path);
        path = g_path_get_dirname(text);
    }
    return NULL;
}

static json_object *find_iothreads(YcDomain *dom, json_object *stats,
                                   gint64 deadline)
{
    json_object *threads = json_object_new_object();

    for (size_t i = 0, n = json_length(stats); i < n; i++) {
        const char *qdev =
            json_get_string(json_object_array_get_idx(stats, i), "qdev");
        g_autofree char *thread =
            qdev ? find_iothread(dom, qdev, deadline) : NULL;

        if (thread) {
            json_set_string(threads, qdev, thread);
        }
    }
    return threads;
}

json_object *ops_ask_facts(YcDomain *dom, int timeout_ms, GError **errp)
{
    static const char *const commands[] = {
        "query-named-block-nodes",
        "query-blockstats",
        "x-debug-query-block-graph",
        "query-block-exports",
    };
    gint64 deadline = g_get_monotonic_time() + timeout_ms * 1000LL;
    g_autoptr(json_object) facts = json_object_new_object();

    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autoptr(json_object) arguments = json_object_new_object();
        json_object *result;

        if (i == 0) {
            json_set_bool(arguments, "flat", true);
        }
        result =
            ops_in_band(dom, commands[i], arguments, ms_until(deadline), errp);
        if (!result) {
            return NULL;
        }
        json_set(facts, commands[i], result);
    }
    json_set(facts, "iothreads",
             find_iothreads(dom, json_get(facts, commands[1]), deadline));
    if (g_get_monotonic_time() >= deadline) {
        g_set_error(errp, EXIT_ERROR, EXIT_TIMEOUT,
                    "domain '%s': its block nodes could not be asked for "
                    "within %d ms",
                    yc_domain_name(dom), timeout_ms);
        return NULL;
    }
    return g_steal_pointer(&facts);
}

/* What the service recorded while the domain was healthy. */
static json_object *read_recorded(const OpTarget *target, GError **errp)
{
    json_object *facts;

    if (!target->recorded) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                    "domain '%s': its block nodes have not been recorded",
                    yc_domain_name(target->dom));
        return NULL;
    }
    facts = json_parse(target->recorded, "record of the block nodes", errp);
    if (facts) {
        json_set_ms(facts, "recorded-ms",
                    g_get_monotonic_time() - target->recorded_us);
    }
    return facts;
}

json_object *op_facts(const OpTarget *target, json_object *request,
                      int timeout_ms, GError **errp)
{
    return json_get_bool(request, "recorded", false)
               ? read_recorded(target, errp)
               : ops_ask_facts(target->dom, timeout_ms, errp);
}
