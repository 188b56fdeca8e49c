/*
 * The stall watch: says which part of a hanging process hangs, from the
 * thread that does not.
 *
 * The main loop is asked to answer a ping twice a second.  One that sleeps
 * for want of work wakes up and answers; one that is stuck does not.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"
#include "qapi/qapi-events-dispatch.h"
#include "qapi/qapi-events-yank-status.h"
#include "qemu/activity.h"
#include "qemu/yank-status.h"

#define TICK_MS 500
#define MAIN_LOOP_STALL_US G_USEC_PER_SEC

typedef struct StallWatch {
    /*
     * Guards the state of the main loop.  Fast; taken before the list of
     * sessions, so that events leave in the order in which it changed.
     */
    QemuMutex lock;
    int64_t pinged_us;  /* monotonic; 0 when the last ping was answered */
    int64_t stalled_us; /* silent since then, if for too long; else 0 */

    /* The monitor thread's. */
    GSource *timer;
    GHashTable *stalled_instances; /* set of names, never NULL */
} StallWatch;

static StallWatch watch;

static void __attribute__((constructor)) stall_watch_lock_init(void)
{
    qemu_mutex_init(&watch.lock);
}

/* What the main loop runs has kept it since it began. */
static int64_t silent_since_locked(const MonRunning *running)
{
    return running->command ? MIN(running->since_us, watch.pinged_us)
                            : watch.pinged_us;
}

static void send_stalled(const MonRunning *running, int64_t now_us)
{
    DispatchRunning info = {
        .command = (char *)running->command,
        .running_ms = (now_us - running->since_us) / 1000,
    };

    qapi_event_send_main_loop_stalled(running->command ? &info : NULL);
}

/* True when the main loop is to be asked again. */
static bool check_answer(const MonRunning *running, int64_t now_us)
{
    QEMU_LOCK_GUARD(&watch.lock);

    if (!watch.pinged_us) {
        watch.pinged_us = now_us;
        return true;
    }
    if (!watch.stalled_us &&
        now_us - silent_since_locked(running) >= MAIN_LOOP_STALL_US) {
        watch.stalled_us = silent_since_locked(running);
        send_stalled(running, now_us);
    }
    return false;
}

static void check_main_loop(void)
{
    MonRunning running = mon_dispatcher_running();

    if (check_answer(&running, g_get_monotonic_time())) {
        mon_dispatcher_ping();
    }
}

static uint64_t stalled_ms_locked(void)
{
    return (g_get_monotonic_time() - watch.stalled_us) / 1000;
}

void mon_stall_watch_pong(void)
{
    QEMU_LOCK_GUARD(&watch.lock);

    if (watch.stalled_us) {
        qapi_event_send_main_loop_resumed(stalled_ms_locked());
    }
    watch.stalled_us = 0;
    watch.pinged_us = 0;
}

static void note_stalled(const char *name, void *opaque)
{
    g_hash_table_add(opaque, g_strdup(name));
}

static void report_new(const YankInstance *instance,
                       const YankInstanceStats *stats, void *opaque)
{
    GHashTable *stalled = opaque;
    g_autofree char *name = yank_instance_name(instance);

    if (g_hash_table_contains(stalled, name) &&
        !g_hash_table_contains(watch.stalled_instances, name)) {
        g_autoptr(YankInstanceStatus) status =
            yank_instance_status(instance, stats);

        qapi_event_send_yank_instance_stalled(status);
    }
}

static bool has_new(GHashTable *stalled)
{
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, stalled);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        if (!g_hash_table_contains(watch.stalled_instances, name)) {
            return true;
        }
    }
    return false;
}

static GHashTable *name_set_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

/*
 * Asks the registry only when an instance stalls, since there may be thousands.
 */
static void check_instances(void)
{
    GHashTable *stalled = name_set_new();

    activity_foreach_stalled(note_stalled, stalled);
    if (has_new(stalled)) {
        yank_status_foreach(report_new, stalled);
    }
    g_hash_table_unref(watch.stalled_instances);
    watch.stalled_instances = stalled;
}

static gboolean stall_watch_tick(gpointer opaque)
{
    check_main_loop();
    check_instances();
    return G_SOURCE_CONTINUE;
}

static void stall_watch_start(void *opaque)
{
    watch.stalled_instances = name_set_new();
    watch.timer = g_timeout_source_new(TICK_MS);
    g_source_set_callback(watch.timer, stall_watch_tick, NULL, NULL);
    g_source_attach(watch.timer, iothread_get_g_main_context(opaque));
}

void mon_stall_watch_init(IOThread *iothread)
{
    iothread_post(iothread, stall_watch_start, iothread);
}

void mon_stall_watch_cleanup(void)
{
    g_source_destroy(watch.timer);
    g_clear_pointer(&watch.timer, g_source_unref);
    g_clear_pointer(&watch.stalled_instances, g_hash_table_unref);

    QEMU_LOCK_GUARD(&watch.lock);
    watch.pinged_us = 0;
    watch.stalled_us = 0;
}

uint64_t mon_stall_watch_stalled_ms(void)
{
    QEMU_LOCK_GUARD(&watch.lock);

    return watch.stalled_us ? stalled_ms_locked() : 0;
}
