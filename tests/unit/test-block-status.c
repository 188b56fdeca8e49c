/*
 * What nodes tell of their content without reading it, and content that is
 * filled as a whole.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include "block-test.h"

#define GRANULE 65536
#define SIZE (16 * GRANULE + 1024)

static char buf[4 * GRANULE];

static BlockStatus status_of(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    TestReq *t = test_req_new(node, BLOCK_OP_STATUS, offset, bytes, NULL);
    BlockStatus status;

    t->req.flags = BLOCK_REQ_UNHELD;
    t->req.status = (BlockStatus){.bytes = 1234567, .zero = true};
    iothread_run(block_node_iothread(node), test_req_submit, t);
    WITH_QEMU_LOCK_GUARD(&t->lock) {
        while (!t->done) {
            qemu_cond_wait(&t->cond, &t->lock);
        }
        status = t->req.status;
    }
    g_assert_cmpint(test_wait(t), ==, 0);
    return status;
}

static void expect(BlockNode *node, uint64_t offset, uint64_t bytes, bool zero,
                   uint64_t want)
{
    BlockStatus status = status_of(node, offset, bytes);

    g_assert_cmpuint(status.bytes, ==, want);
    g_assert_true(status.zero == zero);
}

static int request(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes)
{
    return block_request_sync(node, op, offset, bytes, buf, 0);
}

static BlockNode *add_ram(void)
{
    g_autofree char *json =
        g_strdup_printf("{'driver': 'ram', 'node-name': 'a', 'size': %d,"
                        " 'discard': 'unmap'}",
                        SIZE);

    return test_add(json);
}

static void test_range(void)
{
    BlockNode *node = add_ram();

    g_assert_cmpint(request(node, BLOCK_OP_STATUS, 0, SIZE + 1), ==, -EINVAL);
    g_assert_cmpint(request(node, BLOCK_OP_STATUS, SIZE, 1), ==, -EINVAL);
    g_assert_cmpint(request(node, BLOCK_OP_STATUS, 0, 0), ==, -EINVAL);
    g_assert_cmpint(node->wr_highest_offset, ==, 0);
    block_close_all();
    test_finish();
}

static void test_ram(void)
{
    BlockNode *node = add_ram();

    expect(node, 0, SIZE, true, SIZE);
    expect(node, 5, 1, true, 1);
    g_assert_cmpint(request(node, BLOCK_OP_READ, 0, GRANULE), ==, 0);
    expect(node, 0, SIZE, true, SIZE);

    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 2 * GRANULE - 1, 2), ==, 0);
    expect(node, 0, SIZE, true, GRANULE);
    expect(node, 0, 100, true, 100);
    expect(node, GRANULE, SIZE - GRANULE, false, 2 * GRANULE);
    expect(node, GRANULE + 7, 3, false, 3);
    expect(node, GRANULE + 7, SIZE - GRANULE - 7, false, 2 * GRANULE - 7);
    expect(node, 3 * GRANULE, SIZE - 3 * GRANULE, true, SIZE - 3 * GRANULE);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 3 * GRANULE - 1, 2), ==, 0);
    expect(node, GRANULE, SIZE - GRANULE, false, 3 * GRANULE);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE_ZEROES, 3 * GRANULE, GRANULE),
                    ==, 0);

    /* The end of the volume is no whole granule. */
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, SIZE - 1, 1), ==, 0);
    expect(node, 16 * GRANULE, 1024, false, 1024);
    expect(node, SIZE - 1, 1, false, 1);

    /* What is zeroed in part only is not worth knowing. */
    g_assert_cmpint(request(node, BLOCK_OP_DISCARD, GRANULE + 1, GRANULE), ==,
                    0);
    expect(node, GRANULE, SIZE - GRANULE, false, 2 * GRANULE);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE_ZEROES, GRANULE, 2 * GRANULE),
                    ==, 0);
    expect(node, 0, SIZE, true, 16 * GRANULE);
    block_close_all();
    test_finish();
}

static void test_ram_resize(void)
{
    BlockNode *node = add_ram();

    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 0, 1), ==, 0);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 5 * GRANULE, 1), ==, 0);
    g_assert_true(block_node_resize(node, 3 * GRANULE, &error_abort));
    expect(node, 0, 3 * GRANULE, false, GRANULE);
    expect(node, GRANULE, 2 * GRANULE, true, 2 * GRANULE);
    g_assert_true(block_node_resize(node, 9 * GRANULE, &error_abort));
    expect(node, 0, 9 * GRANULE, false, GRANULE);
    expect(node, GRANULE, 8 * GRANULE, true, 8 * GRANULE);
    block_close_all();
    test_finish();
}

/* Larger than any request with payload may be. */
static void test_large(void)
{
    BlockNode *node = test_add("{'driver': 'ram', 'node-name': 'a',"
                               " 'size': 68719476736}");
    uint64_t size = UINT64_C(64) << 30;

    expect(node, 0, size, true, size);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, size - 1, 1), ==, 0);
    expect(node, 0, size, true, size - GRANULE);
    block_close_all();
    test_finish();
}

static void test_null(void)
{
    BlockNode *node = test_add("{'driver': 'null-co', 'node-name': 'a',"
                               " 'size': 100000}");
    BlockNode *filter =
        test_add("{'driver': 'blkdebug', 'node-name': 'f', 'image': 'a',"
                 " 'inject-error': [{'event': 'none'}]}");

    memset(buf, 0x55, sizeof(buf));
    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 0, 5), ==, 0);
    expect(node, 0, 100000, true, 100000);
    expect(filter, 1, 2, true, 2);
    /* Which it says of what it gives to a reader. */
    g_assert_cmpint(request(node, BLOCK_OP_READ, 0, 5), ==, 0);
    g_assert_cmpmem(buf, 5, "\0\0\0\0\0", 5);
    g_assert_cmpint(buf[5], ==, 0x55);
    block_close_all();
    test_finish();
}

static void test_filter(void)
{
    BlockNode *node = add_ram();
    BlockNode *filter =
        test_add("{'driver': 'blkdebug', 'node-name': 'f', 'image': 'a'}");

    g_assert_cmpint(request(node, BLOCK_OP_WRITE, GRANULE, 5), ==, 0);
    expect(filter, 0, SIZE, true, GRANULE);
    expect(filter, GRANULE, 5, false, 5);
    block_close_all();
    test_finish();
}

/* ---- Files. ---- */

/* A node "a" in a file that nobody else sees. */
static BlockNode *add_file(uint64_t size, int *fd)
{
    g_autofree char *path = NULL, *json = NULL;
    BlockNode *node;

    *fd = g_file_open_tmp("block-status-XXXXXX", &path, NULL);
    g_assert_no_errno(ftruncate(*fd, size));
    json = g_strdup_printf("{'driver': 'file', 'node-name': 'a', 'filename':"
                           " '%s', 'discard': 'unmap'}",
                           path);
    node = test_add(json);
    g_assert_no_errno(unlink(path));
    return node;
}

/* File systems choose the size of their holes, or have none. */
static bool has_holes(int fd)
{
    return lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO;
}

static void test_file(void)
{
    int fd;
    BlockNode *node = add_file(SIZE, &fd);

    if (has_holes(fd)) {
        expect(node, 0, SIZE, true, SIZE);
        expect(node, 17, 3, true, 3);
        g_assert_cmpint(request(node, BLOCK_OP_WRITE, 4 * GRANULE, GRANULE), ==,
                        0);
        expect(node, 0, SIZE, true, 4 * GRANULE);
        expect(node, 4 * GRANULE, SIZE - 4 * GRANULE, false, GRANULE);
        expect(node, 4 * GRANULE, 9, false, 9);
        expect(node, 5 * GRANULE - 1, GRANULE, false, 1);
        expect(node, 5 * GRANULE, SIZE - 5 * GRANULE, true, SIZE - 5 * GRANULE);
        g_assert_cmpint(request(node, BLOCK_OP_WRITE, SIZE - 1, 1), ==, 0);
        expect(node, SIZE - 1, 1, false, 1);
    } else {
        g_test_skip("the file system has no holes");
    }
    block_close_all();
    close(fd);
    test_finish();
}

/* A file that shrank under us reads as zeroes there. */
static void test_file_shrunk(void)
{
    int fd;
    BlockNode *node = add_file(SIZE, &fd);

    g_assert_cmpint(request(node, BLOCK_OP_WRITE, 0, GRANULE), ==, 0);
    g_assert_no_errno(ftruncate(fd, GRANULE));
    expect(node, 0, SIZE, false, GRANULE);
    expect(node, GRANULE, SIZE - GRANULE, true, SIZE - GRANULE);
    block_close_all();
    close(fd);
    test_finish();
}

/* ---- Local nodes, of a fixed size, filled as a whole. ---- */

static void test_local(void)
{
    int fd;

    g_assert_true(block_node_is_local(add_file(4096, &fd)));
    g_assert_false(block_node_is_local(
        test_add("{'driver': 'blkdebug', 'node-name': 'f', 'image': 'a'}")));
    g_assert_true(block_node_is_local(
        test_add("{'driver': 'ram', 'node-name': 'r', 'size': 512}")));
    g_assert_false(block_node_is_local(
        test_add("{'driver': 'null-co', 'node-name': 'n'}")));
    block_close_all();
    close(fd);
    test_finish();
}

static void expect_no_resize(BlockNode *node, const char *message)
{
    g_autoptr(Error) err = NULL;

    g_assert_false(block_node_resize(node, 512, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, message);
    g_assert_cmpuint(block_node_size(node), ==, SIZE);
}

static void test_fixed_size(void)
{
    BlockNode *node = add_ram();
    BlockNode *filter =
        test_add("{'driver': 'blkdebug', 'node-name': 'f', 'image': 'a'}");
    BlockUser *user =
        block_node_use(node, "migration", false, NULL, NULL, &error_abort);

    block_user_fix_size(user);
    expect_no_resize(node,
                     "Node 'a' is in use by migration and cannot be resized");
    expect_no_resize(filter,
                     "Node 'a' is in use by migration and cannot be resized");
    block_node_unuse(user);

    /* It would change with the node below. */
    user = block_node_use(filter, "migration", false, NULL, NULL, &error_abort);
    block_user_fix_size(user);
    expect_no_resize(node,
                     "Node 'f' is in use by migration and cannot be resized");
    block_node_unuse(user);
    g_assert_true(block_node_resize(filter, 512, &error_abort));
    block_close_all();
    test_finish();
}

static void test_map(void)
{
    BlockNode *node = add_ram();
    BlockNode *filter =
        test_add("{'driver': 'blkdebug', 'node-name': 'f', 'image': 'a'}");
    char *mem;

    block_inactivate(NULL, NULL);
    g_assert_null(block_node_map(filter));
    mem = block_node_map(node);
    block_activate();
    expect(node, 0, SIZE, true, SIZE);
    /* Also what was zeroes before that is not, once it is filled. */
    g_assert_cmpint(request(node, BLOCK_OP_WRITE_ZEROES, 0, SIZE), ==, 0);
    block_inactivate(NULL, NULL);
    block_node_map_fill(node, 0, SIZE);
    memset(mem, 0x77, SIZE);
    block_activate();
    g_assert_cmpint(request(node, BLOCK_OP_READ, SIZE - 1, 1), ==, 0);
    g_assert_cmpint(buf[0], ==, 0x77);
    expect(node, 0, SIZE, false, SIZE);
    g_assert_cmpint(request(node, BLOCK_OP_WRITE_ZEROES, 0, SIZE), ==, 0);
    expect(node, 0, SIZE, true, SIZE);
    g_assert_cmpint(mem[SIZE - 1], ==, 0);
    block_close_all();
    test_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_main_begin();
    g_test_add_func("/block/status/range", test_range);
    g_test_add_func("/block/status/ram", test_ram);
    g_test_add_func("/block/status/ram-resize", test_ram_resize);
    g_test_add_func("/block/status/large", test_large);
    g_test_add_func("/block/status/null", test_null);
    g_test_add_func("/block/status/filter", test_filter);
    g_test_add_func("/block/status/file", test_file);
    g_test_add_func("/block/status/file-shrunk", test_file_shrunk);
    g_test_add_func("/block/local", test_local);
    g_test_add_func("/block/fixed-size", test_fixed_size);
    g_test_add_func("/block/map", test_map);
    return test_main_end(g_test_run());
}
