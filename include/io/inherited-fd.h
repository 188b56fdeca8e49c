/*
 * The descriptors that the process was started with, for socket addresses of
 * type fd.
 *
 * A descriptor has one owner.  An address may name only a descriptor that was
 * open when the process started and has no owner since; any other number may
 * belong to the monitor, to an export, or to the next file that is opened.
 * Standard input, output and error cannot be taken.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_INHERITED_FD_H
#define IO_INHERITED_FD_H

#include "qapi/error.h"

/*
 * Records which descriptors are open.  Call once, before the process opens a
 * descriptor or starts a thread.
 */
void inherited_fds_init(void);

/*
 * Lets an address take @fd, also one that was taken before.  Any thread;
 * OOB-safe.
 */
void inherited_fd_add(int fd);

/*
 * Makes the caller the owner of @fd.  Returns false with errp set when @fd was
 * not inherited or has an owner.  Any thread, OOB-safe.
 */
bool inherited_fd_take(int fd, Error **errp);

#endif
