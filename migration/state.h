/*
 * The state of the migration in this process: one at a time, source or
 * destination.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_STATE_H
#define MIGRATION_STATE_H

#include "qapi/error.h"
#include "qapi/qapi-types-migration.h"

/* Any thread, OOB-safe. */
MigrationStatus migration_state(void);

/*
 * Goes from @from to @to and sends the event MIGRATION.  False, with nothing
 * done, when the state is not @from any more.  The table in state.c says what
 * is allowed; what is not there is a bug, and a warning in a release build.
 * Any thread, OOB-safe.
 */
bool migration_set_state(MigrationStatus from, MigrationStatus to);

/* The link was lost after the source may have given up its role. */
void migration_enter_paused(void);
/* It has failed, or was cancelled, while the source had its role. */
void migration_enter_failed(void);

/* A migration is under way: capabilities and parameters are fixed. */
bool migration_state_is_running(MigrationStatus status);

#endif
