/*
 * Shutdown: the request to end, and the watchdog that sees it through.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qapi-events-run-state.h"
#include "qemu/lockable.h"
#include "qemu/process-end.h"
#include "qemu/shutdown.h"
#include "qemu/thread.h"
#include "qemu/yank.h"

/* Minimum time between the yank and the forced end, in milliseconds. */
#define SHUTDOWN_MIN_GRACE_MS 1000
/* How long before the forced end the last resort starts, in milliseconds. */
#define SHUTDOWN_LAST_RESORT_MS 300
#define SHUTDOWN_YANK_AGAIN_MS 100

/*
 * Guards the fields below; fast; the last in the order, nothing is taken
 * under it.
 */
static QemuMutex shutdown_lock;
static int64_t shutdown_timeout_ms = 10000;
static ShutdownCause shutdown_cause;
static bool starting;
static bool watchdog_started;
static bool yanked;
static bool event_sent;
static IOThread *watchdog_thread;
static void (*last_resort_fn)(void);

static void __attribute__((constructor)) shutdown_construct(void)
{
    qemu_mutex_init(&shutdown_lock);
}

void shutdown_init(IOThread *watchdog, void (*last_resort)(void))
{
    QEMU_LOCK_GUARD(&shutdown_lock);
    watchdog_thread = watchdog;
    last_resort_fn = last_resort;
}

void shutdown_set_timeout(int64_t ms)
{
    QEMU_LOCK_GUARD(&shutdown_lock);
    shutdown_timeout_ms = ms;
}

static GMainContext *watchdog_context(void)
{
    QEMU_LOCK_GUARD(&shutdown_lock);
    return iothread_get_g_main_context(watchdog_thread);
}

static void watchdog_arm(int64_t ms, GSourceFunc fn)
{
    g_autoptr(GSource) timer = g_timeout_source_new(MIN(ms, UINT_MAX));

    g_source_set_callback(timer, fn, NULL, NULL);
    g_source_attach(timer, watchdog_context());
}

/* Must not block before the process has ended. */
static gboolean watchdog_end_process(gpointer opaque)
{
    process_end(1);
}

static void *run_last_resort(void *opaque)
{
    void (*last_resort)(void) = opaque;

    last_resort();
    return NULL;
}

/* Skips the last resort if no thread can be had: the end must not wait. */
static gboolean watchdog_last_resort(gpointer opaque)
{
    void (*last_resort)(void);
    QemuThread thread;

    error_report("yanking all peers did not help either, ending the hard way");
    WITH_QEMU_LOCK_GUARD(&shutdown_lock) {
        last_resort = last_resort_fn;
    }
    if (last_resort) {
        qemu_thread_try_create(&thread, "last-resort", run_last_resort,
                               last_resort, QEMU_THREAD_DETACHED, NULL);
    }
    return G_SOURCE_REMOVE;
}

static gboolean watchdog_yank_again(gpointer opaque)
{
    yank_all_instances();
    return G_SOURCE_CONTINUE;
}

static int64_t get_timeout(void)
{
    QEMU_LOCK_GUARD(&shutdown_lock);
    return shutdown_timeout_ms;
}

/*
 * Yanks all instances, and repeats that until the end: commands that are still
 * queued for the main thread may create instances and hang on their peers.
 */
static void yank_for_good(const char *why)
{
    int64_t grace_ms = MAX(get_timeout(), SHUTDOWN_MIN_GRACE_MS);

    WITH_QEMU_LOCK_GUARD(&shutdown_lock) {
        if (yanked) {
            return;
        }
        yanked = true;
    }
    if (why) {
        error_report("%s, yanking all peers", why);
    }
    yank_all_instances();
    watchdog_arm(SHUTDOWN_YANK_AGAIN_MS, watchdog_yank_again);
    watchdog_arm(grace_ms - SHUTDOWN_LAST_RESORT_MS, watchdog_last_resort);
    watchdog_arm(grace_ms, watchdog_end_process);
}

static gboolean watchdog_timeout(gpointer opaque)
{
    yank_for_good("shutdown takes too long");
    return G_SOURCE_REMOVE;
}

static void hurry_on_watchdog(void *opaque)
{
    yank_for_good(opaque);
}

void shutdown_announce(void)
{
    int64_t ms;

    WITH_QEMU_LOCK_GUARD(&shutdown_lock) {
        if (watchdog_started || !watchdog_thread) {
            return;
        }
        watchdog_started = true;
        ms = shutdown_timeout_ms;
    }
    watchdog_arm(ms, watchdog_timeout);
}

void shutdown_send_event(void)
{
    ShutdownCause cause;

    WITH_QEMU_LOCK_GUARD(&shutdown_lock) {
        if (event_sent || shutdown_cause == SHUTDOWN_CAUSE_NONE) {
            return;
        }
        event_sent = true;
        cause = shutdown_cause;
    }
    qapi_event_send_shutdown(false, cause);
}

static void send_event_on_watchdog(void *opaque)
{
    shutdown_send_event();
}

void shutdown_set_starting(bool on)
{
    QEMU_LOCK_GUARD(&shutdown_lock);
    starting = on;
}

void shutdown_request(ShutdownCause cause)
{
    IOThread *watchdog;
    bool at_once;

    WITH_QEMU_LOCK_GUARD(&shutdown_lock) {
        if (shutdown_cause != SHUTDOWN_CAUSE_NONE) {
            return;
        }
        shutdown_cause = cause;
        watchdog = watchdog_thread;
        at_once = starting;
    }
    shutdown_announce();
    if (watchdog && iothread_current()) {
        /* The main thread may hang.  Posted, so that a reply goes first. */
        iothread_post(watchdog, send_event_on_watchdog, NULL);
        if (at_once) {
            iothread_post(watchdog, hurry_on_watchdog, NULL);
        }
    }
    g_main_context_wakeup(NULL);
}

void shutdown_hurry(void)
{
    IOThread *watchdog;

    WITH_QEMU_LOCK_GUARD(&shutdown_lock) {
        watchdog = watchdog_thread;
    }
    if (watchdog) {
        iothread_post(watchdog, hurry_on_watchdog,
                      (void *)"a second signal asks for the end");
    }
}

ShutdownCause shutdown_requested(void)
{
    QEMU_LOCK_GUARD(&shutdown_lock);
    return shutdown_cause;
}

bool shutdown_has_yanked(void)
{
    QEMU_LOCK_GUARD(&shutdown_lock);
    return yanked;
}
