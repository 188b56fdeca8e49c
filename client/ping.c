/*
 * Pings of a domain, each with its time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/ping.h"
#include "domain-internal.h"
#include "qemu/lockable.h"

/* Any server has it, in-band, and answers at once. */
#define IN_BAND_COMMAND "query-version"
/* Of out-of-band commands the one that stock QEMU has, too. */
#define OOB_COMMAND "query-yank"

const char *yc_ping_name(YcPing ping)
{
    static const char *const names[] = {
        [YC_PING_OOB] = "out-of-band",
        [YC_PING_IN_BAND] = "in-band",
        [YC_PING_AGENT] = "agent",
    };

    return names[ping];
}

/* An error is an answer as good as any other: somebody is there. */
static bool is_pong(bool ok, GError **err)
{
    if (!ok && yc_error_is_answer(*err)) {
        g_clear_error(err);
        return true;
    }
    return ok;
}

static bool ping_oob(YcDomain *dom, int64_t deadline, GError **errp)
{
    int ms = yc_ms_until(deadline);
    GError *err = NULL;
    bool ok = yc_domain_oob(dom, OOB_COMMAND, NULL, ms, NULL, &err);

    if (!is_pong(ok, &err)) {
        g_propagate_error(errp, err);
        return false;
    }
    return true;
}

static void in_band_answered(json_object *result, const GError *err,
                             void *opaque)
{
    YcPingState *ping = &((YcDomain *)opaque)->ping;

    json_object_put(result);
    QEMU_LOCK_GUARD(&ping->lock);
    ping->took_us = g_get_monotonic_time() - ping->sent;
    ping->sent = 0;
    ping->n_answered = ping->number;
    g_clear_error(&ping->error);
    if (err && !yc_error_is_answer(err)) {
        ping->error = g_error_copy(err);
    }
    qemu_cond_broadcast(&ping->answered);
}

static void unhold(void *dom)
{
    yc_domain_unhold(dom);
}

/*
 * The number of the ping on its way, which may be an earlier one.  Only who
 * is in the monitor sends any, so there are no two at a time.
 */
static uint64_t in_band_send(YcDomain *dom, YcQmpClient *monitor)
{
    YcPingState *ping = &dom->ping;

    WITH_QEMU_LOCK_GUARD(&ping->lock) {
        if (ping->sent) {
            return ping->number;
        }
        ping->sent = g_get_monotonic_time();
        ping->number++;
    }
    /* It stays on its way until it is answered or the connection ends. */
    yc_qmp_client_execute_async(monitor, YC_QMP_IN_BAND, IN_BAND_COMMAND, NULL,
                                G_MAXINT, in_band_answered, yc_domain_hold(dom),
                                unhold);
    return ping->number;
}

static bool in_band_wait(YcDomain *dom, uint64_t number, int64_t deadline,
                         int64_t *us, GError **errp)
{
    YcPingState *ping = &dom->ping;

    QEMU_LOCK_GUARD(&ping->lock);
    while (ping->n_answered < number) {
        int64_t now = g_get_monotonic_time();

        if (now >= deadline) {
            *us = now - ping->sent;
            g_set_error(errp, YC_ERROR, YC_ERROR_TIMEOUT,
                        "%s: in-band command " IN_BAND_COMMAND
                        " has not been answered for %" PRId64 " ms",
                        yc_qmp_client_address(dom->monitor), *us / 1000);
            return false;
        }
        qemu_cond_timedwait(&ping->answered, &ping->lock,
                            yc_ms_until(deadline));
    }
    *us = ping->took_us;
    if (ping->error) {
        g_propagate_error(errp, g_error_copy(ping->error));
        return false;
    }
    return true;
}

/* Locked, with a query job. */
static bool in_band_in_job(YcDomain *dom, int64_t deadline, int64_t *us,
                           GError **errp)
{
    YcQmpClient *monitor = yc_domain_enter_monitor(dom, IN_BAND_COMMAND, errp);
    bool ok;

    if (!monitor) {
        return false;
    }
    ok = in_band_wait(dom, in_band_send(dom, monitor), deadline, us, errp);
    return yc_domain_exit_monitor(dom, ok ? errp : NULL) && ok;
}

static bool ping_in_band(YcDomain *dom, int64_t deadline, int64_t *us,
                         GError **errp)
{
    bool ok;

    if (!yc_domain_check_no_callback(dom, "yc_domain_ping", errp)) {
        return false;
    }
    YC_LOCK_GUARD(&dom->lock);
    if (!yc_domain_begin_job(dom, YC_JOB_QUERY, IN_BAND_COMMAND,
                             yc_ms_until(deadline), errp)) {
        return false;
    }
    ok = in_band_in_job(dom, deadline, us, errp);
    yc_domain_end_job(dom, NULL);
    return ok;
}

/* Locked, with an agent job. */
static bool agent_in_job(YcDomain *dom, int64_t deadline, GError **errp)
{
    YcAgentClient *agent = yc_domain_enter_agent(dom, "guest-ping", errp);
    GError *err = NULL;
    bool ok;

    if (!agent) {
        return false;
    }
    ok = yc_agent_client_ping(agent, yc_ms_until(deadline), &err);
    if (!is_pong(ok, &err)) {
        yc_domain_exit_agent(dom, NULL);
        g_propagate_error(errp, err);
        return false;
    }
    return yc_domain_exit_agent(dom, errp);
}

static bool ping_agent(YcDomain *dom, int64_t deadline, GError **errp)
{
    bool ok;

    YC_LOCK_GUARD(&dom->lock);
    if (!yc_domain_begin_agent_job(dom, "guest-ping", yc_ms_until(deadline),
                                   errp)) {
        return false;
    }
    ok = agent_in_job(dom, deadline, errp);
    yc_domain_end_agent_job(dom, NULL);
    return ok;
}

bool yc_domain_ping(YcDomain *dom, YcPing ping, int timeout_ms, gint64 *us,
                    GError **errp)
{
    int64_t start = g_get_monotonic_time();
    int64_t deadline = yc_deadline(&timeout_ms);
    int64_t own_us = -1;
    bool ok = false;

    switch (ping) {
    case YC_PING_OOB:
        ok = ping_oob(dom, deadline, errp);
        break;
    case YC_PING_IN_BAND:
        ok = ping_in_band(dom, deadline, &own_us, errp);
        break;
    case YC_PING_AGENT:
        ok = ping_agent(dom, deadline, errp);
        break;
    }
    *us = own_us >= 0 ? own_us : g_get_monotonic_time() - start;
    return ok;
}
