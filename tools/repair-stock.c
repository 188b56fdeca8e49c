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

#define SPARE_PREFIX "yankctl-"

/* A node of the chain from a device down to an NBD node. */
typedef struct Link {
    const char *name;
    json_object *info;    /* of query-named-block-nodes */
    json_object *options; /* owned */
    bool added;           /* by -blockdev or blockdev-add, on its own */
} Link;

typedef struct Plan {
    json_object *facts;
    const QemuCmdline *cmdline; /* or NULL */
    bool force;
    json_object *steps;
    /* The device's node first. */
    GArray *links;
    json_object *exports; /* owned: ids of those that use one of them */
    const char *qdev;     /* the device's path, or NULL */
    const char *device;   /* the id of its -drive, or NULL */
} Plan;

static void link_clear(void *opaque)
{
    Link *link = opaque;

    json_object_put(link->options);
}

static void plan_clear(Plan *plan)
{
    g_array_unref(plan->links);
    json_object_put(plan->exports);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Plan, plan_clear)

static Link *link_at(const Plan *plan, guint i)
{
    return &g_array_index(plan->links, Link, i);
}

/* The element of the array @key of the facts whose @member is @value. */
static json_object *find_fact(const Plan *plan, const char *key,
                              const char *member, const char *value)
{
    json_object *array = json_get(plan->facts, key);

    for (size_t i = 0, n = json_length(array); i < n; i++) {
        json_object *item = json_object_array_get_idx(array, i);

        if (g_strcmp0(json_get_string(item, member), value) == 0) {
            return item;
        }
    }
    return NULL;
}

static json_object *find_node(const Plan *plan, const char *name)
{
    return find_fact(plan, "query-named-block-nodes", "node-name", name);
}

static json_object *graph_node(const Plan *plan, gint64 id)
{
    json_object *nodes =
        json_get(json_get(plan->facts, "x-debug-query-block-graph"), "nodes");

    for (size_t i = 0, n = json_length(nodes); i < n; i++) {
        json_object *node = json_object_array_get_idx(nodes, i);

        if (json_get_int(node, "id", -1) == id) {
            return node;
        }
    }
    return NULL;
}

/* The number of the block node @name in the graph, or -1. */
static gint64 graph_id(const Plan *plan, const char *name)
{
    json_object *nodes =
        json_get(json_get(plan->facts, "x-debug-query-block-graph"), "nodes");

    for (size_t i = 0, n = json_length(nodes); i < n; i++) {
        json_object *node = json_object_array_get_idx(nodes, i);

        if (g_strcmp0(json_get_string(node, "type"), "block-driver") == 0 &&
            g_strcmp0(json_get_string(node, "name"), name) == 0) {
            return json_get_int(node, "id", -1);
        }
    }
    return -1;
}

/* Who uses a node. */
typedef struct Users {
    unsigned n_nodes;
    unsigned n_devices; /* and exports */
    const char *node;   /* the last of the nodes */
    const char *other;  /* a user of another kind, or NULL */
} Users;

static Users users_of(const Plan *plan, const char *name)
{
    json_object *edges =
        json_get(json_get(plan->facts, "x-debug-query-block-graph"), "edges");
    gint64 id = graph_id(plan, name);
    Users users = {0};

    for (size_t i = 0, n = json_length(edges); i < n; i++) {
        json_object *edge = json_object_array_get_idx(edges, i);
        json_object *user;
        const char *type;

        if (json_get_int(edge, "child", -2) != id) {
            continue;
        }
        user = graph_node(plan, json_get_int(edge, "parent", -2));
        type = json_get_string(user, "type");
        if (g_strcmp0(type, "block-driver") == 0) {
            users.n_nodes++;
            users.node = json_get_string(user, "name");
        } else if (g_strcmp0(type, "block-backend") == 0) {
            users.n_devices++;
        } else {
            users.other = json_get_string(user, "name");
            users.other = users.other ? users.other : "?";
        }
    }
    return users;
}

/* Notes the exports of the node @name; returns their number. */
static unsigned note_exports(Plan *plan, const char *name)
{
    json_object *exports = json_get(plan->facts, "query-block-exports");
    unsigned n_found = 0;

    for (size_t i = 0, n = json_length(exports); i < n; i++) {
        json_object *export = json_object_array_get_idx(exports, i);
        const char *id = json_get_string(export, "id");

        if (id && g_strcmp0(json_get_string(export, "node-name"), name) == 0) {
            json_object_array_add(plan->exports, json_object_new_string(id));
            n_found++;
        }
    }
    return n_found;
}

static bool refuse_user(const char *name, const char *user, GError **errp)
{
    g_set_error(errp, EXIT_ERROR, EXIT_REFUSED,
                "node '%s' is not made anew: it is used by %s, which would go "
                "on with the old one",
                name, user);
    return false;
}

/* The device whose node is @name; there are @n of them. */
static bool find_device(Plan *plan, const char *name, unsigned n, GError **errp)
{
    json_object *stats = json_get(plan->facts, "query-blockstats");
    unsigned n_found = 0;

    for (size_t i = 0, len = json_length(stats); i < len; i++) {
        json_object *item = json_object_array_get_idx(stats, i);

        if (json_get_string(item, "qdev") &&
            g_strcmp0(json_get_string(item, "node-name"), name) == 0) {
            plan->qdev = json_get_string(item, "qdev");
            plan->device = json_get_string(item, "device");
            n_found++;
        }
    }
    if (n_found != n || n > 1) {
        return refuse_user(
            name, n > 1 ? "more than one device" : "what is not a device",
            errp);
    }
    return true;
}

/*
 * Follows the users from the NBD node @name up to the node of the device, or
 * to one that no node uses.
 */
static bool find_chain(Plan *plan, const char *name, GError **errp)
{
    for (;;) {
        json_object *info = find_node(plan, name);
        Link link = {.name = name, .info = info};
        unsigned n_exports = note_exports(plan, name);
        Users users = users_of(plan, name);
        unsigned n_devices = users.n_devices - MIN(n_exports, users.n_devices);

        if (!info) {
            g_set_error(errp, EXIT_ERROR, EXIT_NOT_FOUND,
                        "there is no node '%s' any more", name);
            return false;
        }
        g_array_prepend_val(plan->links, link);
        if (users.other) {
            g_autofree char *job = g_strdup_printf("job '%s'", users.other);

            return refuse_user(name, job, errp);
        }
        if (users.n_nodes == 0) {
            return find_device(plan, name, n_devices, errp);
        }
        if (users.n_nodes > 1 || n_devices > 0) {
            return refuse_user(name, "more than one node or device", errp);
        }
        name = users.node;
    }
}

/*
 * Whether the node @name is one that @drive made, or that replaces it since an
 * earlier repair.
 */
static bool is_of_drive(json_object *drive, const char *name)
{
    return name[0] == '#' || g_str_has_prefix(name, SPARE_PREFIX) ||
           g_strcmp0(json_get_string(drive, "node-name"), name) == 0 ||
           g_strcmp0(json_get_string(drive, "file.node-name"), name) == 0;
}

/* The -drive of the device if it made the node @name; or NULL. */
static json_object *find_drive(const Plan *plan, const char *name)
{
    for (guint i = 0;
         plan->device && *plan->device && i < plan->cmdline->drives->len; i++) {
        json_object *drive = plan->cmdline->drives->pdata[i];

        if (g_strcmp0(json_get_string(drive, "id"), plan->device) == 0) {
            return is_of_drive(drive, name) ? drive : NULL;
        }
    }
    return NULL;
}

/* Where the options of the node at @i come from. */
static RepairSource find_source(const Plan *plan, guint i)
{
    Link *link = link_at(plan, i);
    RepairSource source = {0};
    json_object *above = NULL;

    if (!plan->cmdline) {
        return source;
    }
    source.given = qemu_cmdline_node(plan->cmdline, link->name);
    if (i > 0) {
        json_object *given =
            qemu_cmdline_node(plan->cmdline, link_at(plan, i - 1)->name);

        above = json_get_object(given, "file");
    }
    if (above && (!source.given || source.given == above)) {
        source.given = above;
        source.parent = link_at(plan, i - 1)->options;
    }
    if (!source.given) {
        source.drive = find_drive(plan, link->name);
        source.parent =
            source.drive && i > 0 ? link_at(plan, i - 1)->options : NULL;
    }
    return source;
}

/* Options are inherited downwards: the device's node is the first. */
static bool read_options(Plan *plan, GError **errp)
{
    if (plan->cmdline && plan->cmdline->unread) {
        g_set_error(errp, EXIT_ERROR, EXIT_REFUSED,
                    "no node is made anew: '%s' on the command line of the "
                    "process is not understood",
                    plan->cmdline->unread);
        return false;
    }
    for (guint i = 0; i < plan->links->len; i++) {
        Link *link = link_at(plan, i);
        RepairSource source = find_source(plan, i);

        link->options = repair_options(link->info, &source, errp);
        if (!link->options) {
            return false;
        }
        link->added = !source.parent && !source.drive;
    }
    return true;
}

static bool check_exports(const Plan *plan, GError **errp)
{
    if (plan->force || json_length(plan->exports) == 0) {
        return true;
    }
    g_set_error(
        errp, EXIT_ERROR, EXIT_REFUSED,
        "node '%s' is not made anew: it is used by export '%s', whose "
        "options 'name' and 'writable' QEMU does not tell; with "
        "--force the export is removed",
        link_at(plan, 0)->name,
        json_object_get_string(json_object_array_get_idx(plan->exports, 0)));
    return false;
}

static json_object *node_argument(const char *name)
{
    json_object *arguments = json_object_new_object();

    json_set_string(arguments, "node-name", name);
    return arguments;
}

/* Makes the nodes of the chain as @names, the lowest first. */
static void add_nodes(const Plan *plan, const char *const *names)
{
    for (guint i = plan->links->len; i-- > 0;) {
        Link *link = link_at(plan, i);
        json_object *image = json_get_object(link->info, "image");
        json_object *arguments = NULL;
        json_object *step;

        json_object_deep_copy(link->options, &arguments, NULL);
        json_set_string(arguments, "node-name", names[i]);
        if (i + 1 < plan->links->len) {
            json_set_string(arguments, "file", names[i + 1]);
        }
        step = repair_add_step(plan->steps, "blockdev-add", arguments);
        json_set(step, "virtual-size",
                 json_object_get(json_get(image, "virtual-size")));
    }
}

static void set_drive(const Plan *plan, const char *node)
{
    json_object *threads = json_get(plan->facts, "iothreads");
    json_object *arguments = json_object_new_object();
    json_object *step;

    json_set_string(arguments, "path", plan->qdev);
    json_set_string(arguments, "property", "drive");
    json_set_string(arguments, "value", node);
    step = repair_add_step(plan->steps, "qom-set", arguments);
    json_set_string(step, "iothread", json_get_string(threads, plan->qdev));
}

/* A node that was made as a part of another node or drive goes with it. */
static void delete_old(const Plan *plan)
{
    for (guint i = 0; i < plan->links->len; i++) {
        Link *link = link_at(plan, i);
        json_object *step;

        if (link->name[0] == '#') {
            continue;
        }
        step = repair_add_step(plan->steps, "blockdev-del",
                               node_argument(link->name));
        if (!link->added) {
            json_set_string(step, "if", "node");
        }
    }
}

static void delete_nodes(const Plan *plan, const char *const *names)
{
    for (; *names; names++) {
        repair_add_step(plan->steps, "blockdev-del", node_argument(*names));
    }
}

static void delete_exports(const Plan *plan)
{
    for (size_t i = 0, n = json_length(plan->exports); i < n; i++) {
        json_object *arguments = json_object_new_object();

        json_set(arguments, "id",
                 json_object_get(json_object_array_get_idx(plan->exports, i)));
        json_set_string(arguments, "mode", "hard");
        repair_add_step(plan->steps, "block-export-del", arguments);
    }
}

/* Whether an earlier step makes a node @name. */
static bool is_made(const Plan *plan, const char *name)
{
    for (size_t i = 0, n = json_length(plan->steps); i < n; i++) {
        json_object *step = json_object_array_get_idx(plan->steps, i);

        if (g_strcmp0(json_get_string(step, "command"), "blockdev-add") == 0 &&
            g_strcmp0(json_get_string(json_get(step, "arguments"), "node-name"),
                      name) == 0) {
            return true;
        }
    }
    return false;
}

/* Names that no node has, nor gets by an earlier step. */
static char **spare_names(const Plan *plan)
{
    char **names = g_new0(char *, plan->links->len + 1);
    unsigned number = 0;

    for (guint i = 0; i < plan->links->len; i++) {
        do {
            g_free(names[i]);
            names[i] = g_strdup_printf(SPARE_PREFIX "%u", number++);
        } while (find_node(plan, names[i]) || is_made(plan, names[i]));
    }
    return names;
}

static void add_steps(const Plan *plan)
{
    g_auto(GStrv) spare = spare_names(plan);
    g_autofree const char **old = g_new0(const char *, plan->links->len + 1);
    const char *const *new_names = (const char *const *)spare;
    bool keep_names = true;

    for (guint i = 0; i < plan->links->len; i++) {
        old[i] = link_at(plan, i)->name;
        /* QEMU makes up names with a "#", which nobody else may give. */
        keep_names = keep_names && old[i][0] != '#';
    }
    add_nodes(plan, new_names);
    delete_exports(plan);
    if (plan->qdev) {
        set_drive(plan, new_names[0]);
    }
    delete_old(plan);
    if (keep_names) {
        add_nodes(plan, old);
        if (plan->qdev) {
            set_drive(plan, old[0]);
        }
        delete_nodes(plan, new_names);
    }
}

bool repair_plan_stock(json_object *facts, const QemuCmdline *cmdline,
                       const char *node, bool force, json_object *steps,
                       GError **errp)
{
    g_auto(Plan) plan = {
        .facts = facts,
        .cmdline = cmdline,
        .force = force,
        .steps = steps,
        .links = g_array_new(FALSE, TRUE, sizeof(Link)),
        .exports = json_object_new_array(),
    };

    g_array_set_clear_func(plan.links, link_clear);
    if (!find_chain(&plan, node, errp) || !read_options(&plan, errp) ||
        !check_exports(&plan, errp)) {
        return false;
    }
    add_steps(&plan);
    return true;
}
