/*
 * Lanes: how a verb gets to a domain.
 *
 * Through the service (yankctl watch), which has held a connection since
 * before any hang, when it runs and has that domain; else by a connection of
 * its own.  Which of the two, the verb does not see.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_LANE_H
#define TOOLS_LANE_H

#include "domains.h"

/* All domains, and the service if there is one. */
typedef struct Lanes Lanes;

/*
 * Finds the domains (domains_find(), and those of the service when @options
 * name none).  NULL on error.  Blocks as those do.
 */
Lanes *lanes_new(const Options *options, GError **errp);
/* Not while a lane of it is open.  NULL is fine. */
void lanes_free(Lanes *lanes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lanes, lanes_free)

/* The domains: DomainSpec, sorted by name; belongs to @lanes. */
GPtrArray *lanes_domains(Lanes *lanes);

/* The way to one domain. */
typedef struct Lane Lane;

/*
 * Opens the lane to the domain of @spec, of lanes_domains().  A connection of
 * its own is made within the timeout of the options; that it fails is no
 * error here but of each call, with the exception of "status", which says so.
 * NULL for what cannot be an address.
 */
Lane *lane_open(Lanes *lanes, const DomainSpec *spec, GError **errp);
/* The same by name: EXIT_NOT_FOUND. */
Lane *lane_open_name(Lanes *lanes, const char *name, GError **errp);
void lane_close(Lane *lane);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lane, lane_close)

const char *lane_domain(const Lane *lane);

/*
 * Runs @request (ops.h), which stays the caller's; "domain" is added to it,
 * and "timeout-ms" unless it is there.  Blocks up to that and a second.
 * Any thread, several at the same time.
 */
json_object *lane_call(Lane *lane, json_object *request, GError **errp);

/*
 * Runs a QMP command, out-of-band or in-band, within @timeout_ms (0: that of
 * the options).  @arguments: stays the caller's, or NULL.  Returns what the
 * server did, the caller's; NULL on error.
 */
json_object *lane_execute(Lane *lane, bool oob, const char *command,
                          json_object *arguments, int timeout_ms,
                          GError **errp);

/*
 * The same in-band, also while the main loop does not answer, for what is to be
 * carried out late as well; lane_execute() refuses what changes something then.
 */
json_object *lane_execute_forced(Lane *lane, const char *command,
                                 json_object *arguments, int timeout_ms,
                                 GError **errp);

/*
 * Ends the connection: the calls that are under way on other threads, and all
 * later ones, fail.  For who will not wait for their answers.
 */
void lane_hang_up(Lane *lane);

/*
 * An event, on another thread; @event is the callee's.  NULL: the connection
 * is lost, and there come no more.  Must not call what is declared here, and
 * delays the events of all domains.
 */
typedef void LaneEventFn(Lane *lane, json_object *event, void *data);
/* From now on, until the lane is closed; once at most. */
bool lane_subscribe(Lane *lane, LaneEventFn *fn, void *data, GError **errp);
/* After it no call is made, nor under way. */
void lane_unsubscribe(Lane *lane);

#endif
