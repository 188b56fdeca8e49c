/*
 * Which instance of a stuck domain is to be yanked next.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/yank.h"
#include "watch-choose.h"

/*
 * What moved after the main loop stopped is not what stopped it.  The two
 * ages are taken a moment apart: hence the quarter.
 */
static bool is_suspect(const YcInstance *instance, gint64 age_us)
{
    if (!instance->has_status || instance->stalled) {
        return true;
    }
    return instance->in_flight > 0 &&
           instance->idle_ms * 1000 >= age_us - age_us / 4;
}

static const YcInstance *find(const PolicyInstance *entry, GPtrArray *instances,
                              GHashTable *tried, gint64 age_us)
{
    for (guint i = 0; i < instances->len; i++) {
        const YcInstance *instance = instances->pdata[i];

        if (!instance->monitor && is_suspect(instance, age_us) &&
            !g_hash_table_contains(tried, instance->name) &&
            policy_instance_matches(entry, instance->name)) {
            return instance;
        }
    }
    return NULL;
}

const char *choose_instance(const PolicyRule *rule, GPtrArray *instances,
                            GHashTable *tried, gint64 age_us, gint64 *wait_us)
{
    *wait_us = -1;
    for (guint i = 0; i < rule->instances->len; i++) {
        const PolicyInstance *entry = rule->instances->pdata[i];
        const YcInstance *instance = find(entry, instances, tried, age_us);
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
