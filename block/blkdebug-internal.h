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
 * Adds the rules in the file at @path to @rules (of BlkdebugRule).  Returns
 * false with errp set on failure.  Main thread; blocks while the file, which
 * may be a FIFO, is read.  During that time @node_name is a yank instance, and
 * its yank ends the wait.
 */
bool blkdebug_read_config(GArray *rules, const char *path,
                          const char *node_name, Error **errp);

/* The same for options; these check what both ways have in common. */
bool blkdebug_add_error(GArray *rules, const BlkdebugInjectErrorOptions *opts,
                        Error **errp);
bool blkdebug_add_delay(GArray *rules, const BlkdebugDelayOptions *opts,
                        Error **errp);

#endif
