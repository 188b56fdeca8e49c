/*
 * The command line: what each option does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <getopt.h>
#include <math.h>
#include "block/block.h"
#include "block/export.h"
#include "chardev/char.h"
#include "chardev/char-opts.h"
#include "daemon.h"
#include "monitor/monitor.h"
#include "qapi/qapi-visit-block-core.h"
#include "qapi/qapi-visit-block-export.h"
#include "qapi/qapi-visit-control.h"
#include "qapi/qapi-visit-qom.h"
#include "qemu/shutdown.h"
#include "qobject/json.h"
#include "qobject/keyval.h"
#include "qom/object.h"

#define SHUTDOWN_TIMEOUT_MAX 86400 /* seconds */
#define SHUTDOWN_TIMEOUT_DEFAULT_MS 10000

/* Beyond the characters of short options. */
enum {
    OPTION_BLOCKDEV = 256,
    OPTION_CHARDEV,
    OPTION_DAEMONIZE,
    OPTION_EXPORT,
    OPTION_INCOMING,
    OPTION_MONITOR,
    OPTION_NBD_SERVER,
    OPTION_OBJECT,
    OPTION_PIDFILE,
    OPTION_SHUTDOWN_TIMEOUT,
};

static const char short_options[] = "-hV";
static const struct option long_options[] = {
    {"blockdev", required_argument, NULL, OPTION_BLOCKDEV},
    {"chardev", required_argument, NULL, OPTION_CHARDEV},
    {"daemonize", no_argument, NULL, OPTION_DAEMONIZE},
    {"export", required_argument, NULL, OPTION_EXPORT},
    {"help", no_argument, NULL, 'h'},
    {"incoming", required_argument, NULL, OPTION_INCOMING},
    {"monitor", required_argument, NULL, OPTION_MONITOR},
    {"nbd-server", required_argument, NULL, OPTION_NBD_SERVER},
    {"object", required_argument, NULL, OPTION_OBJECT},
    {"pidfile", required_argument, NULL, OPTION_PIDFILE},
    {"shutdown-timeout", required_argument, NULL, OPTION_SHUTDOWN_TIMEOUT},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* Reads @arg, of either form; NULL with errp set. */
static Visitor *option_visitor(const char *arg, const char *implied_key,
                               Error **errp)
{
    g_autoptr(json_object) obj = NULL;
    bool help = false;

    if (arg[0] == '{') {
        obj = json_parse(arg, errp);
        return obj ? qobject_input_visitor_new(obj) : NULL;
    }
    obj = keyval_parse(arg, implied_key, &help, errp);
    if (!obj) {
        return NULL;
    }
    if (help) {
        error_setg(errp, "Help is not available for this option");
        return NULL;
    }
    return qobject_input_visitor_new_keyval(obj);
}

static bool apply_blockdev(const char *arg, Error **errp)
{
    g_autoptr(Visitor) v = option_visitor(arg, "driver", errp);
    g_autoptr(BlockdevOptions) options = NULL;

    return v && visit_type_BlockdevOptions(v, NULL, &options, errp) &&
           block_node_add(options, errp);
}

static bool apply_export(const char *arg, Error **errp)
{
    g_autoptr(Visitor) v = option_visitor(arg, "type", errp);
    g_autoptr(BlockExportOptions) options = NULL;

    return v && visit_type_BlockExportOptions(v, NULL, &options, errp) &&
           block_export_add(options, errp);
}

static bool apply_nbd_server(const char *arg, Error **errp)
{
    g_autoptr(Visitor) v = option_visitor(arg, NULL, errp);
    g_autoptr(NbdServerOptions) options = NULL;

    return v && visit_type_NbdServerOptions(v, NULL, &options, errp) &&
           nbd_server_start_options(options, errp);
}

static bool apply_object(const char *arg, Error **errp)
{
    g_autoptr(Visitor) v = option_visitor(arg, "qom-type", errp);
    g_autoptr(ObjectOptions) options = NULL;

    return v && visit_type_ObjectOptions(v, NULL, &options, errp) &&
           object_add(options, errp);
}

static bool apply_monitor(const char *arg, Error **errp)
{
    g_autoptr(Visitor) v = option_visitor(arg, "chardev", errp);
    g_autoptr(MonitorOptions) options = NULL;

    if (!v || !visit_type_MonitorOptions(v, NULL, &options, errp)) {
        return false;
    }
    if (options->has_mode && options->mode != MONITOR_MODE_CONTROL) {
        error_setg(errp, "Only QMP is supported");
        return false;
    }
    return monitor_add(options->chardev, options->has_pretty && options->pretty,
                       errp);
}

static bool apply_chardev(const char *arg, const DaemonSettings *settings,
                          Error **errp)
{
    g_autoptr(ChardevBackend) backend = NULL;
    g_autofree char *id = NULL;

    if (!chardev_parse_opts(arg, &id, &backend, errp)) {
        return false;
    }
    if (backend->type == CHARDEV_BACKEND_KIND_STDIO && settings->daemonize) {
        error_setg(errp, "cannot use stdio with --daemonize");
        return false;
    }
    return chardev_add(id, backend, errp);
}

static bool apply_option(int option, const char *arg,
                         const DaemonSettings *settings, Error **errp)
{
    switch (option) {
    case OPTION_BLOCKDEV:
        return apply_blockdev(arg, errp);
    case OPTION_CHARDEV:
        return apply_chardev(arg, settings, errp);
    case OPTION_EXPORT:
        return apply_export(arg, errp);
    case OPTION_MONITOR:
        return apply_monitor(arg, errp);
    case OPTION_NBD_SERVER:
        return apply_nbd_server(arg, errp);
    case OPTION_OBJECT:
        return apply_object(arg, errp);
    default:
        return true; /* a setting, known since the scan */
    }
}

/* The next option, its place in long_options in *@index; -1 at the end. */
static int next_option(int argc, char **argv, int *index)
{
    *index = -1;
    return getopt_long(argc, argv, short_options, long_options, index);
}

bool options_apply(int argc, char **argv, const DaemonSettings *settings,
                   Error **errp)
{
    int option;
    int index;

    optind = 0; /* start again */
    while ((option = next_option(argc, argv, &index)) != -1) {
        if (!apply_option(option, optarg, settings, errp)) {
            error_prepend(errp, "--%s %s: ", long_options[index].name, optarg);
            return false;
        }
        if (shutdown_requested() != SHUTDOWN_CAUSE_NONE) {
            break;
        }
    }
    return true;
}

static bool parse_shutdown_timeout(const char *arg, int64_t *ms, Error **errp)
{
    char *end;
    double seconds = g_ascii_strtod(arg, &end);

    if (end == arg || *end || !isfinite(seconds) || seconds < 0 ||
        seconds > SHUTDOWN_TIMEOUT_MAX) {
        error_setg(errp,
                   "--shutdown-timeout %s: Expected seconds, from 0 to %d", arg,
                   SHUTDOWN_TIMEOUT_MAX);
        return false;
    }
    *ms = (int64_t)(seconds * 1000 + 0.5);
    return true;
}

/* Ends the process if the help of a single option was printed. */
static void exit_after_help(bool printed)
{
    if (printed) {
        exit(0);
    }
}

static bool scan_option(int option, DaemonSettings *settings, Error **errp)
{
    switch (option) {
    case 'h':
        help_print();
        exit(0);
    case 'V':
        help_print_version();
        exit(0);
    case '?':
        exit(1); /* getopt has said why */
    case 1:
        error_setg(errp, "%s: Unexpected argument", optarg);
        return false;
    case OPTION_CHARDEV:
        exit_after_help(option_help_chardev(optarg));
        return true;
    case OPTION_DAEMONIZE:
        settings->daemonize = true;
        return true;
    case OPTION_EXPORT:
        exit_after_help(option_help_export(optarg));
        return true;
    case OPTION_INCOMING:
        settings->incoming = optarg;
        return true;
    case OPTION_OBJECT:
        exit_after_help(option_help_object(optarg));
        return true;
    case OPTION_PIDFILE:
        settings->pidfile = optarg;
        return true;
    case OPTION_SHUTDOWN_TIMEOUT:
        return parse_shutdown_timeout(optarg, &settings->shutdown_timeout_ms,
                                      errp);
    default:
        return true;
    }
}

bool options_scan(int argc, char **argv, DaemonSettings *settings, Error **errp)
{
    int option;
    int index;

    *settings = (DaemonSettings){
        .shutdown_timeout_ms = SHUTDOWN_TIMEOUT_DEFAULT_MS,
    };
    while ((option = next_option(argc, argv, &index)) != -1) {
        if (!scan_option(option, settings, errp)) {
            return false;
        }
    }
    return true;
}
