/*
 * Repair: how a disk that was yanked comes back, in steps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_REPAIR_H
#define TOOLS_REPAIR_H

#include <json-c/json.h>
#include "lane.h"

typedef enum RepairFlags {
    /*
     * Connect although the server may still carry out old writes, and remove
     * exports that are in the way.
     */
    REPAIR_FORCE = 1 << 0,
    /* While the domain hangs, plan by what the service has recorded. */
    REPAIR_RECORDED = 1 << 1,
} RepairFlags;

/*
 * The steps that bring the instances @names back: an array, the caller's, of
 *   {"command": ..., "arguments": {...}}
 * and perhaps one of
 *   "if": "io-error", to be run only when the guest has paused on the error,
 *   or "node", only when the node is still there
 *   "virtual-size": what the node that is added must have
 *   "iothread": where the node is moved to when the device is served there
 * Instances that are not block nodes need no steps.
 *
 * @flags: RepairFlags
 * The main loop must answer, except that of yankd and with REPAIR_RECORDED:
 * stock QEMU is asked what its nodes are.  NULL on error, also for a node whose options are not certain
 * (EXIT_REFUSED).  Blocks.
 */
json_object *repair_plan(Lane *lane, json_object *names, unsigned flags,
                         GError **errp);

/* Whether each NBD server that @steps connect to answers.  Blocks. */
bool repair_check(Lane *lane, json_object *steps, GError **errp);

/*
 * Runs them, and adds to each "done", true or false (left out because of its
 * "if").  Before anything is changed, each NBD server that is about to be
 * connected to must answer, and have closed the connections that were yanked,
 * unless @force.  When a step fails, nodes that were made and are not in use
 * are removed again ("undone" says so).  Blocks.
 */
bool repair_run(Lane *lane, json_object *steps, bool force, GError **errp);

/* A step for people: "blockdev-del node-name=disk0"; g_free() it. */
char *repair_step_text(json_object *step);

#endif
