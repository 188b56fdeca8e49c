/*
 * Block exports: the table by id, and how an export comes and goes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block.h"
#include "export-internal.h"
#include "nbd-export.h"
#include "nbd-server.h"
#include "qapi/qapi-events-block-export.h"
#include "qemu/id.h"
#include "qom/object.h"

typedef struct BlockExport {
    char *id;
    BlockNode *node;
    BlockUser *user;
    IOThread *iothread; /* marked as used */
    NbdExport *nbd;
    bool shutting_down;
} BlockExport;

static GQueue block_exports = G_QUEUE_INIT; /* newest first; main thread */

static BlockExport *find_export(const char *id)
{
    for (GList *l = block_exports.head; l; l = l->next) {
        BlockExport *exp = l->data;

        if (!strcmp(exp->id, id)) {
            return exp;
        }
    }
    return NULL;
}

static void free_export(BlockExport *exp)
{
    if (exp->nbd) {
        nbd_export_free(exp->nbd);
    }
    if (exp->user) {
        block_node_unuse(exp->user);
    }
    if (exp->iothread) {
        qom_iothread_unuse(exp->iothread);
    }
    g_free(exp->id);
    g_free(exp);
}

/* Ends exports whose last client is gone.  Main thread. */
static void reap_exports(void)
{
    GList *next;

    for (GList *l = block_exports.head; l; l = next) {
        BlockExport *exp = l->data;

        next = l->next;
        if (exp->shutting_down && !nbd_export_has_clients(exp->nbd)) {
            g_autofree char *id = g_strdup(exp->id);

            g_queue_delete_link(&block_exports, l);
            free_export(exp);
            qapi_event_send_block_export_deleted(id);
        }
    }
}

static gboolean reap_exports_idle(gpointer opaque)
{
    reap_exports();
    return G_SOURCE_REMOVE;
}

/* Any thread; not g_main_context_invoke(), which might run it right here. */
static void export_gone(void)
{
    GSource *source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, reap_exports_idle, NULL, NULL);
    g_source_attach(source, NULL);
    g_source_unref(source);
}

/*
 * Moves the node to the I/O thread that the options name.  Without
 * fixed-iothread, a node that cannot move is served where it is.
 */
static bool move_node(BlockNode *node, const BlockExportOptions *options,
                      Error **errp)
{
    Error *local_err = NULL;
    IOThread *iothread;

    if (!options->iothread) {
        return true;
    }
    iothread = qom_find_iothread(options->iothread, errp);
    if (!iothread) {
        return false;
    }
    if (block_node_set_iothread(node, iothread, &local_err)) {
        return true;
    }
    if (options->fixed_iothread) {
        error_propagate(errp, local_err);
        return false;
    }
    error_free(local_err);
    return true;
}

static bool check_id(const char *id, Error **errp)
{
    if (!id_wellformed(id)) {
        error_setg(errp, "Invalid block export id");
        return false;
    }
    if (find_export(id)) {
        error_setg(errp, "Block export id '%s' is already in use", id);
        return false;
    }
    return true;
}

static BlockExport *new_export(BlockNode *node,
                               const BlockExportOptions *options, Error **errp)
{
    g_autofree char *user = g_strdup_printf("export '%s'", options->id);
    BlockExport *exp = g_new0(BlockExport, 1);

    exp->id = g_strdup(options->id);
    exp->node = node;
    exp->user = block_node_use(node, user, options->writable, NULL, NULL, errp);
    if (exp->user) {
        exp->nbd = nbd_export_new(options, node, export_gone, errp);
    }
    if (!exp->nbd) {
        free_export(exp);
        return NULL;
    }
    exp->iothread = block_node_iothread(node);
    qom_iothread_use(exp->iothread);
    return exp;
}

bool block_export_add(BlockExportOptions *options, Error **errp)
{
    BlockExport *exp;
    BlockNode *node;

    if (!check_id(options->id, errp)) {
        return false;
    }
    node = block_node_find(options->node_name, errp);
    if (!node) {
        return false;
    }
    if (options->writable && block_node_is_read_only(node)) {
        error_setg(errp, "Cannot export read-only node as writable");
        return false;
    }
    if (!nbd_server_is_running()) {
        error_setg(errp, "NBD server not running");
        return false;
    }
    if (!move_node(node, options, errp)) {
        return false;
    }
    exp = new_export(node, options, errp);
    if (!exp) {
        return false;
    }
    g_queue_push_head(&block_exports, exp);
    return true;
}

/* True when it is gone at once. */
static bool shut_export(BlockExport *exp)
{
    exp->shutting_down = true;
    return nbd_export_close(exp->nbd);
}

bool block_export_del(const char *id, bool hard, Error **errp)
{
    BlockExport *exp = find_export(id);

    if (!exp) {
        error_setg(errp, "Export '%s' is not found", id);
        return false;
    }
    if (exp->shutting_down) {
        error_setg(errp, "Export '%s' is already shutting down", id);
        return false;
    }
    if (!hard && nbd_export_has_clients(exp->nbd)) {
        error_setg(errp, "export '%s' still in use", id);
        return false;
    }
    if (shut_export(exp)) {
        reap_exports();
    }
    return true;
}

/* At a yankable node a yank ends the requests and thus this wait. */
static bool wait_gone(BlockExport *exp, int64_t deadline_us, Error **errp)
{
    if (block_node_is_yankable(exp->node)) {
        deadline_us = -1;
    }
    if (nbd_export_wait_gone(exp->nbd, deadline_us)) {
        return true;
    }
    error_setg(errp,
               "Requests of export '%s' have not ended within %d seconds; the "
               "export is removed when they end",
               exp->id, BLOCK_WAIT_MS / 1000);
    return false;
}

static bool close_all(int64_t deadline_us, Error **errp)
{
    bool ok = true;

    for (GList *l = block_exports.head; l; l = l->next) {
        BlockExport *exp = l->data;

        if (!exp->shutting_down) {
            shut_export(exp);
        }
    }
    for (GList *l = block_exports.head; l; l = l->next) {
        BlockExport *exp = l->data;

        ok = wait_gone(exp, deadline_us, ok ? errp : NULL) && ok;
    }
    reap_exports();
    return ok;
}

void block_export_close_all(void)
{
    close_all(-1, NULL);
}

bool block_export_close_all_try(Error **errp)
{
    return close_all(g_get_monotonic_time() + BLOCK_WAIT_MS * INT64_C(1000),
                     errp);
}

void block_export_hand_over(void)
{
    nbd_export_hand_over_all();
}

BlockExportInfoList *block_export_query(void)
{
    BlockExportInfoList *list = NULL;
    BlockExportInfoList **tail = &list;

    for (GList *l = block_exports.head; l; l = l->next) {
        BlockExport *exp = l->data;
        BlockExportInfo *info = g_new0(BlockExportInfo, 1);

        info->id = g_strdup(exp->id);
        info->type = BLOCK_EXPORT_TYPE_NBD;
        info->node_name = g_strdup(block_node_name(exp->node));
        info->shutting_down =
            exp->shutting_down || nbd_export_is_handed_over(exp->nbd);
        *tail = g_new0(BlockExportInfoList, 1);
        (*tail)->value = info;
        tail = &(*tail)->next;
    }
    return list;
}
