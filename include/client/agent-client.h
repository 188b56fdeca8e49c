/*
 * Guest agent client: one connection to a QEMU guest agent, over the socket
 * of its character device.
 *
 * The agent runs in a guest that nobody trusts.  It may be absent, silent,
 * late, or lie: all of that ends in an error within the deadline.
 *
 * Threads, callbacks, deadlines, JSON values and locks: as stated in
 * qmp-client.h.
 *
 * The agent takes one command at a time and numbers nothing.  So commands
 * wait for each other here, in order, and each is preceded by a
 * guest-sync-delimited with a random id: whatever the agent had still to say
 * of earlier commands is dropped before the command is sent.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef YANKCLIENT_AGENT_CLIENT_H
#define YANKCLIENT_AGENT_CLIENT_H

#include "qmp-client.h"

G_BEGIN_DECLS

typedef struct YcAgentClient YcAgentClient;

/*
 * The connection is @connected or not, for the reason @why, which stays the
 * library's.  On the event thread.
 */
typedef void YcAgentStateFn(bool connected, const GError *why, void *data);

/* @address: as for yc_qmp_client_new().  NULL on error; does not block. */
YcAgentClient *yc_agent_client_new(const char *address, GError **errp);
YcAgentClient *yc_agent_client_ref(YcAgentClient *agent);
/*
 * The last one ends the connection; commands are answered with
 * YC_ERROR_CLOSED.  Does not block; NULL is fine.
 */
void yc_agent_client_unref(YcAgentClient *agent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YcAgentClient, yc_agent_client_unref)

/* As in messages; belongs to @agent. */
const char *yc_agent_client_address(const YcAgentClient *agent);

/* Before the first connect, once at most. */
void yc_agent_client_set_state_fn(YcAgentClient *agent, YcAgentStateFn *fn,
                                  void *data, GDestroyNotify free_data);

/*
 * Connects to the socket, which says nothing about the agent: that is what
 * yc_agent_client_ping() is for.  Answers with a NULL result.
 * YC_ERROR_INVALID when it is connected or connecting.
 */
void yc_agent_client_connect_async(YcAgentClient *agent, int timeout_ms,
                                   YcQmpReplyFn *fn, void *data,
                                   GDestroyNotify free_data);
/* The same; blocks. */
bool yc_agent_client_connect(YcAgentClient *agent, int timeout_ms,
                             GError **errp);
/*
 * Ends the connection or the attempt; commands get YC_ERROR_CLOSED.  Later
 * calls of connect work.  Does not block.
 */
void yc_agent_client_disconnect(YcAgentClient *agent);

/*
 * Synchronises with the agent, sends @command with @arguments (an object, or
 * NULL), and answers by @fn.  Does not block.  The deadline covers all of it
 * and the wait behind earlier commands.
 *
 * When it passes, the answer is YC_ERROR_TIMEOUT, whose message says whether
 * the agent had not even synchronised (the command was then not sent, nor will
 * it be) or left the command unanswered.  Commands that a working agent leaves
 * unanswered (guest-shutdown, guest-suspend-...) end so, too.
 */
void yc_agent_client_execute_async(YcAgentClient *agent, const char *command,
                                   json_object *arguments, int timeout_ms,
                                   YcQmpReplyFn *fn, void *data,
                                   GDestroyNotify free_data);
/* The same; blocks.  @result may be NULL; set on success only. */
bool yc_agent_client_execute(YcAgentClient *agent, const char *command,
                             json_object *arguments, int timeout_ms,
                             json_object **result, GError **errp);
/* guest-ping: true when an agent is there and answers.  Blocks. */
bool yc_agent_client_ping(YcAgentClient *agent, int timeout_ms, GError **errp);

bool yc_agent_client_is_connected(YcAgentClient *agent);

G_END_DECLS

#endif
