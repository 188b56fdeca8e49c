/*
 * The thread that writes messages to standard error.
 *
 * Standard error may be a file on a dead file system, or a pipe that nobody
 * reads: writing to it may block for ever.  While this thread runs,
 * error_report(), warn_report() and GLib's warnings only queue their lines,
 * in order, and the thread writes them.  The queue is bounded; the number of
 * lines that it had no room for is written in their place.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_MESSAGE_THREAD_H
#define QEMU_MESSAGE_THREAD_H

#include "qapi/error.h"

/* How long the end of the process waits for standard error. */
#define MESSAGE_FLUSH_MS 1000

/* Starts the thread.  Main thread, once; does not block. */
bool message_thread_start(Error **errp);

/*
 * Waits until all lines that were queued before this call are written.
 * Returns false when that takes longer than @timeout_ms milliseconds, or when
 * the thread does not run.  Any thread; blocks.
 */
bool message_thread_flush(int timeout_ms);

/*
 * Flushes as message_thread_flush() does and ends the thread; messages are
 * then written directly again.  Returns false when the thread is blocked and
 * was left behind, so that messages are queued in vain from now on.  Main
 * thread; blocks.
 */
bool message_thread_stop(int timeout_ms);

/*
 * Queues a copy of @line, which ends with a newline.  Returns false when the
 * thread does not run.  Any thread, OOB-safe.
 */
bool message_thread_put(const char *line);

#endif
