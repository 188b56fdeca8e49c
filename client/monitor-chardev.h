/*
 * Which character devices carry a monitor, by the command line of QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_MONITOR_CHARDEV_H
#define CLIENT_MONITOR_CHARDEV_H

#include <glib.h>

/* The ids that @argv names, as an array of strings which frees them. */
GPtrArray *yc_monitor_chardevs_in(char **argv);
/* Whether QEMU or libvirt calls the chardev of a monitor @id. */
gboolean yc_monitor_chardev_by_name(const char *id);

#endif
