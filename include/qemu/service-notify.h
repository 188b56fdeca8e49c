/*
 * Telling the service manager how we are (sd_notify).
 *
 * The protocol is one datagram to a unix socket, documented and stable: that
 * is less than a library which brings compression and cryptography along.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_SERVICE_NOTIFY_H
#define QEMU_SERVICE_NOTIFY_H

#include <stdbool.h>

/*
 * Sends "READY=1" and the like to NOTIFY_SOCKET, and does not wait; nothing
 * when nobody asked for it.  False, with errno, when it cannot be sent.  Any
 * thread.
 */
bool service_notify(const char *state);

#endif
