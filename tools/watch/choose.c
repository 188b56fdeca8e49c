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
    if (!instance->has_status || instance->stalled) {
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

static const YcInstance *find(const PolicyInstance *entry, GPtrArray *instances,
                              GHashTable *tried, gint64 age_us,
                              Suspicion suspicion)
{
    for (guint i = 0; i < instances->len; i++) {
        const YcInstance *instance = instances->pdata[i];

        if (!instance->monitor && suspect(instance, age_us) == suspicion &&
            !g_hash_table_contains(tried, instance->name) &&
            policy_instance_matches(entry, instance->name)) {
            return instance;
        }
    }
    return NULL;
}

static const char *choose(const PolicyRule *rule, GPtrArray *instances,
                          GHashTable *tried, gint64 age_us, Suspicion suspicion,
                          gint64 *wait_us)
{
    for (guint i = 0; i < rule->instances->len; i++) {
        const PolicyInstance *entry = rule->instances->pdata[i];
        const YcInstance *instance =
            find(entry, instances, tried, age_us, suspicion);
        gint64 left = entry->threshold_us - age_us;

        if (instance && left <= 0) {
            return instance->name;
        }
        if (instance && (*wait_us < 0 || left < *wait_us)) {
            *wait_us = left;
        }
    }
    return NULL;
}

const char *choose_instance(const PolicyRule *rule, GPtrArray *instances,
                            GHashTable *tried, gint64 age_us, gint64 *wait_us)
{
    const char *name;

    *wait_us = -1;
    name = choose(rule, instances, tried, age_us, SUSPECT, wait_us);
    return name
               ? name
               : choose(rule, instances, tried, age_us, SUSPECT_MAYBE, wait_us);
}
