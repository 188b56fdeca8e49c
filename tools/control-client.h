/*
 * The client's side of the control socket: one connection, many requests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_CONTROL_CLIENT_H
#define TOOLS_CONTROL_CLIENT_H

#include <json-c/json.h>
#include "options.h"

typedef struct ControlClient ControlClient;

/*
 * An event of the domain called @domain, on the thread of the connection;
 * @event is the callee's.  @event NULL: there come no more of it; @domain NULL
 * too: of none, the service is gone.
 */
typedef void ControlEventFn(const char *domain, json_object *event, void *data);

/*
 * Connects to the service, if there is one.  NULL with no error when nobody
 * listens at any of the usual places; NULL with an error when somebody does
 * who is no service, or does not answer, or when --control names a socket
 * that is not there.  Blocks for the timeout of @options at most, and up to
 * two seconds more where the service does not accept.
 */
ControlClient *control_client_new(const Options *options, GError **errp);
/* NULL is fine. */
void control_client_free(ControlClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ControlClient, control_client_free)
/* Ends the connection: all calls, also those under way, fail. */
void control_client_hang_up(ControlClient *client);

/*
 * Sends @request, which stays the caller's and gets a member "id", and waits
 * for the answer for "timeout-ms" of it and a second more.  Several
 * threads may have requests under way.
 */
json_object *control_client_call(ControlClient *client, json_object *request,
                                 GError **errp);

/* Who is told of events; once, before the first "subscribe". */
void control_client_set_event_fn(ControlClient *client, ControlEventFn *fn,
                                 void *data);

/* Where it is connected to. */
const char *control_client_path(const ControlClient *client);

#endif
