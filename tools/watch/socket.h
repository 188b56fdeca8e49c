/*
 * Sockets that the service listens on: unix sockets that are its user's alone,
 * and TCP on the loopback.
 *
 * Used on the main thread, before others are started.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_SOCKET_H
#define TOOLS_WATCH_SOCKET_H

#include <stdbool.h>
#include <glib.h>

typedef struct WatchSocket WatchSocket;

/*
 * Takes @path, with mode 0600 from the moment it is there.  The folder is
 * made (0700) when it is missing; it must belong to us or root, and nobody
 * else may write to it.  A second service on the same path is refused; what a
 * dead one has left is replaced.  Nobody can connect yet.
 */
WatchSocket *watch_socket_new(const char *path, GError **errp);
/*
 * The same for @address, which may also be HOST:PORT of the loopback.
 */
WatchSocket *watch_socket_new_address(const char *address, GError **errp);
/* From now on others can connect. */
bool watch_socket_listen(WatchSocket *sock, GError **errp);
/* Non-blocking; belongs to @sock. */
int watch_socket_fd(const WatchSocket *sock);
/* The descriptor has been closed by who listened. */
void watch_socket_disown_fd(WatchSocket *sock);
/* Removes the path.  NULL is fine. */
void watch_socket_free(WatchSocket *sock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WatchSocket, watch_socket_free)

/*
 * Whether the process at the other end of unix socket @fd is root's or our
 * own user's; @uid: whose it is.
 */
bool watch_socket_check_peer(int fd, unsigned *uid);

#endif
