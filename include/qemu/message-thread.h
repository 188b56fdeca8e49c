/*
 * The thread that writes messages to standard error.
 *
 * Standard error may be a file on a dead file system, or a pipe without a
 * reader: writing to it may block for ever.  While this thread runs,
 * error_report(), warn_report() and GLib's warnings only queue their lines, in
 * order, and the thread writes them.  The queue is bounded; a warning states
 * how many lines were dropped because the queue was full.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_MESSAGE_THREAD_H
#define QEMU_MESSAGE_THREAD_H

#include "qapi/error.h"

/* How long, in ms, the end of the process waits for standard error. */
#define MESSAGE_FLUSH_MS 1000

/*
 * Starts the thread.  Returns false with errp set when the system refuses it.
 * Main thread, once; does not block.
 */
bool message_thread_start(Error **errp);

/*
 * Waits until all lines that were queued before this call are written. Returns
 * false after @timeout_ms milliseconds, or when the thread does not run.  Any
 * thread; blocks.
 */
bool message_thread_flush(int timeout_ms);

/*
 * Flushes like message_thread_flush() and ends the thread; after that, messages
 * are written directly.  Returns false if the thread is blocked and still runs;
 * later messages are then queued and never written.  Main thread; blocks.
 */
bool message_thread_stop(int timeout_ms);

/*
 * Queues a copy of @line, which ends with a newline.  Returns false if the
 * thread does not run.  Any thread, OOB-safe.
 */
bool message_thread_put(const char *line);

#endif
