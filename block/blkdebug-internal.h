/*
 * Between the parts of blkdebug: its rules.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_BLKDEBUG_INTERNAL_H
#define BLOCK_BLKDEBUG_INTERNAL_H

#include "qapi/error.h"
#include "qapi/qapi-types-block-core.h"

/* Makes requests fail, or late, or both. */
typedef struct BlkdebugRule {
    BlkdebugEvent event;
    bool has_iotype;
    BlkdebugIOType iotype;
    int error;      /* a positive errno; 0: they do not fail */
    int64_t sector; /* -1: any */
    bool once;
    uint64_t latency_ns;
} BlkdebugRule;

/*
 * Adds the rules in the file at @path to @rules (of BlkdebugRule).  Main
 * thread; blocks as long as the file does, which may be a FIFO; a yank of
 * @node_name, an instance for that long, ends it.
 */
bool blkdebug_read_config(GArray *rules, const char *path,
                          const char *node_name, Error **errp);

/* The same for options; these check what both ways have in common. */
bool blkdebug_add_error(GArray *rules, const BlkdebugInjectErrorOptions *opts,
                        Error **errp);
bool blkdebug_add_delay(GArray *rules, const BlkdebugDelayOptions *opts,
                        Error **errp);

#endif
