/*
 * Events on their way from the generated qapi_event_send_*() to whoever
 * delivers them (the monitor).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_QMP_EVENT_H
#define QAPI_QMP_EVENT_H

/*
 * @name: "YANK"; @data: the event's data as JSON text on one line, or NULL.
 * Any thread, OOB-safe, must not block.
 */
typedef void QmpEventEmitter(const char *name, const char *data, void *opaque);

/* Main thread, before any other thread sends an event; NULL drops events. */
void qmp_event_set_emitter(QmpEventEmitter *fn, void *opaque);

/* Called by generated code.  Any thread, OOB-safe. */
void qmp_event_emit(const char *name, const char *data);

#endif
