/*
 * Guest agent client: commands on their way from any thread to the queue.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "agent-internal.h"

/* What a call brings to the I/O thread. */
typedef struct ExecuteCall {
    YcAgentClient *agent;
    YcRequest *req;
} ExecuteCall;

static void agent_refuse(YcAgentClient *agent, YcRequest *req)
{
    yc_request_finish(req, NULL,
                      g_error_new(YC_ERROR, YC_ERROR_CLOSED,
                                  "%s: '%s' was not sent: the client is not "
                                  "connected%s%s",
                                  agent->addr_text, req->command,
                                  agent->why ? ": " : "",
                                  agent->why ? agent->why->message : ""));
}

static void execute_call(void *opaque)
{
    g_autofree ExecuteCall *call = opaque;
    YcAgentClient *agent = call->agent;

    if (agent->phase == YC_AGENT_DISCONNECTED ||
        agent->phase == YC_AGENT_CONNECTING) {
        agent_refuse(agent, call->req);
        return;
    }
    g_queue_push_tail(&agent->queue, call->req);
    yc_timer_set_earlier(agent->deadlines, call->req->deadline);
    yc_agent_go_on(agent);
}

static YcRequest *execute_new(const char *command, json_object *arguments,
                              int timeout_ms)
{
    YcRequest *req = yc_request_new(command, timeout_ms);

    req->text = g_string_new(NULL);
    yc_message_append(req->text, "execute", command, arguments, 0);
    return req;
}

static void execute_post(YcAgentClient *agent, YcRequest *req)
{
    ExecuteCall *call = g_new(ExecuteCall, 1);

    *call = (ExecuteCall){agent, req};
    iothread_post(yc_io_thread(), execute_call, call);
}

void yc_agent_client_execute_async(YcAgentClient *agent, const char *command,
                                   json_object *arguments, int timeout_ms,
                                   YcQmpReplyFn *fn, void *data,
                                   GDestroyNotify free_data)
{
    YcRequest *req = execute_new(command, arguments, timeout_ms);

    yc_request_set_reply(req, fn, data, free_data);
    execute_post(agent, req);
}

bool yc_agent_client_execute(YcAgentClient *agent, const char *command,
                             json_object *arguments, int timeout_ms,
                             json_object **result, GError **errp)
{
    YcRequest *req = execute_new(command, arguments, timeout_ms);
    YcWaiter *waiter = yc_request_expect(req);

    execute_post(agent, req);
    return yc_waiter_wait(waiter, result, errp);
}
