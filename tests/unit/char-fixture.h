/*
 * What the tests of character devices share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CHAR_FIXTURE_H
#define TESTS_CHAR_FIXTURE_H

#include "chardev/char.h"
#include "io-fixture.h"

/*
 * Adds the device that the option of a command line describes, in either
 * form.
 */
bool char_fixture_add(const char *option, Error **errp);
/* The same, where the option has a %s for @path. */
bool char_fixture_add_path(const char *format, const char *path, Error **errp)
    G_GNUC_PRINTF(1, 0);
/* What query-chardev says of @id; g_free() it. */
char *char_fixture_filename(const char *id);

/*
 * Yanks "chardev:@id" and returns the number of connections cut.  The second
 * function returns -1 if the instance does not exist.  Any thread.
 */
int char_fixture_yank(const char *id);
int char_fixture_try_yank(const char *id);
/* How many instances there are. */
int char_fixture_instances(void);

/* Runs the loop until the activity of @id is in @phase. */
void char_fixture_run_until_phase(const char *id, const char *phase);
/* Waits for that on another thread. */
void char_fixture_wait_phase(const char *id, const char *phase);

/* Closes all devices; fails when an instance is left. */
void char_fixture_finish(void);

#endif
