/*
 * query-dispatch: which QMP commands the main loop runs, and which wait for it.
 * query-abandoned-calls: calls on side threads that were abandoned.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"
#include "qapi/qapi-commands-dispatch.h"
#include "qemu/aside.h"

typedef struct Query {
    MonRunning running;
    DispatchSessionList **tail;
} Query;

static DispatchRunning *running_info(const MonRunning *running)
{
    DispatchRunning *info = g_new0(DispatchRunning, 1);

    info->command = g_strdup(running->command);
    info->running_ms = (g_get_monotonic_time() - running->since_us) / 1000;
    return info;
}

static void add_session(MonSession *session, void *opaque)
{
    Query *query = opaque;
    DispatchSession *info = g_new0(DispatchSession, 1);
    size_t requests, bytes;

    mon_dispatcher_queued(session, &requests, &bytes);
    info->session = mon_session_number(session);
    info->chardev = g_strdup(mon_session_chardev(session));
    info->oob = mon_session_has_oob(session);
    info->queued = requests;
    info->queued_bytes = bytes;
    info->unread_bytes = mon_output_unread(mon_session_output(session));
    if (query->running.command && query->running.session == info->session) {
        info->running = running_info(&query->running);
    }
    QAPI_LIST_APPEND(query->tail, info);
}

DispatchInfo *qmp_query_dispatch(Error **errp)
{
    DispatchInfo *info = g_new0(DispatchInfo, 1);
    Query query = {
        .running = mon_dispatcher_running(),
        .tail = &info->sessions,
    };

    info->main_loop_stalled_ms = mon_stall_watch_stalled_ms();
    info->has_main_loop_stalled_ms = info->main_loop_stalled_ms > 0;
    mon_sessions_foreach(add_session, &query);
    return info;
}

static void add_call(const char *what, int64_t age_us, void *opaque)
{
    AbandonedCallList ***tail = opaque;
    AbandonedCall *call = g_new0(AbandonedCall, 1);

    call->what = g_strdup(what);
    call->age_ms = age_us / 1000;
    QAPI_LIST_APPEND(*tail, call);
}

AbandonedCallList *qmp_query_abandoned_calls(Error **errp)
{
    AbandonedCallList *list = NULL, **tail = &list;

    aside_foreach_abandoned(add_call, &tail);
    return list;
}
