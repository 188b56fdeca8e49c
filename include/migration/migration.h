/*
 * Migration: volumes, and the role of serving them, move to another process.
 *
 * What QMP asks is in qapi/migration.json; here is what the program around
 * needs.  Main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_MIGRATION_H
#define MIGRATION_MIGRATION_H

#include "qapi/error.h"

/*
 * This process expects a migration, and serves nothing until then.  Before
 * the first node is made, once.  False with errp set when there is no thread
 * or descriptor left.
 */
bool migration_expect(Error **errp);

/*
 * Listens at @uri, or waits for migrate-incoming when it is "defer".  After
 * migration_expect(); resolves a host name.
 */
bool migration_listen(const char *uri, Error **errp);

/*
 * Ends a migration in progress; requests that wait for content fail.  At
 * exit, while exports and nodes are there still.
 */
void migration_shutdown(void);

#endif
