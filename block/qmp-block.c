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

/* Seconds that blockdev-reconnect waits for the end of a connection. */
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

static ImageInfo *image_info(BlockNode *node, bool flat)
{
    ImageInfo *info = g_new0(ImageInfo, 1);
    const BlockDriver *driver = node->driver;
    int64_t actual = driver->actual_size ? driver->actual_size(node) : 0;

    info->filename = driver->filename(node);
    info->format = g_strdup(driver->format_name);
    info->virtual_size = block_node_size(node);
    info->has_actual_size = driver->actual_size && actual >= 0;
    info->actual_size = actual;
    if (node->child && !flat) {
        info->backing_image = image_info(node->child, flat);
    }
    return info;
}

static BlockDeviceInfo *device_info(BlockNode *node, bool flat)
{
    BlockDeviceInfo *info = g_new0(BlockDeviceInfo, 1);

    info->file = node->driver->filename(node);
    info->node_name = g_strdup(node->name);
    info->ro = node->read_only;
    info->drv = g_strdup(node->driver->format_name);
    info->image = image_info(node, flat);
    info->backing_file_depth = node->child && !flat ? 1 : 0;
    info->detect_zeroes = BLOCKDEV_DETECT_ZEROES_OPTIONS_OFF;
    info->cache = g_new0(BlockdevCacheInfo, 1);
    info->cache->writeback = true;
    info->cache->direct = node->direct;
    info->cache->no_flush = node->no_flush;
    return info;
}

/* Newest first, as stock lists them. */
BlockDeviceInfoList *qmp_query_named_block_nodes(bool has_flat, bool flat,
                                                 Error **errp)
{
    BlockDeviceInfoList *list = NULL;

    for (GList *l = block_node_list(); l; l = l->next) {
        QAPI_LIST_PREPEND(list, device_info(l->data, flat));
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
