/*
 * The role: whether this process serves the data it has.
 *
 * A process that is not active holds requests on every node.  Each node's I/O
 * thread alone holds and lets go; here the nodes are told to look at the role,
 * and those that are not yet at rest are counted.
 *
 * A node that is on its way to another I/O thread, or to its end, is not on
 * the list; it is drained meanwhile, hence at rest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block_int.h"
#include "qemu/lockable.h"

static struct {
    /*
     * Guards the rest, and rest_pending of each node.  Fast; that of an I/O
     * thread's posts is taken under it, and what the caller's function takes.
     */
    QemuMutex lock;
    bool inactive; /* atomic: read without the lock */
    GQueue nodes;  /* of BlockNode */
    unsigned n_pending;
    void (*fn)(void *opaque); /* to be called when n_pending is 0, or NULL */
    void *opaque;
} role;

static void __attribute__((constructor)) role_init(void)
{
    qemu_mutex_init(&role.lock);
    g_queue_init(&role.nodes);
}

bool block_is_active(void)
{
    return !__atomic_load_n(&role.inactive, __ATOMIC_ACQUIRE);
}

/* All is at rest.  Under the lock, which keeps block_activate() out. */
static void call_fn(void)
{
    void (*fn)(void *opaque) = role.fn;

    role.fn = NULL;
    if (fn) {
        fn(role.opaque);
    }
}

static void settle_locked(BlockNode *node)
{
    if (node->rest_pending) {
        __atomic_store_n(&node->rest_pending, false, __ATOMIC_RELAXED);
        if (--role.n_pending == 0) {
            call_fn();
        }
    }
}

void block_role_progress(BlockNode *node)
{
    /* Who sets it posts role_sync() afterwards, so no change is missed. */
    if (node->in_flight > node->n_unheld ||
        !__atomic_load_n(&node->rest_pending, __ATOMIC_RELAXED)) {
        return;
    }
    QEMU_LOCK_GUARD(&role.lock);
    settle_locked(node);
}

/* I/O thread: does as the role is now, however often it changed. */
static void role_sync(void *opaque)
{
    BlockNode *node = opaque;

    if (block_is_active()) {
        node->held &= ~BLOCK_HELD_INACTIVE;
        block_request_restart(node);
    } else {
        node->held |= BLOCK_HELD_INACTIVE;
        block_role_progress(node);
    }
}

static void tell_locked(BlockNode *node)
{
    iothread_post(node->iothread, role_sync, node);
}

void block_role_join(BlockNode *node)
{
    QEMU_LOCK_GUARD(&role.lock);
    node->held &= ~BLOCK_HELD_INACTIVE;
    if (role.inactive) {
        node->held |= BLOCK_HELD_INACTIVE;
    }
    g_queue_push_tail(&role.nodes, node);
}

static void flush_posts(void *opaque)
{
}

void block_role_leave(BlockNode *node)
{
    WITH_QEMU_LOCK_GUARD(&role.lock) {
        g_queue_remove(&role.nodes, node);
        /* From now on it is not counted, nor to be counted out. */
        settle_locked(node);
    }
    /* What it was told before has been heard now. */
    iothread_run(node->iothread, flush_posts, NULL);
}

/* There is no node that could call it. */
static gboolean call_fn_idle(gpointer opaque)
{
    QEMU_LOCK_GUARD(&role.lock);
    if (role.n_pending == 0) {
        call_fn();
    }
    return G_SOURCE_REMOVE;
}

static void call_fn_later(void)
{
    GSource *source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, call_fn_idle, NULL, NULL);
    g_source_attach(source, NULL);
    g_source_unref(source);
}

void block_inactivate(void (*fn)(void *opaque), void *opaque)
{
    QEMU_LOCK_GUARD(&role.lock);
    __atomic_store_n(&role.inactive, true, __ATOMIC_RELEASE);
    role.fn = fn;
    role.opaque = opaque;
    role.n_pending = g_queue_get_length(&role.nodes);
    for (GList *l = role.nodes.head; l; l = l->next) {
        BlockNode *node = l->data;

        __atomic_store_n(&node->rest_pending, true, __ATOMIC_RELAXED);
        tell_locked(node);
    }
    if (fn && role.n_pending == 0) {
        call_fn_later();
    }
}

void block_activate(void)
{
    QEMU_LOCK_GUARD(&role.lock);
    __atomic_store_n(&role.inactive, false, __ATOMIC_RELEASE);
    role.fn = NULL;
    role.n_pending = 0;
    for (GList *l = role.nodes.head; l; l = l->next) {
        BlockNode *node = l->data;

        __atomic_store_n(&node->rest_pending, false, __ATOMIC_RELAXED);
        tell_locked(node);
    }
}
