/*
 * How a migration goes: what query-migrate tells, of yankd and of stock QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_MIGRATION_PROGRESS_H
#define TOOLS_MIGRATION_PROGRESS_H

#include <stdbool.h>
#include <json-c/json.h>
#include <glib.h>

typedef struct MigrationProgress {
    char *status;
    char *error;         /* why it failed, or NULL */
    double percent;      /* -1: unknown */
    double rate;         /* bytes a second */
    double transferred;  /* bytes */
    gint64 remaining_ms; /* -1: unknown */
    gint64 downtime_ms;  /* expected or, in the end, measured; -1: unknown */
    gint64 total_ms;     /* so far; -1: unknown */
    gint64 passes;       /* over what gets dirty again and again */
    /* Not told by the server: set by whoever asks it. */
    gint64 still_ms; /* for how long nothing has moved */
    bool unanswered; /* the latest question; the rest is as of before */
} MigrationProgress;

/* Sets all that the server tells out of what query-migrate returned. */
void migration_progress_read(MigrationProgress *progress, json_object *info);
void migration_progress_clear(MigrationProgress *progress);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MigrationProgress, migration_progress_clear)

/* It has ended, well or not; "postcopy-paused" counts too. */
bool migration_progress_ended(const MigrationProgress *progress);
bool migration_progress_completed(const MigrationProgress *progress);
/* Nothing has moved for long enough to tell people. */
bool migration_progress_is_still(const MigrationProgress *progress);
/* Something moved between the two. */
bool migration_progress_moved(const MigrationProgress *before,
                              const MigrationProgress *now);

/*
 * One line without an end, @width columns at most; the bar takes what the rest
 * leaves, up to a limit.  g_free() it.
 */
char *migration_progress_text(const MigrationProgress *progress, int width);
json_object *migration_progress_to_json(const MigrationProgress *progress);

#endif
