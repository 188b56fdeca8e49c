/*
 * Activity: what each yankable object is doing, by name.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/activity.h"
#include "qemu/lockable.h"

struct Activity {
    char *name;
    Activity *older; /* of the same name; under activities_lock */
    /* Relaxed atomics, written on the data path. */
    uint64_t in_flight;
    int64_t last_progress_us;
    const char *phase;
    /* Under activities_lock, as it is no single word. */
    char peer[sizeof(((ActivitySnapshot *)NULL)->peer)];
};

/* Guards the table and the peers in it.  Fast; innermost of all locks. */
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

static void activity_touch(Activity *activity)
{
    __atomic_store_n(&activity->last_progress_us, g_get_monotonic_time(),
                     __ATOMIC_RELAXED);
}

Activity *activity_new(const char *name)
{
    Activity *activity = g_new0(Activity, 1);

    activity->name = g_strdup(name);
    activity->phase = "";
    activity_touch(activity);

    QEMU_LOCK_GUARD(&activities_lock);
    if (!activities) {
        activities = g_hash_table_new(g_str_hash, g_str_equal);
    }
    activity->older = g_hash_table_lookup(activities, name);
    g_hash_table_replace(activities, activity->name, activity);
    return activity;
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
    QEMU_LOCK_GUARD(&activities_lock);

    g_strlcpy(activity->peer, peer ? peer : "", sizeof(activity->peer));
}

/*
 * The clock starts with the first request after a pause: before the counter
 * shows it, lest a reader takes the pause for a stall.
 */
void activity_begin(Activity *activity)
{
    if (__atomic_load_n(&activity->in_flight, __ATOMIC_RELAXED) == 0) {
        activity_touch(activity);
    }
    __atomic_fetch_add(&activity->in_flight, 1, __ATOMIC_RELEASE);
}

void activity_end(Activity *activity)
{
    activity_touch(activity);
    __atomic_fetch_sub(&activity->in_flight, 1, __ATOMIC_RELAXED);
}

void activity_progress(Activity *activity)
{
    activity_touch(activity);
}

bool activity_snapshot(const char *name, ActivitySnapshot *out)
{
    Activity *activity;

    QEMU_LOCK_GUARD(&activities_lock);
    activity = activities ? g_hash_table_lookup(activities, name) : NULL;
    if (!activity) {
        return false;
    }
    out->in_flight = __atomic_load_n(&activity->in_flight, __ATOMIC_ACQUIRE);
    out->idle_us =
        g_get_monotonic_time() -
        __atomic_load_n(&activity->last_progress_us, __ATOMIC_RELAXED);
    out->phase = __atomic_load_n(&activity->phase, __ATOMIC_RELAXED);
    g_strlcpy(out->peer, activity->peer, sizeof(out->peer));
    return true;
}
