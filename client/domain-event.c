/*
 * What the event thread does to a domain: a short look under the lock, and
 * then the users' functions without it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domain-internal.h"

/* What an event says about the guest's state, in query-status' words. */
static const struct {
    const char *event;
    const char *action; /* of the event, if it must have a certain one */
    const char *run_state;
    bool keeps; /* STOP comes with it, and tells nothing new */
} run_states[] = {
    {"STOP", NULL, "paused", false},
    {"RESUME", NULL, "running", false},
    {"SHUTDOWN", NULL, "shutdown", false},
    {"SUSPEND", NULL, "suspended", false},
    {"SUSPEND_DISK", NULL, "shutdown", false},
    {"WAKEUP", NULL, "running", false},
    {"GUEST_PANICKED", NULL, "guest-panicked", true},
    {"BLOCK_IO_ERROR", "stop", "io-error", true},
    {"WATCHDOG", "pause", "watchdog", true},
};

static int64_t stalled_ms(YcDomain *dom)
{
    return dom->stalled_since < 0
               ? -1
               : (g_get_monotonic_time() - dom->stalled_since) / 1000;
}

void yc_domain_get_status(YcDomain *dom, YcDomainStatus *status)
{
    YC_LOCK_GUARD(&dom->lock);
    *status = (YcDomainStatus){
        .alive = dom->alive,
        .reason = g_strdup(dom->reason),
        .run_state = dom->run_state,
        .migration = g_strdup(dom->migration),
        .main_loop_stalled_ms = stalled_ms(dom),
        .n_events = dom->n_events,
    };
    if (!dom->alive && !status->reason) {
        status->reason = g_strdup("not connected");
    }
}

GError *yc_domain_why_down(YcDomain *dom)
{
    YC_LOCK_GUARD(&dom->lock);
    return dom->down ? g_error_copy(dom->down) : NULL;
}

void yc_domain_status_clear(YcDomainStatus *status)
{
    g_free(status->reason);
    g_free(status->migration);
    *status = (YcDomainStatus){0};
}

/* The string @member of the event's data; NULL when there is none such. */
static const char *event_string(json_object *event, const char *member)
{
    json_object *data = yc_message_member(event, "data", json_type_object);

    return json_object_get_string(
        yc_message_member(data, member, json_type_string));
}

static bool keeps_state(const char *run_state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(run_states); i++) {
        if (run_states[i].keeps &&
            g_strcmp0(run_states[i].run_state, run_state) == 0) {
            return true;
        }
    }
    return false;
}

static void note_event(YcDomain *dom, const char *name, json_object *event)
{
    dom->n_events++;
    for (size_t i = 0; i < G_N_ELEMENTS(run_states); i++) {
        const char *action = run_states[i].action;

        if (g_str_equal(name, run_states[i].event) &&
            (!action ||
             g_strcmp0(action, event_string(event, "action")) == 0)) {
            if (!g_str_equal(name, "STOP") || !keeps_state(dom->run_state)) {
                dom->run_state = run_states[i].run_state;
            }
            return;
        }
    }
    if (g_str_equal(name, "MIGRATION")) {
        g_free(dom->migration);
        dom->migration = g_strdup(event_string(event, "status"));
    } else if (g_str_equal(name, "MAIN_LOOP_STALLED")) {
        dom->stalled_since = g_get_monotonic_time();
    } else if (g_str_equal(name, "MAIN_LOOP_RESUMED")) {
        dom->stalled_since = -1;
    }
}

void yc_domain_on_event(const char *name, json_object *event, void *data)
{
    YcDomain *dom = data;

    if (yc_domain_try_ref(dom)) {
        yc_domain_lock(dom);
        note_event(dom, name, event);
        yc_domain_unlock(dom);
        yc_handlers_run_event(dom, name, event);
        yc_domain_unref(dom);
    }
    json_object_put(event);
}

/* False when there is nothing to tell: a step on the way, or closed by now. */
static bool note_state(YcDomain *dom, YcQmpState state, const GError *why)
{
    YC_LOCK_GUARD(&dom->lock);
    switch (state) {
    case YC_QMP_READY:
        g_clear_error(&dom->down);
        yc_domain_found(dom);
        return dom->alive;
    case YC_QMP_DISCONNECTED:
    case YC_QMP_WAITING:
        g_clear_error(&dom->down);
        dom->down = why ? g_error_copy(why) : NULL;
        yc_domain_lost(dom, why ? why->message : "disconnected");
        return true;
    default:
        return false;
    }
}

void yc_domain_on_state(YcQmpState state, const GError *why, void *data)
{
    YcDomain *dom = data;
    bool alive = state == YC_QMP_READY;

    if (!yc_domain_try_ref(dom)) {
        return;
    }
    if (note_state(dom, state, why) && dom->told_alive != alive) {
        dom->told_alive = alive;
        yc_handlers_run_state(dom, alive, why);
    }
    yc_domain_unref(dom);
}
