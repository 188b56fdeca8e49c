/*
 * Drain: the main thread waits until no request is in flight on a node, and
 * holds new ones back meanwhile.
 *
 * The I/O thread alone counts requests.  The main thread tells it to quiesce,
 * and waits on a condition for its word that the last request has ended: a
 * wait as long as the peer makes it, which a yank of the peer ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block_int.h"
#include "qemu/lockable.h"

void block_drain_init(BlockNode *node)
{
    qemu_mutex_init(&node->drain_lock);
    qemu_cond_init(&node->drain_cond);
}

void block_drain_destroy(BlockNode *node)
{
    qemu_cond_destroy(&node->drain_cond);
    qemu_mutex_destroy(&node->drain_lock);
}

void block_drain_progress(BlockNode *node)
{
    if (node->in_flight) {
        return;
    }
    QEMU_LOCK_GUARD(&node->drain_lock);
    node->drained = true;
    qemu_cond_broadcast(&node->drain_cond);
}

static void quiesce(void *opaque)
{
    BlockNode *node = opaque;

    node->held |= BLOCK_HELD_DRAINED;
    block_drain_progress(node);
}

static void resume(void *opaque)
{
    BlockNode *node = opaque;

    node->held &= ~BLOCK_HELD_DRAINED;
    block_request_restart(node);
}

static void wait_drained(BlockNode *node)
{
    QEMU_LOCK_GUARD(&node->drain_lock);
    while (!node->drained) {
        qemu_cond_wait(&node->drain_cond, &node->drain_lock);
    }
}

/*
 * Parents go first: a request of theirs that waited at this node would never
 * let them drain.
 */
static void drain_parents(BlockNode *node, void (*fn)(BlockNode *node))
{
    for (GList *l = node->users.head; l; l = l->next) {
        BlockUser *user = l->data;

        if (user->parent) {
            fn(user->parent);
        }
    }
}

void block_drained_begin(BlockNode *node)
{
    drain_parents(node, block_drained_begin);
    if (node->drain_count++ == 0) {
        iothread_post(node->iothread, quiesce, node);
        wait_drained(node);
    }
}

void block_drained_end(BlockNode *node)
{
    if (--node->drain_count == 0) {
        WITH_QEMU_LOCK_GUARD(&node->drain_lock) {
            node->drained = false;
        }
        iothread_post(node->iothread, resume, node);
    }
    drain_parents(node, block_drained_end);
}
