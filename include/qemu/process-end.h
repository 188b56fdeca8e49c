/*
 * Ending the process when files of it are on a file system that hangs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_PROCESS_END_H
#define QEMU_PROCESS_END_H

/*
 * Ends the process with @status as _exit() does, and does not wait for file
 * systems.  The kernel flushes the open files of a process that ends, and on a
 * dead file system (FUSE, NFS) that takes for ever: the process would neither
 * run nor end, with its sockets open.  So a helper process that shares the
 * descriptors is left behind: it closes the sockets, and waits for the file
 * systems instead.  Where they are well, it is gone at once.
 *
 * Threads that the kernel does not let go still delay the end.  Any thread;
 * does not block.
 */
void process_end(int status) G_GNUC_NORETURN;

#endif
