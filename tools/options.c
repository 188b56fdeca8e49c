/*
 * Global options: their entries, defaults and checks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "options.h"

#define DEFAULT_TIMEOUT 3.0
#define MIN_TIMEOUT 0.01
#define MAX_TIMEOUT 3600.0
#define MAX_SECONDS 1e9

GOptionEntry *options_entries(Options *options)
{
    const GOptionEntry entries[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config,
         "Read the domains from FILE", "FILE"},
        {"socket", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options->sockets,
         "A domain, by its QMP socket: a path or HOST:PORT", "NAME=ADDRESS"},
        {"dir", 'd', 0, G_OPTION_ARG_FILENAME_ARRAY, &options->dirs,
         "Every QMP socket in the folder DIR is a domain", "DIR"},
        {"libvirt", 'l', 0, G_OPTION_ARG_STRING_ARRAY, &options->libvirt,
         "The running domains of libvirt that have a second monitor", "URI"},
        {"control", 0, 0, G_OPTION_ARG_FILENAME, &options->control,
         "The control socket of the service", "PATH"},
        {"no-control", 0, 0, G_OPTION_ARG_NONE, &options->no_control,
         "Do not ask the service, connect to domains directly", NULL},
        {"timeout", 't', 0, G_OPTION_ARG_DOUBLE, &options->timeout,
         "Wait so long for each answer (default: 3)", "SECONDS"},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &options->json,
         "Print JSON, for programs", NULL},
        {NULL},
    };

    options->timeout = DEFAULT_TIMEOUT;
    return g_memdup2(entries, sizeof(entries));
}

bool options_finish(Options *options, GError **errp)
{
    if (!(options->timeout >= MIN_TIMEOUT && options->timeout <= MAX_TIMEOUT)) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "--timeout %g is out of range: allowed are %g to %g "
                    "seconds",
                    options->timeout, MIN_TIMEOUT, MAX_TIMEOUT);
        return false;
    }
    options->timeout_ms = options->timeout * 1000;
    return true;
}

bool options_check_seconds(const char *option, double seconds, GError **errp)
{
    if (seconds >= 0 && seconds <= MAX_SECONDS) {
        return true;
    }
    g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                "%s %g is out of range: allowed are 0 to %g seconds", option,
                seconds, MAX_SECONDS);
    return false;
}

void options_clear(Options *options)
{
    g_free(options->config);
    g_strfreev(options->sockets);
    g_strfreev(options->dirs);
    g_strfreev(options->libvirt);
    g_free(options->control);
}

bool options_name_domains(const Options *options)
{
    return options->config || options->sockets || options->dirs ||
           options->libvirt;
}
