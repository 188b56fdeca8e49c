/*
 * What the service manager is told by the service (sd_notify).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_NOTIFY_H
#define TOOLS_WATCH_NOTIFY_H

#include <glib.h>

/* service_notify() that logs what goes wrong. */
void notify_send(const char *state);
/*
 * How often to send "WATCHDOG=1", in milliseconds: half of what the manager
 * allows.  0: it does not want any.
 */
unsigned notify_watchdog_ms(void);

#endif
