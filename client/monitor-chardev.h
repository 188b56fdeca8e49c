/*
 * Which character devices carry a monitor, by their names.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_MONITOR_CHARDEV_H
#define CLIENT_MONITOR_CHARDEV_H

#include <glib.h>

/* Whether QEMU or libvirt calls the chardev of a monitor @id. */
gboolean yc_monitor_chardev_by_name(const char *id);

#endif
