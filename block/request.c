/*
 * Requests: on their way to a driver and back, counted and timed.
 *
 * All of it runs on the I/O thread of the node and takes no lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <time.h>
#include "block/block_int.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"

/* One writer, the I/O thread; readers see some recent value. */
#define STAT_ADD(field, n)                                                     \
    __atomic_store_n(&(field), (field) + (n), __ATOMIC_RELAXED)

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static bool is_write(BlockOp op)
{
    return op != BLOCK_OP_READ && op != BLOCK_OP_FLUSH;
}

int block_node_check_request(BlockNode *node, BlockOp op, uint64_t offset,
                             uint64_t bytes)
{
    uint64_t size = block_node_size(node);

    if (op == BLOCK_OP_FLUSH) {
        return 0;
    }
    if (bytes > size || offset > size - bytes) {
        return is_write(op) ? -ENOSPC : -EINVAL;
    }
    if ((offset | bytes) & (node->caps.min_block - 1)) {
        return -EINVAL;
    }
    return 0;
}

static void account(BlockNode *node, BlockRequest *req, int ret)
{
    BlockOpStats *stats = &node->stats[req->op];
    uint64_t end = req->offset + req->bytes;

    if (ret < 0) {
        STAT_ADD(stats->failed, 1);
        return;
    }
    STAT_ADD(stats->bytes, req->bytes);
    STAT_ADD(stats->done, 1);
    STAT_ADD(stats->time_ns, now_ns() - req->start_ns);
    if (is_write(req->op) && end > node->wr_highest_offset) {
        __atomic_store_n(&node->wr_highest_offset, end, __ATOMIC_RELAXED);
    }
}

/*
 * The request counts as in flight until its callback has returned, so that
 * after a drain no callback runs.
 */
static void finish(BlockNode *node, BlockRequest *req, int ret)
{
    req->cb(req, ret);
    node->in_flight--;
    if (node->quiesced) {
        block_drain_progress(node);
    }
}

void block_request_complete(BlockRequest *req, int ret)
{
    if (req->split) {
        block_split_complete(req, ret);
        return;
    }
    account(req->node, req, ret);
    finish(req->node, req, ret);
}

/*
 * True when there is nothing to do: a flush of what needs none, a discard
 * that nobody wants or that cannot be done, as it is but a hint.
 */
static bool is_no_op(const BlockNode *node, const BlockRequest *req)
{
    switch (req->op) {
    case BLOCK_OP_FLUSH:
        return node->no_flush || !node->caps.flush;
    case BLOCK_OP_DISCARD:
        return !node->unmap || !node->caps.discard || req->bytes == 0;
    default:
        return req->bytes == 0;
    }
}

static void start(BlockNode *node, BlockRequest *req)
{
    int ret = block_node_check_request(node, req->op, req->offset, req->bytes);

    node->in_flight++;
    if (ret < 0) {
        STAT_ADD(node->stats[req->op].invalid, 1);
        finish(node, req, ret);
        return;
    }
    req->start_ns = now_ns();
    req->split = NULL;
    if (node->no_flush) {
        req->flags &= ~BLOCK_REQ_FUA;
    }
    if (!node->unmap) {
        req->flags &= ~BLOCK_REQ_MAY_UNMAP;
    }
    if (is_no_op(node, req)) {
        block_request_complete(req, 0);
    } else if (block_split_needed(node, req)) {
        block_split_start(req);
    } else {
        node->driver->submit(node, req);
    }
}

void block_submit(BlockNode *node, BlockRequest *req)
{
    req->node = node;
    if (node->quiesced) {
        block_queue_push(&node->waiting, req);
        return;
    }
    start(node, req);
}

void block_request_restart(BlockNode *node)
{
    BlockRequest *req;

    while (!node->quiesced && (req = block_queue_pop(&node->waiting))) {
        start(node, req);
    }
}

/* ---- The main thread waits for a request of its own. ---- */

typedef struct SyncRequest {
    BlockRequest req;
    BlockNode *node;
    int ret;
    /* Guards done; fast, nothing is taken under it. */
    QemuMutex lock;
    QemuCond cond;
    bool done;
} SyncRequest;

static void sync_done(BlockRequest *req, int ret)
{
    SyncRequest *sync = container_of(req, SyncRequest, req);

    QEMU_LOCK_GUARD(&sync->lock);
    sync->ret = ret;
    sync->done = true;
    qemu_cond_signal(&sync->cond);
}

static void sync_submit(void *opaque)
{
    SyncRequest *sync = opaque;

    block_submit(sync->node, &sync->req);
}

static void sync_wait(SyncRequest *sync)
{
    QEMU_LOCK_GUARD(&sync->lock);
    while (!sync->done) {
        qemu_cond_wait(&sync->cond, &sync->lock);
    }
}

int block_request_sync(BlockNode *node, BlockOp op, uint64_t offset,
                       uint64_t bytes, void *buf, unsigned flags)
{
    SyncRequest sync = {
        .node = node,
        .req =
            {
                .op = op,
                .flags = flags,
                .offset = offset,
                .bytes = bytes,
                .buf = buf,
                .cb = sync_done,
            },
    };

    oob_assert_may_block("block_request_sync");
    qemu_mutex_init(&sync.lock);
    qemu_cond_init(&sync.cond);
    iothread_post(node->iothread, sync_submit, &sync);
    sync_wait(&sync);
    qemu_cond_destroy(&sync.cond);
    qemu_mutex_destroy(&sync.lock);
    return sync.ret;
}
