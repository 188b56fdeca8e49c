/*
 * What the service manager is told by the service.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/service-notify.h"
#include "log.h"
#include "notify.h"

void notify_send(const char *state)
{
    if (!service_notify(state)) {
        watch_log("NOTIFY_SOCKET %s: %s", getenv("NOTIFY_SOCKET"),
                  g_strerror(errno));
    }
}

unsigned notify_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    guint64 value;

    if (!usec || !getenv("NOTIFY_SOCKET") ||
        !g_ascii_string_to_unsigned(usec, 10, 1, G_MAXINT64, &value, NULL) ||
        (pid && g_ascii_strtoull(pid, NULL, 10) != (guint64)getpid())) {
        return 0;
    }
    return CLAMP(value / 2000, 1, G_MAXINT);
}
