/*
 * An incident: what is done, in what order, and what is written about it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/job.h"
#include "client/yank.h"
#include "tools/json.h"
#include "tools/ops-internal.h"
#include "choose.h"
#include "hook.h"
#include "incident.h"
#include "log.h"

/* An out-of-band answer comes at once or not at all. */
#define ANSWER_MS 500

typedef struct Incident {
    guint64 number;
    char *begin;
    gint64 stuck_since;
    gint64 due;         /* when the next thing may be done */
    GHashTable *tried;  /* names of instances */
    json_object *stuck; /* what was */
    json_object *done;  /* the actions, an array */
    Outcome resort;     /* the last that was tried */
    bool hooked;        /* so not again, even if it could not be started */
    bool limited;
    char *spared; /* why nothing was yanked, as it was told last; or NULL */
} Incident;

/* A yank by a user. */
struct UserYank {
    GStrv names;
    unsigned uid;
    /* Guarded by the lock of its Incidents until it is noted. */
    bool noted;
    bool ended;
    bool cut;    /* something was cut, or may have been */
    char *error; /* what came of it, or NULL */
};

struct Incidents {
    YcDomain *dom;
    Incident *incident; /* NULL: all is well */
    YankLimit *limit;
    const Evidence *evidence;
    Hook *hook;
    IncidentCounts counts;
    /* Guards @user_yanks: UserYank, those that were not noted yet. */
    GMutex lock;
    GQueue user_yanks;
};

static guint64 last_number; /* atomic */

const char *outcome_name(Outcome outcome)
{
    static const char *const names[OUTCOME__MAX] = {
        [OUTCOME_ITSELF] = "itself", [OUTCOME_YANK] = "yank",
        [OUTCOME_HOOK] = "hook",     [OUTCOME_MANUAL] = "manual",
        [OUTCOME_GONE] = "gone",     [OUTCOME_LEFT] = "left",
    };

    return names[outcome];
}

Incidents *incidents_new(YcDomain *dom, YankLimit *limit,
                         const Evidence *evidence)
{
    Incidents *all = g_new0(Incidents, 1);

    all->dom = dom;
    all->limit = yank_limit_ref(limit);
    all->evidence = evidence;
    g_mutex_init(&all->lock);
    g_queue_init(&all->user_yanks);
    return all;
}

void incidents_get_counts(const Incidents *all, IncidentCounts *counts)
{
    *counts = all->counts;
}

static const char *name_of(const Incidents *all)
{
    return yc_domain_name(all->dom);
}

static double seconds(gint64 us)
{
    return us / 1000 / 1000.0;
}

static void set_seconds(json_object *json, const char *key, gint64 us)
{
    g_autofree char *text = g_strdup_printf("%.3f", seconds(us));

    json_set(json, key, json_object_new_double_s(seconds(us), text));
}

void incidents_continue(guint64 number)
{
    __atomic_store_n(&last_number, number, __ATOMIC_RELAXED);
}

json_object *incidents_continue_line(void)
{
    guint64 number = __atomic_load_n(&last_number, __ATOMIC_RELAXED);
    g_autofree char *now = watch_time();
    json_object *line;

    if (!number) {
        return NULL;
    }
    line = json_object_new_object();
    json_set_string(line, "time", now);
    json_set_string(line, "event", "continue");
    json_set_int(line, "incident", number);
    return line;
}

/*
 * A line of the journal, about the incident if there is one;
 * json_object_put() it.
 */
static json_object *new_line(const Incidents *all, const char *event)
{
    json_object *line = json_object_new_object();
    g_autofree char *now = watch_time();

    json_set_string(line, "time", now);
    json_set_string(line, "event", event);
    json_set_string(line, "domain", name_of(all));
    if (all->incident) {
        json_set_int(line, "incident", all->incident->number);
    }
    return line;
}

/*
 * An action, in the journal and for the summary at the end of the incident, if
 * there is one; takes @action.
 */
static void note_action(Incidents *all, const char *event, json_object *action)
{
    g_autoptr(json_object) line = new_line(all, event);

    json_object_object_foreach(action, key, value)
    {
        json_object_object_add(line, key, json_object_get(value));
    }
    watch_journal(line);
    if (!all->incident) {
        json_object_put(action);
        return;
    }
    json_set_string(action, "action", event);
    set_seconds(action, "after",
                g_get_monotonic_time() - all->incident->stuck_since);
    json_object_array_add(all->incident->done, action);
}

/* The command in which it hangs, by its own word or by what we know. */
static char *running_command(YcDomain *dom)
{
    g_autoptr(json_object) running = ops_ask_running(dom, ANSWER_MS);
    g_auto(YcJobInfo) info = {0};
    const char *command = json_get_string(running, "command");

    yc_domain_lock(dom);
    yc_domain_get_job_info(dom, YC_SLOT_NORMAL, &info);
    yc_domain_unlock(dom);
    /* Our own questions hang like any other command, and are not the cause. */
    if (!command && info.held && info.command && !ops_only_asks(info.command)) {
        command = info.command;
    }
    return g_strdup(command);
}

/* What is stuck; @instances may be NULL. */
static json_object *describe(Incidents *all, GPtrArray *instances,
                             const GError *err)
{
    g_autofree char *command = running_command(all->dom);
    json_object *stuck = json_object_new_object();

    json_set_string(stuck, "what", "main-loop");
    json_set_string(stuck, "command", command);
    json_set(stuck, "instances",
             instances ? ops_instances_to_json(instances) : NULL);
    json_set_string(stuck, "error", err ? err->message : NULL);
    return stuck;
}

static void begin(Incidents *all, gint64 stuck_since, GPtrArray *instances,
                  const GError *err)
{
    Incident *incident = g_new0(Incident, 1);
    gint64 age = g_get_monotonic_time() - stuck_since;
    g_autoptr(json_object) line = NULL;
    const char *command;

    all->incident = incident;
    all->counts.stalls++;
    incident->resort = OUTCOME_ITSELF;
    incident->number = __atomic_add_fetch(&last_number, 1, __ATOMIC_RELAXED);
    incident->begin = watch_time();
    incident->stuck_since = stuck_since;
    incident->tried =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    incident->stuck = describe(all, instances, err);
    incident->done = json_object_new_array();
    line = new_line(all, "begin");
    set_seconds(line, "for", age);
    json_set(line, "stuck", json_object_get(incident->stuck));
    watch_journal(line);
    command = json_get_string(incident->stuck, "command");
    watch_log("domain '%s': main loop stuck for %.1f s%s%s%s%s%s", name_of(all),
              seconds(age), command ? " in '" : "", command ? command : "",
              command ? "'" : "", err ? "; " : "", err ? err->message : "");
}

static bool may_yank(Incidents *all, const PolicyRule *rule)
{
    return yank_limit_used(all->limit) < rule->yanks_per_hour;
}

static void note_limit(Incidents *all, const PolicyRule *rule)
{
    json_object *action;

    if (all->incident->limited) {
        return;
    }
    all->incident->limited = true;
    action = json_object_new_object();
    json_set_int(action, "yanks-per-hour", rule->yanks_per_hour);
    note_action(all, "limit", action);
    watch_log("domain '%s': not yanked: there were %u yanks in the last hour, "
              "as many as the policy allows",
              name_of(all), yank_limit_used(all->limit));
}

/* Cuts @name; counted before, for the server may do it and not answer. */
static void yank(Incidents *all, const char *name)
{
    const char *const names[] = {name, NULL};
    g_autoptr(GError) err = NULL;
    json_object *action = json_object_new_object();

    g_hash_table_add(all->incident->tried, g_strdup(name));
    yank_limit_count(all->limit);
    all->counts.yanks++;
    all->incident->resort = OUTCOME_YANK;
    yc_domain_yank(all->dom, names, 0, ANSWER_MS, NULL, &err);
    watch_log("domain '%s': yanked '%s'%s%s", name_of(all), name,
              err ? ", and it said: " : "", err ? err->message : "");
    json_set_string(action, "instance", name);
    json_set_string(action, "by", "policy");
    json_set_string(action, "error", err ? err->message : NULL);
    note_action(all, "yank", action);
}

static void user_yank_clear(void *opaque)
{
    UserYank *yank = opaque;

    g_strfreev(yank->names);
    g_free(yank->error);
}

static void user_yank_unref(void *yank)
{
    g_atomic_rc_box_release_full(yank, user_yank_clear);
}

UserYank *incidents_user_yank(Incidents *all, const char *const *names,
                              unsigned uid)
{
    UserYank *yank = g_atomic_rc_box_new0(UserYank);

    yank->names = g_strdupv((char **)names);
    yank->uid = uid;
    yank->cut = true;
    g_mutex_lock(&all->lock);
    g_queue_push_tail(&all->user_yanks, g_atomic_rc_box_acquire(yank));
    g_mutex_unlock(&all->lock);
    return yank;
}

/* Only without an answer it is unknown whether the server has done it. */
static bool may_have_cut(const GError *err)
{
    return !err || g_error_matches(err, YC_ERROR, YC_ERROR_TIMEOUT) ||
           g_error_matches(err, YC_ERROR, YC_ERROR_CLOSED);
}

void incidents_user_yank_ended(Incidents *all, UserYank *yank,
                               const GError *err)
{
    g_autofree char *names = g_strjoinv("', '", yank->names);

    watch_log("domain '%s': user %u %s '%s'%s%s", name_of(all), yank->uid,
              may_have_cut(err) ? "yanked" : "did not yank", names,
              !err                ? ""
              : may_have_cut(err) ? ", and it said: "
                                  : ": ",
              err ? err->message : "");
    g_mutex_lock(&all->lock);
    if (!yank->noted) {
        yank->ended = true;
        yank->cut = may_have_cut(err);
        yank->error = err ? g_strdup(err->message) : NULL;
    }
    g_mutex_unlock(&all->lock);
    user_yank_unref(yank);
}

static void note_user_yank(Incidents *all, const UserYank *yank)
{
    for (char **name = yank->names; *name; name++) {
        json_object *action = json_object_new_object();

        json_set_string(action, "instance", *name);
        json_set_string(action, "by", "user");
        json_set_int(action, "uid", yank->uid);
        json_set_string(action, "error", yank->error);
        note_action(all, "yank", action);
        all->counts.yanks += yank->cut;
        all->counts.user_yanks += yank->cut;
        if (all->incident && yank->cut) {
            g_hash_table_add(all->incident->tried, g_strdup(*name));
            all->incident->resort = OUTCOME_MANUAL;
        }
    }
}

/* The next one to be noted, or NULL. */
static UserYank *take_user_yank(Incidents *all, bool unanswered_too)
{
    UserYank *yank;

    g_mutex_lock(&all->lock);
    yank = g_queue_peek_head(&all->user_yanks);
    if (yank && (yank->ended || unanswered_too)) {
        g_queue_pop_head(&all->user_yanks);
        yank->noted = true;
    } else {
        yank = NULL;
    }
    g_mutex_unlock(&all->lock);
    return yank;
}

/*
 * Notes what users have yanked.  At the end of an incident those yanks too that
 * have not been answered yet: such a yank may be what ended it.
 */
static void note_user_yanks(Incidents *all, bool unanswered_too)
{
    UserYank *yank;

    while ((yank = take_user_yank(all, unanswered_too))) {
        note_user_yank(all, yank);
        user_yank_unref(yank);
    }
}

static char **hook_environment(const Incidents *all)
{
    YcQmpClient *lane = yc_domain_lane(all->dom);
    char **env = g_new0(char *, 6);

    env[0] = g_strdup_printf("YANKCTL_DOMAIN=%s", name_of(all));
    env[1] = g_strdup_printf("YANKCTL_MONITOR=%s", yc_qmp_client_address(lane));
    env[2] =
        g_strdup_printf("YANKCTL_PID=%d", (int)yc_qmp_client_peer_pid(lane));
    env[3] = g_strdup_printf("YANKCTL_INCIDENT=%" G_GUINT64_FORMAT,
                             all->incident->number);
    env[4] = g_strdup_printf(
        "YANKCTL_STUCK_SECONDS=%.3f",
        seconds(g_get_monotonic_time() - all->incident->stuck_since));
    return env;
}

static void start_hook(Incidents *all, const PolicyRule *rule)
{
    g_auto(GStrv) env = hook_environment(all);
    g_autoptr(GError) err = NULL;
    json_object *action = json_object_new_object();

    all->incident->hooked = true;
    all->hook = hook_start(rule->hook, env, rule->hook_timeout_us, &err);
    if (all->hook) {
        all->incident->resort = OUTCOME_HOOK;
    }
    watch_log("domain '%s': %s%s", name_of(all), err ? "" : "started the hook ",
              err ? err->message : rule->hook[0]);
    json_set_string(action, "command", rule->hook[0]);
    json_set_string(action, "error", err ? err->message : NULL);
    note_action(all, "hook", action);
}

void incidents_tick(Incidents *all)
{
    g_autofree char *result = NULL;

    note_user_yanks(all, false);
    if (all->hook && hook_ended(all->hook, &result)) {
        watch_log("domain '%s': hook: %s", name_of(all), result);
        g_clear_pointer(&all->hook, hook_free);
        if (all->incident) {
            json_object *action = json_object_new_object();

            json_set_string(action, "result", result);
            note_action(all, "hook-end", action);
        }
    }
}

/* Without evidence nothing is yanked; says why, as often as that changes. */
static void note_spared(Incidents *all, const PolicyRule *rule,
                        GPtrArray *instances)
{
    Incident *incident = all->incident;
    g_autofree char *why =
        choose_explain(rule, instances, incident->tried, all->evidence);
    json_object *action;

    if (!why || g_strcmp0(why, incident->spared) == 0) {
        return;
    }
    action = json_object_new_object();
    json_set_string(action, "why", why);
    note_action(all, "spare", action);
    watch_log("domain '%s': not yanked for want of evidence: %s", name_of(all),
              why);
    g_free(incident->spared);
    incident->spared = g_steal_pointer(&why);
}

/* The next yank, when there is one to be made; else when to look again. */
static bool try_yank(Incidents *all, const PolicyRule *rule,
                     GPtrArray *instances, gint64 now, gint64 *wait_us)
{
    const char *name = choose_instance(rule, instances, all->incident->tried,
                                       now - all->incident->stuck_since,
                                       all->evidence, wait_us);

    if (name && !may_yank(all, rule)) {
        note_limit(all, rule);
        return false;
    }
    if (name) {
        yank(all, name);
    }
    return name != NULL;
}

/* Returns in how long to look again. */
static gint64 act(Incidents *all, const PolicyRule *rule, GPtrArray *instances,
                  gint64 now)
{
    gint64 wait_us = -1;

    if (rule->yank && instances &&
        try_yank(all, rule, instances, now, &wait_us)) {
        return rule->verify_us;
    }
    if (wait_us >= 0) {
        return wait_us;
    }
    if (rule->yank && instances) {
        note_spared(all, rule, instances);
    }
    if (rule->hook && !all->incident->hooked && !all->hook) {
        start_hook(all, rule);
    }
    return rule->verify_us;
}

gint64 incidents_step(Incidents *all, const PolicyRule *rule,
                      gint64 stuck_since)
{
    gint64 now = g_get_monotonic_time();
    g_autoptr(GPtrArray) instances = NULL;
    g_autoptr(GError) err = NULL;

    if (all->incident && now < all->incident->due) {
        return all->incident->due;
    }
    instances = yc_domain_query_yank(all->dom, ANSWER_MS, &err);
    if (!all->incident) {
        begin(all, stuck_since, instances, err);
    }
    all->incident->due = now + act(all, rule, instances, now);
    return all->incident->due;
}

static void incident_free(Incident *incident)
{
    g_free(incident->begin);
    g_hash_table_unref(incident->tried);
    g_free(incident->spared);
    json_object_put(incident->stuck);
    json_object_put(incident->done);
    g_free(incident);
}

/* @outcome OUTCOME_ITSELF: or by what was done last */
static void end(Incidents *all, Outcome outcome, const char *why)
{
    Incident *incident = all->incident;
    g_autoptr(json_object) line = NULL;
    gint64 duration;

    if (!incident) {
        return;
    }
    note_user_yanks(all, true);
    outcome = outcome == OUTCOME_ITSELF ? incident->resort : outcome;
    duration = g_get_monotonic_time() - incident->stuck_since;
    all->counts.ends[outcome]++;
    line = new_line(all, "end");
    json_set_string(line, "begin", incident->begin);
    json_set_string(line, "end", json_get_string(line, "time"));
    set_seconds(line, "duration", duration);
    json_set_string(line, "outcome", outcome_name(outcome));
    json_set_string(line, "why", why);
    json_set(line, "stuck", json_object_get(incident->stuck));
    json_set(line, "done", json_object_get(incident->done));
    watch_journal(line);
    watch_log("domain '%s': %s after %.1f s (%s)", name_of(all),
              outcome <= OUTCOME_MANUAL ? "main loop answers again"
                                        : "let go while stuck",
              seconds(duration), why ? why : outcome_name(outcome));
    incident_free(g_steal_pointer(&all->incident));
}

void incidents_recovered(Incidents *all)
{
    end(all, OUTCOME_ITSELF, NULL);
}

void incidents_lost(Incidents *all, const char *why)
{
    end(all, OUTCOME_GONE, why);
}

void incidents_free(Incidents *all)
{
    end(all, OUTCOME_LEFT, NULL);
    note_user_yanks(all, true);
    hook_free(all->hook);
    yank_limit_unref(all->limit);
    g_mutex_clear(&all->lock);
    g_free(all);
}
