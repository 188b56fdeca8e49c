/*
 * Repair: the steps for an NBD node of a stock QEMU, which is dead for good
 * once it was yanked.
 *
 * New nodes are made, the device is given those, and the old ones go.  Then
 * the same once more, so that the nodes have the names that a manager knows.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "json.h"
#include "repair-internal.h"

/* Names of nodes, and how they are made; the device's first. */
typedef struct Chain {
    unsigned n;
    const char **names;
    json_object **options; /* owned */
} Chain;

/* What is known of a stock QEMU, all owned. */
typedef struct Stock {
    json_object *nodes;   /* query-named-block-nodes */
    json_object *stats;   /* query-blockstats */
    QemuCmdline *cmdline; /* or NULL */
} Stock;

static void stock_clear(Stock *stock)
{
    json_object_put(stock->nodes);
    json_object_put(stock->stats);
    qemu_cmdline_free(stock->cmdline);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Stock, stock_clear)

static void chain_clear(Chain *chain)
{
    for (unsigned i = 0; i < chain->n; i++) {
        json_object_put(chain->options[i]);
    }
    g_free(chain->options);
    g_free(chain->names);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Chain, chain_clear)

static int ask_pid(Lane *lane)
{
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) status = NULL;

    json_set_string(request, "op", "status");
    status = lane_call(lane, request, NULL);
    return json_get_int(status, "pid", 0);
}

static bool ask(Lane *lane, Stock *stock, GError **errp)
{
    g_autoptr(json_object) flat = json_object_new_object();
    int pid = ask_pid(lane);

    json_set_bool(flat, "flat", true);
    stock->nodes =
        lane_execute(lane, false, "query-named-block-nodes", flat, 0, errp);
    if (!stock->nodes) {
        return false;
    }
    stock->stats = lane_execute(lane, false, "query-blockstats", NULL, 0, errp);
    stock->cmdline = qemu_cmdline_of_process(pid);
    return stock->stats != NULL;
}

static json_object *find_node(const Stock *stock, const char *name)
{
    for (size_t i = 0, n = json_length(stock->nodes); i < n; i++) {
        json_object *info = json_object_array_get_idx(stock->nodes, i);

        if (g_strcmp0(json_get_string(info, "node-name"), name) == 0) {
            return info;
        }
    }
    return NULL;
}

/* How many nodes there are from @stats, a device's, to @node; 0: not there. */
static unsigned depth_of(json_object *stats, const char *node)
{
    for (unsigned n = 1; stats; n++) {
        if (g_strcmp0(json_get_string(stats, "node-name"), node) == 0) {
            return n;
        }
        stats = json_get_object(stats, "parent");
    }
    return 0;
}

/* The statistics of the device that uses @node, or NULL. */
static json_object *find_device(const Stock *stock, const char *node,
                                unsigned *depth)
{
    for (size_t i = 0, n = json_length(stock->stats); i < n; i++) {
        json_object *stats = json_object_array_get_idx(stock->stats, i);

        *depth = depth_of(stats, node);
        if (*depth > 0 && json_get_string(stats, "qdev")) {
            return stats;
        }
    }
    *depth = 0;
    return NULL;
}

static bool read_chain(const Stock *stock, json_object *stats, unsigned depth,
                       Chain *chain, GError **errp)
{
    chain->names = g_new0(const char *, depth);
    chain->options = g_new0(json_object *, depth);
    for (; chain->n < depth; chain->n++) {
        const char *name = json_get_string(stats, "node-name");
        json_object *info = name ? find_node(stock, name) : NULL;

        if (!info) {
            g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                        "node '%s' is not among the named nodes",
                        name ? name : "");
            return false;
        }
        chain->names[chain->n] = name;
        chain->options[chain->n] = repair_options(info, stock->cmdline, errp);
        if (!chain->options[chain->n]) {
            return false;
        }
        stats = json_get_object(stats, "parent");
    }
    return true;
}

static json_object *node_argument(const char *name)
{
    json_object *arguments = json_object_new_object();

    json_set_string(arguments, "node-name", name);
    return arguments;
}

/* Makes the nodes called @names of @chain, the lowest first. */
static void add_nodes(json_object *steps, const Chain *chain,
                      const char *const *names)
{
    for (unsigned i = chain->n; i-- > 0;) {
        json_object *arguments = NULL;

        json_object_deep_copy(chain->options[i], &arguments, NULL);
        json_set_string(arguments, "node-name", names[i]);
        if (i + 1 < chain->n) {
            json_set_string(arguments, "file", names[i + 1]);
        }
        repair_add_step(steps, "blockdev-add", arguments);
    }
}

static void set_drive(json_object *steps, const char *qdev, const char *node)
{
    json_object *arguments = json_object_new_object();

    json_set_string(arguments, "path", qdev);
    json_set_string(arguments, "property", "drive");
    json_set_string(arguments, "value", node);
    repair_add_step(steps, "qom-set", arguments);
}

/* A node that QEMU named itself goes by itself. */
static bool named_by_user(const char *name)
{
    return name[0] != '#';
}

static void delete_nodes(json_object *steps, const Chain *chain,
                         const char *const *names)
{
    for (unsigned i = 0; i < chain->n; i++) {
        if (named_by_user(names[i])) {
            repair_add_step(steps, "blockdev-del", node_argument(names[i]));
        }
    }
}

/* Names that no node has. */
static char **spare_names(const Stock *stock, unsigned n)
{
    char **names = g_new0(char *, n + 1);
    unsigned number = 0;

    for (unsigned i = 0; i < n; i++) {
        do {
            g_free(names[i]);
            names[i] = g_strdup_printf("yankctl-%u", number++);
        } while (find_node(stock, names[i]));
    }
    return names;
}

static void plan_device(const Stock *stock, const Chain *chain,
                        const char *qdev, json_object *steps)
{
    g_auto(GStrv) spare = spare_names(stock, chain->n);
    const char *const *new_names = (const char *const *)spare;
    bool keep_names = true;

    for (unsigned i = 0; i < chain->n; i++) {
        keep_names = keep_names && named_by_user(chain->names[i]);
    }
    add_nodes(steps, chain, new_names);
    set_drive(steps, qdev, new_names[0]);
    delete_nodes(steps, chain, chain->names);
    if (keep_names) {
        add_nodes(steps, chain, chain->names);
        set_drive(steps, qdev, chain->names[0]);
        delete_nodes(steps, chain, new_names);
    }
}

/* A node that no device has: it goes, and comes again. */
static bool plan_alone(const Stock *stock, const char *node, json_object *steps,
                       GError **errp)
{
    json_object *info = find_node(stock, node);
    json_object *options =
        info ? repair_options(info, stock->cmdline, errp) : NULL;

    if (!info) {
        g_set_error(errp, EXIT_ERROR, EXIT_NOT_FOUND,
                    "there is no node '%s' any more", node);
    }
    if (!options) {
        return false;
    }
    json_set_string(options, "node-name", node);
    repair_add_step(steps, "blockdev-del", node_argument(node));
    repair_add_step(steps, "blockdev-add", options);
    return true;
}

bool repair_plan_stock(Lane *lane, const char *node, json_object *steps,
                       GError **errp)
{
    g_auto(Stock) stock = {0};
    g_auto(Chain) chain = {0};
    json_object *stats;
    unsigned depth;

    if (!ask(lane, &stock, errp)) {
        return false;
    }
    stats = find_device(&stock, node, &depth);
    if (!stats) {
        return plan_alone(&stock, node, steps, errp);
    }
    if (!read_chain(&stock, stats, depth, &chain, errp)) {
        return false;
    }
    plan_device(&stock, &chain, json_get_string(stats, "qdev"), steps);
    return true;
}
