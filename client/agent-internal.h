/*
 * Between the files of the guest agent client, which lives on the I/O thread
 * as the QMP client does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_AGENT_INTERNAL_H
#define CLIENT_AGENT_INTERNAL_H

#include "client/agent-client.h"
#include "stream.h"

typedef enum YcAgentPhase {
    YC_AGENT_DISCONNECTED,
    YC_AGENT_CONNECTING,
    YC_AGENT_IDLE,    /* whatever comes is dropped */
    YC_AGENT_SYNCING, /* waits for the answer to guest-sync-delimited */
    YC_AGENT_REFUSED, /* the agent does not know it; guest-sync is to be sent */
    YC_AGENT_RUNNING, /* waits for the answer to the command */
} YcAgentPhase;

struct YcAgentClient {
    int users;     /* atomic */
    int connected; /* atomic */

    /* Never changed after the first connect. */
    SocketAddress *addr;
    char *addr_text;
    YcStreamTLS tls;          /* none */
    YcCallback state_changed; /* the event thread's */

    /* The rest is the I/O thread's. */
    YcAgentPhase phase;
    YcStream *stream;
    GError *why; /* why it is not connected, or NULL */

    YcRequest *connecting;
    YcTimer *deadlines;

    GQueue queue;       /* of YcRequest */
    YcRequest *current; /* while syncing or running */
    int64_t sync_id;
    JSONFramer *framer; /* while syncing or running */
    bool plain;         /* syncing: by guest-sync, without a 0xFF */
    bool delimited;     /* syncing: a 0xFF came, the answer may follow */
    size_t n_since;     /* bytes since the framer was made */
};

/* agent-client.c; any thread. */
bool yc_agent_has_users(YcAgentClient *agent);
void yc_agent_free(YcAgentClient *agent);

/* agent-connect.c; I/O thread. */
void yc_agent_fail(GError *why, void *opaque);
/* For good. */
void yc_agent_end(YcAgentClient *agent);
void yc_agent_deadlines_passed(void *opaque);

/* agent-exchange.c; I/O thread. */
void yc_agent_received(const char *buf, size_t len, void *opaque);
/* Goes on with what is to be sent; not inside the framer. */
void yc_agent_go_on(void *opaque);
/* All commands end because of @why. */
void yc_agent_fail_requests(YcAgentClient *agent, const GError *why);
/* Ends what is due; the next deadline, or -1. */
int64_t yc_agent_expire(YcAgentClient *agent, int64_t now);

#endif
