/*
 * Socket channels: unix, inet (IPv4, IPv6) and inherited descriptors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_SOCKET_H
#define IO_CHANNEL_SOCKET_H

#include "io/channel.h"
#include "io/socket-address.h"

/*
 * Takes @fd, a connected stream socket, makes it non-blocking and
 * close-on-exec, and turns Nagle's delay off on TCP.  On error the fd stays
 * the caller's.  Any thread.
 */
QIOChannel *qio_channel_socket_new_fd(int fd, Error **errp);

/*
 * A duplicate of the socket for a library that wants to own one, sharing the
 * same connection: qio_channel_shutdown() of @ioc cuts both.  -1 on error.
 */
int qio_channel_socket_dup_fd(QIOChannel *ioc, Error **errp);

#endif
