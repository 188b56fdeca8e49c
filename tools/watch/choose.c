/*
 * Which instance of a stuck domain is to be yanked next.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/yank.h"
#include "choose.h"

/* How likely it is that an instance is what the main loop waits for. */
typedef enum Suspicion {
    SUSPECT_NOT,
    SUSPECT_MAYBE,
    SUSPECT,
} Suspicion;

/* A peer is waited for, though no request is. */
static const char *const waiting[] = {
    "resolve",       "connect", "handshake",   "tls-handshake",
    "disconnecting", "setup",   "switch-over", NULL};

/*
 * A request that is older than the hang may be what the main loop waits for,
 * even if others moved meanwhile, or a byte now and then does.  Where no age
 * is known, what moved after the main loop stopped is not what stopped it.
 * The two ages are taken a moment apart: hence the quarter.
 *
 * One that listens may be waited for (wait=on) or not, and does not mind.
 */
static Suspicion suspect(const YcInstance *instance, gint64 age_us)
{
    const char *phase = instance->phase ? instance->phase : "";
    gint64 least_us = age_us - age_us / 4;

    if (instance->has_status && instance->functions == 0) {
        return SUSPECT_NOT; /* nothing of it can be cut */
    }
    if (instance->stalled) {
        return SUSPECT;
    }
    if (instance->oldest_ms >= 0) {
        return instance->oldest_ms * 1000 >= least_us ? SUSPECT : SUSPECT_NOT;
    }
    if (instance->idle_ms * 1000 < least_us) {
        return SUSPECT_NOT;
    }
    if (instance->in_flight > 0 || g_strv_contains(waiting, phase)) {
        return SUSPECT;
    }
    return g_str_equal(phase, "listening") ? SUSPECT_MAYBE : SUSPECT_NOT;
}

/*
 * For how long what speaks against @instance has done so; -1: nothing of the
 * kind that @suspicion asks for does.
 */
static gint64 suspected_us(const YcInstance *instance, gint64 age_us,
                           const Evidence *evidence, Suspicion suspicion)
{
    g_autofree char *why = NULL;
    gint64 owed_us;

    if (instance->has_status) {
        return suspect(instance, age_us) == suspicion ? age_us : -1;
    }
    if (suspicion != SUSPECT) {
        return -1;
    }
    owed_us = evidence_owed_us(evidence, instance->name, &why);
    return MIN(owed_us, age_us);
}

static bool may_be_yanked(const PolicyInstance *entry,
                          const YcInstance *instance, GHashTable *tried)
{
    return !instance->monitor &&
           !g_hash_table_contains(tried, instance->name) &&
           policy_instance_matches(entry, instance->name);
}

static const char *choose(const PolicyRule *rule, GPtrArray *instances,
                          GHashTable *tried, gint64 age_us,
                          const Evidence *evidence, Suspicion suspicion,
                          gint64 *wait_us)
{
    for (guint i = 0; i < rule->instances->len; i++) {
        const PolicyInstance *entry = rule->instances->pdata[i];

        for (guint k = 0; k < instances->len; k++) {
            const YcInstance *instance = instances->pdata[k];
            gint64 us =
                may_be_yanked(entry, instance, tried)
                    ? suspected_us(instance, age_us, evidence, suspicion)
                    : -1;

            if (us >= entry->threshold_us) {
                return instance->name;
            }
            if (us >= 0 &&
                (*wait_us < 0 || entry->threshold_us - us < *wait_us)) {
                *wait_us = entry->threshold_us - us;
            }
        }
    }
    return NULL;
}

const char *choose_instance(const PolicyRule *rule, GPtrArray *instances,
                            GHashTable *tried, gint64 age_us,
                            const Evidence *evidence, gint64 *wait_us)
{
    const char *name;

    *wait_us = -1;
    name = choose(rule, instances, tried, age_us, evidence, SUSPECT, wait_us);
    return name ? name
                : choose(rule, instances, tried, age_us, evidence,
                         SUSPECT_MAYBE, wait_us);
}

static bool any_entry_matches(const PolicyRule *rule,
                              const YcInstance *instance, GHashTable *tried)
{
    for (guint i = 0; i < rule->instances->len; i++) {
        if (may_be_yanked(rule->instances->pdata[i], instance, tried)) {
            return true;
        }
    }
    return false;
}

char *choose_explain(const PolicyRule *rule, GPtrArray *instances,
                     GHashTable *tried, const Evidence *evidence)
{
    g_autoptr(GString) all = g_string_new(NULL);
    g_autofree char *last = NULL;

    for (guint i = 0; i < instances->len; i++) {
        const YcInstance *instance = instances->pdata[i];
        g_autofree char *why = NULL;

        if (instance->has_status || !any_entry_matches(rule, instance, tried) ||
            evidence_owed_us(evidence, instance->name, &why) >= 0) {
            continue;
        }
        /* What holds for all of them is said once. */
        if (g_strcmp0(why, last) != 0) {
            g_string_append_printf(all, "%s'%s': %s", all->len ? "; " : "",
                                   instance->name, why);
            g_free(last);
            last = g_steal_pointer(&why);
        }
    }
    return all->len ? g_strdup(all->str) : NULL;
}
