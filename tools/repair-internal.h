/*
 * Between the files of the repair.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_REPAIR_INTERNAL_H
#define TOOLS_REPAIR_INTERNAL_H

#include "client/qemu-cmdline.h"
#include "repair.h"

/* Adds a step to @steps; takes @arguments.  Returns it; @steps keeps it. */
json_object *repair_add_step(json_object *steps, const char *command,
                             json_object *arguments);

/*
 * Adds the steps for the NBD node @node of a stock QEMU.
 * @facts: what op_facts answers
 * @cmdline: of the process, or NULL
 * @force: remove exports that are in the way
 */
bool repair_plan_stock(json_object *facts, const QemuCmdline *cmdline,
                       const char *node, bool force, json_object *steps,
                       GError **errp);

/* Where the options of a node come from; members may be NULL. */
typedef struct RepairSource {
    json_object *given;  /* of -blockdev, also as a part of another one */
    json_object *drive;  /* the -drive that made it */
    json_object *parent; /* the options of the node that it is a part of */
} RepairSource;

/*
 * The options that blockdev-add needs to make the node @info (as
 * query-named-block-nodes tells it) anew, without a name and a child; NULL
 * when one of them is not certain: the error names it.
 */
json_object *repair_options(json_object *info, const RepairSource *source,
                            GError **errp);

/* The options of an NBD node by its file name in QEMU: a URI, or json:{}. */
json_object *repair_nbd_options(const char *filename, GError **errp);

#endif
