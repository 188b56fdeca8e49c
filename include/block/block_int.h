/*
 * What block drivers implement.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_BLOCK_INT_H
#define BLOCK_BLOCK_INT_H

#include "block/block.h"
#include "qemu/thread.h"

typedef struct BlockDriver {
    const char *format_name;
    BlockdevDriver type;
    size_t instance_size;

    /*
     * Main thread; may block.  Sets node->size, node->caps and what else
     * applies; on failure leaves nothing behind.
     */
    bool (*open)(BlockNode *node, const BlockdevOptions *options, Error **errp);
    /* Main thread; drained and flushed. */
    void (*close)(BlockNode *node);
    /* I/O thread of the node; see block_submit(). */
    void (*submit)(BlockNode *node, BlockRequest *req);
    /* Main thread, drained; NULL when the size is fixed. */
    bool (*truncate)(BlockNode *node, uint64_t size, Error **errp);
    /* Main thread, drained: leave the old and enter the new I/O thread. */
    void (*detach)(BlockNode *node);
    void (*attach)(BlockNode *node);
    /* Main thread; blocks; NULL when there is nothing to connect. */
    bool (*reconnect)(BlockNode *node, Error **errp);
    /* What query-named-block-nodes calls "file"; g_free() it. */
    char *(*filename)(BlockNode *node);
} BlockDriver;

/* What the driver calls when @req is done.  I/O thread of the node. */
void block_request_complete(BlockRequest *req, int ret);

extern const BlockDriver block_driver_nbd;
extern const BlockDriver block_driver_file;
extern const BlockDriver block_driver_ram;
extern const BlockDriver block_driver_null_co;
extern const BlockDriver block_driver_blkdebug;

#endif
