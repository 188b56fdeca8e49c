/*
 * Activity: what each object with requests is doing, by the object's name.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <time.h>
#include "qemu/activity.h"
#include "qemu/lockable.h"

struct Activity {
    char *name;
    bool uncuttable; /* no yank instance has this name */
    Activity *older; /* of the same name; under activities_lock */
    /* Relaxed atomics, written on the data path. */
    int64_t last_progress_us;
    const char *phase;
    /*
     * Guards the members below.  Fast; no lock is taken under it.  It may be
     * taken under any fast lock.
     */
    QemuMutex lock;
    ActivityRequest *oldest, *newest; /* sorted by start time */
    uint64_t n_requests;
    uint64_t n_sessions;
    char peer[sizeof(((ActivitySnapshot *)NULL)->peer)];
    char reason[sizeof(((ActivitySnapshot *)NULL)->reason)];
};

/* Guards the table.  Fast; under it only the lock of an activity is taken. */
static QemuMutex activities_lock;
/*
 * name -> Activity, neither owned.  The newest owner of a name counts; when it
 * goes, the next older one does again: a device whose replacement failed to
 * open, say.
 */
static GHashTable *activities;

static void __attribute__((constructor)) activities_init(void)
{
    qemu_mutex_init(&activities_lock);
}

/*
 * At most 10 ms behind g_get_monotonic_time(), and several times as fast: each
 * request reads this clock twice.
 */
static int64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return ts.tv_sec * G_USEC_PER_SEC + ts.tv_nsec / 1000;
}

static void activity_touch(Activity *activity)
{
    __atomic_store_n(&activity->last_progress_us, now_us(), __ATOMIC_RELAXED);
}

static Activity *activity_add(const char *name, bool uncuttable)
{
    Activity *activity = g_new0(Activity, 1);

    activity->name = g_strdup(name);
    activity->uncuttable = uncuttable;
    activity->phase = "";
    qemu_mutex_init(&activity->lock);
    activity_touch(activity);

    QEMU_LOCK_GUARD(&activities_lock);
    if (!activities) {
        activities = g_hash_table_new(g_str_hash, g_str_equal);
    }
    activity->older = g_hash_table_lookup(activities, name);
    g_hash_table_replace(activities, activity->name, activity);
    return activity;
}

Activity *activity_new(const char *name)
{
    return activity_add(name, false);
}

Activity *activity_new_uncuttable(const char *name)
{
    return activity_add(name, true);
}

/* Takes @activity out of the list that starts with @newest. */
static void take_out(Activity *newest, Activity *activity)
{
    while (newest->older != activity) {
        newest = newest->older;
    }
    newest->older = activity->older;
}

/* The table goes with its last entry, so that nothing is left at exit. */
static void activity_forget(Activity *activity)
{
    Activity *newest;

    QEMU_LOCK_GUARD(&activities_lock);
    newest = g_hash_table_lookup(activities, activity->name);
    if (newest != activity) {
        take_out(newest, activity);
        return;
    }
    g_hash_table_remove(activities, activity->name);
    if (activity->older) {
        g_hash_table_insert(activities, activity->older->name, activity->older);
    } else if (g_hash_table_size(activities) == 0) {
        g_clear_pointer(&activities, g_hash_table_unref);
    }
}

void activity_free(Activity *activity)
{
    if (!activity) {
        return;
    }
    activity_forget(activity);
    qemu_mutex_destroy(&activity->lock);
    g_free(activity->name);
    g_free(activity);
}

void activity_set_phase(Activity *activity, const char *phase)
{
    __atomic_store_n(&activity->phase, phase, __ATOMIC_RELAXED);
    activity_touch(activity);
}

void activity_set_peer(Activity *activity, const char *peer)
{
    QEMU_LOCK_GUARD(&activity->lock);

    g_strlcpy(activity->peer, peer ? peer : "", sizeof(activity->peer));
}

void activity_set_reason(Activity *activity, const char *reason)
{
    QEMU_LOCK_GUARD(&activity->lock);

    g_strlcpy(activity->reason, reason ? reason : "", sizeof(activity->reason));
}

/* After a pause, the time without progress counts from the first request. */
static void leave_pause_locked(Activity *activity)
{
    if (!activity->n_requests && !activity->n_sessions) {
        activity_touch(activity);
    }
}

void activity_begin(Activity *activity, ActivityRequest *request)
{
    QEMU_LOCK_GUARD(&activity->lock);

    leave_pause_locked(activity);
    activity->n_requests++;
    request->start_us = now_us();
    request->newer = NULL;
    request->older = activity->newest;
    if (request->older) {
        request->older->newer = request;
    } else {
        activity->oldest = request;
    }
    activity->newest = request;
}

void activity_end(Activity *activity, ActivityRequest *request)
{
    activity_touch(activity);
    QEMU_LOCK_GUARD(&activity->lock);
    activity->n_requests--;
    if (request->older) {
        request->older->newer = request->newer;
    } else {
        activity->oldest = request->newer;
    }
    if (request->newer) {
        request->newer->older = request->older;
    } else {
        activity->newest = request->older;
    }
}

void activity_begin_session(Activity *activity)
{
    QEMU_LOCK_GUARD(&activity->lock);

    leave_pause_locked(activity);
    activity->n_sessions++;
}

void activity_end_session(Activity *activity)
{
    activity_touch(activity);
    QEMU_LOCK_GUARD(&activity->lock);
    activity->n_sessions--;
}

void activity_progress(Activity *activity)
{
    activity_touch(activity);
}

/* See ActivitySnapshot.oldest_us.  Call with the lock of @activity held. */
static int64_t oldest_us_locked(const Activity *activity, int64_t now,
                                int64_t idle_us)
{
    int64_t us = activity->oldest ? now - activity->oldest->start_us : 0;

    return activity->n_sessions ? MAX(us, idle_us) : us;
}

static int64_t idle_us(const Activity *activity, int64_t now)
{
    /* Another thread may have noted progress after @now. */
    return MAX(
        now - __atomic_load_n(&activity->last_progress_us, __ATOMIC_RELAXED),
        0);
}

bool activity_snapshot(const char *name, ActivitySnapshot *out)
{
    Activity *activity;
    int64_t now;

    QEMU_LOCK_GUARD(&activities_lock);
    activity = activities ? g_hash_table_lookup(activities, name) : NULL;
    if (!activity) {
        return false;
    }
    QEMU_LOCK_GUARD(&activity->lock);
    now = now_us();
    out->in_flight = activity->n_requests + activity->n_sessions;
    out->idle_us = idle_us(activity, now);
    out->oldest_us = oldest_us_locked(activity, now, out->idle_us);
    out->phase = __atomic_load_n(&activity->phase, __ATOMIC_RELAXED);
    g_strlcpy(out->peer, activity->peer, sizeof(out->peer));
    g_strlcpy(out->reason, activity->reason, sizeof(out->reason));
    return true;
}

static bool is_stalled(Activity *activity, int64_t now)
{
    QEMU_LOCK_GUARD(&activity->lock);
    return oldest_us_locked(activity, now, idle_us(activity, now)) >=
           ACTIVITY_STALL_US;
}

static GPtrArray *stalled_names(void)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    int64_t now = now_us();
    GHashTableIter iter;
    gpointer activity;

    QEMU_LOCK_GUARD(&activities_lock);
    if (activities) {
        g_hash_table_iter_init(&iter, activities);
        while (g_hash_table_iter_next(&iter, NULL, &activity)) {
            if (is_stalled(activity, now)) {
                g_ptr_array_add(names, g_strdup(((Activity *)activity)->name));
            }
        }
    }
    return names;
}

void activity_foreach_stalled(void (*fn)(const char *name, void *opaque),
                              void *opaque)
{
    g_autoptr(GPtrArray) names = stalled_names();

    for (guint i = 0; i < names->len; i++) {
        fn(names->pdata[i], opaque);
    }
}

void activity_foreach_uncuttable(void (*fn)(const char *name, void *opaque),
                                 void *opaque)
{
    GHashTableIter iter;
    gpointer value;

    QEMU_LOCK_GUARD(&activities_lock);
    if (!activities) {
        return;
    }
    g_hash_table_iter_init(&iter, activities);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Activity *activity = value;

        if (activity->uncuttable) {
            fn(activity->name, opaque);
        }
    }
}
