/*
 * The content that a disk must have after a file and known writes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BENCH_CONTENT_H
#define BENCH_CONTENT_H

#include <libnbd.h>

/* Blocks have a size that divides this one. */
#define CONTENT_BLOCK_MAX MiB

/*
 * A disk that held a file's bytes, and blocks of which were overwritten, each
 * time with other bytes.
 */
typedef struct Content Content;

/*
 * The content of the file @path, to be written in blocks of @block bytes.
 * NULL with a message on stderr when it cannot be read or its size is no
 * multiple of @block.  content_free() it.
 */
Content *content_new(const char *path, size_t block);
void content_free(Content *content);

/* In blocks. */
uint64_t content_blocks(const Content *content);

/*
 * Bytes to write to @block next; from here on they are what it must have.
 * Valid as long as @content is.
 */
const void *content_next(Content *content, uint64_t block);

/* The bytes that @block must have.  Valid as long as @content is. */
const void *content_expected(const Content *content, uint64_t block);

/*
 * Reads the whole export of @nbd, which is connected, and compares.  False,
 * with a message on stderr that names the first difference, if any differs.  Closes @nbd.
 */
bool content_verify(const Content *content, struct nbd_handle *nbd);

#endif
