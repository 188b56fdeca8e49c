/*
 * query-yank-status: which instance is stuck, and on whom.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-commands-yank-status.h"
#include "qapi/qapi-visit-yank.h"
#include "qemu/activity.h"
#include "qemu/yank-status.h"

YankInstanceStatus *yank_instance_status(const YankInstance *instance,
                                         const YankInstanceStats *stats)
{
    YankInstanceStatus *status = g_new0(YankInstanceStatus, 1);
    ActivitySnapshot activity;

    status->instance = QAPI_CLONE(YankInstance, instance);
    status->name = yank_instance_name(instance);
    status->functions = stats->functions;
    status->yanks = stats->yanks;
    if (activity_snapshot(status->name, &activity)) {
        status->in_flight = activity.in_flight;
        status->has_idle_ms = true;
        status->idle_ms = activity.idle_us / 1000;
        status->has_oldest_ms = activity.in_flight > 0;
        status->oldest_ms = activity.oldest_us / 1000;
        status->phase = g_strdup(activity.phase);
        status->peer = activity.peer[0] ? g_strdup(activity.peer) : NULL;
        status->reason =
            activity.reason[0] ? g_utf8_make_valid(activity.reason, -1) : NULL;
        status->stalled = activity.oldest_us >= ACTIVITY_STALL_US;
    }
    return status;
}

static void add_name(const char *name, void *opaque)
{
    g_ptr_array_add(opaque, g_strdup(name));
}

void yank_status_foreach(void (*fn)(const YankInstance *instance,
                                    const YankInstanceStats *stats,
                                    void *opaque),
                         void *opaque)
{
    /* only nodes have uncuttable activities */
    static const char prefix[] = "blockdev:";
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    YankInstanceStats none = {};

    yank_foreach_instance(fn, opaque);
    activity_foreach_uncuttable(add_name, names);
    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];

        g_assert(g_str_has_prefix(name, prefix));
        fn(BLOCKDEV_YANK_INSTANCE(name + strlen(prefix)), &none, opaque);
    }
}

static void append_status(const YankInstance *instance,
                          const YankInstanceStats *stats, void *opaque)
{
    YankInstanceStatusList ***tail = opaque;

    QAPI_LIST_APPEND(*tail, yank_instance_status(instance, stats));
}

YankInstanceStatusList *qmp_query_yank_status(Error **errp)
{
    YankInstanceStatusList *list = NULL, **tail = &list;

    yank_status_foreach(append_status, &tail);
    return list;
}
