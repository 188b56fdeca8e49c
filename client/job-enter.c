/*
 * Entering the monitor, the agent, and remote: what a thread with a job does
 * while the domain's lock is free.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domain-internal.h"

/* What each way of being away needs, and is called. */
static const struct {
    const char *what;
    YcRank rank; /* 0: none, any lock may be taken meanwhile */
} ways[] = {
    [YC_AWAY_MONITOR] = {"the monitor of domain", YC_RANK_MONITOR},
    [YC_AWAY_AGENT] = {"the agent of domain", YC_RANK_AGENT},
    [YC_AWAY_REMOTE] = {"remote under a job of domain", 0},
};

/* The job of this thread that may go @away; NULL: none. */
static YcJobState *job_for(YcDomain *dom, YcAway away)
{
    YcJobState *job = yc_jobs_mine(&dom->jobs);
    YcJobSlot slot = away == YC_AWAY_AGENT ? YC_SLOT_AGENT : YC_SLOT_NORMAL;

    if (away != YC_AWAY_REMOTE && job != &dom->jobs.slots[slot]) {
        return NULL;
    }
    return job;
}

static YcJobState *check_enter(YcDomain *dom, YcAway away, const char *call,
                               GError **errp)
{
    YcJobState *job;

    if (!yc_domain_check_locked(dom, call, errp)) {
        return NULL;
    }
    job = job_for(dom, away);
    if (!job) {
        yc_misuse(errp, "%s() of domain '%s' without a job for it", call,
                  dom->name);
        return NULL;
    }
    if (job->away) {
        yc_misuse(errp, "%s() of domain '%s' by a thread that is in '%s'", call,
                  dom->name, job->command);
        return NULL;
    }
    return job;
}

/*
 * The event thread may be about to tell that the connection was lost, and is
 * perhaps there again, which who is here may know already.
 */
static void notice_loss(YcDomain *dom, const YcJobState *job)
{
    unsigned connection = yc_qmp_client_connection(dom->monitor);
    g_autofree char *reason = NULL;

    if (dom->alive && job->life == dom->life &&
        (!connection || connection != job->connection)) {
        reason = g_strdup_printf("%s: the connection was lost",
                                 yc_qmp_client_address(dom->monitor));
        yc_domain_lost(dom, reason);
    }
}

/* The job began in this life of the domain, which goes on. */
static bool check_life(YcDomain *dom, const YcJobState *job, GError **errp)
{
    notice_loss(dom, job);
    if (!yc_domain_check_alive(dom, errp)) {
        return false;
    }
    if (job->life != dom->life) {
        g_set_error(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE,
                    "domain '%s' was lost and has come back during '%s'",
                    dom->name, job->what);
        return false;
    }
    return true;
}

static bool job_enter(YcDomain *dom, YcAway away, const char *command,
                      const char *call, GError **errp)
{
    YcJobState *job = check_enter(dom, away, call, errp);

    if (!job || !check_life(dom, job, errp)) {
        return false;
    }
    job->away = away;
    job->command = g_strdup(command);
    job->command_since = yc_age_clock();
    if (ways[away].rank) {
        yc_rank_enter(ways[away].rank, ways[away].what, dom->name);
    }
    yc_domain_ref(dom);
    yc_domain_unlock(dom);
    return true;
}

/* Takes the lock again, unless this is a mistake. */
static YcJobState *check_exit(YcDomain *dom, YcAway away, const char *call,
                              GError **errp)
{
    YcRank rank = ways[away].rank;
    YcJobState *job = NULL;

    if (yc_lock_is_mine(&dom->lock)) {
        yc_misuse(errp, "%s() of domain '%s', which is locked", call,
                  dom->name);
        return NULL;
    }
    if (!rank || yc_rank_is_entered(rank, dom->name)) {
        if (rank) {
            yc_rank_leave(rank, dom->name);
        }
        yc_domain_lock(dom);
        job = job_for(dom, away);
        if (job && job->away == away) {
            return job;
        }
        yc_domain_unlock(dom);
    }
    yc_misuse(errp, "%s() of domain '%s' by a thread that has not entered",
              call, dom->name);
    return NULL;
}

static bool job_exit(YcDomain *dom, YcAway away, const char *call,
                     GError **errp)
{
    YcJobState *job = check_exit(dom, away, call, errp);

    if (!job) {
        return false;
    }
    job->away = YC_AWAY_NOT;
    g_clear_pointer(&job->command, g_free);
    /* Never the last one: the caller has his own. */
    yc_domain_unref(dom);
    return check_life(dom, job, errp);
}

YcQmpClient *yc_domain_enter_monitor(YcDomain *dom, const char *command,
                                     GError **errp)
{
    return job_enter(dom, YC_AWAY_MONITOR, command, __func__, errp)
               ? dom->monitor
               : NULL;
}

bool yc_domain_exit_monitor(YcDomain *dom, GError **errp)
{
    return job_exit(dom, YC_AWAY_MONITOR, __func__, errp);
}

YcAgentClient *yc_domain_enter_agent(YcDomain *dom, const char *command,
                                     GError **errp)
{
    if (!dom->agent) {
        g_set_error(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_UNSUPPORTED,
                    "domain '%s' has no guest agent", dom->name);
        return NULL;
    }
    return job_enter(dom, YC_AWAY_AGENT, command, __func__, errp) ? dom->agent
                                                                  : NULL;
}

bool yc_domain_exit_agent(YcDomain *dom, GError **errp)
{
    return job_exit(dom, YC_AWAY_AGENT, __func__, errp);
}

bool yc_domain_enter_remote(YcDomain *dom, const char *what, GError **errp)
{
    return job_enter(dom, YC_AWAY_REMOTE, what, __func__, errp);
}

bool yc_domain_exit_remote(YcDomain *dom, GError **errp)
{
    return job_exit(dom, YC_AWAY_REMOTE, __func__, errp);
}
