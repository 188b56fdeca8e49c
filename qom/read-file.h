/*
 * Reading the small files that objects are made of.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOM_READ_FILE_H
#define QOM_READ_FILE_H

#include "qapi/error.h"

/*
 * Returns the content of @path, which may have at most 1 MiB, or NULL with errp
 * set on failure.  @what says in messages what the file should be.  If @absent
 * is not NULL and the file does not exist, sets *@absent to true and returns
 * NULL without an error.  Free the result with object_wipe_string().
 *
 * Blocks for up to 12 s when a file system or the writer of a pipe does not
 * answer, and for up to 2 s on a FIFO without a writer.  Any thread.
 */
GString *object_read_file(const char *path, const char *what, bool *absent,
                          Error **errp);

/* Overwrites @text in memory before it frees it.  NULL is allowed. */
void object_wipe_string(GString *text);

#endif
