/*
 * Null nodes: reads give zeroes or nothing, writes are thrown away, each
 * after some latency.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block_int.h"
#include "qapi/error.h"
#include "timer.h"

typedef struct NullState {
    uint64_t latency_ns;
    bool has_size, has_read_zeroes; /* were given by the user */
    bool read_zeroes;
    BlockTimers *timers;
} NullState;

static bool null_open(BlockNode *node, const BlockdevOptions *options,
                      Error **errp)
{
    const BlockdevOptionsNull *opts = &options->u.null_co;
    NullState *s = node->opaque;

    if (opts->has_size && opts->size < 0) {
        error_setg(errp, "Invalid size %" PRIi64 ", it must not be negative",
                   opts->size);
        return false;
    }
    node->size = opts->has_size ? opts->size : GiB;
    node->caps.flush = true;
    node->caps.discard = true;
    node->caps.write_zeroes = true;
    node->caps.fua = true;
    s->latency_ns = opts->latency_ns;
    s->has_size = opts->has_size;
    s->has_read_zeroes = opts->has_read_zeroes;
    s->read_zeroes = opts->read_zeroes;
    s->timers = s->latency_ns ? block_timers_new(errp) : NULL;
    return s->timers || !s->latency_ns;
}

static void null_leave(void *opaque)
{
    NullState *s = opaque;

    if (s->timers) {
        block_timers_detach(s->timers);
    }
}

static void null_detach(BlockNode *node)
{
    iothread_run(node->iothread, null_leave, node->opaque);
}

static void null_close(BlockNode *node)
{
    NullState *s = node->opaque;

    null_detach(node);
    block_timers_free(s->timers);
}

static void null_complete(void *opaque)
{
    block_request_complete(opaque, 0);
}

static void null_submit(BlockNode *node, BlockRequest *req)
{
    NullState *s = node->opaque;

    if (req->op == BLOCK_OP_READ) {
        memset(req->buf, 0, req->bytes);
    }
    req->status.zero = true;
    if (s->latency_ns) {
        block_timer_start(s->timers, s->latency_ns, null_complete, req);
    } else {
        null_complete(req);
    }
}

/* Does not contain the latency, as in stock. */
static char *null_filename(BlockNode *node)
{
    NullState *s = node->opaque;

    return s->has_size || s->has_read_zeroes ? NULL : g_strdup("null-co://");
}

static json_object *null_options(BlockNode *node)
{
    NullState *s = node->opaque;
    json_object *obj = json_object_new_object();

    json_object_object_add(obj, "driver", json_object_new_string("null-co"));
    if (s->has_size) {
        json_object_object_add(obj, "size", json_object_new_int64(node->size));
    }
    if (s->has_read_zeroes) {
        json_object_object_add(obj, "read-zeroes",
                               json_object_new_boolean(s->read_zeroes));
    }
    return obj;
}

static int64_t null_actual_size(BlockNode *node, int timeout_ms)
{
    return 0;
}

const BlockDriver block_driver_null_co = {
    .format_name = "null-co",
    .instance_size = sizeof(NullState),
    .open = null_open,
    .close = null_close,
    .submit = null_submit,
    .has_status = true,
    .detach = null_detach,
    .filename = null_filename,
    .options = null_options,
    .actual_size = null_actual_size,
};
