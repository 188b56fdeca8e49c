/*
 * What the commands of QMP, and the end of the process, ask of the source and
 * of the destination in this process; there is at most one of both.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_INTERNAL_H
#define MIGRATION_INTERNAL_H

#include "qapi/error.h"
#include "qapi/qapi-types-migration.h"

/* ---- source-control.c ---- */

/*
 * Starts to migrate to @address.  Returns false with errp set on failure.  Main
 * thread; does not wait for a peer, except in destination_retire().
 */
bool source_begin(const SocketAddress *address, Error **errp);
/* Goes on from postcopy-paused.  Main thread. */
bool source_resume_to(const SocketAddress *address, Error **errp);
bool source_start_postcopy(Error **errp);
/* Ends it, whatever it does; at exit.  Main thread. */
void source_shutdown(void);
/* True with nothing done when there is no source.  Any thread, OOB-safe. */
bool source_cancel(Error **errp);
/* Cuts the link; false when there is none.  Any thread, OOB-safe. */
bool source_pause(void);
/* Whether there is one that has not ended.  Any thread, OOB-safe. */
bool source_is_running(void);
/* Goes on from @state, which is the present one.  Any thread. */
bool source_continue(MigrationStatus state, Error **errp);

/* ---- destination.c ---- */

/*
 * Makes this process expect a migration.  Call before the first node is added.
 * Returns false with errp set when no thread or no descriptor is left.  Main
 * thread.
 */
bool destination_expect(Error **errp);
/*
 * Starts to listen; the result of the command is the outcome.  In-band, this
 * function waits for the outcome; out-of-band, the reply is sent later.  If
 * @address has a name to resolve and @wait is false, the command returns at
 * once, and query-migrate shows the outcome.  Any thread, OOB-safe.  On the
 * main thread it blocks until a yank; without a name ASIDE_TIMEOUT_MS at most.
 */
bool destination_listen(const SocketAddress *address, bool wait, Error **errp);
/* Like destination_listen() without @wait, for a source that resumes. */
bool destination_recover(const SocketAddress *address, Error **errp);
void destination_shutdown(void);
/*
 * Everything is here and served, and something else begins: the goodbye of the
 * source is not waited for any longer than a moment.  Main thread; blocks for
 * that.
 */
void destination_retire(void);
/* Whether this process has not become one that serves yet.  Main thread. */
bool destination_is_expecting(void);
/*
 * Whether there is one that waits for a source, and nothing of a migration is
 * here.  Any thread, OOB-safe.
 */
bool destination_is_idle(void);
bool destination_cancel(Error **errp);
bool destination_pause(void);
bool destination_continue(Error **errp);

#endif
