/*
 * Repair: plans for both sorts of server, and their execution.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "json.h"
#include "nbd-peer.h"
#include "nbd-probe.h"
#include "repair-internal.h"
#include "wire-error.h"

#define PROBE_MS 3000
/* As blockdev-reconnect of yankd has it. */
#define CLOSE_MS 10000
#define RECONNECT_MS 30000
#define NODE_PREFIX "blockdev:"

json_object *repair_add_step(json_object *steps, const char *command,
                             json_object *arguments)
{
    json_object *step = json_object_new_object();

    json_set_string(step, "command", command);
    json_set(step, "arguments", arguments);
    json_object_array_add(steps, step);
    return step;
}

static json_object *ask_status(Lane *lane, GError **errp)
{
    g_autoptr(json_object) request = json_object_new_object();

    json_set_string(request, "op", "status");
    return lane_call(lane, request, errp);
}

static void plan_yankd(const char *node, bool force, json_object *steps)
{
    json_object *arguments = json_object_new_object();

    json_set_string(arguments, "node-name", node);
    if (force) {
        json_set_bool(arguments, "force", true);
    }
    repair_add_step(steps, "blockdev-reconnect", arguments);
}

static void plan_cont(json_object *steps)
{
    json_object *step = json_object_new_object();

    json_set_string(step, "command", "cont");
    json_set_string(step, "if", "io-error");
    json_object_array_add(steps, step);
}

/* @recorded: those that the service recorded while the domain was healthy */
static json_object *ask_facts(Lane *lane, bool recorded, GError **errp)
{
    g_autoptr(json_object) request = json_object_new_object();

    json_set_string(request, "op", "facts");
    json_set_bool(request, "recorded", recorded);
    return lane_call(lane, request, errp);
}

/* The node that the instance @item is, or NULL. */
static const char *node_of(json_object *item)
{
    const char *name = json_object_get_string(item);

    return g_str_has_prefix(name, NODE_PREFIX) ? name + strlen(NODE_PREFIX)
                                               : NULL;
}

static bool plan_stock(Lane *lane, json_object *status, json_object *names,
                       unsigned flags, json_object *steps, GError **errp)
{
    g_autoptr(QemuCmdline) cmdline =
        qemu_cmdline_of_process(json_get_int(status, "pid", 0));
    bool hangs = g_strcmp0(json_get_string(status, "state"), "stuck") == 0;
    g_autoptr(json_object) facts = NULL;

    for (size_t i = 0, n = json_length(names); i < n; i++) {
        const char *node = node_of(json_object_array_get_idx(names, i));

        if (!node) {
            continue;
        }
        if (!facts) {
            facts = ask_facts(lane, hangs && (flags & REPAIR_RECORDED), errp);
        }
        if (!facts) {
            return false;
        }
        if (!repair_plan_stock(facts, cmdline, node, flags & REPAIR_FORCE,
                               steps, errp)) {
            g_prefix_error(errp,
                           "no way to repair '" NODE_PREFIX "%s': ", node);
            return false;
        }
    }
    if (json_length(steps) > 0) {
        plan_cont(steps);
    }
    return true;
}

json_object *repair_plan(Lane *lane, json_object *names, unsigned flags,
                         GError **errp)
{
    g_autoptr(json_object) status = ask_status(lane, errp);
    g_autoptr(json_object) steps = json_object_new_array();

    if (!status) {
        return NULL;
    }
    if (!json_get_bool(status, "yankd", false)) {
        return plan_stock(lane, status, names, flags, steps, errp)
                   ? g_steal_pointer(&steps)
                   : NULL;
    }
    for (size_t i = 0, n = json_length(names); i < n; i++) {
        const char *node = node_of(json_object_array_get_idx(names, i));

        if (node) {
            plan_yankd(node, flags & REPAIR_FORCE, steps);
        }
    }
    return g_steal_pointer(&steps);
}

/* A path that is relative, is so for the process and not for us. */
static char *path_of_process(const char *path, json_object *status)
{
    gint64 pid = json_get_int(status, "pid", 0);

    return !g_path_is_absolute(path) && pid > 0
               ? g_strdup_printf("/proc/%" G_GINT64_FORMAT "/cwd/%s", pid, path)
               : g_strdup(path);
}

static bool probe(json_object *server, const char *path, GError **errp)
{
    g_autoptr(json_object) seen = NULL;

    if (path) {
        seen = json_object_new_object();
        json_set_string(seen, "path", path);
    }
    return nbd_probe(path ? seen : server, PROBE_MS, errp);
}

static bool is_probed(json_object *probed, json_object *server)
{
    for (size_t i = 0, n = json_length(probed); i < n; i++) {
        if (json_object_equal(json_object_array_get_idx(probed, i), server)) {
            return true;
        }
    }
    return false;
}

/*
 * Whoever connects to a server that is silent, hangs again; and one that has
 * not closed the old connection may still carry out what came by it.
 */
static bool check_servers(Lane *lane, json_object *steps, bool yanked,
                          GError **errp)
{
    g_autoptr(json_object) status = ask_status(lane, errp);
    g_autoptr(json_object) probed = json_object_new_array();

    if (!status) {
        return false;
    }
    for (size_t i = 0, n = json_length(steps); i < n; i++) {
        json_object *arguments =
            json_get(json_object_array_get_idx(steps, i), "arguments");
        json_object *server = json_get_object(arguments, "server");
        const char *given = json_get_string(server, "path");
        g_autofree char *path = given ? path_of_process(given, status) : NULL;

        if (!server || is_probed(probed, server)) {
            continue;
        }
        if (!probe(server, path, errp) ||
            (yanked &&
             !nbd_peer_wait_closed(server, path, json_get_int(status, "pid", 0),
                                   CLOSE_MS, errp))) {
            g_prefix_error(errp, "nothing was repaired: ");
            return false;
        }
        json_object_array_add(probed, json_object_get(server));
    }
    return true;
}

bool repair_check(Lane *lane, json_object *steps, GError **errp)
{
    return check_servers(lane, steps, false, errp);
}

/* What query-named-block-nodes tells of the node @name, the caller's; or NULL. */
static json_object *ask_node(Lane *lane, const char *name, GError **errp)
{
    g_autoptr(json_object) flat = json_object_new_object();
    g_autoptr(json_object) nodes = NULL;

    json_set_bool(flat, "flat", true);
    nodes = lane_execute(lane, false, "query-named-block-nodes", flat, 0, errp);
    for (size_t i = 0, n = json_length(nodes); i < n; i++) {
        json_object *info = json_object_array_get_idx(nodes, i);

        if (g_strcmp0(json_get_string(info, "node-name"), name) == 0) {
            return json_object_get(info);
        }
    }
    if (nodes) {
        g_set_error(errp, EXIT_ERROR, EXIT_NOT_FOUND, "there is no node '%s'",
                    name);
    }
    return NULL;
}

/* Whether the condition of @step, if it has one, holds. */
static bool is_wanted(Lane *lane, json_object *step)
{
    const char *condition = json_get_string(step, "if");
    g_autoptr(json_object) told = NULL;

    if (!condition) {
        return true;
    }
    if (g_str_equal(condition, "node")) {
        told = ask_node(
            lane, json_get_string(json_get(step, "arguments"), "node-name"),
            NULL);
        return told != NULL;
    }
    told = lane_execute(lane, false, "query-status", NULL, 0, NULL);
    return g_strcmp0(json_get_string(told, "status"), condition) == 0;
}

/* Runs @command as a step of its own would; true when it was done. */
static bool execute(Lane *lane, const char *command, json_object *arguments,
                    GError **errp)
{
    /* yankd waits for the old connection, and then for the new one. */
    int timeout_ms =
        g_str_equal(command, "blockdev-reconnect") ? RECONNECT_MS : 0;
    g_autoptr(json_object) result =
        lane_execute(lane, false, command, arguments, timeout_ms, errp);

    return result != NULL;
}

/*
 * A device that an I/O thread serves at the moment only takes a node of that
 * thread, and one that the main loop serves only one of the main loop.  QEMU
 * does not tell which of the two it is.
 */
static bool move_and_retry(Lane *lane, json_object *step, GError **errp)
{
    json_object *arguments = json_get(step, "arguments");
    g_autoptr(json_object) move = json_object_new_object();

    json_set_string(move, "node-name", json_get_string(arguments, "value"));
    json_set_string(move, "iothread", json_get_string(step, "iothread"));
    return execute(lane, "x-blockdev-set-iothread", move, errp) &&
           execute(lane, json_get_string(step, "command"), arguments, errp);
}

/* Whether the new node has the size of the one that it is to replace. */
static bool check_size(Lane *lane, json_object *step, GError **errp)
{
    gint64 wanted = json_get_int(step, "virtual-size", -1);
    g_autoptr(json_object) info = NULL;
    gint64 size;

    if (wanted < 0) {
        return true;
    }
    info = ask_node(
        lane, json_get_string(json_get(step, "arguments"), "node-name"), errp);
    if (!info) {
        return false;
    }
    size = json_get_int(json_get_object(info, "image"), "virtual-size", -1);
    if (size != wanted) {
        g_set_error(errp, EXIT_ERROR, EXIT_REFUSED,
                    "the new node has %" G_GINT64_FORMAT " bytes, the old one "
                    "has %" G_GINT64_FORMAT,
                    size, wanted);
    }
    return size == wanted;
}

static bool run_step(Lane *lane, json_object *step, GError **errp)
{
    const char *command = json_get_string(step, "command");
    GError *err = NULL;
    bool done;

    if (!is_wanted(lane, step)) {
        json_set_bool(step, "done", false);
        return true;
    }
    done = execute(lane, command, json_get(step, "arguments"), &err);
    if (!done && json_get(step, "iothread") &&
        g_error_matches(err, YC_ERROR, YC_ERROR_QMP_GENERIC)) {
        g_clear_error(&err);
        done = move_and_retry(lane, step, &err);
    }
    json_set_bool(step, "done", done);
    if (!done || !check_size(lane, step, &err)) {
        json_set(step, "error", wire_error_to_json(err));
        g_propagate_prefixed_error(errp, err,
                                   "repair stopped at '%s': ", command);
        return false;
    }
    return true;
}

static bool is_step(json_object *step, const char *command)
{
    return g_strcmp0(json_get_string(step, "command"), command) == 0;
}

/* The last step of @steps before @end that ran @command, or NULL. */
static json_object *last_done(json_object *steps, size_t end,
                              const char *command, const char *argument,
                              const char *value)
{
    while (end-- > 0) {
        json_object *step = json_object_array_get_idx(steps, end);
        json_object *arguments = json_get(step, "arguments");

        if (is_step(step, command) && json_get_bool(step, "done", false) &&
            g_strcmp0(json_get_string(arguments, argument), value) == 0) {
            return step;
        }
    }
    return NULL;
}

/* Whether the node @name is under the node @top, which a step made. */
static bool is_under(json_object *steps, size_t end, const char *top,
                     const char *name)
{
    while (top && !g_str_equal(top, name)) {
        json_object *step =
            last_done(steps, end, "blockdev-add", "node-name", top);

        top = json_get_string(json_get(step, "arguments"), "file");
    }
    return top != NULL;
}

/* Whether a device was given the node @name, or one above it. */
static bool is_in_use(json_object *steps, size_t end, const char *name)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    while (end-- > 0) {
        json_object *step = json_object_array_get_idx(steps, end);
        json_object *arguments = json_get(step, "arguments");
        const char *qdev = json_get_string(arguments, "path");

        /* The latest one of each device counts. */
        if (is_step(step, "qom-set") && json_get_bool(step, "done", false) &&
            qdev && g_hash_table_add(seen, (void *)qdev) &&
            is_under(steps, end, json_get_string(arguments, "value"), name)) {
            return true;
        }
    }
    return false;
}

/* A command that was not answered may be carried out later. */
static bool may_be_done(json_object *step)
{
    const char *code = json_get_string(json_get(step, "error"), "code");

    return json_get_bool(step, "done", false) ||
           g_strcmp0(code, "timeout") == 0;
}

/*
 * After step @failed of @steps: removes the nodes that were made and that no
 * device uses, and lets a guest go on whose device has a new node.
 */
static void undo(Lane *lane, json_object *steps, size_t failed)
{
    json_object *last =
        json_object_array_get_idx(steps, json_length(steps) - 1);
    bool swapped = false;

    for (size_t i = failed + 1; i-- > 0;) {
        json_object *step = json_object_array_get_idx(steps, i);
        json_object *arguments = json_get(step, "arguments");
        const char *name = json_get_string(arguments, "node-name");
        g_autoptr(json_object) node = json_object_new_object();
        g_autoptr(GError) err = NULL;

        swapped = swapped || (is_step(step, "qom-set") &&
                              json_get_bool(step, "done", false));
        if (!is_step(step, "blockdev-add") || !name || !may_be_done(step) ||
            is_in_use(steps, failed, name)) {
            continue;
        }
        json_set_string(node, "node-name", name);
        json_set_bool(step, "undone",
                      execute(lane, "blockdev-del", node, &err));
    }
    if (swapped && is_step(last, "cont")) {
        g_autoptr(GError) err = NULL;

        run_step(lane, last, &err);
    }
}

bool repair_run(Lane *lane, json_object *steps, bool force, GError **errp)
{
    if (!check_servers(lane, steps, !force, errp)) {
        return false;
    }
    for (size_t i = 0, n = json_length(steps); i < n; i++) {
        if (!run_step(lane, json_object_array_get_idx(steps, i), errp)) {
            undo(lane, steps, i);
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
    if (json_get_string(step, "iothread")) {
        g_string_append_printf(text, ", the node in I/O thread '%s' if need be",
                               json_get_string(step, "iothread"));
    }
    if (json_get_bool(step, "undone", false)) {
        g_string_append(text, ", and undone");
    }
    if (json_get_string(step, "if")) {
        g_string_append(text, is_step(step, "cont")
                                  ? ", if the guest has paused on the error"
                                  : ", if the node is still there");
    }
    return g_string_free(text, FALSE);
}
