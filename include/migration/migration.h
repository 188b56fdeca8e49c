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
 * Makes this process wait for an incoming migration; until that has arrived,
 * the process serves no data.  Call once, before the first node is added.
 * Returns false with errp set when no thread or no descriptor is left.  Main
 * thread.
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
