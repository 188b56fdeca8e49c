/*
 * The fleet: looking for domains, taking them in, letting them go.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tools/exit-code.h"
#include "fleet.h"
#include "log.h"

#define STOP_US (2 * (gint64)G_USEC_PER_SEC)

struct Fleet {
    Options options;
    char *usual; /* configuration file, if @options name no source */
    const char *policy_path;
    GStrv own; /* addresses that are no domain's */
    gint64 rescan_us;
    Schedule *schedule; /* of the keepers */
    GThread *thread;

    /* The thread's own. */
    Policy *policy;
    GHashTable *limits; /* name -> YankLimit, of all keepers and some before */
    char *last_error;   /* what was said of the latest look */
    GHashTable *failed; /* sources that could not be read then; GError */
    GHashTable *left_alone; /* addresses that were not taken in */

    /* Guards what follows; taken alone. */
    GMutex lock;
    GCond changed;
    GHashTable *keepers; /* name -> Keeper */
    bool reload;
    bool stopping;
    bool stopped;
};

/* The policy as it is now in its file; NULL on error. */
static Policy *load_policy(const char *path, GError **errp)
{
    g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
    Policy *policy = path ? policy_load(path, errors) : policy_new();

    if (!policy) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE, "%s%s",
                    (char *)errors->pdata[0],
                    errors->len > 1 ? " (and more: see watch --check)" : "");
    }
    return policy;
}

static bool same_spec(const DomainSpec *one, const DomainSpec *other)
{
    return g_strcmp0(one->monitor, other->monitor) == 0 &&
           g_strcmp0(one->lane, other->lane) == 0 &&
           g_strcmp0(one->agent, other->agent) == 0 &&
           g_strcmp0(one->tls_dir, other->tls_dir) == 0 &&
           g_strcmp0(one->tls_hostname, other->tls_hostname) == 0;
}

static bool same_message(const GError *one, const GError *other)
{
    return one && g_str_equal(one->message, other->message);
}

static void let_go(void *opaque)
{
    keeper_unref(opaque);
}

/* Whether @keeper goes on as that of @spec. */
static bool serves(Keeper *keeper, const DomainSpec *spec)
{
    return same_spec(spec, keeper_spec(keeper)) &&
           (!keeper_is_aside(keeper) ||
            g_strcmp0(spec->identity, keeper_spec(keeper)->identity) == 0);
}

/*
 * Keepers of what is not in @domains any more, or not as it was, while its
 * source can be read.
 */
static void drop_others(Fleet *fleet, GPtrArray *domains)
{
    g_autoptr(GPtrArray) keepers = fleet_list(fleet);

    for (guint i = 0; i < keepers->len; i++) {
        Keeper *keeper = keepers->pdata[i];
        const char *name = keeper_spec(keeper)->name;
        const char *source = keeper_spec(keeper)->source;
        const DomainSpec *spec = domains_lookup(domains, name, NULL);

        if ((source && g_hash_table_contains(fleet->failed, source)) ||
            (spec && serves(keeper, spec))) {
            continue;
        }
        watch_log("domain '%s': gone from where it was found", name);
        keeper_stop(keeper, "the service has let go of it");
        g_mutex_lock(&fleet->lock);
        g_hash_table_steal(fleet->keepers, name);
        g_mutex_unlock(&fleet->lock);
        keeper_unref(keeper); /* the table's */
    }
}

static YankLimit *find_limit(Fleet *fleet, const char *name)
{
    YankLimit *limit = g_hash_table_lookup(fleet->limits, name);

    if (!limit) {
        limit = yank_limit_new();
        g_hash_table_insert(fleet->limits, g_strdup(name), limit);
    }
    return limit;
}

/* Whether nobody has to know of it any more. */
static gboolean is_idle(void *name, void *limit, void *fleet)
{
    g_autoptr(Keeper) keeper = fleet_lookup(fleet, name);

    return !keeper && yank_limit_used(limit) == 0;
}

static void take_in(Fleet *fleet, const DomainSpec *spec)
{
    g_autoptr(GError) err = NULL;
    Keeper *keeper;

    if (g_strv_contains((const char *const *)fleet->own, spec->monitor) ||
        spec->managed) {
        return;
    }
    keeper = keeper_new(spec, fleet->policy, find_limit(fleet, spec->name),
                        fleet->schedule, &err);
    if (!keeper) {
        watch_log("%s", err->message);
        return;
    }
    g_mutex_lock(&fleet->lock);
    g_hash_table_insert(fleet->keepers, (char *)keeper_spec(keeper)->name,
                        keeper);
    g_mutex_unlock(&fleet->lock);
}

/* Says what is waited for, and what has come, once. */
static void note_failed(Fleet *fleet, GHashTable *failed)
{
    GHashTableIter iter;
    void *source, *err;

    g_hash_table_iter_init(&iter, failed);
    while (g_hash_table_iter_next(&iter, &source, &err)) {
        const GError *before = g_hash_table_lookup(fleet->failed, source);

        if (!same_message(before, err)) {
            watch_log("waiting for the domains of '%s': %s", (char *)source,
                      ((GError *)err)->message);
        }
    }
    g_hash_table_iter_init(&iter, fleet->failed);
    while (g_hash_table_iter_next(&iter, &source, NULL)) {
        if (!g_hash_table_contains(failed, source)) {
            watch_log("the domains of '%s' can be found", (char *)source);
        }
    }
    g_hash_table_unref(fleet->failed);
    fleet->failed = g_hash_table_ref(failed);
}

/* Says which monitors the service does not hold, once. */
static void note_managed(Fleet *fleet, GPtrArray *domains)
{
    GHashTable *left_alone =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < domains->len; i++) {
        const DomainSpec *spec = domains->pdata[i];

        if (!spec->managed) {
            continue;
        }
        if (!g_hash_table_contains(fleet->left_alone, spec->monitor)) {
            watch_log("domain '%s': %s is not held: its manager has no other "
                      "monitor of it, see --dir in yankctl(1)",
                      spec->name, spec->monitor);
        }
        g_hash_table_add(left_alone, g_strdup(spec->monitor));
    }
    g_hash_table_unref(fleet->left_alone);
    fleet->left_alone = left_alone;
}

/* An error that time does not heal; at the start, it ends the service. */
static bool check_failed(GHashTable *failed, GError **errp)
{
    GHashTableIter iter;
    void *err;

    g_hash_table_iter_init(&iter, failed);
    while (g_hash_table_iter_next(&iter, NULL, &err)) {
        if (!domains_source_missing(err)) {
            g_propagate_error(errp, g_error_copy(err));
            return false;
        }
    }
    return true;
}

static bool look(Fleet *fleet, bool first, GError **errp)
{
    g_autoptr(GHashTable) failed = domains_failed_new();
    g_autoptr(GPtrArray) domains = domains_find(&fleet->options, failed, errp);

    if (!domains || (first && !check_failed(failed, errp))) {
        return false;
    }
    note_failed(fleet, failed);
    note_managed(fleet, domains);
    drop_others(fleet, domains);
    g_hash_table_foreach_remove(fleet->limits, is_idle, fleet);
    for (guint i = 0; i < domains->len; i++) {
        const DomainSpec *spec = domains->pdata[i];
        g_autoptr(Keeper) known = fleet_lookup(fleet, spec->name);

        if (!known) {
            take_in(fleet, spec);
        }
    }
    return true;
}

/* Says what is wrong, once. */
static void look_again(Fleet *fleet)
{
    g_autoptr(GError) err = NULL;

    look(fleet, false, &err);
    if (err && g_strcmp0(err->message, fleet->last_error) != 0) {
        watch_log("looking for domains: %s; those known are kept",
                  err->message);
    }
    g_free(fleet->last_error);
    fleet->last_error = err ? g_strdup(err->message) : NULL;
}

static void reload_policy(Fleet *fleet)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) keepers = fleet_list(fleet);
    Policy *policy = load_policy(fleet->policy_path, &err);

    if (!policy) {
        watch_log("%s; the policy stays as it was", err->message);
        return;
    }
    policy_unref(fleet->policy);
    fleet->policy = policy;
    for (guint i = 0; i < keepers->len; i++) {
        keeper_set_policy(keepers->pdata[i], policy);
    }
    watch_log("%s%s", fleet->policy_path ? "policy read again: " : "no policy",
              fleet->policy_path ? fleet->policy_path : " to be read again");
}

/* Until the next look; false when it is to stop. */
static bool rest(Fleet *fleet, bool *reload)
{
    gint64 until = g_get_monotonic_time() + fleet->rescan_us;
    bool stopping;

    g_mutex_lock(&fleet->lock);
    while (!fleet->stopping && !fleet->reload &&
           g_cond_wait_until(&fleet->changed, &fleet->lock, until)) {
    }
    *reload = fleet->reload;
    fleet->reload = false;
    stopping = fleet->stopping;
    g_mutex_unlock(&fleet->lock);
    return !stopping;
}

static void *run(void *opaque)
{
    Fleet *fleet = opaque;
    bool reload;

    while (rest(fleet, &reload)) {
        if (reload) {
            reload_policy(fleet);
        }
        look_again(fleet);
    }
    g_mutex_lock(&fleet->lock);
    fleet->stopped = true;
    g_cond_broadcast(&fleet->changed);
    g_mutex_unlock(&fleet->lock);
    return NULL;
}

static void destroy(Fleet *fleet)
{
    g_autoptr(GPtrArray) keepers = fleet_list(fleet);

    /* All at once, and only then each one's end. */
    for (guint i = 0; i < keepers->len; i++) {
        keeper_stop(keepers->pdata[i], "the service ends");
    }
    g_hash_table_unref(fleet->keepers);
    g_hash_table_unref(fleet->limits);
    if (fleet->schedule) {
        schedule_unref(fleet->schedule);
    }
    policy_unref(fleet->policy);
    g_free(fleet->last_error);
    g_free(fleet->usual);
    g_hash_table_unref(fleet->failed);
    g_hash_table_unref(fleet->left_alone);
    g_mutex_clear(&fleet->lock);
    g_cond_clear(&fleet->changed);
    g_free(fleet);
}

Fleet *fleet_new(const Options *options, const char *policy_path, GStrv own,
                 gint64 rescan_us, GError **errp)
{
    char *usual = options_name_domains(options) ? NULL : domains_usual_config();
    Policy *policy = NULL;
    Fleet *fleet;

    if (!usual && !options_name_domains(options)) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "there is no source of domains: allowed are --socket, "
                    "--dir, --libvirt, --config and the usual configuration "
                    "files, see yankctl.conf(5)");
    } else {
        policy = load_policy(policy_path, errp);
    }
    if (!policy) {
        g_free(usual);
        return NULL;
    }
    fleet = g_new0(Fleet, 1);
    fleet->options = *options;
    fleet->usual = usual;
    if (usual) {
        fleet->options.config = usual;
    }
    fleet->failed = domains_failed_new();
    fleet->left_alone =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    fleet->policy_path = policy_path;
    fleet->own = own;
    fleet->rescan_us = rescan_us;
    fleet->policy = policy;
    fleet->limits = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                          (GDestroyNotify)yank_limit_unref);
    g_mutex_init(&fleet->lock);
    g_cond_init(&fleet->changed);
    fleet->keepers =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, let_go);
    fleet->schedule = schedule_new(errp);
    if (fleet->schedule && look(fleet, true, errp)) {
        fleet->thread = g_thread_try_new("fleet", run, fleet, errp);
    }
    if (!fleet->thread) {
        destroy(fleet);
        return NULL;
    }
    return fleet;
}

void fleet_reload(Fleet *fleet)
{
    g_mutex_lock(&fleet->lock);
    fleet->reload = true;
    g_cond_broadcast(&fleet->changed);
    g_mutex_unlock(&fleet->lock);
}

bool fleet_free(Fleet *fleet)
{
    gint64 deadline = g_get_monotonic_time() + STOP_US;
    bool stopped;

    g_mutex_lock(&fleet->lock);
    fleet->stopping = true;
    g_cond_broadcast(&fleet->changed);
    while (!fleet->stopped &&
           g_cond_wait_until(&fleet->changed, &fleet->lock, deadline)) {
    }
    stopped = fleet->stopped;
    g_mutex_unlock(&fleet->lock);
    if (stopped) {
        g_thread_join(fleet->thread);
        destroy(fleet);
    }
    return stopped;
}

Keeper *fleet_lookup(Fleet *fleet, const char *name)
{
    Keeper *keeper;

    g_mutex_lock(&fleet->lock);
    keeper = g_hash_table_lookup(fleet->keepers, name);
    if (keeper) {
        keeper_ref(keeper);
    }
    g_mutex_unlock(&fleet->lock);
    return keeper;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(keeper_spec(*(Keeper *const *)a)->name,
                  keeper_spec(*(Keeper *const *)b)->name);
}

GPtrArray *fleet_list(Fleet *fleet)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(let_go);
    GHashTableIter iter;
    void *keeper;

    g_mutex_lock(&fleet->lock);
    g_hash_table_iter_init(&iter, fleet->keepers);
    while (g_hash_table_iter_next(&iter, NULL, &keeper)) {
        g_ptr_array_add(all, keeper_ref(keeper));
    }
    g_mutex_unlock(&fleet->lock);
    g_ptr_array_sort(all, by_name);
    return all;
}

bool fleet_turns(Fleet *fleet)
{
    g_autoptr(GPtrArray) keepers = fleet_list(fleet);

    for (guint i = 0; i < keepers->len; i++) {
        if (!keeper_turns(keepers->pdata[i])) {
            return false;
        }
    }
    return true;
}
