/*
 * What the files of the storage daemon offer each other.
 *
 * Main thread unless stated otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef STORAGE_DAEMON_DAEMON_H
#define STORAGE_DAEMON_DAEMON_H

#include "qapi/error.h"
#include "qemu/iothread.h"

/* ---- options.c ---- */

/* What holds for the process as a whole, wherever on the line it stands. */
typedef struct DaemonSettings {
    bool daemonize;
    const char *pidfile;         /* NULL: none */
    const char *incoming;        /* a URI or "defer"; NULL: no migration */
    int64_t shutdown_timeout_ms; /* how long to drain before a yank */
} DaemonSettings;

/*
 * Looks through the command line without doing anything yet.  Prints help or
 * the version and ends the process where that is asked for, and with status 1
 * where an option is not known.
 */
bool options_scan(int argc, char **argv, DaemonSettings *settings,
                  Error **errp);

/*
 * Does what the options say, in order, until one fails or the process is
 * asked to end.  May block on peers.
 */
bool options_apply(int argc, char **argv, const DaemonSettings *settings,
                   Error **errp);

/* ---- help.c ---- */

void help_print(void);
void help_print_version(void);

/* ---- option-help.c ---- */

/*
 * Print the help that the value @arg of --object, --export or --chardev
 * requests ("help", "TYPE,help").  Return false if @arg is not a request for
 * help.
 */
bool option_help_object(const char *arg);
bool option_help_export(const char *arg);
bool option_help_chardev(const char *arg);

/* ---- daemonize.c ---- */

/*
 * Opens /dev/null as each of the descriptors 0, 1 and 2 that is closed, so that
 * no socket or file gets one of these numbers.  Call before any other file is
 * opened.  Returns false with errp set on failure.
 */
bool standard_streams_init(Error **errp);
/*
 * Goes on in the background, in a child; the parent waits for
 * daemonize_complete() and exits with status 0, or with 1 when the child ends
 * before.  Before there are threads.
 */
bool daemonize_start(Error **errp);
/* Startup is over: leaves the folder and the terminal of the caller. */
bool daemonize_complete(Error **errp);

/* ---- pidfile.c ---- */

/*
 * Writes and locks @path.  Returns false with errp set if another running
 * process has locked the file, or if the file system does not answer within 10
 * s.  Main thread; blocks.
 */
bool pidfile_create(const char *path, Error **errp);
/*
 * Removes the file, if this process has written it and it was not replaced. Any
 * thread; blocks as long as the file system does.
 */
void pidfile_remove(void);
/* Like pidfile_remove(), on a side thread; waits at most 2 s for it. */
void pidfile_cleanup(void);

/* ---- signals.c ---- */

/* Keeps SIGTERM, SIGINT and SIGHUP for signals_watch().  Before threads. */
void signals_block(void);
/* Makes them a request to end, noticed on @iothread. */
bool signals_watch(IOThread *iothread, Error **errp);
void signals_unwatch(void);

#endif
