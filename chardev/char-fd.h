/*
 * Descriptors of devices other than sockets.  Main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHAR_FD_H
#define CHAR_FD_H

#include "chardev-internal.h"

typedef struct CharFd {
    Chardev *chr;     /* the device that owns it */
    int fd;           /* -1: not open */
    bool is_file;     /* a file: cannot be polled, and I/O may block */
    int shared_flags; /* flags to restore at the end; -1: nothing to restore */
} CharFd;

/*
 * Opens @path with the open(2) flags @flags, or takes standard input or output
 * (@fd: 0 or 1), for @chr.  Blocks as open(2) does; a yank of "chardev:ID" ends
 * the wait with an error.  Returns false with errp set on failure.
 */
bool char_fd_open(Chardev *chr, CharFd *file, const char *path, int flags,
                  Error **errp);
bool char_fd_open_standard(Chardev *chr, CharFd *file, int fd, Error **errp);

/*
 * Writes all of @buf, and blocks until that is done.  A yank ends the wait with
 * an error; data for a file may still be written after that.
 */
bool char_fd_write_all(Chardev *chr, CharFd *file, const void *buf, size_t len,
                       Error **errp);

/*
 * Closes the file.  Waits at most ASIDE_TIMEOUT_MS for a file system that does
 * not answer.  The file stays open if no side thread can be had to close it.
 */
void char_fd_close(CharFd *file);

#endif
