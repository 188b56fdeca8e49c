/*
 * Compression of content, by zstd.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <zstd.h>
#include "compress.h"
#include "stream.h"

/* The fastest of the ordinary ones; beyond it the link waits for us. */
#define LEVEL 1

struct Compressor {
    ZSTD_CCtx *pack;   /* NULL until it is needed; so is buf */
    ZSTD_DCtx *unpack; /* NULL until it is needed */
    uint8_t *buf;      /* STREAM_STRIPE bytes: what pack makes */
};

Compressor *compressor_new(void)
{
    return g_new0(Compressor, 1);
}

void compressor_free(Compressor *c)
{
    if (c) {
        ZSTD_freeCCtx(c->pack);
        ZSTD_freeDCtx(c->unpack);
        g_free(c->buf);
        g_free(c);
    }
}

size_t compressor_pack(Compressor *c, const void *in, size_t len,
                       const void **out)
{
    size_t size;

    g_assert(len && len <= STREAM_STRIPE);
    if (!c->pack) {
        c->pack = ZSTD_createCCtx();
        c->buf = g_malloc(STREAM_STRIPE);
    }
    if (!c->pack) {
        return 0;
    }
    /* Where the room does not suffice, the result would not be smaller. */
    size = ZSTD_compressCCtx(c->pack, c->buf, len - 1, in, len, LEVEL);
    if (ZSTD_isError(size)) {
        return 0;
    }
    *out = c->buf;
    return size;
}

/*
 * One frame of today's format, which is all of @in and says that it holds
 * @out_len bytes: so neither the decoders of old formats see it, nor is there
 * anything that would be skipped.
 */
static bool check_frame(const void *in, size_t len, size_t out_len,
                        Error **errp)
{
    uint32_t magic;
    unsigned long long content;

    if (len < sizeof(magic)) {
        error_setg(errp, "Compressed content of %zu bytes is too short", len);
        return false;
    }
    memcpy(&magic, in, sizeof(magic));
    if (GUINT32_FROM_LE(magic) != ZSTD_MAGICNUMBER ||
        ZSTD_findFrameCompressedSize(in, len) != len) {
        error_setg(errp, "Compressed content is not one frame of zstd");
        return false;
    }
    content = ZSTD_getFrameContentSize(in, len);
    if (content != out_len) {
        error_setg(errp,
                   "Compressed content is not said to hold %zu bytes as it "
                   "should",
                   out_len);
        return false;
    }
    return true;
}

bool compressor_unpack(Compressor *c, const void *in, size_t len, void *out,
                       size_t out_len, Error **errp)
{
    size_t size;

    if (!check_frame(in, len, out_len, errp)) {
        return false;
    }
    if (!c->unpack) {
        c->unpack = ZSTD_createDCtx();
    }
    if (!c->unpack) {
        error_setg_errno(errp, ENOMEM, "Cannot decompress content");
        return false;
    }
    size = ZSTD_decompressDCtx(c->unpack, out, out_len, in, len);
    if (ZSTD_isError(size)) {
        error_setg(errp, "Cannot decompress content: %s",
                   ZSTD_getErrorName(size));
        return false;
    }
    if (size != out_len) {
        error_setg(errp, "Compressed content holds %zu bytes instead of %zu",
                   size, out_len);
        return false;
    }
    return true;
}
