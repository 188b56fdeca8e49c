/*
 * Guest agent client: connecting to the socket, and the end of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "agent-internal.h"

typedef struct StateNews {
    YcAgentClient *agent;
    bool connected;
    GError *why;
} StateNews;

static void state_deliver(void *opaque)
{
    StateNews *news = opaque;
    YcAgentClient *agent = news->agent;
    YcAgentStateFn *fn = (YcAgentStateFn *)agent->state_changed.fn;

    if (fn && yc_agent_has_users(agent)) {
        fn(news->connected, news->why, agent->state_changed.data);
    }
    g_clear_error(&news->why);
    g_free(news);
}

static void agent_set_connected(YcAgentClient *agent, bool connected,
                                const GError *why)
{
    StateNews *news = g_new(StateNews, 1);

    __atomic_store_n(&agent->connected, connected, __ATOMIC_RELEASE);
    *news = (StateNews){agent, connected, why ? g_error_copy(why) : NULL};
    iothread_post(yc_event_thread(), state_deliver, news);
}

static void agent_attempt_ended(YcAgentClient *agent, const GError *why)
{
    YcRequest *req = g_steal_pointer(&agent->connecting);

    if (req) {
        yc_request_finish(req, NULL, why ? g_error_copy(why) : NULL);
    }
}

static void agent_connected(void *opaque)
{
    YcAgentClient *agent = opaque;

    agent->phase = YC_AGENT_IDLE;
    g_clear_error(&agent->why);
    agent_set_connected(agent, true, NULL);
    agent_attempt_ended(agent, NULL);
}

void yc_agent_fail(GError *why, void *opaque)
{
    YcAgentClient *agent = opaque;

    g_clear_pointer(&agent->stream, yc_stream_free);
    agent->phase = YC_AGENT_DISCONNECTED;
    g_clear_error(&agent->why);
    agent->why = why;
    agent_set_connected(agent, false, why);
    yc_agent_fail_requests(agent, why);
    agent_attempt_ended(agent, why);
}

void yc_agent_deadlines_passed(void *opaque)
{
    YcAgentClient *agent = opaque;
    int64_t now = g_get_monotonic_time();

    if (agent->connecting && agent->connecting->deadline <= now) {
        yc_agent_fail(g_error_new(YC_ERROR, YC_ERROR_CONNECT,
                                  "%s: no connection within %d ms",
                                  agent->addr_text,
                                  agent->connecting->timeout_ms),
                      agent);
        return;
    }
    yc_timer_set(agent->deadlines, agent->connecting
                                       ? agent->connecting->deadline
                                       : yc_agent_expire(agent, now));
    yc_agent_go_on(agent);
}

static void agent_stop(YcAgentClient *agent, const char *what)
{
    if (agent->phase != YC_AGENT_DISCONNECTED) {
        yc_agent_fail(g_error_new(YC_ERROR, YC_ERROR_CLOSED, "%s: %s",
                                  agent->addr_text, what),
                      agent);
    }
}

void yc_agent_end(YcAgentClient *agent)
{
    agent_stop(agent, "the client was freed");
    g_clear_pointer(&agent->deadlines, yc_timer_free);
}

static void agent_disconnect(void *opaque)
{
    agent_stop(opaque, "disconnected on request");
}

void yc_agent_client_disconnect(YcAgentClient *agent)
{
    iothread_post(yc_io_thread(), agent_disconnect, agent);
}

static const YcStreamOps stream_ops = {
    .connected = agent_connected,
    .received = yc_agent_received,
    .sent = yc_agent_go_on,
    .failed = yc_agent_fail,
};

/* What a call of connect brings to the I/O thread. */
typedef struct ConnectCall {
    YcAgentClient *agent;
    YcRequest *req;
} ConnectCall;

static void connect_call(void *opaque)
{
    g_autofree ConnectCall *call = opaque;
    YcAgentClient *agent = call->agent;

    if (agent->phase != YC_AGENT_DISCONNECTED) {
        yc_request_finish(
            call->req, NULL,
            g_error_new(YC_ERROR, YC_ERROR_INVALID,
                        "%s: connect while it is %s", agent->addr_text,
                        agent->connecting ? "connecting" : "connected"));
        return;
    }
    if (!agent->deadlines) {
        agent->deadlines = yc_timer_new(yc_agent_deadlines_passed, agent);
    }
    agent->phase = YC_AGENT_CONNECTING;
    agent->connecting = call->req;
    yc_timer_set(agent->deadlines, call->req->deadline);
    agent->stream = yc_stream_new(agent->addr, agent->addr_text, &agent->tls,
                                  &stream_ops, agent);
}

static void connect_post(YcAgentClient *agent, YcRequest *req)
{
    ConnectCall *call = g_new(ConnectCall, 1);

    *call = (ConnectCall){agent, req};
    iothread_post(yc_io_thread(), connect_call, call);
}

void yc_agent_client_connect_async(YcAgentClient *agent, int timeout_ms,
                                   YcQmpReplyFn *fn, void *data,
                                   GDestroyNotify free_data)
{
    YcRequest *req = yc_request_new(NULL, timeout_ms);

    yc_request_set_reply(req, fn, data, free_data);
    connect_post(agent, req);
}

bool yc_agent_client_connect(YcAgentClient *agent, int timeout_ms,
                             GError **errp)
{
    YcRequest *req = yc_request_new(NULL, timeout_ms);
    YcWaiter *waiter = yc_request_expect(req);

    connect_post(agent, req);
    return yc_waiter_wait(waiter, NULL, errp);
}
