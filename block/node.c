/*
 * The graph: nodes by name, who uses them, their life.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block_int.h"
#include "qapi/error.h"
#include "qemu/id.h"
#include "qemu/oob.h"

#define NODE_NAME_MAX 31

static const BlockDriver *const drivers[BLOCKDEV_DRIVER__MAX] = {
    [BLOCKDEV_DRIVER_BLKDEBUG] = &block_driver_blkdebug,
    [BLOCKDEV_DRIVER_FILE] = &block_driver_file,
    [BLOCKDEV_DRIVER_NBD] = &block_driver_nbd,
    [BLOCKDEV_DRIVER_NULL_CO] = &block_driver_null_co,
    [BLOCKDEV_DRIVER_RAM] = &block_driver_ram,
};

/* All nodes, oldest first; main thread only. */
static GQueue nodes = G_QUEUE_INIT;
/* Those that are being opened, each for the one before; the same. */
static GQueue opening = G_QUEUE_INIT;

GList *block_node_list(void)
{
    return nodes.head;
}

static BlockNode *find_in(const GQueue *list, const char *name)
{
    for (GList *l = list->head; l; l = l->next) {
        BlockNode *node = l->data;

        if (strcmp(node->name, name) == 0) {
            return node;
        }
    }
    return NULL;
}

static BlockNode *node_lookup(const char *name)
{
    return find_in(&nodes, name);
}

BlockNode *block_node_find(const char *node_name, Error **errp)
{
    BlockNode *node = node_lookup(node_name);

    if (!node) {
        error_setg(errp, "Cannot find device='' nor node-name='%s'", node_name);
    }
    return node;
}

const char *block_node_name(const BlockNode *node)
{
    return node->name;
}

uint64_t block_node_size(const BlockNode *node)
{
    uint64_t size = __atomic_load_n(&node->size, __ATOMIC_RELAXED);

    return (size + BLOCK_SECTOR - 1) & -(uint64_t)BLOCK_SECTOR;
}

bool block_node_is_read_only(const BlockNode *node)
{
    return node->read_only;
}

bool block_node_is_yankable(const BlockNode *node)
{
    return node->driver->yankable;
}

BlockNodeCaps block_node_caps(const BlockNode *node)
{
    return node->caps;
}

IOThread *block_node_iothread(const BlockNode *node)
{
    return __atomic_load_n(&node->iothread, __ATOMIC_ACQUIRE);
}

char *block_node_filename(BlockNode *node)
{
    g_autofree char *options = NULL;
    g_autoptr(json_object) obj = NULL;
    char *name = node->driver->filename(node);

    if (name) {
        return name;
    }
    obj = block_node_options(node);
    options = json_to_string(obj, false);
    return g_strconcat("json:", options, NULL);
}

json_object *block_node_options(BlockNode *node)
{
    g_autofree char *name = NULL;
    json_object *obj;

    if (node->driver->options) {
        return node->driver->options(node);
    }
    name = node->driver->filename(node);
    obj = json_object_new_object();
    json_object_object_add(obj, "driver",
                           json_object_new_string(node->driver->format_name));
    json_object_object_add(obj, "filename", json_object_new_string(name));
    return obj;
}

static void node_put_on(BlockNode *node, IOThread *iothread)
{
    IOThread *old = node->iothread;

    __atomic_store_n(&node->iothread, iothread_ref(iothread), __ATOMIC_RELEASE);
    iothread_unref(old);
}

static bool check_name(const char *name, Error **errp)
{
    if (!id_wellformed(name)) {
        error_setg(errp, "Invalid node-name: '%s'", name);
        return false;
    }
    if (strlen(name) > NODE_NAME_MAX) {
        error_setg(errp, "Node name too long");
        return false;
    }
    if (node_lookup(name) || find_in(&opening, name)) {
        error_setg(errp, "Duplicate nodes with node-name='%s'", name);
        return false;
    }
    return true;
}

/* No user can give such a name, so it never clashes with one. */
static char *make_name(void)
{
    static unsigned counter;

    return g_strdup_printf("#block%03u", counter++);
}

static BlockNode *node_new(const BlockdevOptions *options)
{
    BlockNode *node = g_new0(BlockNode, 1);

    node->driver = drivers[options->driver];
    node->name =
        options->node_name ? g_strdup(options->node_name) : make_name();
    node->opaque = g_malloc0(MAX(node->driver->instance_size, 1));
    node->read_only = options->read_only;
    node->unmap = options->has_discard &&
                  options->discard == BLOCKDEV_DISCARD_OPTIONS_UNMAP;
    node->direct = options->cache && options->cache->direct;
    node->no_flush = options->cache && options->cache->no_flush;
    node->force_share = options->force_share;
    node->auto_read_only = options->auto_read_only;
    node->caps = (BlockNodeCaps){
        .min_block = 1,
        .preferred_block = 4096,
        .max_transfer = BLOCK_MAX_TRANSFER,
    };
    g_queue_init(&node->users);
    block_queue_init(&node->waiting);
    block_drain_init(node);
    return node;
}

static void node_free(BlockNode *node)
{
    block_drain_destroy(node);
    iothread_unref(node->iothread);
    g_free(node->opaque);
    g_free(node->name);
    g_free(node);
}

/* A node counts as older than the children that it opens, as in stock. */
static BlockNode *node_open(const BlockdevOptions *options, Error **errp)
{
    GList *older = nodes.tail;
    BlockNode *node;
    bool ok;

    if (options->node_name && !check_name(options->node_name, errp)) {
        return NULL;
    }
    if (options->force_share && !options->read_only) {
        error_setg(errp, "force-share=on can only be used with read-only "
                         "images");
        return NULL;
    }
    node = node_new(options);
    node_put_on(node, iothread_default());
    g_queue_push_tail(&opening, node);
    ok = node->driver->open(node, options, errp);
    g_queue_pop_tail(&opening);
    if (ok && node->size > BLOCK_MAX_SIZE) {
        error_setg_errno(errp, EFBIG, "Could not refresh total sector count");
        node->driver->close(node);
        ok = false;
    }
    if (!ok) {
        node_free(node);
        return NULL;
    }
    g_queue_insert_after(&nodes, older, node);
    block_role_join(node);
    return node;
}

/*
 * Flushes before a close.  Skips a node that was never written, since a file on
 * a dead file system would delay the close.  A server is always flushed,
 * because a yank can end that.
 */
static bool flush_last(BlockNode *node, bool bounded, Error **errp)
{
    bool written = __atomic_load_n(&node->written, __ATOMIC_RELAXED);
    bool yankable = node->driver->yankable;

    if (node->read_only || !(written || yankable)) {
        return true;
    }
    if (yankable) {
        OOB_WAIT_YANK("blockdev", node->name);
        return block_flush_sync(node, -1);
    }
    if (block_flush_sync(node, bounded ? BLOCK_WAIT_MS : -1)) {
        return true;
    }
    error_setg(errp, "The flush of node '%s' has not ended within %d seconds",
               node->name, BLOCK_WAIT_MS / 1000);
    return false;
}

/* Returns true if the child of @node is closed with it. */
static bool closes_child(const BlockNode *node)
{
    return node->child && !node->child->monitor_owned &&
           node->child->users.length == 1;
}

/*
 * Flushes and drains @node, and the child that closes with it.  On failure
 * nothing has changed.
 */
static bool node_settle(BlockNode *node, bool bounded, Error **errp)
{
    if (!flush_last(node, bounded, errp)) {
        return false;
    }
    if (!bounded) {
        block_drained_begin(node);
    } else if (!block_drained_try(node, errp)) {
        return false;
    }
    if (closes_child(node) && !node_settle(node->child, bounded, errp)) {
        block_drained_end(node);
        return false;
    }
    return true;
}

/* Nobody uses it any more. */
static void node_close(BlockNode *node)
{
    if (node->drain_count == 0) {
        node_settle(node, false, NULL);
    }
    block_role_leave(node);
    node->driver->close(node);
    g_queue_remove(&nodes, node);
    node_free(node);
}

static void node_close_unused(BlockNode *node)
{
    if (!node->monitor_owned && g_queue_is_empty(&node->users)) {
        node_close(node);
    }
}

BlockNode *block_node_add(const BlockdevOptions *options, Error **errp)
{
    BlockNode *node;

    if (!options->node_name) {
        error_setg(errp, "'node-name' must be specified for the root node");
        return NULL;
    }
    node = node_open(options, errp);
    if (node) {
        node->monitor_owned = true;
    }
    return node;
}

/* Whether an export, say, uses it, and not only nodes. */
static bool has_outer_user(BlockNode *node)
{
    for (GList *l = node->users.head; l; l = l->next) {
        if (!((BlockUser *)l->data)->parent) {
            return true;
        }
    }
    return false;
}

bool block_node_del(const char *node_name, Error **errp)
{
    BlockNode *node = node_lookup(node_name);

    if (!node) {
        error_setg(errp, "Failed to find node with node-name='%s'", node_name);
        return false;
    }
    if (!node->monitor_owned) {
        error_setg(errp, "Node %s is not owned by the monitor", node->name);
        return false;
    }
    if (!g_queue_is_empty(&node->users)) {
        error_setg(errp, "%s %s is in use",
                   has_outer_user(node) ? "Node" : "Block device", node->name);
        return false;
    }
    if (!node_settle(node, true, errp)) {
        error_prepend(errp, "Node '%s' cannot be deleted: ", node->name);
        return false;
    }
    node_close(node);
    return true;
}

/*
 * A node that is used is closed by its last user; so go on until a round
 * finds nothing to close.
 */
void block_close_all(void)
{
    GList *l = nodes.tail;

    while (l) {
        BlockNode *node = l->data;

        node->monitor_owned = false;
        if (g_queue_is_empty(&node->users)) {
            node_close(node);
            l = nodes.tail;
        } else {
            l = l->prev;
        }
    }
}

BlockUser *block_node_use(BlockNode *node, const char *user, bool writable,
                          void (*resized)(void *opaque), void *opaque,
                          Error **errp)
{
    BlockUser *u;

    if (writable && node->read_only) {
        error_setg(errp, "Block node is read-only");
        return NULL;
    }
    u = g_new0(BlockUser, 1);
    u->node = node;
    u->name = g_strdup(user);
    u->writable = writable;
    u->resized = resized;
    u->opaque = opaque;
    g_queue_push_tail(&node->users, u);
    return u;
}

void block_node_unuse(BlockUser *user)
{
    g_queue_remove(&user->node->users, user);
    g_free(user->name);
    g_free(user);
}

void block_user_fix_size(BlockUser *user)
{
    user->fixed_size = true;
}

bool block_node_is_local(const BlockNode *node)
{
    return node->driver->local;
}

const void *block_node_peek(BlockNode *node)
{
    return node->driver->peek ? node->driver->peek(node) : NULL;
}

void *block_node_map(BlockNode *node)
{
    return node->driver->map ? node->driver->map(node) : NULL;
}

void block_node_map_fill(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    node->driver->map_fill(node, offset, bytes);
}

bool block_node_open_child(BlockNode *node, const BlockdevRef *ref,
                           Error **errp)
{
    g_autofree char *user = g_strdup_printf("node '%s'", node->name);
    BlockNode *child;

    if (ref->type == QTYPE_QSTRING) {
        child = node_lookup(ref->u.reference);
        if (!child) {
            error_setg(errp, "Cannot find device='%s' nor node-name='%s'",
                       ref->u.reference, ref->u.reference);
        }
    } else {
        child = node_open(&ref->u.definition, errp);
    }
    if (!child) {
        return false;
    }
    node->read_only |= node->auto_read_only && child->read_only;
    node->child_user =
        block_node_use(child, user, !node->read_only, NULL, NULL, errp);
    if (!node->child_user) {
        node_close_unused(child);
        return false;
    }
    node->child_user->parent = node;
    node->child = child;
    node_put_on(node, child->iothread);
    return true;
}

void block_node_close_child(BlockNode *node)
{
    BlockNode *child = node->child;

    block_node_unuse(node->child_user);
    node->child_user = NULL;
    node->child = NULL;
    node_close_unused(child);
}

/* A parent is as large as what is below it. */
static void notify_resized(BlockNode *node)
{
    for (GList *l = node->users.head; l; l = l->next) {
        BlockUser *user = l->data;

        if (user->parent) {
            __atomic_store_n(&user->parent->size, node->size, __ATOMIC_RELAXED);
            notify_resized(user->parent);
        } else if (user->resized) {
            user->resized(user->opaque);
        }
    }
}

/* What is above the node would change with it. */
static bool check_resizable(BlockNode *node, Error **errp)
{
    for (GList *l = node->users.head; l; l = l->next) {
        BlockUser *user = l->data;

        if (user->fixed_size) {
            error_setg(errp, "Node '%s' is in use by %s and cannot be resized",
                       node->name, user->name);
            return false;
        }
        if (user->parent && !check_resizable(user->parent, errp)) {
            return false;
        }
    }
    return true;
}

bool block_node_resize(BlockNode *node, uint64_t size, Error **errp)
{
    bool ok;

    if (node->read_only) {
        error_setg(errp, "Image is read-only");
        return false;
    }
    if (!node->driver->truncate) {
        error_setg(errp, "Image format driver does not support resize");
        return false;
    }
    if (size > BLOCK_MAX_SIZE) {
        error_setg(errp,
                   "Cannot resize node '%s' to %" PRIu64
                   " bytes: at most %" PRIi64 " bytes are possible",
                   node->name, size, BLOCK_MAX_SIZE);
        return false;
    }
    if (!check_resizable(node, errp)) {
        return false;
    }
    if (!block_drained_try(node, errp)) {
        return false;
    }
    ok = node->driver->truncate(node, size, errp);
    if (ok) {
        notify_resized(node);
    }
    block_drained_end(node);
    return ok;
}

/* Only a parent that moves too may use what moves. */
static bool check_movable(BlockNode *node, Error **errp)
{
    for (BlockNode *n = node; n; n = n->child) {
        for (GList *l = n->users.head; l; l = l->next) {
            BlockUser *user = l->data;

            if (n == node || n->users.length > 1) {
                error_setg(errp,
                           "Node '%s' cannot change its I/O thread: %s uses "
                           "it",
                           n->name, user->name);
                return false;
            }
        }
    }
    return true;
}

static void node_move(BlockNode *node, IOThread *iothread)
{
    block_role_leave(node);
    if (node->driver->detach) {
        node->driver->detach(node);
    }
    node_put_on(node, iothread);
    if (node->driver->attach) {
        node->driver->attach(node);
    }
    block_role_join(node);
}

/* Drains @node and all nodes below it. */
static bool drain_all(BlockNode *node, Error **errp)
{
    for (BlockNode *n = node; n; n = n->child) {
        if (!block_drained_try(n, errp)) {
            for (BlockNode *undo = node; undo != n; undo = undo->child) {
                block_drained_end(undo);
            }
            return false;
        }
    }
    return true;
}

bool block_node_set_iothread(BlockNode *node, IOThread *iothread, Error **errp)
{
    if (node->iothread == iothread) {
        return true;
    }
    if (!check_movable(node, errp)) {
        return false;
    }
    if (!drain_all(node, errp)) {
        return false;
    }
    for (BlockNode *n = node; n; n = n->child) {
        node_move(n, iothread);
    }
    for (BlockNode *n = node; n; n = n->child) {
        block_drained_end(n);
    }
    return true;
}
