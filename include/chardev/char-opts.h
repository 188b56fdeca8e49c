/*
 * Character devices of a command line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHARDEV_CHAR_OPTS_H
#define CHARDEV_CHAR_OPTS_H

#include "qapi/error.h"
#include "qapi/qapi-types-char.h"

/*
 * Reads the argument of --chardev: "socket,id=c0,path=/x,server=on,wait=off",
 * or the arguments of chardev-add as JSON.  On success *@id and *@backend are
 * the caller's.  Any thread; warns of short forms on stderr.
 */
bool chardev_parse_opts(const char *arg, char **id, ChardevBackend **backend,
                        Error **errp);

/*
 * Help text for the argument @arg of --chardev: the kinds of devices for
 * "help", the options of a kind for "socket,help".  NULL if @arg does not ask
 * for help. The caller frees it with g_free().  Any thread; does not block.
 */
char *chardev_opts_help(const char *arg);

#endif
