/*
 * Guest agent client: its life, and the synchronous forms.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qapi-types-sockets.h"
#include "agent-internal.h"

YcAgentClient *yc_agent_client_new(const char *address, GError **errp)
{
    SocketAddress *addr = yc_address_parse(address, errp);
    YcAgentClient *agent;

    if (!addr || !yc_threads_hold(errp)) {
        qapi_free_SocketAddress(addr);
        return NULL;
    }
    agent = g_new0(YcAgentClient, 1);
    agent->users = 1;
    agent->addr = addr;
    agent->addr_text = socket_address_to_string(addr);
    g_queue_init(&agent->queue);
    return agent;
}

YcAgentClient *yc_agent_client_ref(YcAgentClient *agent)
{
    __atomic_fetch_add(&agent->users, 1, __ATOMIC_RELAXED);
    return agent;
}

bool yc_agent_has_users(YcAgentClient *agent)
{
    return __atomic_load_n(&agent->users, __ATOMIC_ACQUIRE) > 0;
}

/* Event thread, behind all that it was sent. */
static void agent_end_deliver(void *opaque)
{
    YcAgentClient *agent = opaque;

    yc_callback_clear(&agent->state_changed);
    yc_agent_free(agent);
    yc_threads_release();
}

static void agent_end(void *opaque)
{
    yc_agent_end(opaque);
    iothread_post(yc_event_thread(), agent_end_deliver, opaque);
}

void yc_agent_client_unref(YcAgentClient *agent)
{
    if (agent && __atomic_sub_fetch(&agent->users, 1, __ATOMIC_ACQ_REL) == 0) {
        iothread_post(yc_io_thread(), agent_end, agent);
    }
}

void yc_agent_free(YcAgentClient *agent)
{
    g_clear_error(&agent->why);
    qapi_free_SocketAddress(agent->addr);
    g_free(agent->addr_text);
    g_free(agent);
}

const char *yc_agent_client_address(const YcAgentClient *agent)
{
    return agent->addr_text;
}

void yc_agent_client_set_state_fn(YcAgentClient *agent, YcAgentStateFn *fn,
                                  void *data, GDestroyNotify free_data)
{
    agent->state_changed = (YcCallback){(void (*)(void))fn, data, free_data};
}

bool yc_agent_client_is_connected(YcAgentClient *agent)
{
    return __atomic_load_n(&agent->connected, __ATOMIC_ACQUIRE);
}

bool yc_agent_client_ping(YcAgentClient *agent, int timeout_ms, GError **errp)
{
    return yc_agent_client_execute(agent, "guest-ping", NULL, timeout_ms, NULL,
                                   errp);
}
