/*
 * Listening sockets, and the file that a unix socket leaves.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_NET_LISTEN_H
#define IO_NET_LISTEN_H

#include <sys/stat.h>
#include "io/channel-socket.h"

typedef struct ListenSockets {
    GArray *fds; /* of int; at least one */
    SocketAddress *addr;
    char *unlink_path; /* NULL: nothing to remove */
    struct stat unlink_stat;
    pid_t unlink_pid; /* a child of ours does not remove it */
} ListenSockets;

/*
 * NULL with errp set.  Any thread that may block: it resolves a name, which
 * @cancel_fd (-1: none) ends, and looks at the file system.
 */
ListenSockets *listen_sockets_new(const SocketAddress *addr, int backlog,
                                  int cancel_fd, Error **errp);
/*
 * True where there is no file.  Any thread that may block: it looks at the
 * file system.
 */
bool listen_sockets_are_at_path(const ListenSockets *sockets);
void listen_sockets_free(ListenSockets *sockets);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ListenSockets, listen_sockets_free)

#endif
