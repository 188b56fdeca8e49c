/*
 * The source from the first pass to the moment when the destination serves.
 *
 * Until source_go() marks the role as given up, any failure leaves this
 * process serving; from then on it never serves again, as the destination may.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block.h"
#include "source.h"
#include "state.h"
#include "stats.h"

/*
 * How long clients' requests may take to come to rest; when they do not,
 * there are more passes, and so long a wait, before the next try.
 */
#define REST_TIMEOUT_MS 1000

/* ---- Passes. ---- */

static bool pass_is_over(Source *s)
{
    return source_work_is_done(s);
}

static bool pass_is_stored(Source *s)
{
    return s->acked_pass == s->pass;
}

static bool run_pass(Source *s, SourceWork work, Error **errp)
{
    uint64_t before = stats_transferred();
    int64_t start = g_get_monotonic_time();

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        s->pass++; /* the reader compares */
    }
    stats_pass_begin(s->pass);
    source_command(s, work);
    if (!source_wait(s, pass_is_over, errp) ||
        (s->confirm && !source_wait(s, pass_is_stored, errp))) {
        return false;
    }
    stats_pass_end(stats_transferred() - before,
                   g_get_monotonic_time() - start);
    return true;
}

static bool wants_postcopy(Source *s)
{
    QEMU_LOCK_GUARD(&migration_lock);

    return s->want_postcopy;
}

/* So long a downtime nobody notices: not worth another pass. */
#define NO_DOWNTIME_MS 2

/* Bytes that can be sent in @ms at the rate of the passes so far. */
static uint64_t bytes_in(uint64_t ms)
{
    return stats_bandwidth() * ms / 1000;
}

static bool rest_fits(Source *s)
{
    return volumes_dirty_bytes(s->set) <= bytes_in(migration_downtime_limit());
}

/*
 * Whether the rest is to be sent with requests held: it fits the limit of the
 * downtime, and another pass would not make it much smaller.  @before: the
 * rest after the pass before, which is updated.
 */
static bool rest_is_small(Source *s, uint64_t *before)
{
    uint64_t rest = volumes_dirty_bytes(s->set);
    bool shrinks = rest < *before / 2;

    *before = rest;
    return rest_fits(s) && (!shrinks || rest <= bytes_in(NO_DOWNTIME_MS));
}

/* ---- Requests are held. ---- */

static void clients_at_rest(void *opaque)
{
    Source *s = opaque;

    QEMU_LOCK_GUARD(&migration_lock);
    s->at_rest = true;
    qemu_cond_broadcast(&migration_cond);
}

/* Waits for what @ready says, at most @ms; false when they ran out. */
static bool wait_at_most(Source *s, bool *ready, int ms)
{
    int64_t end = g_get_monotonic_time() + ms * INT64_C(1000);

    QEMU_LOCK_GUARD(&migration_lock);
    while (!*ready && !link_is_cut_locked(s->link)) {
        int64_t left = (end - g_get_monotonic_time() + 999) / 1000;

        if (left <= 0 ||
            !qemu_cond_timedwait(&migration_cond, &migration_lock, left)) {
            return *ready;
        }
    }
    return *ready;
}

/* False when requests did not come to rest, and clients are served again. */
static bool hold_requests(Source *s)
{
    bool never = false;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        s->at_rest = false;
    }
    stats_downtime_begin();
    block_inactivate(clients_at_rest, s);
    if (wait_at_most(s, &s->at_rest, REST_TIMEOUT_MS)) {
        return true;
    }
    block_activate();
    wait_at_most(s, &never, REST_TIMEOUT_MS);
    return false;
}

static bool enter_device(Source *s, MigrationStatus from, Error **errp)
{
    if (migration_set_state(from, MIGRATION_STATUS_DEVICE)) {
        return true;
    }
    link_error(s->link, errp);
    return false;
}

static bool may_continue(Source *s)
{
    return s->want_continue;
}

static bool pause_for_user(Source *s, Error **errp)
{
    activity_set_phase(s->activity, "pre-switchover");
    if (!migration_set_state(MIGRATION_STATUS_ACTIVE,
                             MIGRATION_STATUS_PRE_SWITCHOVER)) {
        link_error(s->link, errp);
        return false;
    }
    return source_wait(s, may_continue, errp) &&
           enter_device(s, MIGRATION_STATUS_PRE_SWITCHOVER, errp);
}

/* ---- The hand-over. ---- */

static bool is_ready(Source *s)
{
    return s->ready;
}

static bool has_started(Source *s)
{
    return s->served;
}

/*
 * The point of no return.  A cut that comes first keeps the role here: then
 * nothing has been said.
 */
static bool give_up_role(Source *s, Error **errp)
{
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        if (!link_is_cut_locked(s->link) && !s->cancelled) {
            s->gone = true;
            return true;
        }
    }
    link_error(s->link, errp);
    return false;
}

bool source_go(Source *s, Error **errp)
{
    return give_up_role(s, errp) && source_send_type(s, SECTION_GO, 0, errp) &&
           source_wait(s, has_started, errp);
}

static bool send_hand_over(Source *s, bool postcopy, Error **errp)
{
    Section section = {
        .type = SECTION_HAND_OVER,
        .flags = postcopy ? SECTION_FLAG_POSTCOPY : 0,
        .offset = s->pass,
    };

    return source_send(s, &section, NULL, errp);
}

/* With requests at rest. */
static bool switch_over(Source *s, bool postcopy, Error **errp)
{
    bool ok = s->pause_before_switchover
                  ? pause_for_user(s, errp)
                  : enter_device(s, MIGRATION_STATUS_ACTIVE, errp);

    activity_set_phase(s->activity, "switch-over");
    if (!ok) {
        return false;
    }
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        s->is_postcopy = postcopy;
    }
    stats_set_phase(STATS_DOWNTIME);
    return (postcopy ? source_send_missing(s, errp)
                     : run_pass(s, SOURCE_WORK_FINAL_PASS, errp)) &&
           send_hand_over(s, postcopy, errp) &&
           source_wait(s, is_ready, errp) && source_go(s, errp);
}

bool source_run_precopy(Source *s, Error **errp)
{
    uint64_t rest = s->set->total;

    activity_set_phase(s->activity, "active");
    for (;;) {
        bool postcopy;

        if (!run_pass(s, SOURCE_WORK_PASS, errp)) {
            return false;
        }
        postcopy = wants_postcopy(s);
        if (!postcopy && !rest_is_small(s, &rest)) {
            continue;
        }
        /* What is on its way still is not waited for with clients held. */
        if (!source_wait(s, pass_is_stored, errp)) {
            return false;
        }
        if (!postcopy && !rest_fits(s)) {
            continue; /* that took long */
        }
        if (hold_requests(s)) {
            return switch_over(s, postcopy, errp);
        }
        if (link_is_cut(s->link)) {
            link_error(s->link, errp);
            return false;
        }
    }
}
