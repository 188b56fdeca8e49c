/*
 * Which character devices carry a monitor: what the command line of QEMU says,
 * and what ids are customary.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/yank.h"
#include "domain-internal.h"
#include "monitor-chardev.h"
#include "qemu-cmdline.h"

/* A chardev that is shared ("mux=on") leaves its socket to ID-base. */
static void add_id(GPtrArray *ids, const char *id)
{
    g_ptr_array_add(ids, g_strdup(id));
    g_ptr_array_add(ids, g_strconcat(id, "-base", NULL));
}

gboolean yc_monitor_chardev_by_name(const char *id)
{
    return g_str_has_prefix(id, "compat_monitor") ||
           g_str_equal(id, "charmonitor") ||
           g_str_equal(id, "charmonitor-base");
}

void yc_domain_add_monitor_chardev(YcDomain *dom, const char *id)
{
    YC_LOCK_GUARD(&dom->lock);
    add_id(dom->monitor_chardevs, id);
}

static void append_added(YcDomain *dom, GPtrArray *ids)
{
    YC_LOCK_GUARD(&dom->lock);
    for (guint i = 0; i < dom->monitor_chardevs->len; i++) {
        const char *id = g_ptr_array_index(dom->monitor_chardevs, i);

        g_ptr_array_add(ids, g_strdup(id));
    }
}

/* Whether one of the monitors of @cmdline is what the lane is connected to. */
static bool knows_own(const QemuCmdline *cmdline, const char *address)
{
    g_auto(GStrv) own = NULL;

    if (!g_str_has_prefix(address, "unix:")) {
        return false;
    }
    own = qemu_cmdline_chardevs_at(cmdline, address + strlen("unix:"));
    for (int i = 0; own[i]; i++) {
        if (qemu_cmdline_is_monitor(cmdline, own[i])) {
            return true;
        }
    }
    return false;
}

char **yc_domain_monitor_chardevs(YcDomain *dom)
{
    YcQmpClient *lane = yc_domain_lane(dom);
    g_autoptr(QemuCmdline) cmdline =
        qemu_cmdline_of_process(yc_qmp_client_peer_pid(lane));
    GPtrArray *ids;

    if (!cmdline || cmdline->unread ||
        !knows_own(cmdline, yc_qmp_client_address(lane))) {
        return NULL;
    }
    ids = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < cmdline->monitors->len; i++) {
        const QemuCmdlineMonitor *monitor = cmdline->monitors->pdata[i];

        add_id(ids, monitor->chardev);
    }
    append_added(dom, ids);
    g_ptr_array_add(ids, NULL);
    return (char **)g_ptr_array_free(ids, false);
}
