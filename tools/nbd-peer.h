/*
 * The peer of a yanked NBD connection: has it closed its end?
 *
 * As long as it has not, it may still carry out writes that the yank ended, and
 * so replace what is written over a new connection.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_NBD_PEER_H
#define TOOLS_NBD_PEER_H

#include <stdbool.h>
#include <json-c/json.h>
#include <glib.h>

/*
 * Waits for up to @timeout_ms until the server at the SocketAddress @server
 * (QMP's: unix or inet) has closed all connections of which the client has let
 * go, by what the kernel tells.
 * @path: the server's path as this process has it; NULL for inet
 * @pid: the process that was the client
 * EXIT_REFUSED when there still are such connections then, or the kernel does
 * not tell.
 */
bool nbd_peer_wait_closed(json_object *server, const char *path, int pid,
                          int timeout_ms, GError **errp);

#endif
