/*
 * Connecting a domain: monitor, lane and agent at the same time, and one wait
 * for all of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domain-internal.h"

/* What answers at its deadline is told a little later. */
#define TOLD_WITHIN_US (5 * G_USEC_PER_SEC)

/* Under the domain's lock, but for the reference count and the callback. */
typedef struct Attempt {
    int refs; /* atomic; the waiter's, and each callback's */
    YcDomain *dom;
    unsigned pending;
    unsigned life; /* of the domain, when it began */
    GError *error; /* the monitor's */
    /* Who does not wait, or NULL; never changed. */
    YcDomainConnectedFn *fn;
    void *data;
    GDestroyNotify free_data;
    /* Another attempt was under way, when the domain had been lost so often. */
    bool joined;
    unsigned n_lost;
} Attempt;

static void attempt_unref(void *opaque)
{
    Attempt *attempt = opaque;

    if (g_atomic_int_dec_and_test(&attempt->refs)) {
        g_clear_error(&attempt->error);
        if (attempt->free_data) {
            attempt->free_data(attempt->data);
        }
        yc_domain_unhold(attempt->dom);
        g_free(attempt);
    }
}

static Attempt *attempt_expect(Attempt *attempt)
{
    g_atomic_int_inc(&attempt->refs);
    attempt->pending++;
    return attempt;
}

static void attempt_ended(Attempt *attempt, const GError *error)
{
    YC_LOCK_GUARD(&attempt->dom->lock);
    if (error) {
        attempt->error = g_error_copy(error);
    }
    attempt->pending--;
    qemu_cond_broadcast(&attempt->dom->changed);
}

/* An attempt that was under way already is as good: its end will be told. */
static void attempt_join(Attempt *attempt)
{
    YC_LOCK_GUARD(&attempt->dom->lock);
    attempt->joined = true;
    attempt->n_lost = attempt->dom->n_lost;
}

static void monitor_connected(json_object *result, const GError *err,
                              void *opaque)
{
    Attempt *attempt = opaque;
    bool under_way = g_error_matches(err, YC_ERROR, YC_ERROR_INVALID);

    if (under_way) {
        attempt_join(opaque);
    }
    attempt_ended(opaque, under_way ? NULL : err);
    if (attempt->fn) {
        attempt->fn(attempt->dom, under_way ? NULL : err, attempt->data);
    }
}

static void other_connected(json_object *result, const GError *err,
                            void *opaque)
{
    attempt_ended(opaque, NULL);
}

static void start(Attempt *attempt, int timeout_ms)
{
    YcDomain *dom = attempt->dom;
    bool lane = dom->lane != dom->monitor &&
                yc_qmp_client_state(dom->lane) != YC_QMP_READY;
    bool agent = dom->agent && !yc_agent_client_is_connected(dom->agent);
    bool monitor = yc_qmp_client_state(dom->monitor) != YC_QMP_READY;

    if (lane) {
        yc_qmp_client_connect_async(dom->lane, timeout_ms, other_connected,
                                    attempt_expect(attempt), attempt_unref);
    }
    if (agent) {
        yc_agent_client_connect_async(dom->agent, timeout_ms, other_connected,
                                      attempt_expect(attempt), attempt_unref);
    }
    if (monitor) {
        yc_qmp_client_connect_async(dom->monitor, timeout_ms, monitor_connected,
                                    attempt_expect(attempt), attempt_unref);
    }
}

/* A process that was found may be lost again before anybody looks. */
static bool is_told(const Attempt *attempt)
{
    const YcDomain *dom = attempt->dom;

    return dom->alive || attempt->error || dom->life != attempt->life ||
           (attempt->joined && dom->n_lost != attempt->n_lost);
}

/*
 * True when the domain lives.  Nothing is pending then, nor when the monitor
 * failed: the lane is wanted all the more.
 */
static bool attempt_wait(Attempt *attempt, int64_t deadline, GError **errp)
{
    YcDomain *dom = attempt->dom;

    while ((attempt->pending || !is_told(attempt)) && !dom->closed &&
           yc_lock_wait(&dom->lock, &dom->changed, deadline)) {
    }
    if (attempt->error) {
        g_propagate_error(errp, g_steal_pointer(&attempt->error));
        return false;
    }
    return yc_domain_check_alive(dom, errp);
}

static Attempt *attempt_new(YcDomain *dom)
{
    Attempt *attempt = g_new0(Attempt, 1);

    attempt->refs = 1;
    attempt->dom = yc_domain_hold(dom);
    return attempt;
}

bool yc_domain_connect(YcDomain *dom, int timeout_ms, GError **errp)
{
    int64_t deadline = yc_deadline(&timeout_ms) + TOLD_WITHIN_US;
    Attempt *attempt;
    bool ok;

    if (!yc_domain_check_no_callback(dom, __func__, errp)) {
        return false;
    }
    attempt = attempt_new(dom);
    yc_domain_lock(dom);
    attempt->life = dom->life;
    ok = !dom->closed || yc_domain_check_alive(dom, errp);
    if (ok) {
        start(attempt, timeout_ms);
        ok = attempt_wait(attempt, deadline, errp);
    }
    yc_domain_unlock(dom);
    attempt_unref(attempt);
    return ok;
}

void yc_domain_connect_async(YcDomain *dom, int timeout_ms,
                             YcDomainConnectedFn *fn, void *data,
                             GDestroyNotify free_data)
{
    Attempt *attempt = attempt_new(dom);

    attempt->fn = fn;
    attempt->data = data;
    attempt->free_data = free_data;
    yc_domain_lock(dom);
    attempt->life = dom->life;
    if (!dom->closed) {
        start(attempt, timeout_ms);
    }
    yc_domain_unlock(dom);
    attempt_unref(attempt);
}
