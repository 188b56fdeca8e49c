/*
 * Ending the process although some of its files are on a hung file system.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_PROCESS_END_H
#define QEMU_PROCESS_END_H

/*
 * Ends the process with @status as _exit() does, without waiting for file
 * systems.  The kernel flushes the open files of a process that ends; on a dead
 * file system (FUSE, NFS) that takes for ever, and the process would stay with
 * its sockets open.  Therefore a child process that shares the descriptors is
 * left behind: it closes the sockets, and waits for the file systems instead.
 * When all file systems answer, the child ends at once.
 *
 * A thread that hangs in the kernel and cannot be killed still delays the end.
 * Any thread; does not block.
 */
void process_end(int status) G_GNUC_NORETURN;

#endif
