/*
 * A keeper: holds, pings and rescues one domain, in turns.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/job.h"
#include "client/ping.h"
#include "tools/exit-code.h"
#include "tools/json.h"
#include "tools/ops-internal.h"
#include "tools/status.h"
#include "keeper.h"
#include "log.h"
#include "stray.h"

#define CONNECT_MS 3000
#define MAX_OOB_MS 1000
/* How old the record of a domain's block nodes gets, and how long it may take:
 * a hang that begins meanwhile is found that much later. */
#define RECORD_MS 250
#define RECORD_US (600 * (gint64)G_USEC_PER_SEC)
#define MIN_WAIT_US 10000
/* How long a turn waits for an answer, of those that come at once. */
#define MAX_PING_MS 100
/* Between two looks at what is not connected. */
#define DOWN_US ((gint64)G_USEC_PER_SEC)
/* How much longer than its ping a turn may be away: out-of-band answers, each
 * waited for in turn, here and for other domains. */
#define MAX_TURN_US (30 * (gint64)G_USEC_PER_SEC)
/* A wait that ends that late was not the domain's doing. */
#define MAX_LATE_US ((gint64)G_USEC_PER_SEC)

struct Keeper {
    /* Atomic: of users, the last of whom ends it; and of those that only need
     * the memory: the users as a whole, the handler, the first attempt. */
    int refs;
    int memory_refs;
    DomainSpec *spec;
    YcDomain *dom;
    guint handler;
    ScheduleEntry *entry;

    /* The turn's own. */
    Evidence *evidence;
    Incidents *incidents;
    gint64 stuck_since; /* 0: the main loop answers, as far as is known */
    gint64 awake_since; /* nothing before counts as silence */
    gint64 next_oob;
    gint64 next_record;
    bool oob_lost;        /* the latest was not answered */
    gint64 due;           /* when this turn was; 0: at once */
    bool guest_known;     /* as of the event with number @guest_events */
    guint64 guest_events; /* any change of the guest's state is an event */
    State guest;          /* STATE_RUNNING, or an error that has stopped it */

    /* Guards what follows; before the lock of the schedule. */
    GMutex lock;
    bool stopping;
    Policy *policy;
    GError *down;      /* why there is no connection; NULL: there is one */
    bool seen;         /* there has been one */
    bool aside;        /* there will be none: it is no monitor */
    gint64 turn_due;   /* when it must have had its turn */
    KeeperStats stats; /* all but stuck_us, which is */
    gint64 told_since; /* the time since then; 0: none */
    char *record;      /* of the block nodes, as text; NULL: none yet */
    gint64 record_us;  /* when that was */
};

static bool same_reason(const GError *one, const GError *other)
{
    return one == other ||
           (one && other && g_str_equal(one->message, other->message));
}

/* What a hang that began before there was a connection means. */
static GError *explain(const GError *why)
{
    GError *down = g_error_copy(why);

    if (g_error_matches(why, YC_ERROR, YC_ERROR_NO_NEGOTIATION)) {
        g_free(down->message);
        down->message = g_strconcat(
            why->message, ", and nobody held a lane to it before", NULL);
    }
    return down;
}

/*
 * @why NULL: there is a connection.
 * @still: only if there was none, and there has been none since
 */
static void set_down(Keeper *keeper, const GError *why, bool still)
{
    g_autoptr(GError) down = why ? explain(why) : NULL;
    bool news;

    g_mutex_lock(&keeper->lock);
    news = !same_reason(keeper->down, down) && !(still && keeper->stats.up) &&
           !keeper->aside;
    if (news) {
        keeper->seen = keeper->seen || !down;
        g_clear_error(&keeper->down);
        keeper->down = down ? g_error_copy(down) : NULL;
        keeper->stats.up = !down;
    }
    g_mutex_unlock(&keeper->lock);
    if (news) {
        watch_log("domain '%s': %s%s", keeper->spec->name,
                  down ? "not connected: " : "connected",
                  down ? down->message : "");
    }
}

/* Leaves the socket to its users if @why shows that it is a stray. */
static void check_monitor(Keeper *keeper, const GError *why)
{
    g_autofree char *told = g_strconcat(
        why->message, "; not asked again while this socket is there", NULL);
    bool aside;

    if (!is_stray(keeper->spec, yc_domain_lane(keeper->dom), why)) {
        return;
    }
    g_mutex_lock(&keeper->lock);
    aside = !keeper->seen && !keeper->aside;
    if (aside) {
        keeper->aside = true;
        g_clear_error(&keeper->down);
        keeper->down = g_error_new_literal(why->domain, why->code, told);
    }
    g_mutex_unlock(&keeper->lock);
    if (aside) {
        yc_qmp_client_disconnect(yc_domain_lane(keeper->dom));
        watch_log("domain '%s': %s", keeper->spec->name, told);
    }
}

/* On the event thread.  It tells of a loss, and not of each attempt after. */
static void note_state(YcDomain *dom, bool alive, const GError *why,
                       void *opaque)
{
    Keeper *keeper = opaque;
    g_autoptr(GError) unknown = NULL;

    if (!alive && !why) {
        why = unknown =
            g_error_new(YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE, "disconnected");
    }
    set_down(keeper, alive ? NULL : why, false);
    g_mutex_lock(&keeper->lock);
    if (alive && !keeper->stopping) {
        schedule_hurry(keeper->entry);
    }
    g_mutex_unlock(&keeper->lock);
}

static bool is_up(Keeper *keeper)
{
    bool up;

    g_mutex_lock(&keeper->lock);
    up = keeper->stats.up;
    g_mutex_unlock(&keeper->lock);
    return up;
}

/* What was late was we: the silence begins anew. */
static void forget_silence(Keeper *keeper)
{
    keeper->stuck_since = 0;
    keeper->awake_since = g_get_monotonic_time();
}

/*
 * We may have been stopped ourselves, or starved, between @start and now, of
 * which a wait of @timeout_ms accounts for a part.  Then answers may lie there
 * unread: the silence begins anew, or a healthy domain would be yanked.
 */
static void check_awake(Keeper *keeper, const PolicyRule *rule, gint64 start,
                        int timeout_ms)
{
    gint64 now = g_get_monotonic_time();
    gint64 late = now - start - timeout_ms * 1000LL;

    if (late > MIN(MAX_LATE_US, rule->threshold_us / 2)) {
        forget_silence(keeper);
    }
}

static void ping_oob(Keeper *keeper, const Policy *policy,
                     const PolicyRule *rule)
{
    gint64 now = g_get_monotonic_time();
    /* What did not answer is not waited for again, nor for others' sake. */
    int ms = keeper->oob_lost
                 ? MAX_PING_MS / 2
                 : CLAMP(policy->interval_us / 1000, 50, MAX_OOB_MS);
    gint64 us;
    bool ok;

    if (now < keeper->next_oob) {
        return;
    }
    ok = yc_qmp_client_has_oob(yc_domain_lane(keeper->dom)) &&
         yc_domain_ping(keeper->dom, YC_PING_OOB, ms, &us, NULL);
    check_awake(keeper, rule, now, ms);
    keeper->oob_lost = !ok;
    keeper->next_oob = now + policy->interval_us;
    g_mutex_lock(&keeper->lock);
    keeper->stats.oob_us = ok ? us : -1;
    g_mutex_unlock(&keeper->lock);
}

/*
 * For how long a ping that failed has been waiting: its own time, or that of
 * the command whose job it waited for.
 */
static gint64 silent_for(Keeper *keeper, const GError *err, gint64 us)
{
    g_auto(YcJobInfo) info = {0};

    if (g_error_matches(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_BUSY)) {
        yc_domain_lock(keeper->dom);
        yc_domain_get_job_info(keeper->dom, YC_SLOT_NORMAL, &info);
        yc_domain_unlock(keeper->dom);
        return MAX(us, info.held ? info.command_ms * 1000 : 0);
    }
    return us;
}

static void note_silence(Keeper *keeper, const GError *err, gint64 us)
{
    gint64 since = g_get_monotonic_time() - silent_for(keeper, err, us);

    since = MAX(since, keeper->awake_since);
    if (!keeper->stuck_since || since < keeper->stuck_since) {
        keeper->stuck_since = since;
    }
}

/* True when the main loop answered. */
static bool ping_in_band(Keeper *keeper, const PolicyRule *rule,
                         gint64 interval_us, int timeout_ms)
{
    gint64 start = g_get_monotonic_time();
    g_autoptr(GError) err = NULL;
    gint64 us;
    bool ok =
        yc_domain_ping(keeper->dom, YC_PING_IN_BAND, timeout_ms, &us, &err);

    if (ok) {
        keeper->stuck_since = 0;
    } else if (g_error_matches(err, YC_ERROR, YC_ERROR_TIMEOUT) ||
               g_error_matches(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_BUSY)) {
        note_silence(keeper, err, us);
    }
    check_awake(keeper, rule, start, timeout_ms);
    g_mutex_lock(&keeper->lock);
    keeper->stats.in_band_us = ok ? us : -1;
    /* A moment is no hang. */
    keeper->told_since =
        g_get_monotonic_time() - keeper->stuck_since >= interval_us
            ? keeper->stuck_since
            : 0;
    g_mutex_unlock(&keeper->lock);
    return ok;
}

/* The next step when it is due; returns when it will be. */
static gint64 consider(Keeper *keeper, const PolicyRule *rule)
{
    gint64 due = keeper->stuck_since + rule->threshold_us;

    if (!keeper->stuck_since || g_get_monotonic_time() < due) {
        return due;
    }
    g_mutex_lock(&keeper->lock);
    keeper->stats.stuck = true;
    g_mutex_unlock(&keeper->lock);
    return incidents_step(keeper->incidents, rule, keeper->stuck_since);
}

static void set_guest(Keeper *keeper, State guest)
{
    if (guest != keeper->guest) {
        watch_log("domain '%s': %s%s", keeper->spec->name,
                  guest == STATE_RUNNING ? "the guest is not stopped by an "
                                           "error any more"
                                         : "the guest has stopped: ",
                  guest == STATE_RUNNING ? "" : state_name(guest));
    }
    keeper->guest = guest;
    g_mutex_lock(&keeper->lock);
    keeper->stats.guest_failed = guest != STATE_RUNNING;
    g_mutex_unlock(&keeper->lock);
}

/*
 * Asks a main loop that answers for the state of its guest.  No event tells an
 * I/O error from a stop that was asked for.
 */
static void look_at_guest(Keeper *keeper, int timeout_ms)
{
    g_auto(YcDomainStatus) known = {0};
    g_autoptr(json_object) status = NULL;
    g_autoptr(GError) err = NULL;

    yc_domain_get_status(keeper->dom, &known);
    if ((keeper->guest_known && keeper->guest_events == known.n_events) ||
        yc_qmp_client_is_yankd(yc_domain_lane(keeper->dom))) {
        return;
    }
    status = ops_in_band(keeper->dom, "query-status", NULL, timeout_ms, &err);
    if (status || yc_error_is_answer(err)) {
        keeper->guest_known = true;
        keeper->guest_events = known.n_events;
        set_guest(keeper, state_of_guest(json_get_string(status, "status")));
    }
}

/* A silence that begins anew takes the samples of the old one with it. */
static void look_at_sockets(Keeper *keeper, const PolicyRule *rule)
{
    if (!keeper->stuck_since) {
        evidence_restart(keeper->evidence);
    } else if (rule->yank) {
        evidence_sample(keeper->evidence);
    }
}

/*
 * Looks for an answer in-band, of the ping that is on its way, or of another.
 * Returns when the next turn is due.
 */
static gint64 watch_main_loop(Keeper *keeper, const Policy *policy,
                              const PolicyRule *rule)
{
    gint64 next = g_get_monotonic_time() + policy->interval_us;
    gint64 start, due;

    if (ping_in_band(keeper, rule, policy->interval_us,
                     MIN(MAX_PING_MS, rule->threshold_us / 1000))) {
        incidents_recovered(keeper->incidents);
        g_mutex_lock(&keeper->lock);
        keeper->stats.stuck = false;
        g_mutex_unlock(&keeper->lock);
        if (rule->yank) {
            evidence_record(keeper->evidence);
        }
        look_at_guest(keeper,
                      CLAMP(policy->interval_us / 1000, 50, MAX_OOB_MS));
        return next;
    }
    start = g_get_monotonic_time();
    look_at_sockets(keeper, rule);
    check_awake(keeper, rule, start, 0);
    due = consider(keeper, rule);
    return keeper->stuck_since
               ? CLAMP(due, g_get_monotonic_time() + MIN_WAIT_US, next)
               : next;
}

static void set_record(Keeper *keeper, char *record)
{
    g_mutex_lock(&keeper->lock);
    g_free(keeper->record);
    keeper->record = record;
    keeper->record_us = g_get_monotonic_time();
    g_mutex_unlock(&keeper->lock);
}

/* There is no connection: nothing is known of what was before. */
static void forget(Keeper *keeper)
{
    g_autoptr(GError) down = keeper_down(keeper);

    keeper->stuck_since = 0;
    keeper->guest_known = false;
    keeper->guest = STATE_RUNNING;
    evidence_forget(keeper->evidence);
    incidents_lost(keeper->incidents, down ? down->message : NULL);
    g_mutex_lock(&keeper->lock);
    keeper->stats.stuck = false;
    keeper->stats.guest_failed = false;
    keeper->told_since = 0;
    keeper->stats.oob_us = -1;
    keeper->stats.in_band_us = -1;
    g_mutex_unlock(&keeper->lock);
}

static Policy *get_policy(Keeper *keeper)
{
    Policy *policy;

    g_mutex_lock(&keeper->lock);
    policy = policy_ref(keeper->policy);
    g_mutex_unlock(&keeper->lock);
    return policy;
}

/*
 * It hung before there was a connection, as a stock server can.  Nothing can be
 * done without a lane of its own, but it is told, and the hook may help.
 */
static bool hangs_unheld(Keeper *keeper)
{
    g_autoptr(GError) why = yc_domain_why_down(keeper->dom);

    if (why) {
        check_monitor(keeper, why);
        set_down(keeper, why, true);
    }
    return g_error_matches(why, YC_ERROR, YC_ERROR_NO_NEGOTIATION);
}

static void note_unheld(Keeper *keeper, const PolicyRule *rule)
{
    if (!keeper->stuck_since) {
        keeper->stuck_since = g_get_monotonic_time() - CONNECT_MS * 1000LL;
        g_mutex_lock(&keeper->lock);
        keeper->told_since = keeper->stuck_since;
        g_mutex_unlock(&keeper->lock);
    }
    consider(keeper, rule);
}

/*
 * Records what a repair has to know of a stock QEMU, which tells nothing while
 * it hangs.  Seldom: the question looks at the files of all images.
 */
static void record_nodes(Keeper *keeper)
{
    gint64 now = g_get_monotonic_time();
    g_autoptr(GError) err = NULL;
    json_object *facts;

    if (keeper->stuck_since || now < keeper->next_record ||
        yc_qmp_client_is_yankd(yc_domain_lane(keeper->dom))) {
        return;
    }
    facts = ops_ask_facts(keeper->dom, RECORD_MS, &err);
    if (facts) {
        set_record(keeper, g_strdup(json_object_to_json_string(facts)));
        json_object_put(facts);
    }
    /* Soon again where there was no time for it. */
    if (!err || exit_code_of(err) != EXIT_TIMEOUT) {
        keeper->next_record = now + RECORD_US;
    }
}

static gint64 look(Keeper *keeper, const Policy *policy)
{
    const PolicyRule *rule = policy_find(policy, keeper->spec->name);
    gint64 now = g_get_monotonic_time();
    gint64 next;

    incidents_tick(keeper->incidents);
    if (keeper->due && now - keeper->due > MAX_LATE_US) {
        forget_silence(keeper);
    }
    if (is_up(keeper)) {
        ping_oob(keeper, policy, rule);
        next = watch_main_loop(keeper, policy, rule);
        record_nodes(keeper);
        return next;
    }
    if (hangs_unheld(keeper)) {
        note_unheld(keeper, rule);
        return now + policy->interval_us;
    }
    forget(keeper);
    return now + MAX(policy->interval_us, DOWN_US);
}

/* A turn; returns when the next one is due. */
static gint64 turn(void *opaque)
{
    Keeper *keeper = opaque;
    g_autoptr(Policy) policy = get_policy(keeper);
    bool stopping;

    g_mutex_lock(&keeper->lock);
    stopping = keeper->stopping;
    g_mutex_unlock(&keeper->lock);
    if (stopping) {
        return g_get_monotonic_time() + MAX_TURN_US;
    }
    keeper->due = look(keeper, policy);
    g_mutex_lock(&keeper->lock);
    keeper->turn_due = keeper->due + policy->interval_us + MAX_TURN_US;
    incidents_get_counts(keeper->incidents, &keeper->stats.counts);
    g_mutex_unlock(&keeper->lock);
    return keeper->due;
}

/* The first attempt has ended; further ones are the library's. */
static void first_ended(YcDomain *dom, const GError *why, void *opaque)
{
    if (why) {
        check_monitor(opaque, why);
    }
}

/* On the event thread, too, which must not wait for ours. */
static void unhold(void *opaque)
{
    Keeper *keeper = opaque;

    if (g_atomic_int_dec_and_test(&keeper->memory_refs)) {
        domain_spec_free(keeper->spec);
        policy_unref(keeper->policy);
        g_clear_error(&keeper->down);
        g_free(keeper->record);
        g_mutex_clear(&keeper->lock);
        g_free(keeper);
    }
}

Keeper *keeper_new(const DomainSpec *spec, Policy *policy, YankLimit *limit,
                   Schedule *schedule, GError **errp)
{
    YcDomain *dom = domain_from_spec(spec, true, errp);
    Keeper *keeper;

    if (!dom) {
        return NULL;
    }
    keeper = g_new0(Keeper, 1);
    keeper->refs = 1;
    keeper->memory_refs = 3;
    g_mutex_init(&keeper->lock);
    keeper->spec = domain_spec_copy(spec);
    keeper->dom = dom;
    keeper->policy = policy_ref(policy);
    keeper->down = g_error_new(YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE,
                               "domain '%s': not connected yet", spec->name);
    keeper->stats.oob_us = keeper->stats.in_band_us = -1;
    keeper->turn_due = g_get_monotonic_time() + MAX_TURN_US;
    keeper->evidence = evidence_new(dom);
    keeper->incidents = incidents_new(dom, limit, keeper->evidence);
    keeper->entry = schedule_add(schedule, turn, keeper);
    keeper->handler =
        yc_domain_add_handler(dom, NULL, note_state, keeper, unhold);
    yc_domain_connect_async(dom, CONNECT_MS, first_ended, keeper, unhold);
    return keeper;
}

Keeper *keeper_ref(Keeper *keeper)
{
    g_atomic_int_inc(&keeper->refs);
    return keeper;
}

void keeper_unref(Keeper *keeper)
{
    if (keeper && g_atomic_int_dec_and_test(&keeper->refs)) {
        schedule_remove(keeper->entry);
        incidents_free(keeper->incidents);
        evidence_free(keeper->evidence);
        yc_domain_unref(keeper->dom);
        unhold(keeper);
    }
}

void keeper_stop(Keeper *keeper, const char *reason)
{
    g_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    g_mutex_unlock(&keeper->lock);
    yc_domain_close(keeper->dom, reason);
    yc_domain_remove_handler(keeper->dom, keeper->handler);
}

void keeper_set_policy(Keeper *keeper, Policy *policy)
{
    Policy *old;

    g_mutex_lock(&keeper->lock);
    old = keeper->policy;
    keeper->policy = policy_ref(policy);
    g_mutex_unlock(&keeper->lock);
    policy_unref(old);
}

const DomainSpec *keeper_spec(const Keeper *keeper)
{
    return keeper->spec;
}

YcDomain *keeper_domain(const Keeper *keeper)
{
    return keeper->dom;
}

Incidents *keeper_incidents(const Keeper *keeper)
{
    return keeper->incidents;
}

GError *keeper_down(Keeper *keeper)
{
    GError *down;

    g_mutex_lock(&keeper->lock);
    down = keeper->down ? g_error_copy(keeper->down) : NULL;
    g_mutex_unlock(&keeper->lock);
    return down;
}

bool keeper_is_aside(Keeper *keeper)
{
    bool aside;

    g_mutex_lock(&keeper->lock);
    aside = keeper->aside;
    g_mutex_unlock(&keeper->lock);
    return aside;
}

char *keeper_record(Keeper *keeper, gint64 *us)
{
    char *record;

    g_mutex_lock(&keeper->lock);
    record = g_strdup(keeper->record);
    *us = keeper->record_us;
    g_mutex_unlock(&keeper->lock);
    return record;
}

bool keeper_turns(Keeper *keeper)
{
    bool turns;

    g_mutex_lock(&keeper->lock);
    turns = g_get_monotonic_time() < keeper->turn_due;
    g_mutex_unlock(&keeper->lock);
    return turns;
}

void keeper_get_stats(Keeper *keeper, KeeperStats *stats)
{
    g_mutex_lock(&keeper->lock);
    *stats = keeper->stats;
    if (keeper->told_since) {
        stats->stuck_us = g_get_monotonic_time() - keeper->told_since;
    }
    g_mutex_unlock(&keeper->lock);
}
