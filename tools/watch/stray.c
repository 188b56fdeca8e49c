/*
 * Strays: sockets in the folder of a source that are no monitors.
 *
 * A monitor that serves another client, or whose process is stopped, is as
 * silent as a console.  The command line of the process that listens tells
 * which it is.  Where it does not tell, the name of the socket decides.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/qemu-cmdline.h"
#include "stray.h"

/* Whether the silent socket of @spec is one that no monitor has. */
static bool is_other(const DomainSpec *spec, pid_t pid)
{
    const char *path = spec->monitor + strlen("unix:");
    g_autoptr(QemuCmdline) cmdline = qemu_cmdline_of_process(pid);
    g_auto(GStrv) ids = NULL;
    bool is_monitor = false;

    if (cmdline && !cmdline->unread) {
        ids = qemu_cmdline_chardevs_at(cmdline, path);
    }
    if (!ids || !ids[0]) {
        return !g_str_has_suffix(path, ".qmp");
    }
    for (int i = 0; ids[i]; i++) {
        is_monitor = is_monitor || qemu_cmdline_is_monitor(cmdline, ids[i]);
    }
    return !is_monitor;
}

bool is_stray(const DomainSpec *spec, YcQmpClient *client, const GError *why)
{
    if (!spec->identity) {
        return false;
    }
    if (g_error_matches(why, YC_ERROR, YC_ERROR_NO_GREETING) ||
        g_error_matches(why, YC_ERROR, YC_ERROR_CLOSED)) {
        return is_other(spec, yc_qmp_client_peer_pid(client));
    }
    return g_error_matches(why, YC_ERROR, YC_ERROR_PROTOCOL);
}
