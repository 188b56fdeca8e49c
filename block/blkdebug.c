/*
 * blkdebug nodes: pass requests on to another node, and make some of them
 * fail or late, as rules say.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "blkdebug-internal.h"
#include "block/block_int.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-block-core.h"
#include "timer.h"

#define SECTOR 512

typedef struct BlkdebugState {
    char *config;       /* path, or NULL */
    GArray *rules;      /* of BlkdebugRule; I/O thread once open */
    json_object *given; /* the rules in the options, flat, or NULL */
    BlockTimers *timers;
} BlkdebugState;

/* A request on its way through us. */
typedef struct BlkdebugRequest {
    BlockRequest below;
    BlockRequest *req;
    int error;
} BlkdebugRequest;

static const struct {
    BlkdebugEvent event;
    BlkdebugIOType iotype;
} op_kinds[BLOCK_OP__MAX] = {
    [BLOCK_OP_READ] = {BLKDBG_READ_AIO, BLKDEBUG_IO_TYPE_READ},
    [BLOCK_OP_WRITE] = {BLKDBG_WRITE_AIO, BLKDEBUG_IO_TYPE_WRITE},
    [BLOCK_OP_FLUSH] = {BLKDBG_FLUSH_TO_DISK, BLKDEBUG_IO_TYPE_FLUSH},
    [BLOCK_OP_DISCARD] = {BLKDBG_DISCARD, BLKDEBUG_IO_TYPE_DISCARD},
    [BLOCK_OP_WRITE_ZEROES] = {BLKDBG_PWRITEV_ZERO,
                               BLKDEBUG_IO_TYPE_WRITE_ZEROES},
};

static bool rules_init(BlockNode *node, const BlockdevOptionsBlkdebug *opts,
                       Error **errp)
{
    BlkdebugState *s = node->opaque;

    if (opts->config &&
        !blkdebug_read_config(s->rules, opts->config, node->name, errp)) {
        return false;
    }
    for (BlkdebugInjectErrorOptionsList *l = opts->inject_error; l;
         l = l->next) {
        if (!blkdebug_add_error(s->rules, l->value, errp)) {
            return false;
        }
    }
    for (BlkdebugDelayOptionsList *l = opts->delay; l; l = l->next) {
        if (!blkdebug_add_delay(s->rules, l->value, errp)) {
            return false;
        }
    }
    return true;
}

/* Adds the members of @rule to @flat under the names "@list.@index.MEMBER". */
static void add_flat(json_object *flat, const char *list, unsigned index,
                     const GString *text)
{
    g_autoptr(json_object) rule = json_parse(text->str, &error_abort);

    json_object_object_foreach(rule, member, value)
    {
        g_autofree char *key = g_strdup_printf("%s.%u.%s", list, index, member);

        json_object_object_add(flat, key, json_object_get(value));
    }
}

/*
 * Returns the rules in the form that queries show, or NULL if there are none.
 */
static json_object *options_flat(const BlockdevOptionsBlkdebug *opts)
{
    g_autoptr(GString) text = g_string_new(NULL);
    json_object *flat = json_object_new_object();
    unsigned n_errors = 0, n_delays = 0;

    for (BlkdebugInjectErrorOptionsList *l = opts->inject_error; l;
         l = l->next) {
        g_autoptr(Visitor) v = json_output_visitor_new(text);

        visit_type_BlkdebugInjectErrorOptions(v, NULL, &l->value, &error_abort);
        add_flat(flat, "inject-error", n_errors++, text);
        g_string_truncate(text, 0);
    }
    for (BlkdebugDelayOptionsList *l = opts->delay; l; l = l->next) {
        g_autoptr(Visitor) v = json_output_visitor_new(text);

        visit_type_BlkdebugDelayOptions(v, NULL, &l->value, &error_abort);
        add_flat(flat, "delay", n_delays++, text);
        g_string_truncate(text, 0);
    }
    if (n_errors + n_delays == 0) {
        g_clear_pointer(&flat, json_object_put);
    }
    return flat;
}

static void state_destroy(BlkdebugState *s)
{
    g_clear_pointer(&s->given, json_object_put);
    g_clear_pointer(&s->timers, block_timers_free);
    g_clear_pointer(&s->rules, g_array_unref);
    g_clear_pointer(&s->config, g_free);
}

static bool blkdebug_open(BlockNode *node, const BlockdevOptions *options,
                          Error **errp)
{
    const BlockdevOptionsBlkdebug *opts = &options->u.blkdebug;
    BlkdebugState *s = node->opaque;

    s->config = g_strdup(opts->config);
    s->given = options_flat(opts);
    s->rules = g_array_new(FALSE, FALSE, sizeof(BlkdebugRule));
    s->timers = block_timers_new(errp);
    if (!s->timers || !rules_init(node, opts, errp) ||
        !block_node_open_child(node, opts->image, errp)) {
        state_destroy(s);
        return false;
    }
    node->size = node->child->size;
    node->caps = node->child->caps;
    /* Stable writes go to the child, which may need a flush for them. */
    node->caps.fua |= node->caps.flush;
    return true;
}

static void blkdebug_leave(void *opaque)
{
    BlkdebugState *s = opaque;

    block_timers_detach(s->timers);
}

static void blkdebug_detach(BlockNode *node)
{
    iothread_run(node->iothread, blkdebug_leave, node->opaque);
}

static void blkdebug_close(BlockNode *node)
{
    blkdebug_detach(node);
    block_node_close_child(node);
    state_destroy(node->opaque);
}

static bool rule_matches(const BlkdebugRule *rule, const BlockRequest *req)
{
    int64_t first = req->offset / SECTOR;
    int64_t last = (req->offset + MAX(req->bytes, 1) - 1) / SECTOR;

    if (rule->event != BLKDBG_NONE && rule->event != op_kinds[req->op].event) {
        return false;
    }
    if (rule->has_iotype && rule->iotype != op_kinds[req->op].iotype) {
        return false;
    }
    return rule->sector < 0 || (rule->sector >= first && rule->sector <= last);
}

/* The first error that matches, and all delays. */
static int apply_rules(BlkdebugState *s, const BlockRequest *req,
                       uint64_t *latency_ns)
{
    int error = 0;

    *latency_ns = 0;
    if (req->op == BLOCK_OP_STATUS) {
        return 0; /* no rule knows it */
    }
    for (guint i = 0; i < s->rules->len; i++) {
        BlkdebugRule *rule = &g_array_index(s->rules, BlkdebugRule, i);

        if (!rule_matches(rule, req) || (rule->error && error)) {
            continue;
        }
        *latency_ns += rule->latency_ns;
        error = rule->error ? rule->error : error;
        if (rule->once) {
            g_array_remove_index(s->rules, i--);
        }
    }
    return error;
}

static void below_done(BlockRequest *below, int ret)
{
    BlkdebugRequest *r = container_of(below, BlkdebugRequest, below);
    BlockRequest *req = r->req;

    req->status = below->status;
    g_free(r);
    block_request_complete(req, ret);
}

static void pass_on(void *opaque)
{
    BlkdebugRequest *r = opaque;

    if (r->error) {
        below_done(&r->below, -r->error);
    } else {
        block_submit(r->req->node->child, &r->below);
    }
}

static void blkdebug_submit(BlockNode *node, BlockRequest *req)
{
    BlkdebugState *s = node->opaque;
    BlkdebugRequest *r = g_new0(BlkdebugRequest, 1);
    uint64_t latency_ns;

    r->req = req;
    r->error = apply_rules(s, req, &latency_ns);
    r->below = (BlockRequest){
        .op = req->op,
        .flags = req->flags | BLOCK_REQ_OF_PARENT,
        .offset = req->offset,
        .bytes = req->bytes,
        .buf = req->buf,
        .cb = below_done,
    };
    if (latency_ns) {
        block_timer_start(s->timers, latency_ns, pass_on, r);
    } else {
        pass_on(r);
    }
}

static bool blkdebug_truncate(BlockNode *node, uint64_t size, Error **errp)
{
    return block_node_resize(node->child, size, errp);
}

static char *blkdebug_filename(BlockNode *node)
{
    BlkdebugState *s = node->opaque;
    g_autofree char *below = node->child->driver->filename(node->child);

    if (!below || s->given) {
        return NULL;
    }
    return g_strdup_printf("blkdebug:%s:%s", s->config ? s->config : "", below);
}

static json_object *blkdebug_options(BlockNode *node)
{
    BlkdebugState *s = node->opaque;
    json_object *obj = json_object_new_object();

    json_object_object_add(obj, "driver", json_object_new_string("blkdebug"));
    if (s->config) {
        json_object_object_add(obj, "config",
                               json_object_new_string(s->config));
    }
    json_object_object_add(obj, "image", block_node_options(node->child));
    if (s->given) {
        json_object_object_foreach(s->given, key, value)
        {
            json_object_object_add(obj, key, json_object_get(value));
        }
    }
    return obj;
}

const BlockDriver block_driver_blkdebug = {
    .format_name = "blkdebug",
    .instance_size = sizeof(BlkdebugState),
    .open = blkdebug_open,
    .close = blkdebug_close,
    .submit = blkdebug_submit,
    .truncate = blkdebug_truncate,
    .detach = blkdebug_detach,
    .filename = blkdebug_filename,
    .options = blkdebug_options,
    .has_status = true,
};
