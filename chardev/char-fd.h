/*
 * Descriptors of devices that are no sockets.  Main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHAR_FD_H
#define CHAR_FD_H

#include "chardev-internal.h"

typedef struct CharFd {
    Chardev *chr;     /* its device */
    int fd;           /* -1: none */
    bool is_file;     /* its I/O cannot be polled, and may block */
    int shared_flags; /* what to set again at the end; -1: nothing */
} CharFd;

/*
 * Opens @path, with @flags of open(2), or takes standard input or output (@fd:
 * 0 or 1), for @chr.  Blocks as open() does; a yank of "chardev:ID" ends that
 * with an error.
 */
bool char_fd_open(Chardev *chr, CharFd *file, const char *path, int flags,
                  Error **errp);
bool char_fd_open_standard(Chardev *chr, CharFd *file, int fd, Error **errp);

/*
 * Writes all of @buf.  Blocks until that is done; a yank ends it with an
 * error.  What was to be written to a file may be written later then.
 */
bool char_fd_write_all(Chardev *chr, CharFd *file, const void *buf, size_t len,
                       Error **errp);

/*
 * Waits ASIDE_TIMEOUT_MS at most for a file system that does not answer.  A
 * file stays open where no side thread can be had to close it.
 */
void char_fd_close(CharFd *file);

#endif
