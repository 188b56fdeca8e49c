/*
 * Drain: the main thread waits until a node has no request in flight, and holds
 * new requests back meanwhile.
 *
 * Only the I/O thread counts requests.  The main thread tells it to quiesce,
 * and waits on a condition until it reports that the last request has ended.
 * At a node with a peer, a yank ends that wait.  Nothing can end the requests
 * of other nodes (a file on a dead file system, a long latency), so commands
 * wait for these with a time limit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block_int.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"

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
    node->drains_done = node->drains_seen;
    qemu_cond_broadcast(&node->drain_cond);
}

static void quiesce(void *opaque)
{
    BlockNode *node = opaque;

    node->drains_seen++;
    node->held |= BLOCK_HELD_DRAINED;
    block_drain_progress(node);
}

static void resume(void *opaque)
{
    BlockNode *node = opaque;

    node->held &= ~BLOCK_HELD_DRAINED;
    block_request_restart(node);
}

/* A deadline on the monotonic clock, in microseconds. */
#define NO_DEADLINE INT64_MAX

static bool wait_drained_until(BlockNode *node, int64_t deadline)
{
    QEMU_LOCK_GUARD(&node->drain_lock);
    while (node->drains_done != node->drains_asked) {
        int64_t left = deadline - g_get_monotonic_time();

        if (deadline == NO_DEADLINE) {
            qemu_cond_wait(&node->drain_cond, &node->drain_lock);
        } else if (left <= 0) {
            return false;
        } else {
            qemu_cond_timedwait(&node->drain_cond, &node->drain_lock,
                                left / 1000 + 1);
        }
    }
    return true;
}

/* At a yankable node a yank ends the requests and thus this wait. */
static bool wait_drained(BlockNode *node, int64_t deadline)
{
    if (node->driver->yankable) {
        OOB_WAIT_YANK("blockdev", node->name);
        return wait_drained_until(node, NO_DEADLINE);
    }
    return wait_drained_until(node, deadline);
}

static bool drained_begin(BlockNode *node, int64_t deadline, Error **errp);

/*
 * Parents go first: a request of theirs that waited at this node would never
 * let them drain.
 */
static bool parents_begin(BlockNode *node, int64_t deadline, Error **errp)
{
    for (GList *l = node->users.head; l; l = l->next) {
        BlockUser *user = l->data;

        if (!user->parent || drained_begin(user->parent, deadline, errp)) {
            continue;
        }
        while ((l = l->prev)) {
            user = l->data;
            if (user->parent) {
                block_drained_end(user->parent);
            }
        }
        return false;
    }
    return true;
}

static bool drained_begin(BlockNode *node, int64_t deadline, Error **errp)
{
    if (!parents_begin(node, deadline, errp)) {
        return false;
    }
    if (node->drain_count++ == 0) {
        node->drains_asked++;
        iothread_post(node->iothread, quiesce, node);
        if (!wait_drained(node, deadline)) {
            error_setg(errp,
                       "Requests of node '%s' have not ended within %d seconds",
                       node->name, BLOCK_WAIT_MS / 1000);
            block_drained_end(node);
            return false;
        }
    }
    return true;
}

void block_drained_begin(BlockNode *node)
{
    drained_begin(node, NO_DEADLINE, NULL);
}

bool block_drained_try(BlockNode *node, Error **errp)
{
    int64_t now = g_get_monotonic_time();

    return drained_begin(node, now + BLOCK_WAIT_MS * INT64_C(1000), errp);
}

void block_drained_end(BlockNode *node)
{
    if (--node->drain_count == 0) {
        iothread_post(node->iothread, resume, node);
    }
    for (GList *l = node->users.head; l; l = l->next) {
        BlockUser *user = l->data;

        if (user->parent) {
            block_drained_end(user->parent);
        }
    }
}
