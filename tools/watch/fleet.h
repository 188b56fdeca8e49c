/*
 * The fleet: the keepers of all domains, as the sources of domains have them.
 *
 * A thread of its own looks for domains, for libvirt may take its time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_FLEET_H
#define TOOLS_WATCH_FLEET_H

#include "keeper.h"

typedef struct Fleet Fleet;

/*
 * Looks for domains, and again every @rescan_us, also for those of sources
 * that are not there yet.  @options and what they point
 * to must last, as must @own: addresses of the service's sockets, which are no
 * domain's.  @policy_path may be NULL.  NULL on error.  Blocks on the first
 * look.
 */
Fleet *fleet_new(const Options *options, const char *policy_path, GStrv own,
                 gint64 rescan_us, GError **errp);
/* Looks again now, and reads the policy again.  Does not block. */
void fleet_reload(Fleet *fleet);
/*
 * Lets go of all domains.  Blocks for two seconds at most; false when a
 * source of domains still had not answered by then: the process must end.
 */
bool fleet_free(Fleet *fleet);

/* Any thread; do not block. */
/* The keeper of @name, referenced; NULL: there is none. */
Keeper *fleet_lookup(Fleet *fleet, const char *name);
/* All, sorted by name, referenced; the array drops the references. */
GPtrArray *fleet_list(Fleet *fleet);
/* Whether every keeper comes round. */
bool fleet_turns(Fleet *fleet);

#endif
