/*
 * Dirty bitmaps: against a model of one byte a granule, and with many threads
 * that set what one takes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/dirty-bitmap.h"

#define GRAIN 512
#define MODEL_GRANULES 1000
/* The last granule is short. */
#define MODEL_SIZE (MODEL_GRANULES * GRAIN - 100)

static void expect_run(BlockDirtyBitmap *b, uint64_t from, uint64_t end,
                       uint64_t max, uint64_t offset, uint64_t bytes)
{
    uint64_t got_offset = from, got_bytes = 0;

    g_assert_true(
        block_dirty_bitmap_next(b, &got_offset, end, max, &got_bytes));
    g_assert_cmpuint(got_offset, ==, offset);
    g_assert_cmpuint(got_bytes, ==, bytes);
}

static void expect_clean(BlockDirtyBitmap *b, uint64_t from, uint64_t end)
{
    uint64_t offset = from, bytes = 7;

    g_assert_false(
        block_dirty_bitmap_next(b, &offset, end, UINT64_MAX, &bytes));
    g_assert_false(
        block_dirty_bitmap_take(b, &offset, end, UINT64_MAX, &bytes));
    g_assert_cmpuint(offset, ==, from);
    g_assert_cmpuint(bytes, ==, 7);
}

static void test_edges(void)
{
    g_autoptr(BlockDirtyBitmap) b = block_dirty_bitmap_new(MODEL_SIZE, GRAIN);

    g_assert_cmpuint(block_dirty_bitmap_granularity(b), ==, GRAIN);
    g_assert_cmpuint(block_dirty_bitmap_count(b), ==, 0);
    expect_clean(b, 0, UINT64_MAX);
    block_dirty_bitmap_set(b, 100, 0);
    expect_clean(b, 0, UINT64_MAX);

    /* One byte makes its granule dirty, two may make two. */
    block_dirty_bitmap_set(b, 1023, 2);
    expect_run(b, 0, UINT64_MAX, UINT64_MAX, 512, 1024);
    expect_run(b, 0, UINT64_MAX, 600, 512, 512);
    expect_run(b, 0, UINT64_MAX, 0, 512, 512);
    expect_run(b, 1100, UINT64_MAX, UINT64_MAX, 1024, 512);
    expect_run(b, 0, 513, UINT64_MAX, 512, 512);
    expect_clean(b, 0, 512);
    expect_clean(b, 1536, UINT64_MAX);
    expect_clean(b, UINT64_MAX, UINT64_MAX);

    /* What is not covered as a whole stays dirty. */
    block_dirty_bitmap_clear(b, 513, 1023);
    expect_run(b, 0, UINT64_MAX, UINT64_MAX, 512, 512);
    block_dirty_bitmap_clear(b, 512, 511);
    g_assert_true(block_dirty_bitmap_test(b, 600, 1));
    block_dirty_bitmap_clear(b, 512, 512);
    g_assert_false(block_dirty_bitmap_test(b, 600, 1));
    g_assert_false(block_dirty_bitmap_test(b, 0, UINT64_MAX));
}

static void test_short_end(void)
{
    g_autoptr(BlockDirtyBitmap) b = block_dirty_bitmap_new(MODEL_SIZE, GRAIN);
    uint64_t last = (MODEL_GRANULES - 1) * GRAIN;
    uint64_t offset = 0, bytes;

    block_dirty_bitmap_set(b, MODEL_SIZE - 1, UINT64_MAX);
    g_assert_cmpuint(block_dirty_bitmap_count(b), ==, GRAIN - 100);
    expect_run(b, 0, UINT64_MAX, UINT64_MAX, last, GRAIN - 100);
    block_dirty_bitmap_clear(b, last, GRAIN - 101);
    g_assert_cmpuint(block_dirty_bitmap_count(b), ==, GRAIN - 100);
    block_dirty_bitmap_clear(b, last, GRAIN - 100);
    g_assert_cmpuint(block_dirty_bitmap_count(b), ==, 0);

    block_dirty_bitmap_set(b, MODEL_SIZE, 1000); /* beyond the end */
    block_dirty_bitmap_clear(b, MODEL_SIZE, UINT64_MAX);
    g_assert_false(block_dirty_bitmap_test(b, MODEL_SIZE, 1000));
    g_assert_cmpuint(block_dirty_bitmap_count(b), ==, 0);

    block_dirty_bitmap_set(b, 0, UINT64_MAX);
    g_assert_cmpuint(block_dirty_bitmap_count(b), ==, MODEL_SIZE);
    g_assert_true(
        block_dirty_bitmap_take(b, &offset, MODEL_SIZE, UINT64_MAX, &bytes));
    g_assert_cmpuint(offset, ==, 0);
    g_assert_cmpuint(bytes, ==, MODEL_SIZE);
    expect_clean(b, 0, UINT64_MAX);
}

static void test_empty_volume(void)
{
    g_autoptr(BlockDirtyBitmap) b = block_dirty_bitmap_new(0, 65536);

    block_dirty_bitmap_set(b, 0, UINT64_MAX);
    block_dirty_bitmap_clear(b, 0, UINT64_MAX);
    expect_clean(b, 0, UINT64_MAX);
    g_assert_cmpuint(block_dirty_bitmap_count(b), ==, 0);
}

static void test_too_large(void)
{
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    /* These end the program instead. */
    g_assert_null(block_dirty_bitmap_new(INT64_MAX, 512));
#endif
}

/* ---- The model. ---- */

typedef struct Model {
    BlockDirtyBitmap *bitmap;
    uint8_t dirty[MODEL_GRANULES];
} Model;

static uint64_t model_granule_bytes(unsigned g)
{
    return g == MODEL_GRANULES - 1 ? GRAIN - 100 : GRAIN;
}

static void model_change(Model *m, uint64_t offset, uint64_t bytes, bool set)
{
    for (unsigned g = 0; g < MODEL_GRANULES; g++) {
        uint64_t start = (uint64_t)g * GRAIN;
        uint64_t end = start + model_granule_bytes(g);
        bool touched = bytes && start < offset + bytes && end > offset;
        bool covered = start >= offset && end <= offset + bytes;

        if (set ? touched : covered) {
            m->dirty[g] = set;
        }
    }
    if (set) {
        block_dirty_bitmap_set(m->bitmap, offset, bytes);
    } else {
        block_dirty_bitmap_clear(m->bitmap, offset, bytes);
    }
}

/* The first run of dirty granules in [first, last), at most @limit of them. */
static bool model_run(Model *m, unsigned first, unsigned last, unsigned limit,
                      unsigned *start, unsigned *n)
{
    *start = first;
    while (*start < last && !m->dirty[*start]) {
        ++*start;
    }
    *n = 0;
    while (*start + *n < last && *n < limit && m->dirty[*start + *n]) {
        ++*n;
    }
    return *n;
}

static void model_find(Model *m, bool take)
{
    unsigned first = g_test_rand_int_range(0, MODEL_GRANULES);
    unsigned last = g_test_rand_int_range(first, MODEL_GRANULES + 1);
    unsigned limit = g_test_rand_int_range(1, 200);
    uint64_t end = (uint64_t)last * GRAIN, max = (uint64_t)limit * GRAIN;
    uint64_t offset = (uint64_t)first * GRAIN, bytes;
    unsigned start, n;
    bool found = model_run(m, first, last, limit, &start, &n);
    bool got =
        take ? block_dirty_bitmap_take(m->bitmap, &offset, end, max, &bytes)
             : block_dirty_bitmap_next(m->bitmap, &offset, end, max, &bytes);

    g_assert_true(got == found);
    if (found) {
        g_assert_cmpuint(offset, ==, (uint64_t)start * GRAIN);
        g_assert_cmpuint(bytes, ==,
                         MIN((uint64_t)n * GRAIN, MODEL_SIZE - offset));
        if (take) {
            memset(m->dirty + start, 0, n);
        }
    }
}

static void model_compare(Model *m)
{
    uint64_t count = 0;

    for (unsigned g = 0; g < MODEL_GRANULES; g++) {
        count += m->dirty[g] ? model_granule_bytes(g) : 0;
        g_assert_true(block_dirty_bitmap_test(m->bitmap, (uint64_t)g * GRAIN,
                                              1) == m->dirty[g]);
    }
    g_assert_cmpuint(block_dirty_bitmap_count(m->bitmap), ==, count);
}

static void test_model(void)
{
    g_autoptr(BlockDirtyBitmap) b = block_dirty_bitmap_new(MODEL_SIZE, GRAIN);
    Model m = {.bitmap = b};

    for (int i = 0; i < 5000; i++) {
        uint64_t offset = g_test_rand_int_range(0, MODEL_SIZE);
        uint64_t max = g_test_rand_bit() ? 2000 : MODEL_SIZE;
        uint64_t bytes = g_test_rand_int_range(0, max);

        model_change(&m, offset, bytes, g_test_rand_int_range(0, 3));
        model_find(&m, i % 2);
        if (i % 50 == 0) {
            model_compare(&m);
        }
    }
}

/* ---- Many threads. ---- */

#define WRITERS 3
#define ROUNDS 50000
#define SHARED_GRANULES 300
#define SHARED_SIZE (SHARED_GRANULES * GRAIN)

typedef struct Shared {
    BlockDirtyBitmap *bitmap;
    /* What writers "write" and the taker "reads"; atomic, relaxed. */
    uint32_t data[SHARED_GRANULES];
    uint32_t copy[SHARED_GRANULES];
    int writing; /* atomic: so many writers go on */
} Shared;

static void *shared_writer(void *opaque)
{
    Shared *s = opaque;
    g_autoptr(GRand) rand = g_rand_new();

    for (int i = 0; i < ROUNDS; i++) {
        unsigned first = g_rand_int_range(rand, 0, SHARED_GRANULES);
        unsigned n = g_rand_int_range(rand, 1, i % 16 ? 4 : 200);

        n = MIN(n, SHARED_GRANULES - first);
        for (unsigned g = first; g < first + n; g++) {
            __atomic_fetch_add(&s->data[g], 1, __ATOMIC_RELAXED);
        }
        block_dirty_bitmap_set(s->bitmap, first * GRAIN, n * GRAIN);
    }
    __atomic_fetch_sub(&s->writing, 1, __ATOMIC_RELEASE);
    return NULL;
}

static bool shared_copy_some(Shared *s)
{
    uint64_t offset = 0, bytes;
    bool any = false;

    while (block_dirty_bitmap_take(s->bitmap, &offset, SHARED_SIZE, 7 * GRAIN,
                                   &bytes)) {
        for (unsigned g = offset / GRAIN; g < (offset + bytes) / GRAIN; g++) {
            uint32_t now = __atomic_load_n(&s->data[g], __ATOMIC_RELAXED);

            __atomic_store_n(&s->copy[g], now, __ATOMIC_RELAXED);
        }
        offset += bytes;
        any = true;
    }
    return any;
}

/* After the last write a last pass makes the copy the same. */
static void test_writers_and_taker(void)
{
    g_autoptr(BlockDirtyBitmap) b = block_dirty_bitmap_new(SHARED_SIZE, GRAIN);
    g_autofree Shared *s = g_new0(Shared, 1);
    GThread *threads[WRITERS];

    s->bitmap = b;
    s->writing = WRITERS;
    for (int i = 0; i < WRITERS; i++) {
        threads[i] = g_thread_new("writer", shared_writer, s);
    }
    while (__atomic_load_n(&s->writing, __ATOMIC_ACQUIRE)) {
        shared_copy_some(s);
    }
    shared_copy_some(s);
    for (int i = 0; i < WRITERS; i++) {
        g_thread_join(threads[i]);
    }
    g_assert_cmpmem(s->data, sizeof(s->data), s->copy, sizeof(s->copy));
    g_assert_cmpuint(block_dirty_bitmap_count(b), ==, 0);
}

/* ---- A set and a take of one granule at the same moment. ---- */

#define MEETINGS 100000

typedef struct Meeting {
    BlockDirtyBitmap *bitmap; /* a granule for each, dirty at first */
    uint32_t data[MEETINGS];  /* atomic, relaxed */
    uint32_t seen[MEETINGS];
    int arrived; /* atomic */
} Meeting;

static void meet(Meeting *m, int i)
{
    int spins = 0;

    __atomic_fetch_add(&m->arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&m->arrived, __ATOMIC_ACQUIRE) < 2 * (i + 1)) {
        if (++spins % 1000 == 0) {
            g_thread_yield();
        }
    }
}

static void *meeting_writer(void *opaque)
{
    Meeting *m = opaque;

    for (int i = 0; i < MEETINGS; i++) {
        meet(m, i);
        __atomic_store_n(&m->data[i], 1, __ATOMIC_RELAXED);
        block_dirty_bitmap_set(m->bitmap, (uint64_t)i * GRAIN, 1);
    }
    return NULL;
}

/* Who does not see what was written leaves it dirty. */
static void test_meetings(void)
{
    g_autoptr(BlockDirtyBitmap) b =
        block_dirty_bitmap_new(MEETINGS * GRAIN, GRAIN);
    g_autofree Meeting *m = g_new0(Meeting, 1);
    GThread *thread;

    m->bitmap = b;
    block_dirty_bitmap_set(b, 0, MEETINGS * GRAIN);
    thread = g_thread_new("writer", meeting_writer, m);
    for (int i = 0; i < MEETINGS; i++) {
        uint64_t offset = (uint64_t)i * GRAIN, bytes;

        meet(m, i);
        g_assert_true(
            block_dirty_bitmap_take(b, &offset, offset + GRAIN, GRAIN, &bytes));
        m->seen[i] = __atomic_load_n(&m->data[i], __ATOMIC_RELAXED);
    }
    g_thread_join(thread);
    for (int i = 0; i < MEETINGS; i++) {
        g_assert_true(m->seen[i] ||
                      block_dirty_bitmap_test(b, (uint64_t)i * GRAIN, 1));
    }
}

typedef struct Takers {
    BlockDirtyBitmap *bitmap;
    uint32_t taken[SHARED_GRANULES]; /* atomic: how often */
} Takers;

static void *taker(void *opaque)
{
    Takers *t = opaque;
    uint64_t offset = 0, bytes;

    while (block_dirty_bitmap_take(t->bitmap, &offset, SHARED_SIZE, 3 * GRAIN,
                                   &bytes)) {
        for (unsigned g = offset / GRAIN; g < (offset + bytes) / GRAIN; g++) {
            __atomic_fetch_add(&t->taken[g], 1, __ATOMIC_RELAXED);
        }
        offset += bytes;
    }
    return NULL;
}

/* Each granule is taken by one. */
static void test_takers(void)
{
    for (int round = 0; round < 50; round++) {
        g_autoptr(BlockDirtyBitmap) b =
            block_dirty_bitmap_new(SHARED_SIZE, GRAIN);
        g_autofree Takers *t = g_new0(Takers, 1);
        GThread *threads[3];

        t->bitmap = b;
        block_dirty_bitmap_set(b, 0, SHARED_SIZE);
        for (int i = 0; i < 3; i++) {
            threads[i] = g_thread_new("taker", taker, t);
        }
        for (int i = 0; i < 3; i++) {
            g_thread_join(threads[i]);
        }
        for (int g = 0; g < SHARED_GRANULES; g++) {
            g_assert_cmpuint(t->taken[g], ==, 1);
        }
        g_assert_cmpuint(block_dirty_bitmap_count(b), ==, 0);
    }
}

/* ---- Bitmaps of several threads, counted by each. ---- */

typedef struct Sum {
    BlockDirtyBitmap *bitmaps[2];
    int arrived;  /* atomic */
    int n_zeroes; /* atomic: how many threads read a total of 0 */
} Sum;

typedef struct SumThread {
    Sum *sum;
    int mine;
} SumThread;

static void *sum_thread(void *opaque)
{
    SumThread *t = opaque;
    Sum *sum = t->sum;
    int spins = 0;

    __atomic_fetch_add(&sum->arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&sum->arrived, __ATOMIC_ACQUIRE) < 2) {
        if (++spins % 1000 == 0) {
            g_thread_yield();
        }
    }
    block_dirty_bitmap_clear(sum->bitmaps[t->mine], 0, GRAIN);
    if (block_dirty_bitmap_count(sum->bitmaps[0]) +
            block_dirty_bitmap_count(sum->bitmaps[1]) ==
        0) {
        __atomic_fetch_add(&sum->n_zeroes, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* A postcopy has all content when the last thread sees no byte missing. */
static void test_last_sees_zero(void)
{
    for (int round = 0; round < 1000; round++) {
        g_autoptr(BlockDirtyBitmap) a = block_dirty_bitmap_new(GRAIN, GRAIN);
        g_autoptr(BlockDirtyBitmap) b = block_dirty_bitmap_new(GRAIN, GRAIN);
        Sum sum = {.bitmaps = {a, b}};
        SumThread threads[2] = {{&sum, 0}, {&sum, 1}};
        GThread *other;

        block_dirty_bitmap_set(a, 0, GRAIN);
        block_dirty_bitmap_set(b, 0, GRAIN);
        other = g_thread_new("sum", sum_thread, &threads[1]);
        sum_thread(&threads[0]);
        g_thread_join(other);
        g_assert_cmpint(sum.n_zeroes, >=, 1);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-bitmap/edges", test_edges);
    g_test_add_func("/dirty-bitmap/short-end", test_short_end);
    g_test_add_func("/dirty-bitmap/empty-volume", test_empty_volume);
    g_test_add_func("/dirty-bitmap/last-sees-zero", test_last_sees_zero);
    g_test_add_func("/dirty-bitmap/too-large", test_too_large);
    g_test_add_func("/dirty-bitmap/model", test_model);
    g_test_add_func("/dirty-bitmap/writers-and-taker", test_writers_and_taker);
    g_test_add_func("/dirty-bitmap/meetings", test_meetings);
    g_test_add_func("/dirty-bitmap/takers", test_takers);
    return g_test_run();
}
