/*
 * Repair: the options of a node, to make it anew.
 *
 * QEMU tells only what its file name holds, and a little more.  What it was
 * given at its start is the whole truth, if it is about the same node still.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "json.h"
#include "repair-internal.h"

/* A copy of the options of the node @name in @cmdline, or NULL. */
static json_object *given_at_start(const QemuCmdline *cmdline, const char *name)
{
    json_object *given = cmdline ? qemu_cmdline_node(cmdline, name) : NULL;
    json_object *copy = NULL;

    if (given) {
        json_object_deep_copy(given, &copy, NULL);
    }
    return copy;
}

static bool same_member(json_object *a, json_object *b, const char *key)
{
    json_object *one = json_get(a, key);
    json_object *other = json_get(b, key);

    return one == other || (one && other && json_object_equal(one, other));
}

/* Adds what a node was opened with, as far as QEMU tells. */
static void add_common(json_object *options, json_object *info)
{
    json_object *cache = json_get_object(info, "cache");
    json_object *kept = json_object_new_object();

    json_set_bool(options, "read-only", json_get_bool(info, "ro", false));
    json_set_string(options, "detect-zeroes",
                    json_get_string(info, "detect_zeroes"));
    json_set_bool(kept, "direct", json_get_bool(cache, "direct", false));
    json_set_bool(kept, "no-flush", json_get_bool(cache, "no-flush", false));
    json_set(options, "cache", kept);
}

/* Without what the caller gives anew. */
static json_object *stripped(json_object *options)
{
    json_object_object_del(options, "node-name");
    json_object_object_del(options, "file");
    return options;
}

static json_object *nbd_options(json_object *info, const QemuCmdline *cmdline,
                                GError **errp)
{
    const char *filename = json_get_string(info, "file");
    const char *name = json_get_string(info, "node-name");
    g_autoptr(json_object) given = given_at_start(cmdline, name);
    json_object *told = repair_nbd_options(filename ? filename : "", errp);

    if (!told) {
        g_prefix_error(errp, "node '%s': ", name);
        return NULL;
    }
    /* The name may have gone to another node since. */
    if (same_member(given, told, "server") &&
        same_member(given, told, "export")) {
        json_object_put(told);
        return stripped(g_steal_pointer(&given));
    }
    add_common(told, info);
    return told;
}

static json_object *raw_options(json_object *info, const QemuCmdline *cmdline)
{
    const char *name = json_get_string(info, "node-name");
    g_autoptr(json_object) given = given_at_start(cmdline, name);
    json_object *options;

    if (g_strcmp0(json_get_string(given, "driver"), "raw") == 0) {
        return stripped(g_steal_pointer(&given));
    }
    options = json_object_new_object();
    json_set_string(options, "driver", "raw");
    add_common(options, info);
    return options;
}

json_object *repair_options(json_object *info, const QemuCmdline *cmdline,
                            GError **errp)
{
    const char *driver = json_get_string(info, "drv");
    const char *name = json_get_string(info, "node-name");

    if (g_strcmp0(driver, "nbd") == 0) {
        return nbd_options(info, cmdline, errp);
    }
    if (g_strcmp0(driver, "raw") == 0) {
        return raw_options(info, cmdline);
    }
    g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                "node '%s' of driver '%s' is to be made anew by hand: only "
                "nbd, and raw on top of it, are repaired",
                name, driver ? driver : "?");
    return NULL;
}
