/*
 * Repair: how a disk that was yanked comes back, in steps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_REPAIR_H
#define TOOLS_REPAIR_H

#include <json-c/json.h>
#include "lane.h"

/*
 * The steps that bring the instances @names back: an array, the caller's, of
 *   {"command": ..., "arguments": {...}}
 * one of them perhaps with "if": "io-error", to be run only where the guest
 * has paused on the error.  What is no block node needs no steps.
 *
 * The main loop must answer, but that of yankd: stock QEMU is asked what its
 * nodes are.  NULL on error, for a node that cannot be made anew too.  Blocks.
 */
json_object *repair_plan(Lane *lane, json_object *names, GError **errp);

/*
 * Runs them, and adds to each "done", true or false (left out for lack of its
 * "if").  Before anything is changed, each NBD server that is about to be
 * connected to must answer.  Stops at the first step that fails.  Blocks.
 */
bool repair_run(Lane *lane, json_object *steps, GError **errp);

/* A step for people: "blockdev-del node-name=disk0"; g_free() it. */
char *repair_step_text(json_object *step);

#endif
