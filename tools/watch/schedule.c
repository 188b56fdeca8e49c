/*
 * A schedule: a queue of entries by the time that each is due.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "schedule.h"

/* A turn waits for a domain for a moment only, so a few serve thousands. */
#define MAX_THREADS 16

struct ScheduleEntry {
    Schedule *schedule;
    ScheduleFn *fn;
    void *opaque;
    /* Guarded by the lock of the schedule. */
    gint64 due;
    GSequenceIter *place; /* in the queue; NULL while its turn is under way */
    bool hurry;           /* then is due right after that */
};

struct Schedule {
    int refs; /* atomic */
    GThread *threads[MAX_THREADS];
    unsigned n_threads;
    /* Guards what follows, and entries; taken alone. */
    GMutex lock;
    GCond idle;  /* for a thread: somebody must wait for the first entry */
    GCond first; /* for the thread that does: the first entry is another */
    GCond ended; /* a turn has */
    bool waited; /* a thread waits for the first entry */
    GSequence *queue;
    bool stopping;
};

static int by_due(const void *one, const void *other, void *data)
{
    const ScheduleEntry *a = one, *b = other;

    return a->due < b->due ? -1 : a->due > b->due;
}

/* Locked. */
static void put(ScheduleEntry *entry, gint64 due)
{
    Schedule *schedule = entry->schedule;

    entry->due = due;
    entry->place =
        g_sequence_insert_sorted(schedule->queue, entry, by_due, NULL);
    g_cond_signal(schedule->waited ? &schedule->first : &schedule->idle);
}

/* Locked.  The entry that is due, off the queue; NULL: none is yet. */
static ScheduleEntry *take_due(Schedule *schedule)
{
    GSequenceIter *first = g_sequence_get_begin_iter(schedule->queue);
    ScheduleEntry *entry =
        g_sequence_iter_is_end(first) ? NULL : g_sequence_get(first);

    if (!entry || entry->due > g_get_monotonic_time()) {
        return NULL;
    }
    g_sequence_remove(g_steal_pointer(&entry->place));
    /* Somebody else looks after the next. */
    g_cond_signal(schedule->waited ? &schedule->first : &schedule->idle);
    return entry;
}

/*
 * Locked.  The next entry that is due; NULL: the thread is to end.  One thread
 * waits for the first entry, so that not all wake up for each.
 */
static ScheduleEntry *wait_due(Schedule *schedule)
{
    ScheduleEntry *entry = NULL;

    while (!schedule->stopping && !(entry = take_due(schedule))) {
        GSequenceIter *first = g_sequence_get_begin_iter(schedule->queue);

        if (schedule->waited || g_sequence_iter_is_end(first)) {
            g_cond_wait(&schedule->idle, &schedule->lock);
            continue;
        }
        schedule->waited = true;
        g_cond_wait_until(&schedule->first, &schedule->lock,
                          ((ScheduleEntry *)g_sequence_get(first))->due);
        schedule->waited = false;
    }
    return entry;
}

static void *work(void *opaque)
{
    Schedule *schedule = opaque;
    ScheduleEntry *entry;

    g_mutex_lock(&schedule->lock);
    while ((entry = wait_due(schedule))) {
        gint64 due;

        g_mutex_unlock(&schedule->lock);
        due = entry->fn(entry->opaque);
        g_mutex_lock(&schedule->lock);
        put(entry, entry->hurry ? 0 : due);
        entry->hurry = false;
        g_cond_broadcast(&schedule->ended);
    }
    g_mutex_unlock(&schedule->lock);
    return NULL;
}

Schedule *schedule_new(GError **errp)
{
    Schedule *schedule = g_new0(Schedule, 1);
    g_autoptr(GError) err = NULL;

    schedule->refs = 1;
    g_mutex_init(&schedule->lock);
    g_cond_init(&schedule->idle);
    g_cond_init(&schedule->first);
    g_cond_init(&schedule->ended);
    schedule->queue = g_sequence_new(NULL);
    while (schedule->n_threads < MAX_THREADS) {
        GThread *thread = g_thread_try_new("turns", work, schedule, &err);

        if (!thread) {
            break;
        }
        schedule->threads[schedule->n_threads++] = thread;
    }
    if (schedule->n_threads == 0) {
        g_propagate_error(errp, g_steal_pointer(&err));
        schedule_unref(schedule);
        return NULL;
    }
    return schedule;
}

Schedule *schedule_ref(Schedule *schedule)
{
    g_atomic_int_inc(&schedule->refs);
    return schedule;
}

void schedule_unref(Schedule *schedule)
{
    if (!g_atomic_int_dec_and_test(&schedule->refs)) {
        return;
    }
    g_mutex_lock(&schedule->lock);
    schedule->stopping = true;
    g_cond_broadcast(&schedule->idle);
    g_cond_broadcast(&schedule->first);
    g_mutex_unlock(&schedule->lock);
    for (unsigned i = 0; i < schedule->n_threads; i++) {
        g_thread_join(schedule->threads[i]);
    }
    g_sequence_free(schedule->queue);
    g_mutex_clear(&schedule->lock);
    g_cond_clear(&schedule->idle);
    g_cond_clear(&schedule->first);
    g_cond_clear(&schedule->ended);
    g_free(schedule);
}

ScheduleEntry *schedule_add(Schedule *schedule, ScheduleFn *fn, void *opaque)
{
    ScheduleEntry *entry = g_new0(ScheduleEntry, 1);

    entry->schedule = schedule_ref(schedule);
    entry->fn = fn;
    entry->opaque = opaque;
    g_mutex_lock(&schedule->lock);
    put(entry, 0);
    g_mutex_unlock(&schedule->lock);
    return entry;
}

void schedule_hurry(ScheduleEntry *entry)
{
    Schedule *schedule = entry->schedule;

    g_mutex_lock(&schedule->lock);
    if (entry->place) {
        g_sequence_remove(g_steal_pointer(&entry->place));
        put(entry, 0);
    } else {
        entry->hurry = true;
    }
    g_mutex_unlock(&schedule->lock);
}

void schedule_remove(ScheduleEntry *entry)
{
    Schedule *schedule = entry->schedule;

    g_mutex_lock(&schedule->lock);
    while (!entry->place) {
        g_cond_wait(&schedule->ended, &schedule->lock);
    }
    g_sequence_remove(entry->place);
    g_mutex_unlock(&schedule->lock);
    g_free(entry);
    schedule_unref(schedule);
}
