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

static json_object *get_property(YcDomain *dom, const char *path,
                                 const char *property, int timeout_ms)
{
    g_autoptr(json_object) arguments = json_object_new_object();

    json_set_string(arguments, "path", path);
    json_set_string(arguments, "property", property);
    return ops_in_band(dom, "qom-get", arguments, timeout_ms, NULL);
}

/* The id of the I/O thread that serves the device @qdev, or NULL. */
static char *find_iothread(YcDomain *dom, const char *qdev, int timeout_ms)
{
    g_autofree char *path = g_strdup(qdev);

    for (int i = 0; i < MAX_LEVELS; i++) {
        g_autoptr(json_object) thread =
            get_property(dom, path, "iothread", timeout_ms);
        g_autoptr(json_object) bus = NULL;
        const char *text;

        if (json_object_is_type(thread, json_type_string)) {
            text = json_object_get_string(thread);
            return *text ? g_path_get_basename(text) : NULL;
        }
        bus = get_property(dom, path, "parent_bus", timeout_ms);
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
                                   int timeout_ms)
{
    json_object *threads = json_object_new_object();

    for (size_t i = 0, n = json_length(stats); i < n; i++) {
        const char *qdev =
            json_get_string(json_object_array_get_idx(stats, i), "qdev");
        g_autofree char *thread =
            qdev ? find_iothread(dom, qdev, timeout_ms) : NULL;

        if (thread) {
            json_set_string(threads, qdev, thread);
        }
    }
    return threads;
}

json_object *op_facts(const OpTarget *target, json_object *request,
                      int timeout_ms, GError **errp)
{
    static const char *const commands[] = {
        "query-named-block-nodes",
        "query-blockstats",
        "x-debug-query-block-graph",
        "query-block-exports",
    };
    g_autoptr(json_object) facts = json_object_new_object();

    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autoptr(json_object) arguments = json_object_new_object();
        json_object *result;

        if (i == 0) {
            json_set_bool(arguments, "flat", true);
        }
        result =
            ops_in_band(target->dom, commands[i], arguments, timeout_ms, errp);
        if (!result) {
            return NULL;
        }
        json_set(facts, commands[i], result);
    }
    json_set(
        facts, "iothreads",
        find_iothreads(target->dom, json_get(facts, commands[1]), timeout_ms));
    return g_steal_pointer(&facts);
}
