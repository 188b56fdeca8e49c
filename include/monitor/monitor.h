/*
 * QMP monitors.
 *
 * The monitor I/O thread accepts clients, reads, parses, runs out-of-band
 * commands and writes every response and event.  It never blocks, so it answers
 * while the main loop hangs.  A second thread under the same rules takes over a
 * session while its messages are long.  In-band commands run on the main
 * thread, one at a time, in turn over the sessions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "qapi/error.h"
#include "qemu/iothread.h"

/*
 * Starts the monitor's threads, the in-band dispatcher on the default main
 * context, the stall watch and the delivery of events.  Returns false with errp
 * set when the system refuses a thread.  Main thread, once.
 */
bool monitor_init(Error **errp);

/*
 * Closes every session, once what is queued was sent to clients that read, for
 * at most a second.  Main thread, before chardev_cleanup(); up to then
 * out-of-band commands are served.
 */
void monitor_close_sessions(void);

/*
 * Ends the monitor's threads.  Main thread, after monitor_close_sessions();
 * blocks until they have ended.
 */
void monitor_cleanup(void);

/* The thread that never blocks; also watches signals and shutdown. */
IOThread *monitor_iothread(void);

/*
 * Makes the character device @chardev_id a QMP monitor.  @pretty: responses
 * over several lines.  Main thread.
 */
bool monitor_add(const char *chardev_id, bool pretty, Error **errp);

#endif
