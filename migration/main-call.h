/*
 * Calls of the main thread, where the graph of nodes and objects lives.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_MAIN_CALL_H
#define MIGRATION_MAIN_CALL_H

#include "link.h"

/*
 * Runs @fn(@opaque) on the main thread and waits for that.  False when @link
 * was cut before @fn began; then it never will.  Migration threads; blocks as
 * long as the main thread hangs.
 */
bool migration_call_main(Link *link, void (*fn)(void *opaque), void *opaque);

/* Has @fn run on the main thread some time.  Any thread, OOB-safe. */
void migration_post_main(void (*fn)(void));

#endif
