/*
 * yankd: from the command line to the end of the process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block.h"
#include "block/export.h"
#include "chardev/char.h"
#include "daemon.h"
#include "io/inherited-fd.h"
#include "migration/migration.h"
#include "monitor/monitor.h"
#include "qemu/aside.h"
#include "qemu/main-context.h"
#include "qemu/message-thread.h"
#include "qemu/oob.h"
#include "qemu/process-end.h"
#include "qemu/service-notify.h"
#include "qemu/shutdown.h"
#include "qemu/thread-pool.h"
#include "qemu/yank.h"
#include "qom/object.h"

/* Debug builds check that each wait of the main thread states why it ends. */
#ifdef CONFIG_DEBUG_CHECKS
typedef struct Sought {
    char *name;
    bool found;
} Sought;

static void compare_name(const YankInstance *instance,
                         const YankInstanceStats *stats, void *opaque)
{
    g_autofree char *name = yank_instance_name(instance);
    Sought *sought = opaque;

    sought->found |= g_str_equal(name, sought->name);
}

/* "blockdev" and "n0" stand for the instance "blockdev:n0". */
static bool is_registered(const char *type, const char *id)
{
    Sought sought = {.name = g_strjoin(":", type, id, NULL)};

    yank_foreach_instance(compare_name, &sought);
    g_free(sought.name);
    return sought.found;
}

static void check_waits_of_main_thread(void)
{
    oob_main_thread_enter(is_registered);
}
#else
static void check_waits_of_main_thread(void)
{
}
#endif

/*
 * How long the end of the process waits for abandoned calls, in milliseconds.
 */
#define ABANDONED_CALLS_MS 1000

/* Runs on a side thread, since the socket of the service manager is a path. */
static void notify_ready(void *opaque)
{
    int *error = opaque;

    *error = service_notify("READY=1") ? 0 : errno;
}

static void tell_service_manager(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    g_autoptr(AsideCall) call = NULL;
    int *error = g_new0(int, 1);
    Error *err = NULL;

    call = aside_start("telling the service manager", notify_ready, error,
                       g_free, &err);
    if (call && aside_wait(call, ASIDE_TIMEOUT_MS, &err) && *error) {
        error_setg_errno(&err, *error, "%s", path);
    }
    if (err) {
        warn_report("NOTIFY_SOCKET %s", error_get_pretty(err));
        error_free(err);
    }
}

/* Everything up to the point where clients are served. */
static bool start(int argc, char **argv, const DaemonSettings *settings,
                  Error **errp)
{
    if (!signals_watch(monitor_iothread(), errp)) {
        return false;
    }
    if (settings->incoming && !migration_expect(errp)) {
        error_prepend(errp, "--incoming %s: ", settings->incoming);
        return false;
    }
    nbd_server_hold();
    if (!options_apply(argc, argv, settings, errp)) {
        return false;
    }
    if (shutdown_requested() != SHUTDOWN_CAUSE_NONE) {
        return true;
    }
    if (settings->incoming && !migration_listen(settings->incoming, errp)) {
        error_prepend(errp, "--incoming %s: ", settings->incoming);
        return false;
    }
    if (settings->pidfile && !pidfile_create(settings->pidfile, errp)) {
        return false;
    }
    nbd_server_release();
    if (getenv("NOTIFY_SOCKET")) {
        tell_service_manager();
    }
    return !settings->daemonize || daemonize_complete(errp);
}

static void serve(void)
{
    while (shutdown_requested() == SHUTDOWN_CAUSE_NONE) {
        g_main_context_iteration(NULL, true);
    }
}

/*
 * From the clients down to the threads, so that nothing runs on what is gone.
 * Anything here may take long; the monitor's thread goes last, since it runs
 * the watchdog that ends this at all events.
 */
static void stop(void)
{
    OOB_WAIT_BOUND("--shutdown-timeout, the yank that follows, and the end");

    shutdown_send_event();
    migration_shutdown();
    block_export_close_all();
    nbd_server_stop();
    block_close_all();
    monitor_close_sessions();
    chardev_cleanup();
    object_cleanup();
    iothread_default_cleanup();
    pidfile_cleanup();
    signals_unwatch();
    monitor_cleanup();
}

/*
 * Ends the process like a return from main().  If a side thread still waits for
 * a file system, which would delay that, ends it without waiting.
 */
static int end(int status)
{
    OOB_WAIT_BOUND("the thread of the messages has written its last one");

    if (!aside_wait_abandoned(ABANDONED_CALLS_MS)) {
        /*
         * Exit with 1 if a shutdown needed a yank, and that did not end all
         * calls.
         */
        message_thread_flush(MESSAGE_FLUSH_MS);
        process_end(shutdown_has_yanked() ? 1 : status);
    }
    if (!message_thread_stop(MESSAGE_FLUSH_MS)) {
        process_end(status);
    }
    return status;
}

int main(int argc, char **argv)
{
    g_autofree char *name = g_path_get_basename(argv[0]);
    DaemonSettings settings;
    Error *err = NULL;
    int status = 0;

    inherited_fds_init();
    g_set_prgname(name);
    if (!standard_streams_init(&err) ||
        !options_scan(argc, argv, &settings, &err) ||
        (settings.daemonize && !daemonize_start(&err))) {
        error_report_err(err);
        return 1;
    }

    signals_block();
    if (!message_thread_start(&err) || !main_context_default_init(&err) ||
        !iothread_default_init(&err) || !monitor_init(&err)) {
        error_report_err(err);
        return end(1);
    }
    shutdown_init(monitor_iothread(), pidfile_remove);
    shutdown_set_timeout(settings.shutdown_timeout_ms);
    shutdown_set_starting(true);
    check_waits_of_main_thread();

    if (start(argc, argv, &settings, &err)) {
        shutdown_set_starting(false);
        serve();
    } else {
        error_report_err(err);
        status = 1;
        /* The end may hang on peers that were connected before. */
        shutdown_request(SHUTDOWN_CAUSE_HOST_ERROR);
    }
    stop();
    return end(status);
}
