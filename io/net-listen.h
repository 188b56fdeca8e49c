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
 * Binds and listens; returns sockets that the caller frees, or NULL with errp
 * set, also when a process already listens at the path.  Waits for a side
 * thread that resolves a name or accesses the file system: until @cancel_fd
 * (-1: none) becomes readable, and for a file system ASIDE_TIMEOUT_MS at most.
 * Any thread that may block.
 */
ListenSockets *listen_sockets_new(const SocketAddress *addr, int backlog,
                                  int cancel_fd, Error **errp);
/*
 * Returns true if the sockets have no file, or their file is still in place.
 * Returns false also when the file system does not answer in time.  Any thread
 * that may block.
 */
bool listen_sockets_are_at_path(const ListenSockets *sockets);
/*
 * Closes the sockets, and removes their file if it is still in place, on a side
 * thread.  Any thread; waits at most 2 s for the removal, and not at all on an
 * I/O thread.
 */
void listen_sockets_free(ListenSockets *sockets);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ListenSockets, listen_sockets_free)

#endif
