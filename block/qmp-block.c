/*
 * QMP commands for block nodes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block_int.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-block-core.h"
#include "qapi/util.h"

/* Default of close-timeout of blockdev-reconnect, in seconds. */
#define CLOSE_TIMEOUT_S 10

void qmp_blockdev_add(BlockdevOptions *options, Error **errp)
{
    block_node_add(options, errp);
}

void qmp_blockdev_del(const char *node_name, Error **errp)
{
    block_node_del(node_name, errp);
}

void qmp_blockdev_reconnect(const char *node_name, bool has_close_timeout,
                            uint32_t close_timeout, bool has_force, bool force,
                            Error **errp)
{
    BlockNode *node = block_node_find(node_name, errp);

    if (!node) {
        return;
    }
    if (!node->driver->reconnect) {
        error_setg(errp, "Node '%s' has no connection: its driver is '%s'",
                   node->name, node->driver->format_name);
        return;
    }
    node->driver->reconnect(
        node, has_close_timeout ? close_timeout : CLOSE_TIMEOUT_S, force, errp);
}

void qmp_block_resize(const char *device, const char *node_name, int64_t size,
                      Error **errp)
{
    BlockNode *node = node_name ? block_node_find(node_name, NULL) : NULL;

    if (!node) {
        error_setg(errp, "Cannot find device='%s' nor node-name='%s'",
                   device ? device : "", node_name ? node_name : "");
        return;
    }
    if (size < 0) {
        error_setg(errp, "Parameter 'size' expects a >0 size");
        return;
    }
    block_node_resize(node, size, errp);
}

/*
 * How long a query waits for all file systems together, in milliseconds. Beyond
 * that it returns the last known sizes.
 */
#define QUERY_WAIT_MS 1000

typedef struct NodeQuery {
    bool flat;
    int64_t deadline_us; /* on the monotonic clock */
} NodeQuery;

static int64_t actual_size(const NodeQuery *query, BlockNode *node)
{
    int64_t left_us = query->deadline_us - g_get_monotonic_time();

    return node->driver->actual_size
               ? node->driver->actual_size(node, MAX(left_us, 0) / 1000)
               : -1;
}

static bool has_file_below(const BlockNode *node)
{
    return node->driver->is_file ||
           (node->child && has_file_below(node->child));
}

static ImageInfo *image_info(const NodeQuery *query, BlockNode *node)
{
    ImageInfo *info = g_new0(ImageInfo, 1);
    int64_t actual = actual_size(query, node);

    info->filename = block_node_filename(node);
    info->format = g_strdup(node->driver->format_name);
    info->virtual_size = block_node_size(node);
    info->has_actual_size = actual >= 0;
    info->actual_size = actual;
    info->has_dirty_flag = has_file_below(node);
    if (node->child && !query->flat) {
        info->backing_image = image_info(query, node->child);
    }
    return info;
}

static int images_below(const BlockNode *node)
{
    return node->child ? 1 + images_below(node->child) : 0;
}

static BlockDeviceInfo *device_info(const NodeQuery *query, BlockNode *node)
{
    BlockDeviceInfo *info = g_new0(BlockDeviceInfo, 1);

    info->file = block_node_filename(node);
    info->node_name = g_strdup(node->name);
    info->ro = node->read_only;
    info->drv = g_strdup(node->driver->format_name);
    info->image = image_info(query, node);
    info->backing_file_depth = query->flat ? 0 : images_below(node);
    info->detect_zeroes = BLOCKDEV_DETECT_ZEROES_OPTIONS_OFF;
    info->cache = g_new0(BlockdevCacheInfo, 1);
    info->cache->writeback = true;
    info->cache->direct = node->direct;
    info->cache->no_flush = node->no_flush;
    return info;
}

/*
 * Lists the newest node first, as stock does.  It starts the size look-up of
 * all nodes before it waits for any, so that a dead file system does not use up
 * the time of the others.
 */
BlockDeviceInfoList *qmp_query_named_block_nodes(bool has_flat, bool flat,
                                                 Error **errp)
{
    BlockDeviceInfoList *list = NULL;
    NodeQuery query = {
        .flat = flat,
        .deadline_us = g_get_monotonic_time() + QUERY_WAIT_MS * INT64_C(1000),
    };

    for (GList *l = block_node_list(); l; l = l->next) {
        BlockNode *node = l->data;

        if (node->driver->refresh) {
            node->driver->refresh(node);
        }
    }
    for (GList *l = block_node_list(); l; l = l->next) {
        QAPI_LIST_PREPEND(list, device_info(&query, l->data));
    }
    return list;
}

BlockInfoList *qmp_query_block(Error **errp)
{
    return NULL;
}

#define STAT(op, field)                                                        \
    ((int64_t)__atomic_load_n(&node->stats[op].field, __ATOMIC_RELAXED))

/* Zeroes count as writes, as they do in stock. */
#define WRITE_STAT(field)                                                      \
    (STAT(BLOCK_OP_WRITE, field) + STAT(BLOCK_OP_WRITE_ZEROES, field))

static BlockDeviceStats *device_stats(BlockNode *node)
{
    BlockDeviceStats *s = g_new0(BlockDeviceStats, 1);

    s->rd_bytes = STAT(BLOCK_OP_READ, bytes);
    s->rd_operations = STAT(BLOCK_OP_READ, done);
    s->rd_total_time_ns = STAT(BLOCK_OP_READ, time_ns);
    s->failed_rd_operations = STAT(BLOCK_OP_READ, failed);
    s->invalid_rd_operations = STAT(BLOCK_OP_READ, invalid);
    s->wr_bytes = WRITE_STAT(bytes);
    s->wr_operations = WRITE_STAT(done);
    s->wr_total_time_ns = WRITE_STAT(time_ns);
    s->failed_wr_operations = WRITE_STAT(failed);
    s->invalid_wr_operations = WRITE_STAT(invalid);
    s->wr_highest_offset =
        __atomic_load_n(&node->wr_highest_offset, __ATOMIC_RELAXED);
    s->flush_operations = STAT(BLOCK_OP_FLUSH, done);
    s->flush_total_time_ns = STAT(BLOCK_OP_FLUSH, time_ns);
    s->failed_flush_operations = STAT(BLOCK_OP_FLUSH, failed);
    s->unmap_bytes = STAT(BLOCK_OP_DISCARD, bytes);
    s->unmap_operations = STAT(BLOCK_OP_DISCARD, done);
    s->unmap_total_time_ns = STAT(BLOCK_OP_DISCARD, time_ns);
    s->failed_unmap_operations = STAT(BLOCK_OP_DISCARD, failed);
    s->invalid_unmap_operations = STAT(BLOCK_OP_DISCARD, invalid);
    return s;
}

BlockStatsList *qmp_query_blockstats(bool has_query_nodes, bool query_nodes,
                                     Error **errp)
{
    BlockStatsList *list = NULL, **tail = &list;

    if (!query_nodes) {
        return NULL;
    }
    for (GList *l = block_node_list(); l; l = l->next) {
        BlockNode *node = l->data;
        BlockStats *stats = g_new0(BlockStats, 1);

        stats->node_name = g_strdup(node->name);
        stats->stats = device_stats(node);
        QAPI_LIST_APPEND(tail, stats);
    }
    return list;
}
