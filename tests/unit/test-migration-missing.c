/*
 * Blocks that are missing after the hand-over of a postcopy migration:
 * requests wait for them, and what comes never replaces what was written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block-test.h"
#include "migration/destination.h"
#include "qemu/oob.h"

#define GRAIN VOLUME_GRANULARITY
#define GRAINS 64
/* Less than a stripe; the last granule is short. */
#define SIZE (GRAINS * GRAIN - 4096)
#define PIECE 4096
#define PIECES (SIZE / PIECE)

static uint8_t buf[SIZE];

/* ---- A destination without a source. ---- */

static Destination dest;
static BlockNode *node;
static VolumeIO *io;

static void take_fetch(uint64_t offset, uint64_t length)
{
    g_autofree Section *fetch = NULL;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        fetch = g_queue_pop_head(&dest.fetches);
    }
    g_assert_nonnull(fetch);
    g_assert_cmpint(fetch->type, ==, SECTION_FETCH);
    g_assert_cmpuint(fetch->volume, ==, 0);
    g_assert_cmpuint(fetch->offset, ==, offset);
    g_assert_cmpuint(fetch->length, ==, length);
}

static void expect_no_fetch(void)
{
    QEMU_LOCK_GUARD(&migration_lock);
    g_assert_true(g_queue_is_empty(&dest.fetches));
}

static bool all_here(void)
{
    QEMU_LOCK_GUARD(&migration_lock);
    return dest.all_here;
}

static void note_missing(uint64_t offset, uint64_t length)
{
    Section section = {
        .type = SECTION_MISSING,
        .offset = offset,
        .length = length,
    };

    g_assert_true(destination_note_missing(&dest, &section, &error_abort));
}

static void start(const char *driver)
{
    StreamVolume volume = {.name = "a", .size = SIZE};
    g_autofree char *json = g_strdup_printf(
        "{'node-name': 'a', 'discard': 'unmap', 'driver': %s}", driver);

    node = test_add(json);
    dest = (Destination){.link = link_new()};
    g_queue_init(&dest.fetches);
    dest.set = volumes_claim(&volume, 1, &error_abort);
    dest.set->volumes[0].torn =
        volume_bitmap_new(&dest.set->volumes[0], &error_abort);
    dest.missing = g_new0(MissingBlocks *, 1);
    io = volume_io_new(4);
    memset(buf, 0x11, SIZE);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, 0, SIZE, buf, 0),
                    ==, 0);
}

static void start_ram(void)
{
    g_autofree char *driver =
        g_strdup_printf("'ram', 'size': %" PRIu64, (uint64_t)SIZE);

    start(driver);
}

static void start_file(void)
{
    g_autofree char *path = NULL;
    g_autofree char *driver = NULL;
    int fd = g_file_open_tmp("migration-missing-XXXXXX", &path, NULL);

    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    driver = g_strdup_printf("'file', 'filename': '%s'", path);
    start(driver);
    unlink(path);
    close(fd);
}

static void finish(void)
{
    destination_free_missing(&dest, false);
    volumes_release(dest.set);
    volume_io_free(io);
    link_unref(dest.link);
    g_queue_clear_full(&dest.fetches, g_free);
    block_close_all();
    test_finish();
}

/* Content of the source for [offset, offset + bytes); waits until stored. */
static void arrive_by(VolumeIO *by, BlockOp op, uint64_t offset, uint64_t bytes,
                      int byte)
{
    VolumeRequest *r = volume_io_next(by);

    memset(r->buf, byte, MIN(bytes, (uint64_t)STREAM_STRIPE));
    destination_store_missing(&dest, r, &dest.set->volumes[0], op, offset,
                              bytes);
    g_assert_cmpint(volume_request_wait(r), ==, 0);
}

static void arrive(BlockOp op, uint64_t offset, uint64_t bytes, int byte)
{
    arrive_by(io, op, offset, bytes, byte);
}

static void expect_byte(uint64_t offset, uint64_t bytes, int byte)
{
    memset(buf, ~byte, bytes);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_READ, offset, bytes, buf, 0), ==, 0);
    for (uint64_t i = 0; i < bytes; i++) {
        g_assert_cmpint(buf[i], ==, byte);
    }
}

static TestReq *start_request(BlockOp op, uint64_t offset, uint64_t bytes)
{
    return test_start(node, op, offset, bytes, buf);
}

static void expect_waits(TestReq *t)
{
    test_settle(node);
    g_assert_false(test_is_done(t));
}

/* ---- One thing after another. ---- */

static void test_fetch(void)
{
    TestReq *first, *second;

    start_ram();
    note_missing(2 * GRAIN, 4 * GRAIN);
    destination_set_gates(&dest);
    expect_byte(0, 2 * GRAIN, 0x11);
    expect_byte(6 * GRAIN, SIZE - 6 * GRAIN, 0x11);
    expect_no_fetch();

    first = start_request(BLOCK_OP_READ, 3 * GRAIN + 1000, 10);
    expect_waits(first);
    take_fetch(3 * GRAIN, GRAIN);
    /* What was asked for is not asked for again; the rest around it is. */
    second = start_request(BLOCK_OP_READ, GRAIN, 4 * GRAIN);
    expect_waits(second);
    take_fetch(2 * GRAIN, GRAIN);
    take_fetch(4 * GRAIN, GRAIN);
    expect_no_fetch();

    arrive(BLOCK_OP_WRITE, 3 * GRAIN, GRAIN, 0x22);
    g_assert_cmpint(test_wait(first), ==, 0);
    expect_waits(second);
    arrive(BLOCK_OP_WRITE, 2 * GRAIN, 3 * GRAIN, 0x33);
    g_assert_cmpint(test_wait(second), ==, 0);
    g_assert_cmpint(buf[GRAIN], ==, 0x33);
    expect_byte(2 * GRAIN, GRAIN, 0x33);
    expect_byte(3 * GRAIN, GRAIN, 0x22);
    g_assert_false(all_here());
    arrive(BLOCK_OP_WRITE, 5 * GRAIN, GRAIN, 0x44);
    g_assert_true(all_here());
    expect_no_fetch();
    finish();
}

static void test_writes(void)
{
    TestReq *write, *zeroes, *discard, *flush, *nothing;

    start_ram();
    note_missing(0, SIZE);
    destination_set_gates(&dest);
    flush = start_request(BLOCK_OP_FLUSH, 0, 0);
    nothing = start_request(BLOCK_OP_READ, GRAIN, 0);
    g_assert_cmpint(test_wait(flush), ==, 0);
    g_assert_cmpint(test_wait(nothing), ==, 0);
    expect_no_fetch();

    memset(buf, 0x55, GRAIN);
    write = start_request(BLOCK_OP_WRITE, 100, 50);
    zeroes = start_request(BLOCK_OP_WRITE_ZEROES, GRAIN - 10, 20);
    discard = start_request(BLOCK_OP_DISCARD, 2 * GRAIN, GRAIN);
    take_fetch(0, GRAIN);
    take_fetch(GRAIN, GRAIN);
    take_fetch(2 * GRAIN, GRAIN);
    arrive(BLOCK_OP_WRITE, 0, GRAIN, 0x22);
    g_assert_cmpint(test_wait(write), ==, 0);
    expect_waits(zeroes);
    arrive(BLOCK_OP_WRITE, GRAIN, 2 * GRAIN, 0x33);
    g_assert_cmpint(test_wait(zeroes), ==, 0);
    g_assert_cmpint(test_wait(discard), ==, 0);
    expect_byte(0, 100, 0x22);
    expect_byte(100, 50, 0x55);
    expect_byte(150, GRAIN - 160, 0x22);
    expect_byte(GRAIN - 10, 20, 0);
    expect_byte(GRAIN + 10, GRAIN - 10, 0x33);
    expect_byte(2 * GRAIN, GRAIN, 0);
    finish();
}

static void test_late(void)
{
    start_file();
    note_missing(GRAIN, GRAIN);
    note_missing(3 * GRAIN, GRAIN);
    destination_set_gates(&dest);
    arrive(BLOCK_OP_WRITE, GRAIN, GRAIN, 0x22);
    memset(buf, 0x55, GRAIN);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_WRITE, GRAIN + 7, 5, buf, 0), ==, 0);
    /* Of all this, one granule is missing. */
    arrive(BLOCK_OP_WRITE, 0, 5 * GRAIN, 0x66);
    g_assert_true(all_here());
    arrive(BLOCK_OP_WRITE_ZEROES, 0, SIZE, 0);
    expect_byte(0, GRAIN, 0x11);
    expect_byte(GRAIN, 7, 0x22);
    expect_byte(GRAIN + 7, 5, 0x55);
    expect_byte(GRAIN + 12, GRAIN - 12, 0x22);
    expect_byte(2 * GRAIN, GRAIN, 0x11);
    expect_byte(3 * GRAIN, GRAIN, 0x66);
    expect_byte(4 * GRAIN, SIZE - 4 * GRAIN, 0x11);
    finish();
}

/* What is being stored is not stored twice: a write could come in between. */
static void test_twice(void)
{
    VolumeRequest *first, *second;

    start_file();
    note_missing(0, SIZE);
    destination_set_gates(&dest);
    first = volume_io_next(io);
    second = volume_io_next(io);
    memset(first->buf, 0x22, SIZE);
    memset(second->buf, 0x33, SIZE);
    destination_store_missing(&dest, first, &dest.set->volumes[0],
                              BLOCK_OP_WRITE, 0, SIZE);
    destination_store_missing(&dest, second, &dest.set->volumes[0],
                              BLOCK_OP_WRITE, 0, SIZE);
    g_assert_cmpint(volume_request_wait(first), ==, 0);
    g_assert_cmpint(volume_request_wait(second), ==, 0);
    expect_byte(0, SIZE, 0x22);
    finish();
}

static void test_zeroes(void)
{
    start_file();
    note_missing(0, SIZE);
    destination_set_gates(&dest);
    arrive(BLOCK_OP_WRITE_ZEROES, 0, SIZE, 0);
    g_assert_true(all_here());
    expect_byte(0, SIZE, 0);
    finish();
}

static void test_nothing_missing(void)
{
    start_ram();
    destination_set_gates(&dest);
    g_assert_true(all_here());
    expect_byte(0, SIZE, 0x11);
    destination_drop_gates(&dest);
    finish();
}

/* Over another link only what is waited for is asked for. */
static void test_ask_again(void)
{
    TestReq *one, *two;

    start_ram();
    note_missing(0, SIZE);
    destination_set_gates(&dest);
    one = start_request(BLOCK_OP_READ, 0, 2 * GRAIN);
    two = start_request(BLOCK_OP_READ, (GRAINS - 1) * GRAIN, 1);
    take_fetch(0, 2 * GRAIN);
    take_fetch((GRAINS - 1) * GRAIN, SIZE % GRAIN);
    arrive(BLOCK_OP_WRITE, 0, GRAIN, 0x22);
    destination_ask_again(&dest);
    take_fetch(GRAIN, GRAIN);
    take_fetch((GRAINS - 1) * GRAIN, SIZE % GRAIN);
    expect_no_fetch();
    arrive(BLOCK_OP_WRITE, 0, SIZE, 0x33);
    g_assert_cmpint(test_wait(one), ==, 0);
    g_assert_cmpint(test_wait(two), ==, 0);
    destination_ask_again(&dest);
    expect_no_fetch();
    finish();
}

/* ---- It will never come. ---- */

static int read_one(uint64_t offset)
{
    return block_request_sync(node, BLOCK_OP_READ, offset, 1, buf, 0);
}

static void test_give_up(void)
{
    TestReq *t;

    start_ram();
    note_missing(GRAIN, GRAIN);
    destination_set_gates(&dest);
    t = start_request(BLOCK_OP_READ, 0, SIZE);
    expect_waits(t);
    oob_section_enter("test");
    destination_give_up_missing(&dest);
    oob_section_leave();
    g_assert_cmpint(test_wait(t), ==, -EIO);
    g_assert_cmpint(read_one(GRAIN), ==, -EIO);
    expect_byte(0, GRAIN, 0x11);
    finish();
}

static void test_give_up_nothing(void)
{
    start_ram();
    destination_give_up_missing(&dest);
    destination_free_missing(&dest, true);
    destination_give_up_missing(&dest);
    expect_byte(0, SIZE, 0x11);
    finish();
}

/* From then on nobody sees anything of what is not whole. */
static void test_close(void)
{
    TestReq *t;

    start_ram();
    note_missing(GRAIN, GRAIN);
    destination_set_gates(&dest);
    t = start_request(BLOCK_OP_READ, 0, SIZE);
    expect_waits(t);
    destination_free_missing(&dest, true);
    g_assert_cmpint(test_wait(t), ==, -EIO);
    g_assert_cmpint(read_one(0), ==, -EIO);
    g_assert_cmpint(read_one(GRAIN), ==, -EIO);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_FLUSH, 0, 0, NULL, 0), ==,
                    0);
    block_node_set_gate(node, NULL, NULL);
    finish();
}

/* A session that came to nothing leaves no gate. */
static void test_forget(void)
{
    start_ram();
    note_missing(0, SIZE);
    destination_set_gates(&dest);
    destination_free_missing(&dest, false);
    expect_byte(0, SIZE, 0x11);
    finish();
}

/* ---- Clients write while blocks come. ---- */

#define CLIENTS 3
#define SOURCES 4

/* The write that each piece holds, 0: what the source had. */
static uint8_t written[PIECES];

static int byte_of(unsigned piece)
{
    return written[piece] ? written[piece] : 0xaa;
}

static void check_piece(const uint8_t *p, unsigned piece)
{
    for (int i = 0; i < PIECE; i++) {
        g_assert_cmpint(p[i], ==, byte_of(piece));
    }
}

static int run_request(BlockOp op, unsigned piece, void *data)
{
    return test_wait(
        test_start(node, op, (uint64_t)piece * PIECE, PIECE, data));
}

/* Client @index owns every CLIENTS-th piece. */
static void *client_thread(void *opaque)
{
    unsigned index = GPOINTER_TO_UINT(opaque);
    g_autoptr(GRand) rand = g_rand_new_with_seed(index);
    g_autofree uint8_t *data = g_malloc(PIECE);

    for (int i = 0; i < 200; i++) {
        unsigned piece =
            g_rand_int_range(rand, 0, PIECES / CLIENTS) * CLIENTS + index;

        if (g_rand_boolean(rand)) {
            int byte = g_rand_int_range(rand, 1, 0xa0);

            memset(data, byte, PIECE);
            g_assert_cmpint(run_request(BLOCK_OP_WRITE, piece, data), ==, 0);
            written[piece] = byte;
        } else {
            g_assert_cmpint(run_request(BLOCK_OP_READ, piece, data), ==, 0);
            check_piece(data, piece);
        }
    }
    return NULL;
}

/*
 * What is asked for comes, and other things, and both more than once, by
 * several channels at the same time.
 */
static void *source_thread(void *opaque)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(GPOINTER_TO_UINT(opaque));
    g_autoptr(VolumeIO) own_io = volume_io_new(1);

    while (!all_here()) {
        g_autofree Section *fetch = NULL;
        uint64_t first = g_rand_int_range(rand, 0, GRAINS) * GRAIN;
        uint64_t n = g_rand_int_range(rand, 1, 8) * GRAIN;

        WITH_QEMU_LOCK_GUARD(&migration_lock) {
            fetch = g_queue_pop_head(&dest.fetches);
        }
        if (fetch) {
            arrive_by(own_io, BLOCK_OP_WRITE, fetch->offset, fetch->length,
                      0xaa);
        }
        arrive_by(own_io, BLOCK_OP_WRITE, first, MIN(n, SIZE - first), 0xaa);
    }
    return NULL;
}

static void check_all(void)
{
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 0, SIZE, buf, 0),
                    ==, 0);
    for (unsigned piece = 0; piece < PIECES; piece++) {
        check_piece(buf + piece * PIECE, piece);
    }
}

static void stress(void)
{
    QemuThread clients[CLIENTS], sources[SOURCES];

    memset(written, 0, sizeof(written));
    note_missing(0, SIZE);
    destination_set_gates(&dest);
    for (unsigned i = 0; i < CLIENTS; i++) {
        qemu_thread_create(&clients[i], "client", client_thread,
                           GUINT_TO_POINTER(i), QEMU_THREAD_JOINABLE);
    }
    for (unsigned i = 0; i < SOURCES; i++) {
        qemu_thread_create(&sources[i], "source", source_thread,
                           GUINT_TO_POINTER(i), QEMU_THREAD_JOINABLE);
    }
    destination_ask_again(&dest);
    volumes_dirty_bytes(dest.set);
    for (unsigned i = 0; i < SOURCES; i++) {
        qemu_thread_join(&sources[i]);
    }
    destination_drop_gates(&dest);
    for (unsigned i = 0; i < CLIENTS; i++) {
        qemu_thread_join(&clients[i]);
    }
    check_all();
    finish();
}

static void test_stress_ram(void)
{
    start_ram();
    stress();
}

static void test_stress_file(void)
{
    for (int i = 0; i < 10; i++) {
        start_file();
        stress();
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_main_begin();
    g_test_add_func("/migration/missing/fetch", test_fetch);
    g_test_add_func("/migration/missing/writes", test_writes);
    g_test_add_func("/migration/missing/late", test_late);
    g_test_add_func("/migration/missing/twice", test_twice);
    g_test_add_func("/migration/missing/zeroes", test_zeroes);
    g_test_add_func("/migration/missing/nothing", test_nothing_missing);
    g_test_add_func("/migration/missing/ask-again", test_ask_again);
    g_test_add_func("/migration/missing/give-up", test_give_up);
    g_test_add_func("/migration/missing/give-up-nothing", test_give_up_nothing);
    g_test_add_func("/migration/missing/close", test_close);
    g_test_add_func("/migration/missing/forget", test_forget);
    g_test_add_func("/migration/missing/stress-ram", test_stress_ram);
    g_test_add_func("/migration/missing/stress-file", test_stress_file);
    return test_main_end(g_test_run());
}
