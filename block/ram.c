/*
 * Nodes in memory of this process.
 *
 * The memory is a private mapping: zeroes and discards give pages back, and
 * it can be resized.  A bitmap tells what was written since, so that nobody
 * has to read the rest to find zeroes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include "block/block_int.h"
#include "qapi/error.h"

#define WRITTEN_GRANULE (64 * KiB)

typedef struct RamState {
    char *mem;
    size_t mapped;             /* bytes, whole pages */
    BlockDirtyBitmap *written; /* the rest is zeroes; may be too large */
} RamState;

/* mmap() wants at least one page. */
static size_t ram_map_size(uint64_t size)
{
    size_t page = sysconf(_SC_PAGESIZE);

    return MAX((size + page - 1) / page * page, page);
}

static bool ram_check_size(uint64_t size, Error **errp)
{
    if (size > INT64_MAX - 64 * KiB) {
        error_setg(errp,
                   "Invalid size %" PRIu64 ", at most %" PRIi64
                   " bytes are possible",
                   size, INT64_MAX - 64 * KiB);
        return false;
    }
    return true;
}

static bool ram_open(BlockNode *node, const BlockdevOptions *options,
                     Error **errp)
{
    RamState *s = node->opaque;
    uint64_t size = options->u.ram.size;

    if (!ram_check_size(size, errp)) {
        return false;
    }
    s->mapped = ram_map_size(size);
    s->mem = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s->mem == MAP_FAILED) {
        error_setg_errno(errp, errno, "Could not allocate %" PRIu64 " bytes",
                         size);
        return false;
    }
    /* Faults of one page each would take longer than what fills it. */
    madvise(s->mem, s->mapped, MADV_HUGEPAGE);
    s->written = block_dirty_bitmap_new(size, WRITTEN_GRANULE);
    if (!s->written) {
        munmap(s->mem, s->mapped);
        error_setg_errno(errp, ENOMEM, "Could not allocate %" PRIu64 " bytes",
                         size);
        return false;
    }
    node->size = size;
    node->caps.discard = true;
    node->caps.write_zeroes = true;
    return true;
}

static void ram_close(BlockNode *node)
{
    RamState *s = node->opaque;

    munmap(s->mem, s->mapped);
    block_dirty_bitmap_free(s->written);
}

/* Whole pages are given back and read as zeroes; the rest is written. */
static void ram_zero(RamState *s, uint64_t offset, uint64_t bytes)
{
    size_t page = sysconf(_SC_PAGESIZE);
    uint64_t end = offset + bytes;
    uint64_t first = (offset + page - 1) / page * page;
    uint64_t last = end / page * page;

    if (first >= last ||
        madvise(s->mem + first, last - first, MADV_DONTNEED) < 0) {
        memset(s->mem + offset, 0, bytes);
        return;
    }
    memset(s->mem + offset, 0, first - offset);
    memset(s->mem + last, 0, end - last);
}

/* Most writes go where others went before, and looking is cheap. */
static void ram_mark(RamState *s, uint64_t offset, uint64_t bytes)
{
    bool one =
        offset / WRITTEN_GRANULE == (offset + bytes - 1) / WRITTEN_GRANULE;

    if (!one || !block_dirty_bitmap_test(s->written, offset, bytes)) {
        block_dirty_bitmap_set(s->written, offset, bytes);
    }
}

static void ram_status(RamState *s, BlockRequest *req)
{
    uint64_t end = req->offset + req->bytes;
    uint64_t start = req->offset, bytes;

    if (!block_dirty_bitmap_next(s->written, &start, end, UINT64_MAX, &bytes)) {
        start = end;
        bytes = 0;
    }
    req->status.zero = start > req->offset;
    req->status.bytes =
        (req->status.zero ? start : MIN(start + bytes, end)) - req->offset;
}

static void ram_submit(BlockNode *node, BlockRequest *req)
{
    RamState *s = node->opaque;

    switch (req->op) {
    case BLOCK_OP_READ:
        memcpy(req->buf, s->mem + req->offset, req->bytes);
        break;
    case BLOCK_OP_WRITE:
        ram_mark(s, req->offset, req->bytes);
        memcpy(s->mem + req->offset, req->buf, req->bytes);
        break;
    case BLOCK_OP_STATUS:
        ram_status(s, req);
        break;
    default:
        ram_zero(s, req->offset, req->bytes);
        block_dirty_bitmap_clear(s->written, req->offset, req->bytes);
        break;
    }
    block_request_complete(req, 0);
}

static bool ram_grow_bitmap(RamState *s, uint64_t size)
{
    BlockDirtyBitmap *grown = block_dirty_bitmap_new(size, WRITTEN_GRANULE);
    uint64_t offset = 0, bytes;

    if (!grown) {
        return false;
    }
    while (block_dirty_bitmap_next(s->written, &offset, UINT64_MAX, UINT64_MAX,
                                   &bytes)) {
        block_dirty_bitmap_set(grown, offset, bytes);
        offset += bytes;
    }
    block_dirty_bitmap_free(s->written);
    s->written = grown;
    return true;
}

/* Of memory and bitmap; nothing changes when it fails. */
static bool ram_remap(RamState *s, uint64_t size, bool grow)
{
    size_t mapped = ram_map_size(size);
    void *mem = mremap(s->mem, s->mapped, mapped, MREMAP_MAYMOVE);

    if (mem == MAP_FAILED) {
        return false;
    }
    s->mem = mem;
    if (grow && !ram_grow_bitmap(s, size)) {
        mremap(mem, mapped, s->mapped, 0); /* to less, which never fails */
        errno = ENOMEM;
        return false;
    }
    s->mapped = mapped;
    return true;
}

static bool ram_truncate(BlockNode *node, uint64_t size, Error **errp)
{
    RamState *s = node->opaque;

    if (!ram_check_size(size, errp)) {
        return false;
    }
    if (!ram_remap(s, size, size > node->size)) {
        error_setg_errno(errp, errno, "Could not resize to %" PRIu64 " bytes",
                         size);
        return false;
    }
    /* What was cut off must not come back when it grows again. */
    if (size < node->size) {
        ram_zero(s, size, s->mapped - size);
        block_dirty_bitmap_clear(s->written, size, UINT64_MAX);
    }
    __atomic_store_n(&node->size, size, __ATOMIC_RELAXED);
    return true;
}

static const void *ram_peek(BlockNode *node)
{
    RamState *s = node->opaque;

    return s->mem;
}

static void *ram_map(BlockNode *node)
{
    RamState *s = node->opaque;

    return s->mem;
}

static void ram_map_fill(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    RamState *s = node->opaque;

    block_dirty_bitmap_set(s->written, offset, bytes);
}

static char *ram_filename(BlockNode *node)
{
    return NULL;
}

static json_object *ram_options(BlockNode *node)
{
    json_object *obj = json_object_new_object();

    json_object_object_add(obj, "driver", json_object_new_string("ram"));
    json_object_object_add(obj, "size", json_object_new_int64(node->size));
    return obj;
}

const BlockDriver block_driver_ram = {
    .format_name = "ram",
    .instance_size = sizeof(RamState),
    .open = ram_open,
    .close = ram_close,
    .submit = ram_submit,
    .truncate = ram_truncate,
    .filename = ram_filename,
    .options = ram_options,
    .peek = ram_peek,
    .map = ram_map,
    .map_fill = ram_map_fill,
    .local = true,
    .has_status = true,
};
