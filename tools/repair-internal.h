/*
 * Between the files of the repair.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_REPAIR_INTERNAL_H
#define TOOLS_REPAIR_INTERNAL_H

#include "client/qemu-cmdline.h"
#include "repair.h"

/* Adds a step to @steps; takes @arguments. */
void repair_add_step(json_object *steps, const char *command,
                     json_object *arguments);

/* Adds the steps for the NBD node @node of a stock QEMU. */
bool repair_plan_stock(Lane *lane, const char *node, json_object *steps,
                       GError **errp);

/*
 * The options that blockdev-add needs to make the node @info (as
 * query-named-block-nodes tells it) anew, without a name and a child; NULL
 * when they cannot be told.  @cmdline: of QEMU, or NULL
 */
json_object *repair_options(json_object *info, const QemuCmdline *cmdline,
                            GError **errp);

/* The options of an NBD node by its file name in QEMU: a URI, or json:{}. */
json_object *repair_nbd_options(const char *filename, GError **errp);

#endif
