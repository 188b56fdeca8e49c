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
 * NULL with errp set, also where a process listens at the path already.  Any
 * thread that may block: waits for a side thread that resolves a name or looks
 * at the file system, until @cancel_fd (-1: none) becomes readable; for at most
 * ASIDE_TIMEOUT_MS for a file system.
 */
ListenSockets *listen_sockets_new(const SocketAddress *addr, int backlog,
                                  int cancel_fd, Error **errp);
/*
 * True where there is no file; false also when that is not found out in time.
 * Any thread that may block.
 */
bool listen_sockets_are_at_path(const ListenSockets *sockets);
/*
 * Closes the sockets, and removes their file if it is still there, on a side
 * thread.  Any thread; waits a moment for that, except on an I/O thread.
 */
void listen_sockets_free(ListenSockets *sockets);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ListenSockets, listen_sockets_free)

#endif
