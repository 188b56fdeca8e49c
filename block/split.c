/*
 * Split requests: a request that a driver cannot do at once is done in steps,
 * one after the other.  A request with too much payload becomes several
 * requests, zeroes become writes of zeroes, and a stable write is followed by a
 * flush.  The bytes between the size of the driver and the size of the node,
 * which is rounded up, are not passed to a driver with exact_size.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block_int.h"

/* Payload of one write when zeroes are written as data. */
#define ZERO_CHUNK (1 * MiB)

typedef struct Split {
    BlockRequest step;
    BlockRequest *req;
    uint64_t done;  /* bytes covered by the steps so far */
    uint64_t bytes; /* bytes that the steps must cover */
    bool flushing;
    void *zeroes; /* what is written where zeroes cannot be asked for */
    int ret;
    /* Steps that end at once are followed by a loop, not by recursion. */
    bool in_loop;
    bool step_ended;
} Split;

static bool has_payload(BlockOp op)
{
    return op == BLOCK_OP_READ || op == BLOCK_OP_WRITE;
}

static bool needs_flush(const BlockNode *node, const BlockRequest *req)
{
    return (req->flags & BLOCK_REQ_FUA) && node->caps.flush && !node->caps.fua;
}

static bool needs_data(const BlockNode *node, const BlockRequest *req)
{
    return req->op == BLOCK_OP_WRITE_ZEROES && !node->caps.write_zeroes;
}

static uint64_t max_step(const BlockNode *node, const BlockRequest *req)
{
    if (needs_data(node, req)) {
        return MIN(ZERO_CHUNK, node->caps.max_transfer);
    }
    return has_payload(req->op) ? node->caps.max_transfer : BLOCK_MAX_UNMAP;
}

/* Returns how many bytes of @req are past the end of the driver. */
static uint64_t tail_bytes(const BlockNode *node, const BlockRequest *req)
{
    uint64_t size = __atomic_load_n(&node->size, __ATOMIC_RELAXED);
    uint64_t end = req->offset + req->bytes;

    if (!node->driver->exact_size || end <= size) {
        return 0;
    }
    return MIN(end - size, req->bytes);
}

/*
 * The tail reads as zeroes, so a write of zeroes to it succeeds.  Returns false
 * if @req writes other data there.
 */
static bool handle_tail(BlockRequest *req, uint64_t tail)
{
    char *buf = (char *)req->buf + (req->bytes - tail);

    if (req->op == BLOCK_OP_READ) {
        memset(buf, 0, tail);
    } else if (req->op == BLOCK_OP_WRITE) {
        for (uint64_t i = 0; i < tail; i++) {
            if (buf[i]) {
                return false;
            }
        }
    }
    return true;
}

bool block_split_needed(const BlockNode *node, const BlockRequest *req)
{
    return req->op != BLOCK_OP_STATUS &&
           (req->bytes > max_step(node, req) || needs_flush(node, req) ||
            needs_data(node, req) || tail_bytes(node, req));
}

/* Sets the next step up; false when all is done. */
static bool next_step(Split *s)
{
    BlockRequest *req = s->req;
    BlockNode *node = req->node;
    BlockRequest *step = &s->step;

    if (s->done < s->bytes) {
        step->op = s->zeroes ? BLOCK_OP_WRITE : req->op;
        step->offset = req->offset + s->done;
        step->bytes = MIN(s->bytes - s->done, max_step(node, req));
        step->flags = req->flags;
        if (!node->caps.fua) {
            step->flags &= ~BLOCK_REQ_FUA;
        }
        step->buf = s->zeroes ? s->zeroes : (char *)req->buf + s->done;
        s->done += step->bytes;
        return true;
    }
    if (needs_flush(node, req) && !s->flushing) {
        s->flushing = true;
        step->op = BLOCK_OP_FLUSH;
        step->offset = step->bytes = step->flags = 0;
        return true;
    }
    return false;
}

static void split_finish(Split *s)
{
    BlockRequest *req = s->req;
    int ret = s->ret;

    g_free(s->zeroes);
    g_free(s);
    block_request_complete(req, ret);
}

static void split_loop(Split *s)
{
    BlockNode *node = s->req->node;

    s->in_loop = true;
    do {
        if (s->ret < 0 || !next_step(s)) {
            split_finish(s);
            return;
        }
        s->step_ended = false;
        node->driver->submit(node, &s->step);
    } while (s->step_ended);
    s->in_loop = false;
}

void block_split_complete(BlockRequest *step, int ret)
{
    Split *s = step->split;

    s->ret = ret;
    s->step_ended = true;
    if (!s->in_loop) {
        split_loop(s);
    }
}

bool block_split_ends_in_flush(const BlockRequest *req)
{
    const Split *s = req->split;

    return s && needs_flush(req->node, s->req);
}

void block_split_restart(BlockRequest *req)
{
    Split *s = req->split;

    if (block_split_ends_in_flush(req)) {
        s->done = 0;
        s->flushing = false;
        next_step(s);
    }
}

void block_split_start(BlockRequest *req)
{
    BlockNode *node = req->node;
    uint64_t tail = tail_bytes(node, req);
    Split *s;

    if (!handle_tail(req, tail)) {
        block_request_complete(req, -ENOSPC);
        return;
    }
    if (needs_data(node, req) && (req->flags & BLOCK_REQ_NO_FALLBACK)) {
        block_request_complete(req, -ENOTSUP);
        return;
    }
    s = g_new0(Split, 1);
    s->req = req;
    s->bytes = req->bytes - tail;
    s->step.node = node;
    s->step.split = s;
    if (needs_data(node, req)) {
        s->zeroes = g_malloc0(MIN(req->bytes, max_step(node, req)));
    }
    split_loop(s);
}
