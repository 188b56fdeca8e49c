/*
 * What is said of jobs: to those who wait in vain, and to those who ask.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domain-internal.h"

static const char *const job_names[YC_JOB__MAX] = {
    [YC_JOB_QUERY] = "query",     [YC_JOB_MODIFY] = "modify",
    [YC_JOB_SUSPEND] = "suspend", [YC_JOB_MIGRATION_OP] = "migration-op",
    [YC_JOB_ABORT] = "abort",     [YC_JOB_DESTROY] = "destroy",
};

/* Before "job of domain". */
static const char *const sort_names[] = {
    [YC_SORT_NORMAL] = "",
    [YC_SORT_NESTED] = "",
    [YC_SORT_AGENT] = "agent ",
    [YC_SORT_ASYNC] = "asynchronous ",
};

const char *yc_job_name(YcJob job)
{
    return job_names[job];
}

static int64_t age_ms(int64_t since)
{
    return (yc_age_clock() - since) / 1000;
}

static void append_holder(GString *text, YcDomain *dom, const YcJobRequest *req)
{
    YcJobState *job = yc_jobs_blocker(&dom->jobs, req);
    bool async = job == &dom->jobs.slots[YC_SLOT_ASYNC];

    g_string_append_printf(
        text, " (held by %s'%s' of thread %d for %" PRId64 " s",
        async         ? "asynchronous "
        : job->nested ? "nested "
                      : "",
        job->what, (int)job->thread, age_ms(job->since) / 1000);
    if (job->command && !g_str_equal(job->command, job->what)) {
        g_string_append_printf(text, ", in '%s' for %" PRId64 " s",
                               job->command, age_ms(job->command_since) / 1000);
    }
    if (async && req->sort == YC_SORT_NORMAL) {
        g_string_append_printf(text, ", which lets no %s job in",
                               yc_job_name(req->kind));
    }
    g_string_append_c(text, ')');
}

static void set_error(YcDomain *dom, const YcJobRequest *req,
                      YcDomainError code, GString *text, GError **errp)
{
    append_holder(text, dom, req);
    g_set_error_literal(errp, YC_DOMAIN_ERROR, code, text->str);
}

void yc_job_error_busy(YcDomain *dom, const YcJobRequest *req, int limit_ms,
                       GError **errp)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (limit_ms && limit_ms % 1000 == 0) {
        g_string_printf(text, "Timed out after %d s: cannot", limit_ms / 1000);
    } else if (limit_ms) {
        g_string_printf(text, "Timed out after %d ms: cannot", limit_ms);
    } else {
        g_string_assign(text, "Cannot");
    }
    g_string_append_printf(text, " acquire the %sjob of domain '%s'",
                           sort_names[req->sort], dom->name);
    set_error(dom, req, YC_DOMAIN_ERROR_BUSY, text, errp);
}

void yc_job_error_queue_full(YcDomain *dom, const YcJobRequest *req,
                             GError **errp)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_printf(text,
                    "Cannot wait for the %sjob of domain '%s': as many as "
                    "may (%u) wait already",
                    sort_names[req->sort], dom->name, dom->jobs.waiters.length);
    set_error(dom, req, YC_DOMAIN_ERROR_QUEUE_FULL, text, errp);
}

void yc_domain_get_job_info(YcDomain *dom, YcJobSlot slot, YcJobInfo *info)
{
    const YcJobState *job = &dom->jobs.slots[slot];

    *info = (YcJobInfo){0};
    if (!yc_domain_check_locked(dom, __func__, NULL) || !job->held) {
        return;
    }
    info->held = true;
    info->what = g_strdup(job->what);
    info->nested = job->nested;
    info->thread = job->thread;
    info->age_ms = age_ms(job->since);
    if (job->command) {
        info->command = g_strdup(job->command);
        info->command_ms = age_ms(job->command_since);
    }
}

void yc_job_info_clear(YcJobInfo *info)
{
    g_free(info->what);
    g_free(info->command);
    *info = (YcJobInfo){0};
}

unsigned yc_domain_n_waiters(YcDomain *dom)
{
    return yc_domain_check_locked(dom, __func__, NULL)
               ? dom->jobs.waiters.length
               : 0;
}
