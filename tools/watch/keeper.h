/*
 * A keeper: holds the connections of one domain, pings it, and follows the
 * policy when it hangs.
 *
 * Its connections are served by the event loop of the client library, and its
 * turns by a schedule that all share.  A turn waits for a moment only, so that
 * one domain that hangs, or is slow, or does not exist, does not delay others.
 *
 * Every function: any thread; none blocks unless it says so.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_KEEPER_H
#define TOOLS_WATCH_KEEPER_H

#include "tools/domains.h"
#include "incident.h"
#include "schedule.h"

typedef struct Keeper Keeper;

/*
 * Begins to connect to the domain of @spec, which stays the caller's, and to
 * keep it, with no more yanks than @limit has left.  NULL for what cannot be an
 * address.  One reference.
 */
Keeper *keeper_new(const DomainSpec *spec, Policy *policy, YankLimit *limit,
                   Schedule *schedule, GError **errp);
Keeper *keeper_ref(Keeper *keeper);
/* The last one, after keeper_stop(), waits for a turn: an instant. */
void keeper_unref(Keeper *keeper);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Keeper, keeper_unref)

/* Ends its connections and all that waits for them, for good. */
void keeper_stop(Keeper *keeper, const char *reason);
/* From the next ping on. */
void keeper_set_policy(Keeper *keeper, Policy *policy);

/* Belong to @keeper. */
const DomainSpec *keeper_spec(const Keeper *keeper);
YcDomain *keeper_domain(const Keeper *keeper);
Incidents *keeper_incidents(const Keeper *keeper);
/* Why there is no connection; NULL: there is one.  g_error_free() it. */
GError *keeper_down(Keeper *keeper);
/*
 * Whether its socket, found in a folder, turned out to be no monitor.  Nobody
 * connects to it any more, for it may serve its users one at a time.
 */
bool keeper_is_aside(Keeper *keeper);
/*
 * What the block nodes were when the domain was asked, at @us, as the text of
 * ops_ask_facts(); NULL: it has not been asked.  g_free() it.
 */
char *keeper_record(Keeper *keeper, gint64 *us);
/*
 * Whether it has had its turn lately: false means that something
 * blocks that never should.
 */
bool keeper_turns(Keeper *keeper);

typedef struct KeeperStats {
    bool up;
    bool stuck;        /* past the threshold */
    bool guest_failed; /* the guest has stopped on an error */
    gint64 stuck_us;   /* for how long there has been no in-band answer; 0 */
    gint64 oob_us;     /* the latest ping; -1: not answered */
    gint64 in_band_us; /* the same */
    IncidentCounts counts;
} KeeperStats;

void keeper_get_stats(Keeper *keeper, KeeperStats *stats);

#endif
