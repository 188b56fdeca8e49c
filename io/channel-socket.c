/*
 * Socket channels.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include "io/channel-socket.h"
#include "channel-internal.h"

static bool is_stream_socket(int fd, Error **errp)
{
    socklen_t len = sizeof(int);
    int type;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        error_setg_errno(errp, errno, "File descriptor '%d' is not a socket",
                         fd);
        return false;
    }
    if (type != SOCK_STREAM) {
        error_setg(errp, "File descriptor '%d' is not a stream socket", fd);
        return false;
    }
    return true;
}

/* The remote address in words; of an unnamed client, the local one. */
static char *socket_peer_name(int fd)
{
    g_autoptr(SocketAddress) remote = socket_remote_address(fd, NULL);
    g_autoptr(SocketAddress) local = socket_local_address(fd, NULL);
    bool unnamed = !remote || (remote->type == SOCKET_ADDRESS_TYPE_UNIX &&
                               !remote->u.q_unix.path[0]);
    SocketAddress *addr = unnamed ? local : remote;

    return addr ? socket_address_to_string(addr) : g_strdup("socket");
}

QIOChannel *qio_channel_socket_new_fd(int fd, Error **errp)
{
    int on = 1;

    if (!is_stream_socket(fd, errp)) {
        return NULL;
    }
    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    /* Fails on a unix socket, which has no delay to turn off. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return qio_channel_fd_new(fd, fd, socket_peer_name(fd), true);
}

int qio_channel_socket_dup_fd(QIOChannel *ioc, Error **errp)
{
    int fd = fcntl(qio_channel_get_read_fd(ioc), F_DUPFD_CLOEXEC, 0);

    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to duplicate the socket of %s",
                         ioc->peer);
    }
    return fd;
}
