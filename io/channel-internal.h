/*
 * What the kinds of channels share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_INTERNAL_H
#define IO_CHANNEL_INTERNAL_H

#include "io/channel.h"
#include "qemu/thread.h"

struct QIOChannel {
    int refcount; /* atomic */
    char *peer;   /* constant */
    bool is_socket;

    /*
     * Guards that the descriptors are open while shutdown uses them, and
     * shut.  Fast; nothing is taken under it.
     */
    QemuMutex lock;
    int read_fd;
    int write_fd;
    bool shut;
};

/* Takes the descriptors, and @peer.  They are non-blocking already. */
QIOChannel *qio_channel_new(int read_fd, int write_fd, char *peer,
                            bool is_socket);

#endif
