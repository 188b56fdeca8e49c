/*
 * File channels: a pair of descriptors such as standard input and output.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_FILE_H
#define IO_CHANNEL_FILE_H

#include "io/channel.h"

/*
 * Takes both descriptors (they may be the same; either may be -1) and makes
 * them non-blocking.  @name is what qio_channel_peer() says.
 */
QIOChannel *qio_channel_file_new(int read_fd, int write_fd, const char *name);

#endif
