/*
 * The descriptors that the process was started with, for socket addresses of
 * type fd.
 *
 * A descriptor has one owner.  An address may name only a descriptor that was
 * open when the process started and that nothing has taken since; any other
 * number may belong to the monitor, to an export, or to whatever opens a file
 * next.  Standard input, output and error cannot be taken.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_INHERITED_FD_H
#define IO_INHERITED_FD_H

#include "qapi/error.h"

/*
 * Notes which descriptors are open.  Once, before the process opens any and
 * before there are threads.
 */
void inherited_fds_init(void);

/* Lets an address take @fd, for the first time or again.  Any thread. */
void inherited_fd_add(int fd);

/*
 * Makes the caller the owner of @fd.  False with errp set when it was not
 * inherited or has been taken before.  Any thread, OOB-safe.
 */
bool inherited_fd_take(int fd, Error **errp);

#endif
