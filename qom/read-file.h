/*
 * Reading the small files that objects are made of.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOM_READ_FILE_H
#define QOM_READ_FILE_H

#include "qapi/error.h"

/*
 * The content of @path, which has at most 1 MiB; NULL with errp set on
 * failure.  @what says in the message what it should be.  @absent, unless it
 * is NULL: set to true, with NULL and no error, when there is no such file.
 *
 * Blocks for up to 12 s where a file system or the writer of a pipe does not
 * answer, and up to 2 s for a FIFO without a writer.  Any thread.
 * object_wipe_string() the result.
 */
GString *object_read_file(const char *path, const char *what, bool *absent,
                          Error **errp);

/* Overwrites before freeing, so that nothing is left in memory; NULL is fine. */
void object_wipe_string(GString *text);

#endif
