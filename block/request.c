/*
 * Requests: on their way to a driver and back, counted and timed.
 *
 * All of it runs on the I/O thread of the node and takes no lock itself.
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
    return op == BLOCK_OP_WRITE || op == BLOCK_OP_DISCARD ||
           op == BLOCK_OP_WRITE_ZEROES;
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
    return op == BLOCK_OP_STATUS && bytes == 0 ? -EINVAL : 0;
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
    bool unheld = req->flags & BLOCK_REQ_UNHELD;

    req->cb(req, ret);
    node->in_flight--;
    node->n_unheld -= unheld;
    if (G_UNLIKELY(node->held)) {
        if (node->held & BLOCK_HELD_DRAINED) {
            block_drain_progress(node);
        }
        if (node->held & BLOCK_HELD_INACTIVE) {
            block_role_progress(node);
        }
    }
}

/* The end of a request of which the driver has seen nothing. */
static void end_untouched(BlockRequest *req, int ret)
{
    account(req->node, req, ret);
    finish(req->node, req, ret);
}

void block_request_complete(BlockRequest *req, int ret)
{
    BlockNode *node = req->node;

    if (req->split) {
        block_split_complete(req, ret);
        return;
    }
    if (G_UNLIKELY(node->dirty) && is_write(req->op)) {
        block_dirty_bitmap_set(node->dirty, req->offset, req->bytes);
    }
    account(node, req, ret);
    finish(node, req, ret);
}

/*
 * True when there is nothing to do: a flush of what needs none, a discard
 * that nobody wants or that cannot be done, as it is but a hint, the status
 * of what may be anything.
 */
static bool is_no_op(const BlockNode *node, const BlockRequest *req)
{
    switch (req->op) {
    case BLOCK_OP_FLUSH:
        return node->no_flush || !node->caps.flush;
    case BLOCK_OP_DISCARD:
        return !node->unmap || !node->caps.discard || req->bytes == 0;
    case BLOCK_OP_STATUS:
        return !node->driver->has_status;
    default:
        return req->bytes == 0;
    }
}

/* On to the driver. */
static void run(BlockNode *node, BlockRequest *req)
{
    if (is_write(req->op)) {
        __atomic_store_n(&node->written, true, __ATOMIC_RELAXED);
    }
    if (block_split_needed(node, req)) {
        block_split_start(req);
    } else {
        node->driver->submit(node, req);
    }
}

void block_request_pass(BlockRequest *req)
{
    run(req->node, req);
}

void block_request_refuse(BlockRequest *req, int ret)
{
    end_untouched(req, ret);
}

static bool gate_keeps(BlockNode *node, BlockRequest *req)
{
    return !(req->flags & BLOCK_REQ_UNHELD) &&
           node->gate(node, req, node->gate_opaque);
}

static void start(BlockNode *node, BlockRequest *req)
{
    int ret = block_node_check_request(node, req->op, req->offset, req->bytes);

    node->in_flight++;
    node->n_unheld += !!(req->flags & BLOCK_REQ_UNHELD);
    if (ret < 0) {
        STAT_ADD(node->stats[req->op].invalid, 1);
        finish(node, req, ret);
        return;
    }
    req->start_ns = now_ns();
    req->split = NULL;
    /* A driver without flush has no cache from which a write could be lost. */
    if (node->no_flush || (!node->caps.flush && !node->caps.fua)) {
        req->flags &= ~BLOCK_REQ_FUA;
    }
    if (!node->unmap) {
        req->flags &= ~BLOCK_REQ_MAY_UNMAP;
    }
    if (req->op == BLOCK_OP_STATUS) {
        req->status = (BlockStatus){.bytes = req->bytes, .zero = false};
    }
    if (is_no_op(node, req)) {
        end_untouched(req, 0);
    } else if (G_LIKELY(!node->gate) || !gate_keeps(node, req)) {
        run(node, req);
    }
}

void block_submit(BlockNode *node, BlockRequest *req)
{
    req->node = node;
    if (G_UNLIKELY(node->held) && !(req->flags & BLOCK_REQ_PASSES)) {
        block_queue_push(&node->waiting, req);
        return;
    }
    start(node, req);
}

void block_request_restart(BlockNode *node)
{
    BlockRequest *req;

    while (!node->held && (req = block_queue_pop(&node->waiting))) {
        start(node, req);
    }
}

void block_cancel_waiting(BlockNode *node, const void *opaque)
{
    BlockQueue waiting = node->waiting, cancelled;
    BlockRequest *req;

    if (!waiting.head) {
        return;
    }
    block_queue_init(&node->waiting);
    block_queue_init(&cancelled);
    while ((req = block_queue_pop(&waiting))) {
        block_queue_push(req->opaque == opaque ? &cancelled : &node->waiting,
                         req);
    }
    while ((req = block_queue_pop(&cancelled))) {
        req->cb(req, -ECANCELED);
    }
}

/* ---- What watches requests. ---- */

typedef struct WatchCall {
    BlockNode *node;
    BlockDirtyBitmap *dirty;
    BlockGateFn *gate;
    void *gate_opaque;
} WatchCall;

static void set_dirty_bitmap(void *opaque)
{
    WatchCall *call = opaque;

    call->node->dirty = call->dirty;
}

void block_node_set_dirty_bitmap(BlockNode *node, BlockDirtyBitmap *bitmap)
{
    WatchCall call = {.node = node, .dirty = bitmap};

    iothread_run(block_node_iothread(node), set_dirty_bitmap, &call);
}

static void set_gate(void *opaque)
{
    WatchCall *call = opaque;

    call->node->gate = call->gate;
    call->node->gate_opaque = call->gate_opaque;
}

void block_node_set_gate(BlockNode *node, BlockGateFn *gate, void *opaque)
{
    WatchCall call = {.node = node, .gate = gate, .gate_opaque = opaque};

    iothread_run(block_node_iothread(node), set_gate, &call);
}

/* ---- The main thread waits for a request of its own. ---- */

/* May exist longer than the caller waits. */
typedef struct SyncRequest {
    BlockRequest req;
    BlockNode *node;
    unsigned refcount; /* atomic: the waiting thread and the request */
    /* Guards the members below.  Fast; no lock is taken under it. */
    QemuMutex lock;
    QemuCond cond;
    bool done;
    int ret;
} SyncRequest;

static void sync_unref(SyncRequest *sync)
{
    if (__atomic_sub_fetch(&sync->refcount, 1, __ATOMIC_ACQ_REL) == 0) {
        qemu_cond_destroy(&sync->cond);
        qemu_mutex_destroy(&sync->lock);
        g_free(sync);
    }
}

static void sync_done(BlockRequest *req, int ret)
{
    SyncRequest *sync = container_of(req, SyncRequest, req);

    WITH_QEMU_LOCK_GUARD(&sync->lock) {
        sync->ret = ret;
        sync->done = true;
        qemu_cond_signal(&sync->cond);
    }
    sync_unref(sync);
}

static void sync_submit(void *opaque)
{
    SyncRequest *sync = opaque;

    block_submit(sync->node, &sync->req);
}

/* Returns true if the request has ended.  A negative @timeout_ms: no limit. */
static bool sync_wait(SyncRequest *sync, int timeout_ms)
{
    int64_t deadline = g_get_monotonic_time() + timeout_ms * INT64_C(1000);

    QEMU_LOCK_GUARD(&sync->lock);
    while (!sync->done) {
        int64_t left = deadline - g_get_monotonic_time();

        if (timeout_ms < 0) {
            qemu_cond_wait(&sync->cond, &sync->lock);
        } else if (left <= 0) {
            return false;
        } else {
            qemu_cond_timedwait(&sync->cond, &sync->lock, left / 1000 + 1);
        }
    }
    return true;
}

static SyncRequest *sync_start(BlockNode *node, const BlockRequest *req)
{
    SyncRequest *sync = g_new0(SyncRequest, 1);

    oob_assert_may_block("block_request_sync");
    sync->req = *req;
    sync->req.cb = sync_done;
    sync->node = node;
    sync->refcount = 2;
    qemu_mutex_init(&sync->lock);
    qemu_cond_init(&sync->cond);
    iothread_post(node->iothread, sync_submit, sync);
    return sync;
}

int block_request_sync(BlockNode *node, BlockOp op, uint64_t offset,
                       uint64_t bytes, void *buf, unsigned flags)
{
    BlockRequest req = {
        .op = op,
        .flags = flags,
        .offset = offset,
        .bytes = bytes,
        .buf = buf,
    };
    SyncRequest *sync = sync_start(node, &req);
    int ret;

    sync_wait(sync, -1);
    ret = sync->ret;
    sync_unref(sync);
    return ret;
}

bool block_flush_sync(BlockNode *node, int timeout_ms)
{
    BlockRequest req = {.op = BLOCK_OP_FLUSH, .flags = BLOCK_REQ_UNHELD};
    SyncRequest *sync = sync_start(node, &req);
    bool ended = sync_wait(sync, timeout_ms);

    sync_unref(sync);
    return ended;
}
