/*
 * Telling the service manager how we are (sd_notify).
 *
 * The protocol is one datagram to a unix socket, documented and stable: that
 * is less than a library which brings compression and cryptography along.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_NOTIFY_H
#define TOOLS_WATCH_NOTIFY_H

#include <glib.h>

/* Sends "READY=1" and the like; nothing when nobody asked for it. */
void notify_send(const char *state);
/*
 * How often to send "WATCHDOG=1", in milliseconds: half of what the manager
 * allows.  0: it does not want any.
 */
unsigned notify_watchdog_ms(void);

#endif
