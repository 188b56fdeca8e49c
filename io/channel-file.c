/*
 * File channels: a pair of descriptors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <sys/socket.h>
#include "io/channel-file.h"
#include "channel-internal.h"

/* Asks the socket, not the file system, which may not answer. */
static bool is_socket(int fd)
{
    socklen_t len = sizeof(int);
    int type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
}

QIOChannel *qio_channel_file_new(int read_fd, int write_fd, const char *name)
{
    if (read_fd >= 0) {
        g_unix_set_fd_nonblocking(read_fd, TRUE, NULL);
    }
    if (write_fd >= 0) {
        g_unix_set_fd_nonblocking(write_fd, TRUE, NULL);
    }
    return qio_channel_fd_new(read_fd, write_fd, g_strdup(name),
                              is_socket(read_fd) && is_socket(write_fd));
}
