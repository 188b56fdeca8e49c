/*
 * Verbs: what yankctl can be told to do, each in a file of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_VERB_H
#define TOOLS_VERB_H

#include "exit-code.h"
#include "options.h"

typedef struct Verb {
    const char *name;
    const char *arguments; /* as in the usage, "DOMAIN INSTANCE..."; "" */
    const char *summary;   /* one line without a full stop */
    /* Options of its own beside the global ones, or NULL. */
    const GOptionEntry *options;
    int min_arguments;
    int max_arguments; /* -1: any number */
    /*
     * Does it.  @arguments: NULL-terminated, within the limits above
     * Returns: the code to exit with; when @errp is set, that is told to the
     * user, and exit_code_of() it counts instead.
     */
    ExitCode (*run)(const Options *options, char **arguments, GError **errp);
} Verb;

extern const Verb verb_events;
extern const Verb verb_libvirt_snippet;
extern const Verb verb_list;
extern const Verb verb_migrate;
extern const Verb verb_raw;
extern const Verb verb_shell;
extern const Verb verb_status;
extern const Verb verb_watch;
extern const Verb verb_yank;

/* All of them, NULL-terminated, in the order of the help. */
extern const Verb *const verbs[];

#endif
