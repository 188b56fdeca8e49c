/*
 * Compression of content, by zstd.
 *
 * Each channel has a compressor of its own; one thread at a time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_COMPRESS_H
#define MIGRATION_COMPRESS_H

#include "qapi/error.h"

typedef struct Compressor Compressor;

Compressor *compressor_new(void);
/* NULL is fine. */
void compressor_free(Compressor *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Compressor, compressor_free)

/*
 * Compresses @len bytes (up to STREAM_STRIPE); the result belongs to @c until
 * its next use.  Returns its size, or 0 when it would not be smaller.
 */
size_t compressor_pack(Compressor *c, const void *in, size_t len,
                       const void **out);

/* Fills @out with exactly @out_len bytes; anything else is an error. */
bool compressor_unpack(Compressor *c, const void *in, size_t len, void *out,
                       size_t out_len, Error **errp);

#endif
