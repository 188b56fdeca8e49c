/*
 * Rescue: which instances to yank, the yank, and whether it helped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_RESCUE_H
#define TOOLS_RESCUE_H

#include <json-c/json.h>
#include "lane.h"

typedef enum RescueChoice {
    /* Stalled, or waited for since the main loop hangs; yankd only. */
    RESCUE_STALLED,
    RESCUE_ALL, /* all but those that carry a monitor */
} RescueChoice;

/* All of these block, as lane_call() does; arrays are the caller's. */

/* An array of the names of the chosen instances, which may be empty. */
json_object *rescue_choose(Lane *lane, RescueChoice choice, GError **errp);
/*
 * An array of the names that a user gave, as strings ("blockdev:disk0") or as
 * the text of QMP's typed objects.  Asks nobody.
 */
json_object *rescue_names(char **given, GError **errp);
/*
 * Whether @names could be yanked.  The error says which one not, and why:
 * EXIT_NOT_FOUND, or EXIT_REFUSED with the harm that it would do.
 */
bool rescue_check(Lane *lane, json_object *names, bool force, GError **errp);
/* Yanks them: an array of what was done to each. */
json_object *rescue_yank(Lane *lane, json_object *names, bool force,
                         GError **errp);
/*
 * Whether the main loop answers again.
 * @us: set in both cases, to the time that it took or that was waited
 */
bool rescue_verify(Lane *lane, gint64 *us, GError **errp);

#endif
