/*
 * Socket addresses in their shapes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_SOCKET_ADDRESS_H
#define IO_SOCKET_ADDRESS_H

#include "qapi/qapi-types-sockets.h"

/* In words, for messages and for queries; g_free() it. */
char *socket_address_to_string(const SocketAddress *addr);

/* The flat form of an address; qapi_free_SocketAddress() it. */
SocketAddress *socket_address_flatten(const SocketAddressLegacy *addr);

/*
 * Returns true if @addr can be used without a name look-up: its host and its
 * port are numbers, or it has none.  Any thread, OOB-safe.
 */
bool socket_address_is_numeric(const SocketAddress *addr);

/* The local and remote address of a connected socket; NULL on error. */
SocketAddress *socket_local_address(int fd, Error **errp);
SocketAddress *socket_remote_address(int fd, Error **errp);

#endif
