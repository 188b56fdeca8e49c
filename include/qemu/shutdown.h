/*
 * Shutdown: yankd always exits by itself.
 *
 * A request to end starts a watchdog on a thread that never blocks.  When
 * the main thread has not ended the process within the shutdown timeout, all
 * instances are yanked; during startup and on a second signal they are yanked
 * at once.  When the process has not ended within the same time after the
 * yank (at least a second), it is ended by _exit(), with status 1.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_SHUTDOWN_H
#define QEMU_SHUTDOWN_H

#include "qapi/qapi-types-run-state.h"
#include "qemu/iothread.h"

/*
 * Sets up the watchdog, with its timer on @watchdog.  @last_resort (for example
 * to remove the pid file) runs on a thread of its own shortly before the
 * process is ended by force.  It may block, since nothing waits for it.  It may
 * be NULL.  Main thread, once.
 */
void shutdown_init(IOThread *watchdog, void (*last_resort)(void));

/* Milliseconds; 10000 to begin with.  Any thread. */
void shutdown_set_timeout(int64_t ms);

/*
 * While @on is true, a request from another thread than the main thread yanks
 * all instances at once: a process that is starting has nothing to drain.  Any
 * thread.
 */
void shutdown_set_starting(bool on);

/*
 * Asks the main loop to end and starts the watchdog; the first cause counts.
 * Any thread, OOB-safe.
 */
void shutdown_request(ShutdownCause cause);

/*
 * Sends the event SHUTDOWN, unless that was done.  The main thread calls it
 * when its loop has ended, so that clients get the reply to their quit first;
 * a request on any other thread sends the event by itself.
 */
void shutdown_send_event(void);

/*
 * A request to end waits in a queue for the main thread: starts the watchdog
 * only, since the main thread may hang.  Any thread, OOB-safe.
 */
void shutdown_announce(void);

/*
 * After a request to end: yanks all instances now instead of at the end of the
 * shutdown timeout.  Any thread, OOB-safe.
 */
void shutdown_hurry(void);

/*
 * Returns true if a request to end led to a yank of all instances.  Any thread.
 */
bool shutdown_has_yanked(void);

/* The cause, SHUTDOWN_CAUSE_NONE until there is one.  Any thread. */
ShutdownCause shutdown_requested(void);

#endif
