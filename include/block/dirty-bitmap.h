/*
 * Dirty bitmap: which granules of a volume were written since somebody looked.
 *
 * Every function but new and free may be called by any thread at the same
 * time, is lock-free and OOB-safe.  A writer sets what it has changed after
 * it has changed it; a reader takes (clears) a range before it reads the
 * data.  So a write that a reader saw in part is dirty again afterwards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_DIRTY_BITMAP_H
#define BLOCK_DIRTY_BITMAP_H

typedef struct BlockDirtyBitmap BlockDirtyBitmap;

/*
 * All clean.  @size: bytes of the volume; @granularity: bytes, power of two,
 * at least 512.  NULL when there is no memory for it.  Any thread.
 */
BlockDirtyBitmap *block_dirty_bitmap_new(uint64_t size, uint32_t granularity);
/* NULL is fine.  Nobody may use it any more. */
void block_dirty_bitmap_free(BlockDirtyBitmap *bitmap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockDirtyBitmap, block_dirty_bitmap_free)

uint32_t block_dirty_bitmap_granularity(const BlockDirtyBitmap *bitmap);

/* Every granule that the range touches becomes dirty. */
void block_dirty_bitmap_set(BlockDirtyBitmap *bitmap, uint64_t offset,
                            uint64_t bytes);
/* Every granule that lies in the range as a whole becomes clean. */
void block_dirty_bitmap_clear(BlockDirtyBitmap *bitmap, uint64_t offset,
                              uint64_t bytes);
/* Whether any granule that the range touches is dirty. */
bool block_dirty_bitmap_test(const BlockDirtyBitmap *bitmap, uint64_t offset,
                             uint64_t bytes);

/*
 * The first run of dirty granules in [*@offset, @end): true with its start in
 * *@offset and its length in *@bytes, cut off after @max bytes and at @end
 * (the last granule of the volume may be short); false when all is clean.
 * It is one of whole granules: *@offset is rounded down, @end up, @max down
 * but not to nothing.
 */
bool block_dirty_bitmap_next(const BlockDirtyBitmap *bitmap, uint64_t *offset,
                             uint64_t end, uint64_t max, uint64_t *bytes);
/* The same, and the run becomes clean. */
bool block_dirty_bitmap_take(BlockDirtyBitmap *bitmap, uint64_t *offset,
                             uint64_t end, uint64_t max, uint64_t *bytes);

/*
 * Bytes that are dirty.  A multiple of the granularity, except that the last
 * granule ends with the volume.  Includes all changes by the calling thread.
 * When several threads each change a bitmap and then count all bitmaps, the
 * last of these threads sees the changes of all.
 */
uint64_t block_dirty_bitmap_count(const BlockDirtyBitmap *bitmap);

#endif
