/*
 * NBD exports: the table by name, and the count of clients that decides when
 * an export is gone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-client.h"
#include "nbd-export.h"
#include "nbd-server.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"

/*
 * Guards the table, handed_over_all, and n_clients, closing and handed_over of
 * each export.  Fast; that of an I/O thread's posts is taken under it.  No
 * request takes it.
 */
static QemuMutex exports_lock;
static QemuCond exports_cond; /* an export lost its last client */
static GQueue exports = G_QUEUE_INIT;
static bool handed_over_all; /* at least once */

static void __attribute__((constructor)) nbd_export_init(void)
{
    qemu_mutex_init(&exports_lock);
    qemu_cond_init(&exports_cond);
}

static NbdExport *find_locked(const char *name)
{
    for (GList *l = exports.head; l; l = l->next) {
        NbdExport *exp = l->data;

        if (!strcmp(exp->name, name)) {
            return exp;
        }
    }
    return NULL;
}

/*
 * All commands are there on any node: what a driver lacks, the block layer
 * makes of other requests, or it has nothing to do.  Only a promise that zeroes
 * are fast depends on the driver.
 */
static uint16_t export_flags(const BlockNodeCaps *caps, bool writable,
                             bool multi_conn)
{
    uint16_t flags =
        NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA;

    if (multi_conn) {
        flags |= NBD_FLAG_CAN_MULTI_CONN;
    }
    if (!writable) {
        return flags | NBD_FLAG_READ_ONLY;
    }
    flags |= NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES;
    if (caps->write_zeroes) {
        flags |= NBD_FLAG_SEND_FAST_ZERO;
    }
    return flags;
}

static bool check_string(const char *what, const char *s, Error **errp)
{
    if (s && strlen(s) > NBD_MAX_STRING) {
        error_setg(errp, "%s '%s' too long", what, s);
        return false;
    }
    return true;
}

static bool export_publish(NbdExport *exp, Error **errp)
{
    QEMU_LOCK_GUARD(&exports_lock);
    /* Its clients would wait for ever. */
    if (handed_over_all && !block_is_active()) {
        error_setg(errp,
                   "Cannot export inactive node '%s': it was migrated away "
                   "from here",
                   block_node_name(exp->node));
        return false;
    }
    if (find_locked(exp->name)) {
        error_setg(errp, "NBD server already has export named '%s'", exp->name);
        return false;
    }
    g_queue_push_tail(&exports, exp);
    return true;
}

NbdExport *nbd_export_new(const BlockExportOptions *options, BlockNode *node,
                          NbdExportGoneFn *gone, Error **errp)
{
    const BlockExportOptionsNbd *nbd = &options->u.nbd;
    const char *name = nbd->name ? nbd->name : options->node_name;
    BlockNodeCaps caps = block_node_caps(node);
    NbdExport *exp;

    if (!check_string("export name", name, errp) ||
        !check_string("description", nbd->description, errp)) {
        return NULL;
    }
    exp = g_new0(NbdExport, 1);
    exp->name = g_strdup(name);
    exp->description = g_strdup(nbd->description);
    exp->node = node;
    exp->iothread = iothread_ref(block_node_iothread(node));
    exp->flags = export_flags(&caps, options->writable, nbd_server_is_multi());
    exp->writethrough = options->writethrough;
    exp->min_block = MAX(caps.min_block, 1);
    exp->preferred_block = MAX(caps.preferred_block, exp->min_block);
    /* Clients need not ask for it; the block layer splits what is too long. */
    exp->max_block = NBD_MAX_PAYLOAD;
    exp->gone = gone;
    g_queue_init(&exp->clients);
    if (!export_publish(exp, errp)) {
        nbd_export_free(exp);
        return NULL;
    }
    return exp;
}

void nbd_export_free(NbdExport *exp)
{
    g_assert(g_queue_is_empty(&exp->clients));
    iothread_unref(exp->iothread);
    g_free(exp->description);
    g_free(exp->name);
    g_free(exp);
}

static void export_cut_clients(void *opaque)
{
    NbdExport *exp = opaque;
    GList *next;

    for (GList *l = exp->clients.head; l; l = next) {
        next = l->next;
        nbd_client_kill(l->data);
    }
    nbd_export_detach(exp);
}

bool nbd_export_close(NbdExport *exp)
{
    QEMU_LOCK_GUARD(&exports_lock);
    g_assert(!exp->closing);
    g_queue_remove(&exports, exp);
    exp->closing = true;
    if (exp->n_clients == 0) {
        return true;
    }
    /* The visit to its I/O thread counts as a client, to keep it. */
    exp->n_clients++;
    iothread_post(exp->iothread, export_cut_clients, exp);
    return false;
}

bool nbd_export_wait_gone(NbdExport *exp, int64_t deadline_us)
{
    OOB_WAIT_BOUND("the connections of its clients are cut");
    QEMU_LOCK_GUARD(&exports_lock);
    while (exp->n_clients > 0) {
        int64_t left = deadline_us - g_get_monotonic_time();

        if (deadline_us < 0) {
            qemu_cond_wait(&exports_cond, &exports_lock);
        } else if (left <= 0) {
            return false;
        } else {
            qemu_cond_timedwait(&exports_cond, &exports_lock, left / 1000 + 1);
        }
    }
    return true;
}

bool nbd_export_has_clients(NbdExport *exp)
{
    QEMU_LOCK_GUARD(&exports_lock);
    return exp->n_clients > 0;
}

void nbd_export_foreach(void (*fn)(const NbdExport *exp, void *opaque),
                        void *opaque)
{
    QEMU_LOCK_GUARD(&exports_lock);
    for (GList *l = exports.head; l; l = l->next) {
        NbdExport *exp = l->data;

        if (!exp->handed_over) {
            fn(exp, opaque);
        }
    }
}

/* NULL also when it has been handed over, which @info then says. */
static NbdExport *find_served_locked(const char *name, NbdExportInfo *info)
{
    NbdExport *exp = find_locked(name);

    info->handed_over = exp && exp->handed_over;
    return info->handed_over ? NULL : exp;
}

static void fill_info(const NbdExport *exp, NbdExportInfo *info)
{
    info->size = block_node_size(exp->node);
    info->flags = exp->flags;
    info->min_block = exp->min_block;
    info->preferred_block = exp->preferred_block;
    info->max_block = exp->max_block;
    info->description = g_strdup(exp->description);
}

bool nbd_export_get_info(const char *name, NbdExportInfo *info)
{
    NbdExport *exp;

    QEMU_LOCK_GUARD(&exports_lock);
    exp = find_served_locked(name, info);
    if (exp) {
        fill_info(exp, info);
    }
    return exp;
}

NbdExport *nbd_export_attach(const char *name, NbdExportInfo *info)
{
    NbdExport *exp;

    QEMU_LOCK_GUARD(&exports_lock);
    exp = find_served_locked(name, info);
    if (exp) {
        exp->n_clients++;
        fill_info(exp, info);
    }
    return exp;
}

void nbd_export_detach(NbdExport *exp)
{
    QEMU_LOCK_GUARD(&exports_lock);
    if (--exp->n_clients == 0 && exp->closing) {
        qemu_cond_broadcast(&exports_cond);
        exp->gone();
    }
}

bool nbd_export_is_closing(NbdExport *exp)
{
    QEMU_LOCK_GUARD(&exports_lock);
    return exp->closing;
}

static void export_let_clients_go(void *opaque)
{
    NbdExport *exp = opaque;
    GList *next;

    for (GList *l = exp->clients.head; l; l = next) {
        next = l->next;
        nbd_client_leave(l->data);
    }
    nbd_export_detach(exp);
}

void nbd_export_hand_over_all(void)
{
    QEMU_LOCK_GUARD(&exports_lock);
    handed_over_all = true;
    for (GList *l = exports.head; l; l = l->next) {
        NbdExport *exp = l->data;

        exp->handed_over = true;
        if (exp->n_clients > 0) {
            /* The visit to its I/O thread counts as one, to keep it. */
            exp->n_clients++;
            iothread_post(exp->iothread, export_let_clients_go, exp);
        }
    }
}

bool nbd_export_is_handed_over(NbdExport *exp)
{
    QEMU_LOCK_GUARD(&exports_lock);
    return exp->handed_over;
}

void nbd_export_info_clear(NbdExportInfo *info)
{
    g_clear_pointer(&info->description, g_free);
}
