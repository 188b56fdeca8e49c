/*
 * A schedule: turns of many, each when it is due, carried out by a few threads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_SCHEDULE_H
#define TOOLS_WATCH_SCHEDULE_H

#include <glib.h>

typedef struct Schedule Schedule;
typedef struct ScheduleEntry ScheduleEntry;

/*
 * One turn, on one of the threads; never two of an entry at a time.
 * Returns when the next is due, a monotonic time.
 */
typedef gint64 ScheduleFn(void *opaque);

/* Starts the threads: as many as can be had, up to a few; NULL: none. */
Schedule *schedule_new(GError **errp);
Schedule *schedule_ref(Schedule *schedule);
/* The last one waits for the threads, and there must be no entry any more. */
void schedule_unref(Schedule *schedule);

/* From now on @fn has turns, the first one at once. */
ScheduleEntry *schedule_add(Schedule *schedule, ScheduleFn *fn, void *opaque);
/* The next turn is due now.  Does not block. */
void schedule_hurry(ScheduleEntry *entry);
/* Waits for a turn under way; not in a turn.  Frees @entry. */
void schedule_remove(ScheduleEntry *entry);

#endif
