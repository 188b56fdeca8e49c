/*
 * Socket addresses between the wire's types and the system's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_SOCKET_ADDRESS_INTERNAL_H
#define IO_SOCKET_ADDRESS_INTERNAL_H

#include <sys/socket.h>
#include "io/channel-socket.h"

typedef struct SocketTarget {
    struct sockaddr_storage addr;
    socklen_t len;
} SocketTarget;

typedef enum SocketResolveFlags {
    SOCKET_RESOLVE_PASSIVE = 1 << 0, /* to listen */
    SOCKET_RESOLVE_NUMERIC = 1 << 1, /* do not ask anybody */
} SocketResolveFlags;

/*
 * The addresses (SocketTarget) that @inet stands for, at least one; NULL with
 * errp set.  Blocks unless NUMERIC is set.
 */
GArray *socket_resolve_inet(const InetSocketAddress *inet, unsigned flags,
                            Error **errp);
/* Does not block. */
GArray *socket_resolve_unix(const UnixSocketAddress *addr, Error **errp);

/*
 * Takes the socket that @addr, an address of type fd, names.  The caller owns
 * the descriptor; inherited_fd_add() gives an unused one back.  Returns -1 with
 * errp set on failure.
 */
int socket_address_take_fd(const SocketAddress *addr, Error **errp);
bool socket_is_listening(int fd);

#endif
