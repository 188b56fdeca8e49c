/*
 * What watches the requests of a node: the dirty bitmap, and the gate.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block-test.h"

#define GRAIN 4096
#define SIZE (64 * GRAIN)
#define RAM                                                                    \
    "{'driver': 'ram', 'node-name': 'a', 'size': 262144, 'discard': 'unmap'}"

static char buf[SIZE];

static int request(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes,
                   unsigned flags)
{
    return block_request_sync(node, op, offset, bytes, buf, flags);
}

/* ---- The dirty bitmap. ---- */

/* Exactly this is dirty, and clean then. */
static void expect_dirty(BlockDirtyBitmap *b, uint64_t offset, uint64_t bytes)
{
    uint64_t got_offset = 0, got_bytes;

    g_assert_cmpuint(block_dirty_bitmap_count(b), ==, bytes);
    if (bytes) {
        g_assert_true(block_dirty_bitmap_take(b, &got_offset, SIZE, UINT64_MAX,
                                              &got_bytes));
        g_assert_cmpuint(got_offset, ==, offset);
        g_assert_cmpuint(got_bytes, ==, bytes);
    }
}

static void test_dirty(void)
{
    g_autoptr(BlockDirtyBitmap) b = block_dirty_bitmap_new(SIZE, GRAIN);
    BlockNode *node = test_add(RAM);

    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 0, 10, 0), ==, 0);
    block_node_set_dirty_bitmap(node, b);
    expect_dirty(b, 0, 0);
    g_assert_cmpint(request(node, BLOCK_OP_READ, 0, SIZE, 0), ==, 0);
    g_assert_cmpint(request(node, BLOCK_OP_FLUSH, 0, 0, 0), ==, 0);
    expect_dirty(b, 0, 0);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, GRAIN - 1, 2, 0), ==, 0);
    expect_dirty(b, 0, 2 * GRAIN);
    g_assert_cmpint(
        request(node, BLOCK_OP_WRITE_ZEROES, 3 * GRAIN, 2 * GRAIN, 0), ==, 0);
    expect_dirty(b, 3 * GRAIN, 2 * GRAIN);
    g_assert_cmpint(request(node, BLOCK_OP_DISCARD, GRAIN, GRAIN, 0), ==, 0);
    expect_dirty(b, GRAIN, GRAIN);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 0, 5, BLOCK_REQ_UNHELD), ==,
                    0);
    expect_dirty(b, 0, GRAIN);

    /* Nothing was done. */
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, SIZE, 1, 0), ==, -ENOSPC);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 0, 0, 0), ==, 0);
    expect_dirty(b, 0, 0);
    block_node_set_dirty_bitmap(node, NULL);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 0, 10, 0), ==, 0);
    expect_dirty(b, 0, 0);
    block_close_all();
    test_finish();
}

/* A discard that is ignored changes nothing. */
static void test_dirty_ignored(void)
{
    g_autoptr(BlockDirtyBitmap) b = block_dirty_bitmap_new(SIZE, GRAIN);
    BlockNode *node =
        test_add("{'driver': 'ram', 'node-name': 'a', 'size': 262144}");

    block_node_set_dirty_bitmap(node, b);
    g_assert_cmpint(request(node, BLOCK_OP_DISCARD, 0, SIZE, 0), ==, 0);
    expect_dirty(b, 0, 0);
    block_close_all();
    test_finish();
}

/* A write that failed may have changed anything in its range. */
static void test_dirty_failed(void)
{
    g_autoptr(BlockDirtyBitmap) b = block_dirty_bitmap_new(SIZE, GRAIN);
    BlockNode *node;

    test_add(RAM);
    node = test_add("{'driver': 'blkdebug', 'node-name': 'f', 'image': 'a',"
                    " 'inject-error': [{'event': 'write_aio'}]}");
    block_node_set_dirty_bitmap(node, b);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, GRAIN, 1, 0), ==, -EIO);
    expect_dirty(b, GRAIN, GRAIN);
    block_close_all();
    test_finish();
}

typedef struct DirtyReq {
    BlockDirtyBitmap *bitmap;
    bool was_dirty;
} DirtyReq;

static void look_dirty(BlockRequest *req, int ret)
{
    DirtyReq *d = req->opaque;

    d->was_dirty = block_dirty_bitmap_test(d->bitmap, 0, SIZE);
    test_req_done(req, ret);
}

/* Set before the callback, whole, though it was done in steps. */
static void test_dirty_split(void)
{
    g_autofree char *dir = g_dir_make_tmp("block-watch-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "image", NULL);
    g_autofree char *json = g_strdup_printf(
        "{'driver': 'file', 'node-name': 'a', 'filename': '%s'}", path);
    g_autoptr(BlockDirtyBitmap) b = block_dirty_bitmap_new(40 * MiB, MiB);
    g_autofree char *data = g_malloc0(40 * MiB);
    DirtyReq dirty = {.bitmap = b};
    BlockNode *node;
    TestReq *t;

    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    g_assert_no_errno(truncate(path, 40 * MiB));
    node = test_add(json);
    block_node_set_dirty_bitmap(node, b);
    t = test_req_new(node, BLOCK_OP_WRITE, 0, 40 * MiB, data);
    t->req.cb = look_dirty;
    t->req.opaque = &dirty;
    iothread_run(block_node_iothread(node), test_req_submit, t);
    g_assert_cmpint(test_wait(t), ==, 0);
    g_assert_true(dirty.was_dirty);
    g_assert_cmpuint(block_dirty_bitmap_count(b), ==, 40 * MiB);
    block_close_all();
    g_assert_no_errno(unlink(path));
    g_assert_no_errno(rmdir(dir));
    test_finish();
}

/* ---- The gate. ---- */

/* The tests look at it only when the I/O thread does not. */
static struct {
    BlockQueue kept;
    unsigned seen;
    BlockOp keep; /* others go through */
} gate;

static bool gate_fn(BlockNode *node, BlockRequest *req, void *opaque)
{
    g_assert_true(opaque == &gate);
    g_assert_true(iothread_current() == block_node_iothread(node));
    gate.seen++;
    if (req->op != gate.keep) {
        return false;
    }
    block_queue_push(&gate.kept, req);
    return true;
}

static void gate_open(BlockNode *node, BlockOp keep)
{
    block_queue_init(&gate.kept);
    gate.seen = 0;
    gate.keep = keep;
    block_node_set_gate(node, gate_fn, &gate);
}

static void pass_one(void *opaque)
{
    block_request_pass(block_queue_pop(&gate.kept));
}

static void refuse_one(void *opaque)
{
    block_request_refuse(block_queue_pop(&gate.kept), -ESHUTDOWN);
}

static void test_gate(void)
{
    g_autoptr(BlockDirtyBitmap) b = block_dirty_bitmap_new(SIZE, GRAIN);
    BlockNode *node = test_add(RAM);
    IOThread *iothread = block_node_iothread(node);
    TestReq *first, *second;
    char back[4] = "";

    block_node_set_dirty_bitmap(node, b);
    gate_open(node, BLOCK_OP_WRITE);
    memset(buf, 0x33, sizeof(buf));
    first = test_start(node, BLOCK_OP_WRITE, 0, 4, buf);
    second = test_start(node, BLOCK_OP_WRITE, GRAIN, 4, buf);
    g_assert_cmpuint(node->in_flight, ==, 2);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 0, 4, back, 0), ==,
                    0);
    g_assert_cmpint(back[0], ==, 0);
    g_assert_cmpuint(gate.seen, ==, 3);
    expect_dirty(b, 0, 0);

    iothread_run(iothread, pass_one, NULL);
    g_assert_true(test_is_done(first));
    g_assert_cmpint(test_wait(first), ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 0, 4, back, 0), ==,
                    0);
    g_assert_cmpint(back[0], ==, 0x33);
    expect_dirty(b, 0, GRAIN);

    iothread_run(iothread, refuse_one, NULL);
    g_assert_cmpint(test_wait(second), ==, -ESHUTDOWN);
    expect_dirty(b, 0, 0);
    g_assert_cmpuint(node->in_flight, ==, 0);
    block_node_set_gate(node, NULL, NULL);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 0, 4, 0), ==, 0);
    block_close_all();
    test_finish();
}

/* Those that never reach the driver, and those that are not to be kept. */
static void test_gate_unseen(void)
{
    BlockNode *node = test_add(RAM);

    gate_open(node, BLOCK_OP_WRITE);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 0, 4, BLOCK_REQ_UNHELD), ==,
                    0);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, SIZE, 4, 0), ==, -ENOSPC);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 0, 0, 0), ==, 0);
    g_assert_cmpuint(gate.seen, ==, 0);
    block_node_set_gate(node, NULL, NULL);
    block_close_all();
    test_finish();
}

/* The gate of a node below sees what comes from above; a drain waits for it. */
static void test_gate_below(void)
{
    BlockNode *below = test_add(RAM);
    BlockNode *above =
        test_add("{'driver': 'blkdebug', 'node-name': 'f', 'image': 'a'}");
    TestReq *t;

    gate_open(below, BLOCK_OP_READ);
    t = test_start(above, BLOCK_OP_READ, 0, 4, buf);
    g_assert_cmpuint(gate.seen, ==, 1);
    iothread_post(block_node_iothread(below), pass_one, NULL);
    block_drained_begin(below);
    g_assert_true(test_is_done(t));
    g_assert_cmpint(test_wait(t), ==, 0);
    block_drained_end(below);
    block_node_set_gate(below, NULL, NULL);
    block_close_all();
    test_finish();
}

/* A request that was kept is still done in the steps it needs. */
static void test_gate_split(void)
{
    BlockNode *node = test_add("{'driver': 'ram', 'node-name': 'a',"
                               " 'size': 41943040}");
    g_autofree char *data = g_malloc(40 * MiB);
    TestReq *t;

    gate_open(node, BLOCK_OP_WRITE);
    memset(data, 0x44, 40 * MiB);
    t = test_start(node, BLOCK_OP_WRITE, 0, 40 * MiB, data);
    iothread_run(block_node_iothread(node), pass_one, NULL);
    g_assert_cmpint(test_wait(t), ==, 0);
    g_assert_cmpuint(gate.seen, ==, 1);
    g_assert_cmpint(request(node, BLOCK_OP_READ, 40 * MiB - SIZE, SIZE, 0), ==,
                    0);
    g_assert_cmpmem(buf, SIZE, data, SIZE);
    block_node_set_gate(node, NULL, NULL);
    block_close_all();
    test_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_main_begin();
    g_test_add_func("/block/dirty/ops", test_dirty);
    g_test_add_func("/block/dirty/ignored", test_dirty_ignored);
    g_test_add_func("/block/dirty/failed", test_dirty_failed);
    g_test_add_func("/block/dirty/split", test_dirty_split);
    g_test_add_func("/block/gate/keep", test_gate);
    g_test_add_func("/block/gate/unseen", test_gate_unseen);
    g_test_add_func("/block/gate/below", test_gate_below);
    g_test_add_func("/block/gate/split", test_gate_split);
    return test_main_end(g_test_run());
}
