/*
 * Jobs: who gets one, who waits, and for how long.
 *
 * A job that ends is handed on right there, to the first in the queue that can
 * run beside what else there is.  So nobody who could run ever waits, and a
 * newcomer who can run may do so at once: none in the queue could.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domain-internal.h"

typedef enum WaiterState {
    WAITER_QUEUED,
    WAITER_GRANTED,
    WAITER_LOST,
} WaiterState;

typedef struct YcJobWaiter {
    const YcJobRequest *req;
    pid_t thread;
    WaiterState state; /* out of the queue unless QUEUED */
    QemuCond cond;
} YcJobWaiter;

static const YcJobSlot slot_of_sort[] = {
    [YC_SORT_NORMAL] = YC_SLOT_NORMAL,
    [YC_SORT_NESTED] = YC_SLOT_NORMAL,
    [YC_SORT_AGENT] = YC_SLOT_AGENT,
    [YC_SORT_ASYNC] = YC_SLOT_ASYNC,
};

int64_t (*yc_age_clock)(void) = g_get_monotonic_time;

bool yc_job_is_mine(const YcJobState *job)
{
    return job->held && job->thread == yc_thread_id();
}

YcJobState *yc_jobs_mine(YcJobs *jobs)
{
    static const YcJobSlot innermost_first[] = {YC_SLOT_NORMAL, YC_SLOT_AGENT,
                                                YC_SLOT_ASYNC};

    for (size_t i = 0; i < G_N_ELEMENTS(innermost_first); i++) {
        YcJobState *job = &jobs->slots[innermost_first[i]];

        if (yc_job_is_mine(job)) {
            return job;
        }
    }
    return NULL;
}

/*
 * The table of what may run beside what.
 */
YcJobState *yc_jobs_blocker(YcJobs *jobs, const YcJobRequest *req)
{
    YcJobState *normal = &jobs->slots[YC_SLOT_NORMAL];
    YcJobState *agent = &jobs->slots[YC_SLOT_AGENT];
    YcJobState *async = &jobs->slots[YC_SLOT_ASYNC];

    switch (req->sort) {
    case YC_SORT_AGENT:
        return agent->held ? agent : NULL;
    case YC_SORT_NORMAL:
        if (async->held && !(jobs->async_mask & YC_JOB_MASK(req->kind))) {
            return async;
        }
        break;
    case YC_SORT_ASYNC:
        if (async->held) {
            return async;
        }
        break;
    case YC_SORT_NESTED:
        break;
    }
    return normal->held ? normal : NULL;
}

static void job_start(YcDomain *dom, const YcJobRequest *req, pid_t thread)
{
    YcJobState *job = &dom->jobs.slots[slot_of_sort[req->sort]];

    job->held = true;
    job->nested = req->sort == YC_SORT_NESTED;
    job->thread = thread;
    job->what = g_strdup(req->what);
    job->since = yc_age_clock();
    job->life = dom->life;
    job->connection = yc_qmp_client_connection(dom->monitor);
    if (req->sort == YC_SORT_ASYNC) {
        dom->jobs.async_mask = req->mask;
    }
}

void yc_job_state_clear(YcJobState *job)
{
    g_free(job->what);
    g_free(job->command);
    *job = (YcJobState){0};
}

/* Hands jobs to all who can run now, in the order in which they came. */
static void jobs_hand_on(YcDomain *dom)
{
    GList *next;

    for (GList *i = dom->jobs.waiters.head; i; i = next) {
        YcJobWaiter *waiter = i->data;

        next = i->next;
        if (!yc_jobs_blocker(&dom->jobs, waiter->req)) {
            g_queue_delete_link(&dom->jobs.waiters, i);
            job_start(dom, waiter->req, waiter->thread);
            waiter->state = WAITER_GRANTED;
            qemu_cond_signal(&waiter->cond);
        }
    }
}

void yc_jobs_lose_waiters(YcJobs *jobs)
{
    YcJobWaiter *waiter;

    while ((waiter = g_queue_pop_head(&jobs->waiters))) {
        waiter->state = WAITER_LOST;
        qemu_cond_signal(&waiter->cond);
    }
}

/* True when @req was granted. */
static bool job_wait(YcDomain *dom, const YcJobRequest *req, int limit_ms,
                     GError **errp)
{
    int64_t deadline = g_get_monotonic_time() + limit_ms * INT64_C(1000);
    YcJobWaiter waiter = {.req = req, .thread = yc_thread_id()};

    qemu_cond_init(&waiter.cond);
    g_queue_push_tail(&dom->jobs.waiters, &waiter);
    while (waiter.state == WAITER_QUEUED &&
           yc_lock_wait(&dom->lock, &waiter.cond, deadline)) {
    }
    if (waiter.state == WAITER_QUEUED) {
        g_queue_remove(&dom->jobs.waiters, &waiter);
        yc_job_error_busy(dom, req, limit_ms, errp);
    } else if (waiter.state == WAITER_LOST) {
        yc_domain_set_gone(dom, errp);
    }
    qemu_cond_destroy(&waiter.cond);
    return waiter.state == WAITER_GRANTED;
}

static bool queue_is_full(YcDomain *dom)
{
    unsigned max = __atomic_load_n(&dom->max_waiters, __ATOMIC_RELAXED);

    return max && dom->jobs.waiters.length >= max;
}

static bool job_begin(YcDomain *dom, const YcJobRequest *req, int wait_ms,
                      GError **errp)
{
    if (!yc_domain_check_alive(dom, errp)) {
        return false;
    }
    if (!yc_jobs_blocker(&dom->jobs, req)) {
        job_start(dom, req, yc_thread_id());
        return true;
    }
    if (wait_ms < 0) {
        yc_job_error_busy(dom, req, 0, errp);
        return false;
    }
    if (req->sort != YC_SORT_NESTED && queue_is_full(dom)) {
        yc_job_error_queue_full(dom, req, errp);
        return false;
    }
    if (wait_ms == YC_WAIT_DEFAULT) {
        wait_ms = __atomic_load_n(&dom->wait_limit_ms, __ATOMIC_RELAXED);
    }
    return job_wait(dom, req, wait_ms, errp);
}

/*
 * What a thread may hold when it asks for a job: nothing, but for nested jobs
 * and an agent job the asynchronous job that it runs.
 */
static bool check_begin(YcDomain *dom, YcJobSort sort, const char *call,
                        GError **errp)
{
    YcJobState *async = &dom->jobs.slots[YC_SLOT_ASYNC];
    bool may_be_in_async = sort == YC_SORT_NESTED || sort == YC_SORT_AGENT;
    YcJobState *mine;

    if (!yc_domain_check_locked(dom, call, errp)) {
        return false;
    }
    mine = yc_jobs_mine(&dom->jobs);
    if (sort == YC_SORT_NESTED && !yc_job_is_mine(async)) {
        yc_misuse(errp,
                  "%s() of domain '%s' by a thread that does not hold the "
                  "asynchronous job",
                  call, dom->name);
        return false;
    }
    if (mine && (mine != async || !may_be_in_async || mine->away)) {
        yc_misuse(errp,
                  "%s() of domain '%s' by a thread that holds its job '%s'",
                  call, dom->name, mine->what);
        return false;
    }
    return true;
}

bool yc_domain_begin_job(YcDomain *dom, YcJob job, const char *what,
                         int wait_ms, GError **errp)
{
    YcJobRequest req = {.sort = YC_SORT_NORMAL, .kind = job, .what = what};

    return check_begin(dom, req.sort, __func__, errp) &&
           job_begin(dom, &req, wait_ms, errp);
}

bool yc_domain_begin_agent_job(YcDomain *dom, const char *what, int wait_ms,
                               GError **errp)
{
    YcJobRequest req = {.sort = YC_SORT_AGENT, .what = what};

    return check_begin(dom, req.sort, __func__, errp) &&
           job_begin(dom, &req, wait_ms, errp);
}

bool yc_domain_begin_async_job(YcDomain *dom, const char *what, unsigned mask,
                               int wait_ms, GError **errp)
{
    YcJobRequest req = {.sort = YC_SORT_ASYNC, .mask = mask, .what = what};

    return check_begin(dom, req.sort, __func__, errp) &&
           job_begin(dom, &req, wait_ms, errp);
}

bool yc_domain_begin_nested_job(YcDomain *dom, const char *what, int wait_ms,
                                GError **errp)
{
    YcJobRequest req = {.sort = YC_SORT_NESTED, .what = what};

    return check_begin(dom, req.sort, __func__, errp) &&
           job_begin(dom, &req, wait_ms, errp);
}

/* The job of @sort, when this thread holds it and is not away with it. */
static YcJobState *check_held(YcDomain *dom, YcJobSort sort, const char *call,
                              GError **errp)
{
    YcJobState *job = &dom->jobs.slots[slot_of_sort[sort]];

    if (!yc_domain_check_locked(dom, call, errp)) {
        return NULL;
    }
    if (!yc_job_is_mine(job) || job->nested != (sort == YC_SORT_NESTED)) {
        yc_misuse(errp, "%s() of domain '%s' by a thread that does not hold it",
                  call, dom->name);
        return NULL;
    }
    if (job->away) {
        yc_misuse(errp, "%s() of domain '%s' by a thread that is still in '%s'",
                  call, dom->name, job->command);
        return NULL;
    }
    return job;
}

static bool job_end(YcDomain *dom, YcJobSort sort, const char *call,
                    GError **errp)
{
    YcJobState *job = check_held(dom, sort, call, errp);

    if (!job) {
        return false;
    }
    if (sort == YC_SORT_ASYNC && yc_jobs_mine(&dom->jobs) != job) {
        yc_misuse(errp, "%s() of domain '%s' before the job in it has ended",
                  call, dom->name);
        return false;
    }
    yc_job_state_clear(job);
    jobs_hand_on(dom);
    return true;
}

bool yc_domain_end_job(YcDomain *dom, GError **errp)
{
    return job_end(dom, YC_SORT_NORMAL, __func__, errp);
}

bool yc_domain_end_agent_job(YcDomain *dom, GError **errp)
{
    return job_end(dom, YC_SORT_AGENT, __func__, errp);
}

bool yc_domain_end_async_job(YcDomain *dom, GError **errp)
{
    return job_end(dom, YC_SORT_ASYNC, __func__, errp);
}

bool yc_domain_end_nested_job(YcDomain *dom, GError **errp)
{
    return job_end(dom, YC_SORT_NESTED, __func__, errp);
}

bool yc_domain_set_async_mask(YcDomain *dom, unsigned mask, GError **errp)
{
    if (!check_held(dom, YC_SORT_ASYNC, __func__, errp)) {
        return false;
    }
    dom->jobs.async_mask = mask;
    jobs_hand_on(dom);
    return true;
}
