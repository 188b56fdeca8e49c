/*
 * The character device at the other end of a connection: never to be yanked
 * over that very connection.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_OWN_CHARDEV_H
#define TOOLS_OWN_CHARDEV_H

#include <glib.h>

/*
 * The id of the chardev of process @pid that listens at @address
 * ("unix:PATH"), by its command line; NULL when that does not tell.
 * g_free() it.  Reads a file.
 */
char *own_chardev(int pid, const char *address);

#endif
