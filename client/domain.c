/*
 * The domain object: references, lock, life and death.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domain-internal.h"

GQuark yc_domain_error_quark(void)
{
    return g_quark_from_static_string("yc-domain-error-quark");
}

YcDomain *yc_domain_hold(YcDomain *dom)
{
    g_atomic_int_inc(&dom->memory_refs);
    return dom;
}

void yc_domain_unhold(YcDomain *dom)
{
    if (!g_atomic_int_dec_and_test(&dom->memory_refs)) {
        return;
    }
    g_ptr_array_free(dom->handlers, true);
    qemu_mutex_destroy(&dom->handlers_lock);
    qemu_cond_destroy(&dom->changed);
    yc_lock_destroy(&dom->lock);
    g_clear_error(&dom->ping.error);
    qemu_cond_destroy(&dom->ping.answered);
    qemu_mutex_destroy(&dom->ping.lock);
    g_ptr_array_free(dom->monitor_chardevs, true);
    g_free(dom->migration);
    g_free(dom->reason);
    g_clear_error(&dom->down);
    g_free(dom->name);
    g_free(dom);
}

int yc_ms_until(int64_t deadline)
{
    int64_t left_ms = (deadline - g_get_monotonic_time() + 999) / 1000;

    return CLAMP(left_ms, 1, G_MAXINT);
}

static void unhold(void *dom)
{
    yc_domain_unhold(dom);
}

YcDomain *yc_domain_new(const char *name, YcQmpClient *monitor,
                        YcQmpClient *lane, YcAgentClient *agent)
{
    YcDomain *dom = g_new0(YcDomain, 1);

    dom->refs = 1;
    dom->memory_refs = 1;
    dom->name = g_strdup(name);
    dom->wait_limit_ms = YC_WAIT_LIMIT_MS;
    yc_lock_init(&dom->lock, YC_RANK_DOMAIN, "domain", dom->name);
    qemu_cond_init(&dom->changed);
    g_queue_init(&dom->jobs.waiters);
    dom->stalled_since = -1;
    dom->monitor_chardevs = g_ptr_array_new_with_free_func(g_free);
    qemu_mutex_init(&dom->handlers_lock);
    dom->handlers = g_ptr_array_new();
    qemu_mutex_init(&dom->ping.lock);
    qemu_cond_init(&dom->ping.answered);

    dom->monitor = yc_qmp_client_ref(monitor);
    dom->lane = yc_qmp_client_ref(lane ? lane : monitor);
    dom->agent = agent ? yc_agent_client_ref(agent) : NULL;
    yc_qmp_client_set_event_fn(monitor, yc_domain_on_event, yc_domain_hold(dom),
                               unhold);
    yc_qmp_client_set_state_fn(monitor, yc_domain_on_state, yc_domain_hold(dom),
                               unhold);
    return dom;
}

YcDomain *yc_domain_ref(YcDomain *dom)
{
    g_atomic_int_inc(&dom->refs);
    return dom;
}

bool yc_domain_try_ref(YcDomain *dom)
{
    int refs = g_atomic_int_get(&dom->refs);

    while (refs &&
           !g_atomic_int_compare_and_exchange(&dom->refs, refs, refs + 1)) {
        refs = g_atomic_int_get(&dom->refs);
    }
    return refs != 0;
}

/* The clients let go of the memory once their last callback has returned. */
static void domain_dispose(YcDomain *dom)
{
    yc_domain_close(dom, "nobody uses it any more");
    for (int i = 0; i < YC_SLOT__MAX; i++) {
        YcJobState *job = &dom->jobs.slots[i];

        if (job->held) {
            yc_misuse(NULL, "domain '%s' is freed during its job '%s'",
                      dom->name, job->what);
            yc_job_state_clear(job);
        }
    }
    yc_handlers_remove_all(dom);
    yc_qmp_client_unref(dom->monitor);
    yc_qmp_client_unref(dom->lane);
    yc_agent_client_unref(dom->agent);
    yc_domain_unhold(dom);
}

void yc_domain_unref(YcDomain *dom)
{
    if (dom && g_atomic_int_dec_and_test(&dom->refs)) {
        domain_dispose(dom);
    }
}

const char *yc_domain_name(const YcDomain *dom)
{
    return dom->name;
}

void yc_domain_lock(YcDomain *dom)
{
    yc_lock_take(&dom->lock);
}

bool yc_domain_unlock(YcDomain *dom)
{
    return yc_lock_drop(&dom->lock);
}

void yc_domain_release(YcDomain **dom)
{
    if (yc_domain_unlock(*dom)) {
        yc_domain_unref(*dom);
    }
    *dom = NULL;
}

bool yc_domain_check_locked(YcDomain *dom, const char *call, GError **errp)
{
    if (!yc_lock_is_mine(&dom->lock)) {
        yc_misuse(errp, "%s() of domain '%s', which is not locked", call,
                  dom->name);
        return false;
    }
    return true;
}

bool yc_domain_check_no_callback(YcDomain *dom, const char *call, GError **errp)
{
    if (iothread_current() == yc_event_thread()) {
        yc_misuse(errp, "%s() of domain '%s' in a callback", call, dom->name);
        return false;
    }
    return true;
}

void yc_domain_set_wait_limit(YcDomain *dom, int ms)
{
    g_return_if_fail(ms > 0);
    __atomic_store_n(&dom->wait_limit_ms, ms, __ATOMIC_RELAXED);
}

void yc_domain_set_max_waiters(YcDomain *dom, unsigned n)
{
    __atomic_store_n(&dom->max_waiters, n, __ATOMIC_RELAXED);
}

void yc_domain_set_gone(YcDomain *dom, GError **errp)
{
    if (dom->reason) {
        g_set_error(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE,
                    "domain '%s' is gone: %s", dom->name, dom->reason);
    } else {
        g_set_error(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE,
                    "domain '%s' is not connected", dom->name);
    }
}

bool yc_domain_check_alive(YcDomain *dom, GError **errp)
{
    if (!yc_domain_check_locked(dom, __func__, errp)) {
        return false;
    }
    if (!dom->alive) {
        yc_domain_set_gone(dom, errp);
        return false;
    }
    return true;
}

void yc_domain_found(YcDomain *dom)
{
    if (dom->alive || dom->closed) {
        return;
    }
    dom->alive = true;
    dom->life++;
    g_clear_pointer(&dom->reason, g_free);
    qemu_cond_broadcast(&dom->changed);
}

/* What events told of the process may not hold for the next one. */
static void forget_status(YcDomain *dom)
{
    dom->run_state = NULL;
    g_clear_pointer(&dom->migration, g_free);
    dom->stalled_since = -1;
}

void yc_domain_lost(YcDomain *dom, const char *reason)
{
    if (dom->closed) {
        return;
    }
    dom->alive = false;
    dom->n_lost++;
    g_free(dom->reason);
    dom->reason = g_strdup(reason);
    forget_status(dom);
    yc_jobs_lose_waiters(&dom->jobs);
    qemu_cond_broadcast(&dom->changed);
}

void yc_domain_close(YcDomain *dom, const char *reason)
{
    yc_domain_lock(dom);
    yc_domain_lost(dom, reason);
    dom->closed = true;
    yc_domain_unlock(dom);
    yc_qmp_client_disconnect(dom->monitor);
    yc_qmp_client_disconnect(dom->lane);
    if (dom->agent) {
        yc_agent_client_disconnect(dom->agent);
    }
}
