/*
 * Shutdown: the request to end, and the watchdog that sees it through.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "qapi/qapi-events-run-state.h"
#include "qemu/lockable.h"
#include "qemu/shutdown.h"
#include "qemu/yank.h"

/* What the hard way gets at least, after the yank. */
#define SHUTDOWN_MIN_GRACE_MS 1000
#define SHUTDOWN_YANK_AGAIN_MS 100

/*
 * Guards the fields below; fast; the last in the order, nothing is taken
 * under it.
 */
static QemuMutex shutdown_lock;
static int64_t shutdown_timeout_ms = 10000;
static ShutdownCause shutdown_cause;
static bool watchdog_started;
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

/* On the thread that must not block: a line is lost rather than waited for. */
static void say(const char *what)
{
    struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};
    g_autofree char *line = g_strdup_printf("%s: %s\n", g_get_prgname(), what);

    if (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT) &&
        write(STDERR_FILENO, line, strlen(line)) < 0) {
        return; /* nobody is left to be told */
    }
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

static gboolean watchdog_end_process(gpointer opaque)
{
    void (*last_resort)(void);

    say("yanking all peers did not help either, ending the hard way");
    WITH_QEMU_LOCK_GUARD(&shutdown_lock) {
        last_resort = last_resort_fn;
    }
    if (last_resort) {
        last_resort();
    }
    _exit(1);
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
 * What still waits in the main thread's queue may hang on peers of its own:
 * hence a yank of those that come up meanwhile, too.
 */
static gboolean watchdog_yank(gpointer opaque)
{
    say("shutdown takes too long, yanking all peers");
    yank_all_instances();
    watchdog_arm(SHUTDOWN_YANK_AGAIN_MS, watchdog_yank_again);
    watchdog_arm(MAX(get_timeout(), SHUTDOWN_MIN_GRACE_MS),
                 watchdog_end_process);
    return G_SOURCE_REMOVE;
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
    watchdog_arm(ms, watchdog_yank);
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

void shutdown_request(ShutdownCause cause)
{
    WITH_QEMU_LOCK_GUARD(&shutdown_lock) {
        if (shutdown_cause != SHUTDOWN_CAUSE_NONE) {
            return;
        }
        shutdown_cause = cause;
    }
    shutdown_announce();
    if (watchdog_thread && iothread_current()) {
        /* The main thread may hang.  Posted, so that a reply goes first. */
        iothread_post(watchdog_thread, send_event_on_watchdog, NULL);
    }
    g_main_context_wakeup(NULL);
}

ShutdownCause shutdown_requested(void)
{
    QEMU_LOCK_GUARD(&shutdown_lock);
    return shutdown_cause;
}
