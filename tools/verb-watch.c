/*
 * The verb "watch": the service, from its start to its end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <signal.h>
#include <sys/resource.h>
#include "control-path.h"
#include "json.h"
#include "output.h"
#include "verb.h"
#include "watch/control.h"
#include "watch/journal.h"
#include "watch/log.h"
#include "watch/metrics.h"
#include "watch/notify.h"

#define DEFAULT_RESCAN 5.0
#define MIN_RESCAN 0.05
#define MAX_RESCAN 86400.0
/* Each domain needs a descriptor or two; the soft limit is often 1,024. */
#define MAX_DESCRIPTORS 65536

static char *policy_path;
static char *check_path;
static char *journal_path;
static char *metrics_address;
static double rescan = DEFAULT_RESCAN;

static const GOptionEntry entries[] = {
    {"policy", 'p', 0, G_OPTION_ARG_FILENAME, &policy_path,
     "What to do about stalls; without one they are only reported", "FILE"},
    {"check", 0, 0, G_OPTION_ARG_FILENAME, &check_path,
     "Say what is wrong in a policy file, and do nothing else", "FILE"},
    {"journal", 0, 0, G_OPTION_ARG_FILENAME, &journal_path,
     "Append incidents to FILE, as JSON lines", "FILE"},
    {"metrics", 0, 0, G_OPTION_ARG_STRING, &metrics_address,
     "Serve metrics over HTTP on 127.0.0.1:PORT or unix:PATH", "ADDRESS"},
    {"rescan", 0, 0, G_OPTION_ARG_DOUBLE, &rescan,
     "Look for domains that often (default: 5)", "SECONDS"},
    {NULL},
};

/* What runs. */
typedef struct Service {
    GMainLoop *loop;
    guint sources[4]; /* of the loop; 0: none */
    WatchSocket *control_socket;
    WatchSocket *metrics_socket; /* until it is served, or NULL */
    GStrv own; /* addresses of these two, as a domain's would be */
    Fleet *fleet;
    WatchControl *control;
    Metrics *metrics;
} Service;

static ExitCode check(const Options *options)
{
    g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(Policy) policy = policy_load(check_path, errors);
    json_object *list = json_object_new_array();
    g_autoptr(json_object) reply = json_object_new_object();

    if (policy) {
        policy_check_rules(policy, check_path, errors);
    }
    json_set(reply, "errors", list);
    for (guint i = 0; i < errors->len; i++) {
        if (!options->json) {
            fprintf(stderr, "%s\n", (char *)errors->pdata[i]);
        }
        json_object_array_add(list, json_object_new_string(errors->pdata[i]));
    }
    if (options->json) {
        output_json(reply, true);
    }
    return errors->len ? EXIT_USAGE : EXIT_OK;
}

static gboolean on_end(void *opaque)
{
    g_main_loop_quit(((Service *)opaque)->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean on_reload(void *opaque)
{
    g_autoptr(json_object) first = incidents_continue_line();

    watch_log_reopen(first);
    fleet_reload(((Service *)opaque)->fleet);
    return G_SOURCE_CONTINUE;
}

/* This runs on the loop, and asks for the threads: so all of it turns. */
static gboolean on_watchdog(void *opaque)
{
    if (fleet_turns(((Service *)opaque)->fleet)) {
        notify_send("WATCHDOG=1");
    }
    return G_SOURCE_CONTINUE;
}

static bool take_sockets(Service *service, const Options *options,
                         GError **errp)
{
    g_auto(GStrv) paths = control_paths(options);

    service->own = g_new0(char *, 3);
    service->own[0] = domain_address(paths[0]);
    service->control_socket = watch_socket_new(paths[0], errp);
    if (!service->control_socket || !metrics_address) {
        return service->control_socket != NULL;
    }
    service->own[1] = domain_address(metrics_address);
    service->metrics_socket = watch_socket_new_address(metrics_address, errp);
    if (!service->metrics_socket) {
        g_prefix_error(errp, "--metrics ");
    }
    return service->metrics_socket != NULL;
}

static bool serve_metrics(Service *service, GError **errp)
{
    if (!service->metrics_socket) {
        return true;
    }
    if (!watch_socket_listen(service->metrics_socket, errp)) {
        g_prefix_error(errp, "--metrics ");
        return false;
    }
    service->metrics = metrics_new(g_steal_pointer(&service->metrics_socket),
                                   service->fleet, errp);
    return service->metrics != NULL;
}

static void handle_signals(Service *service)
{
    service->loop = g_main_loop_new(NULL, false);
    service->sources[0] = g_unix_signal_add(SIGTERM, on_end, service);
    service->sources[1] = g_unix_signal_add(SIGINT, on_end, service);
    service->sources[2] = g_unix_signal_add(SIGHUP, on_reload, service);
    /* A journal that may not grow any more fails like one on a full disk. */
    signal(SIGXFSZ, SIG_IGN);
}

static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < MAX_DESCRIPTORS) {
        limit.rlim_cur = MIN(limit.rlim_max, MAX_DESCRIPTORS);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/*
 * Who can connect finds all of it there.  Until domains have been looked for,
 * which may take long, signals end the process as they do any other.
 */
static bool open_all(Service *service, const Options *options, GError **errp)
{
    raise_limit();
    if (!take_sockets(service, options, errp) ||
        !watch_log_start(journal_path, errp)) {
        return false;
    }
    if (journal_path) {
        incidents_continue(journal_last_incident(journal_path));
    }
    service->fleet = fleet_new(options, policy_path, service->own,
                               rescan * G_USEC_PER_SEC, errp);
    if (!service->fleet) {
        return false;
    }
    handle_signals(service);
    if (!serve_metrics(service, errp) ||
        !watch_socket_listen(service->control_socket, errp)) {
        return false;
    }
    service->control =
        watch_control_new(service->control_socket, service->fleet);
    return true;
}

static void serve(Service *service)
{
    unsigned watchdog_ms = notify_watchdog_ms();

    if (watchdog_ms) {
        service->sources[3] = g_timeout_add(watchdog_ms, on_watchdog, service);
    }
    notify_send("READY=1");
    g_main_loop_run(service->loop);
    notify_send("STOPPING=1");
}

/* Operations under way end with the fleet, so these go around it. */
static void close_all(Service *service)
{
    bool ended = true;

    for (size_t i = 0; i < G_N_ELEMENTS(service->sources); i++) {
        if (service->sources[i]) {
            g_source_remove(service->sources[i]);
        }
    }
    g_clear_pointer(&service->loop, g_main_loop_unref);
    metrics_free(service->metrics);
    if (service->control) {
        watch_control_close(service->control);
    }
    if (service->fleet) {
        ended = fleet_free(service->fleet);
    }
    if (service->control && ended) {
        watch_control_free(service->control);
    }
    watch_socket_free(service->metrics_socket);
    watch_socket_free(service->control_socket);
    watch_log_stop();
    if (!ended) {
        /* A source of domains hangs, with a thread of ours in it. */
        _exit(EXIT_OK);
    }
    g_strfreev(service->own);
}

static ExitCode run(const Options *options, char **arguments, GError **errp)
{
    Service service = {0};
    bool ok;

    if (check_path) {
        return check(options);
    }
    if (!(rescan >= MIN_RESCAN && rescan <= MAX_RESCAN)) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "--rescan %g is out of range: allowed are %g to %g seconds",
                    rescan, MIN_RESCAN, MAX_RESCAN);
        return EXIT_USAGE;
    }
    ok = open_all(&service, options, errp);
    if (ok) {
        serve(&service);
    }
    close_all(&service);
    return ok ? EXIT_OK : EXIT_FAILED;
}

const Verb verb_watch = {
    .name = "watch",
    .arguments = "",
    .summary = "Keep a lane to every domain, and rescue those that hang",
    .options = entries,
    .run = run,
};
