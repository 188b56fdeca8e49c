/*
 * Global options: those that every verb takes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdbool.h>
#include <glib.h>

typedef struct Options {
    char *config;   /* file of domains; NULL: the usual ones */
    char **sockets; /* NAME=ADDRESS each, or NULL */
    char **dirs;    /* folders of sockets, or NULL */
    char **libvirt; /* URIs, or NULL */
    char *control;  /* socket of the service; NULL: the usual ones */
    gboolean no_control;
    double timeout; /* as the user gave it, in seconds */
    int timeout_ms; /* the same; for each answer that is waited for */
    gboolean json;
} Options;

/*
 * The entries of the global options, which set @options, "main" of
 * GOptionContext; sets the defaults.  g_free() the array, options_clear() the
 * rest.
 */
GOptionEntry *options_entries(Options *options);
/* Checks the values, and sets what comes of them. */
bool options_finish(Options *options, GError **errp);
/* Whether @seconds, the value of @option, is a time: 0 (none) or more. */
bool options_check_seconds(const char *option, double seconds, GError **errp);
void options_clear(Options *options);

/* True when domains are named by the command line itself. */
bool options_name_domains(const Options *options);

#endif
