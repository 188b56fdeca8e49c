/*
 * An incident: one stall of one domain, from its threshold to its end, and
 * what the policy has done about it.
 *
 * Belongs to the thread of its domain.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_INCIDENT_H
#define TOOLS_WATCH_INCIDENT_H

#include <json-c/json.h>
#include "client/domain.h"
#include "evidence.h"
#include "limit.h"
#include "policy.h"

/* How an incident ended. */
typedef enum Outcome {
    OUTCOME_ITSELF, /* well again, without anything done by us */
    OUTCOME_YANK,   /* well again, after a yank */
    OUTCOME_HOOK,   /* well again, after the hook was started */
    OUTCOME_MANUAL, /* well again, after a yank by a user */
    OUTCOME_GONE,   /* the connection was lost */
    OUTCOME_LEFT,   /* it still hung when the service let go of the domain */
    OUTCOME__MAX,
} Outcome;

/* "itself", "yank", "hook", "manual", "gone", "left" */
const char *outcome_name(Outcome outcome);

/* What a domain has beside its incidents: its limit of yanks, and its hook. */
typedef struct Incidents Incidents;
/* @evidence stays the caller's, and must last. */
Incidents *incidents_new(YcDomain *dom, YankLimit *limit,
                         const Evidence *evidence);
/* Ends an incident as LEFT, kills a hook. */
void incidents_free(Incidents *all);

/*
 * The main loop has not answered since @stuck_since and now is past the
 * threshold of @rule: begins an incident unless one is under way, and does
 * the next thing when its time has come.  Blocks for a second or two at most.
 * Returns the time when it is to be called again, if it still hangs then.
 */
gint64 incidents_step(Incidents *all, const PolicyRule *rule,
                      gint64 stuck_since);
/* Ends the incident, if there is one, as @outcome or OUTCOME_ITSELF with what
 * was done; looks after the hook. */
void incidents_recovered(Incidents *all);
void incidents_lost(Incidents *all, const char *why);
/* Looks after the hook; often. */
void incidents_tick(Incidents *all);

/*
 * A user yanks @names (before it is sent), and what came of it: logged, noted
 * in the journal and counted, and what the incident says ended it.  Any
 * thread.  The second call takes the result of the first.
 */
typedef struct UserYank UserYank;
UserYank *incidents_user_yank(Incidents *all, const char *const *names,
                              unsigned uid);
void incidents_user_yank_ended(Incidents *all, UserYank *yank,
                               const GError *err);

/* Before the first incident: the next one has a number above @number. */
void incidents_continue(guint64 number);
/*
 * The line of a new journal that keeps the number of the latest incident; NULL
 * when there was none.  json_object_put() it.  Any thread.
 */
json_object *incidents_continue_line(void);

/* Counted since the domain was found. */
typedef struct IncidentCounts {
    guint64 stalls;
    guint64 yanks; /* by the policy and by users */
    guint64 user_yanks;
    guint64 ends[OUTCOME__MAX];
} IncidentCounts;
void incidents_get_counts(const Incidents *all, IncidentCounts *counts);

#endif
