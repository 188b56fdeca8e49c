/*
 * One command: in-band under a job, by the agent under another, or by the
 * out-of-band lane under none.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domain-internal.h"

bool yc_domain_oob(YcDomain *dom, const char *command, json_object *arguments,
                   int timeout_ms, json_object **result, GError **errp)
{
    return yc_qmp_client_execute(dom->lane, YC_QMP_OOB, command, arguments,
                                 timeout_ms, result, errp);
}

YcQmpClient *yc_domain_lane(YcDomain *dom)
{
    return dom->lane;
}

bool yc_domain_has_agent(YcDomain *dom)
{
    return dom->agent != NULL;
}

/*
 * A command that was answered while the domain was lost is a failure; of two
 * errors the command's own tells more.
 */
static bool settle(bool ran, bool left, GError *why_left, json_object **result,
                   GError **errp)
{
    if (ran && !left) {
        g_propagate_error(errp, why_left);
        if (result) {
            json_object_put(*result);
            *result = NULL;
        }
        return false;
    }
    g_clear_error(&why_left);
    return ran;
}

static bool run_in_monitor(YcDomain *dom, const char *command,
                           json_object *arguments, int timeout_ms,
                           json_object **result, GError **errp)
{
    YcQmpClient *monitor = yc_domain_enter_monitor(dom, command, errp);
    GError *why_left = NULL;
    bool ran, left;

    if (!monitor) {
        return false;
    }
    ran = yc_qmp_client_execute(monitor, YC_QMP_IN_BAND, command, arguments,
                                timeout_ms, result, errp);
    left = yc_domain_exit_monitor(dom, &why_left);
    return settle(ran, left, why_left, result, errp);
}

bool yc_domain_command(YcDomain *dom, const char *command,
                       json_object *arguments, int timeout_ms,
                       json_object **result, GError **errp)
{
    bool ok;

    if (!yc_domain_check_locked(dom, __func__, errp)) {
        return false;
    }
    if (yc_jobs_mine(&dom->jobs) != &dom->jobs.slots[YC_SLOT_ASYNC]) {
        return run_in_monitor(dom, command, arguments, timeout_ms, result,
                              errp);
    }
    if (!yc_domain_begin_nested_job(dom, command, YC_WAIT_DEFAULT, errp)) {
        return false;
    }
    ok = run_in_monitor(dom, command, arguments, timeout_ms, result, errp);
    yc_domain_end_nested_job(dom, NULL);
    return ok;
}

bool yc_domain_agent_command(YcDomain *dom, const char *command,
                             json_object *arguments, int timeout_ms,
                             json_object **result, GError **errp)
{
    YcAgentClient *agent = yc_domain_enter_agent(dom, command, errp);
    GError *why_left = NULL;
    bool ran, left;

    if (!agent) {
        return false;
    }
    ran = yc_agent_client_execute(agent, command, arguments, timeout_ms, result,
                                  errp);
    left = yc_domain_exit_agent(dom, &why_left);
    return settle(ran, left, why_left, result, errp);
}
