/*
 * Dirty bitmap: one bit a granule, in words that are changed by atomic
 * operations only.
 *
 * A set is a release and a take an acquire on the same word.  So either the
 * taker sees what was written before the set, or the set comes after the take
 * and leaves the granule dirty.  A set never skips a bit that it finds set:
 * looking orders nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/dirty-bitmap.h"

#define WORD_BITS 64

struct BlockDirtyBitmap {
    uint64_t size;       /* bytes */
    uint64_t n_granules; /* the last one may be short */
    unsigned shift;      /* log2 of the granularity */
    uint64_t *words;

    /*
     * Atomic.  It is updated after the words of the bitmap, and is negative for
     * a moment when a take overtakes the set that it undoes.  Sequentially
     * consistent: when two threads each clear the last granule of a bitmap of
     * their own and then read both counts, at least one thread reads zero
     * twice.
     */
    int64_t n_dirty;
};

BlockDirtyBitmap *block_dirty_bitmap_new(uint64_t size, uint32_t granularity)
{
    BlockDirtyBitmap *b = g_new0(BlockDirtyBitmap, 1);
    uint64_t n_words;

    g_assert(granularity >= 512 && (granularity & (granularity - 1)) == 0);
    b->size = size;
    b->shift = __builtin_ctz(granularity);
    b->n_granules = (size >> b->shift) + !!(size & (granularity - 1));
    n_words = b->n_granules / WORD_BITS + 1;
    b->words = g_try_malloc0_n(n_words, sizeof(*b->words));
    if (!b->words) {
        g_free(b);
        return NULL;
    }
    return b;
}

void block_dirty_bitmap_free(BlockDirtyBitmap *bitmap)
{
    if (bitmap) {
        g_free(bitmap->words);
        g_free(bitmap);
    }
}

uint32_t block_dirty_bitmap_granularity(const BlockDirtyBitmap *bitmap)
{
    return UINT32_C(1) << bitmap->shift;
}

/* ---- Granules of a word. ---- */

static uint64_t *word_of(const BlockDirtyBitmap *b, uint64_t granule)
{
    return &b->words[granule / WORD_BITS];
}

static uint64_t load_word(const BlockDirtyBitmap *b, uint64_t granule)
{
    return __atomic_load_n(word_of(b, granule), __ATOMIC_ACQUIRE);
}

static uint64_t next_word(uint64_t granule)
{
    return (granule | (WORD_BITS - 1)) + 1;
}

/* The bits of [granule, end) in the word of @granule; at least one. */
static uint64_t mask_of(uint64_t granule, uint64_t end)
{
    unsigned low = granule % WORD_BITS;
    uint64_t n = MIN(end - granule, WORD_BITS - low);

    return (UINT64_MAX >> (WORD_BITS - n)) << low;
}

/* How many granules from @granule on are dirty in a row, in its word. */
static uint64_t run_in_word(uint64_t word, uint64_t granule, uint64_t end)
{
    unsigned low = granule % WORD_BITS;
    uint64_t clean = ~(word >> low);
    uint64_t n = clean ? __builtin_ctzll(clean) : WORD_BITS;

    return MIN(n, MIN(end - granule, WORD_BITS - low));
}

/* ---- Ranges. ---- */

/* The granule that @offset is in. */
static uint64_t granule_of(const BlockDirtyBitmap *b, uint64_t offset)
{
    return offset >= b->size ? b->n_granules : offset >> b->shift;
}

/* The granule that the byte before @end is in, and one more. */
static uint64_t granule_end(const BlockDirtyBitmap *b, uint64_t end)
{
    return end >= b->size
               ? b->n_granules
               : (end >> b->shift) + !!(end & ((UINT64_C(1) << b->shift) - 1));
}

static uint64_t range_end(uint64_t offset, uint64_t bytes)
{
    return bytes > UINT64_MAX - offset ? UINT64_MAX : offset + bytes;
}

static void count_add(BlockDirtyBitmap *b, int64_t n)
{
    if (n) {
        __atomic_fetch_add(&b->n_dirty, n, __ATOMIC_SEQ_CST);
    }
}

void block_dirty_bitmap_set(BlockDirtyBitmap *bitmap, uint64_t offset,
                            uint64_t bytes)
{
    uint64_t end = granule_end(bitmap, range_end(offset, bytes));
    int64_t n = 0;

    if (bytes == 0) {
        return;
    }
    for (uint64_t g = granule_of(bitmap, offset); g < end; g = next_word(g)) {
        uint64_t mask = mask_of(g, end);
        uint64_t old =
            __atomic_fetch_or(word_of(bitmap, g), mask, __ATOMIC_ACQ_REL);

        n += __builtin_popcountll(mask & ~old);
    }
    count_add(bitmap, n);
}

void block_dirty_bitmap_clear(BlockDirtyBitmap *bitmap, uint64_t offset,
                              uint64_t bytes)
{
    uint64_t to = range_end(offset, bytes);
    uint64_t end =
        to >= bitmap->size ? bitmap->n_granules : to >> bitmap->shift;
    int64_t n = 0;

    for (uint64_t g = granule_end(bitmap, offset); g < end; g = next_word(g)) {
        uint64_t mask = mask_of(g, end);
        uint64_t old =
            __atomic_fetch_and(word_of(bitmap, g), ~mask, __ATOMIC_ACQ_REL);

        n += __builtin_popcountll(mask & old);
    }
    count_add(bitmap, -n);
}

/* The first dirty granule of [granule, end), or @end. */
static uint64_t find_dirty(const BlockDirtyBitmap *b, uint64_t granule,
                           uint64_t end)
{
    for (; granule < end; granule = next_word(granule)) {
        uint64_t word = load_word(b, granule) & mask_of(granule, end);

        if (word) {
            return granule / WORD_BITS * WORD_BITS + __builtin_ctzll(word);
        }
    }
    return end;
}

bool block_dirty_bitmap_test(const BlockDirtyBitmap *bitmap, uint64_t offset,
                             uint64_t bytes)
{
    uint64_t end = granule_end(bitmap, range_end(offset, bytes));

    return bytes && find_dirty(bitmap, granule_of(bitmap, offset), end) < end;
}

/* ---- Runs. ---- */

/* Returns how many granules from @granule on are dirty in its word. */
typedef uint64_t RunFn(BlockDirtyBitmap *b, uint64_t granule, uint64_t end);

static uint64_t look_at_run(BlockDirtyBitmap *b, uint64_t granule, uint64_t end)
{
    return run_in_word(load_word(b, granule), granule, end);
}

static uint64_t take_run(BlockDirtyBitmap *b, uint64_t granule, uint64_t end)
{
    uint64_t *word = word_of(b, granule);
    uint64_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
    uint64_t n, left;

    do {
        n = run_in_word(old, granule, end);
        if (n == 0) {
            return 0;
        }
        left = old & ~mask_of(granule, granule + n);
    } while (!__atomic_compare_exchange_n(word, &old, left, true,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    count_add(b, -(int64_t)n);
    return n;
}

/* From @granule on, over as many words as it takes; returns its end. */
static uint64_t follow_run(BlockDirtyBitmap *b, uint64_t granule, uint64_t end,
                           RunFn *fn)
{
    uint64_t n;

    do {
        n = fn(b, granule, end);
        granule += n;
    } while (n && granule < end && granule % WORD_BITS == 0);
    return granule;
}

static bool first_run(BlockDirtyBitmap *b, uint64_t *offset, uint64_t end,
                      uint64_t max, uint64_t *bytes, RunFn *fn)
{
    uint64_t last = granule_end(b, end);
    uint64_t limit = MAX(max >> b->shift, 1);
    uint64_t from = granule_of(b, *offset);
    uint64_t to;

    do {
        from = find_dirty(b, from, last);
        if (from >= last) {
            return false;
        }
        to = follow_run(b, from, from + MIN(last - from, limit), fn);
    } while (to == from); /* somebody else took it meanwhile */
    *offset = from << b->shift;
    *bytes = (to == b->n_granules ? b->size : to << b->shift) - *offset;
    return true;
}

bool block_dirty_bitmap_next(const BlockDirtyBitmap *bitmap, uint64_t *offset,
                             uint64_t end, uint64_t max, uint64_t *bytes)
{
    /* It only looks. */
    return first_run((BlockDirtyBitmap *)bitmap, offset, end, max, bytes,
                     look_at_run);
}

bool block_dirty_bitmap_take(BlockDirtyBitmap *bitmap, uint64_t *offset,
                             uint64_t end, uint64_t max, uint64_t *bytes)
{
    return first_run(bitmap, offset, end, max, bytes, take_run);
}

uint64_t block_dirty_bitmap_count(const BlockDirtyBitmap *bitmap)
{
    int64_t n = __atomic_load_n(&bitmap->n_dirty, __ATOMIC_SEQ_CST);
    uint64_t bytes = (uint64_t)MAX(n, 0) << bitmap->shift;
    uint64_t excess = (bitmap->n_granules << bitmap->shift) - bitmap->size;

    if (excess && bytes &&
        find_dirty(bitmap, bitmap->n_granules - 1, bitmap->n_granules) <
            bitmap->n_granules) {
        bytes -= excess;
    }
    return bytes;
}
