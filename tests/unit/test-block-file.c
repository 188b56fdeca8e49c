/*
 * File nodes: data, holes, direct I/O, locks, and what cannot be opened.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/stat.h>
#include "block-test.h"

#define SIZE (256 * 1024)

static char *tmpdir, *image;

static char *file_json(const char *name, const char *path, const char *more)
{
    return g_strdup_printf("{'driver': 'file', 'node-name': '%s',"
                           " 'filename': '%s'%s}",
                           name, path, more);
}

static BlockNode *add_image(const char *name, const char *more)
{
    g_autofree char *json = file_json(name, image, more);

    return test_add(json);
}

static void add_fails(const char *path, const char *more, const char *format)
{
    g_autofree char *json = file_json("x", path, more);
    g_autoptr(GString) message = g_string_new(format);

    g_string_replace(message, "PATH", path, 0);
    test_add_fails(json, message->str);
}

static void make_image(void)
{
    int fd = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    close(fd);
}

static void check_data(BlockNode *node)
{
    g_autofree char *expect = g_malloc0(SIZE);
    g_autofree char *buf = g_malloc0(SIZE + 1);
    /* Aligned or not, in place and in memory. */
    static const struct {
        uint64_t offset, bytes;
        unsigned skew;
    } writes[] = {
        {0, SIZE, 0},     {4096, 8192, 1},  {5, 3, 0},
        {8000, 20000, 1}, {65536, 4096, 0}, {SIZE - 1, 1, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(writes); i++) {
        uint64_t offset = writes[i].offset, bytes = writes[i].bytes;

        memset(buf + writes[i].skew, 'a' + i, bytes);
        memset(expect + offset, 'a' + i, bytes);
        g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, offset, bytes,
                                           buf + writes[i].skew,
                                           i % 2 ? BLOCK_REQ_FUA : 0),
                        ==, 0);
    }
    memset(expect + 10000, 0, 100000);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 10000,
                                       100000, NULL, BLOCK_REQ_MAY_UNMAP),
                    ==, 0);
    memset(expect + 200000, 0, 5000);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 200000,
                                       5000, NULL, BLOCK_REQ_FUA),
                    ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_FLUSH, 0, 0, NULL, 0), ==,
                    0);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_READ, 0, SIZE, buf + 1, 0), ==, 0);
    g_assert_cmpmem(buf + 1, SIZE, expect, SIZE);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 4095, 4098, buf, 0),
                    ==, 0);
    g_assert_cmpmem(buf, 4098, expect + 4095, 4098);
}

static void test_cached(void)
{
    make_image();
    check_data(add_image("f", ", 'discard': 'unmap'"));
    block_node_del("f", &error_abort);
    test_finish();
}

static void test_direct(void)
{
    make_image();
    check_data(add_image("f", ", 'cache': {'direct': true}"));
    block_node_del("f", &error_abort);
    test_finish();
}

static void test_discard(void)
{
    g_autofree char *buf = g_malloc(SIZE);
    BlockNode *node;
    struct stat st;

    make_image();
    node = add_image("f", ", 'discard': 'unmap'");
    memset(buf, 1, SIZE);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_WRITE, 0, SIZE, buf, BLOCK_REQ_FUA),
        ==, 0);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_DISCARD, 0, SIZE, NULL, 0), ==, 0);
    g_assert_cmpint(stat(image, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, SIZE);
    g_assert_cmpint(st.st_blocks, ==, 0);
    block_node_del("f", &error_abort);
    test_finish();
}

/* It is a hint that nobody asked for. */
static void test_discard_ignored(void)
{
    char buf[512];
    BlockNode *node;

    make_image();
    node = add_image("f", "");
    memset(buf, 7, sizeof(buf));
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, 0, 512, buf, 0),
                    ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_DISCARD, 0, 512, NULL, 0),
                    ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 0, 512, buf, 0), ==,
                    0);
    g_assert_cmpint(buf[511], ==, 7);
    block_node_del("f", &error_abort);
    test_finish();
}

static void test_many(void)
{
    enum {
        N = 64
    };
    g_autofree char *buf = g_malloc(SIZE);
    g_autofree char *back = g_malloc(SIZE);
    TestReq *reqs[N];
    BlockNode *node;

    make_image();
    node = add_image("f", "");
    for (int i = 0; i < SIZE; i++) {
        buf[i] = g_random_int();
    }
    for (int i = 0; i < N; i++) {
        reqs[i] = test_start(node, BLOCK_OP_WRITE, i * SIZE / N, SIZE / N,
                             buf + i * SIZE / N);
    }
    block_drained_begin(node);
    for (int i = 0; i < N; i++) {
        g_assert_true(test_is_done(reqs[i]));
        g_assert_cmpint(test_wait(reqs[i]), ==, 0);
    }
    block_drained_end(node);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 0, SIZE, back, 0),
                    ==, 0);
    g_assert_cmpmem(buf, SIZE, back, SIZE);
    block_node_del("f", &error_abort);
    test_finish();
}

static void test_resize(void)
{
    BlockNode *node;
    struct stat st;
    char buf[512];

    make_image();
    node = add_image("f", "");
    g_assert_true(block_node_resize(node, 2 * SIZE, &error_abort));
    g_assert_cmpint(stat(image, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 2 * SIZE);
    /* Somebody else cuts it off. */
    g_assert_cmpint(truncate(image, SIZE), ==, 0);
    memset(buf, 1, sizeof(buf));
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, SIZE, 512, buf, 0),
                    ==, 0);
    g_assert_cmpint(buf[0], ==, 0);
    block_node_del("f", &error_abort);
    test_finish();
}

static void test_lock(void)
{
    make_image();
    add_image("f", "");
    add_fails(image, "",
              "Failed to get \"write\" lock: is another node or process using "
              "the image [PATH]?");
    add_image("r", ", 'read-only': true");
    add_image("s", ", 'read-only': true, 'force-share': true");
    add_fails(image, ", 'force-share': true",
              "force-share=on can only be used with read-only images");
    block_close_all();
    add_image("f", "");
    block_close_all();
    test_finish();
}

static void test_errors(void)
{
    g_autofree char *none = g_build_filename(tmpdir, "none", NULL);
    g_autofree char *fifo = g_build_filename(tmpdir, "fifo", NULL);

    add_fails(none, "", "Could not open 'PATH': No such file or directory");
    add_fails(tmpdir, "", "Could not open 'PATH': Is a directory");
    add_fails(tmpdir, ", 'read-only': true",
              "'file' driver requires 'PATH' to be a regular file");
    add_fails("/dev/null", "",
              "'file' driver requires 'PATH' to be a regular file");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    add_fails(fifo, ", 'read-only': true",
              "'file' driver requires 'PATH' to be a regular file");
    g_unlink(fifo);
    test_finish();
}

/* The size counts in whole sectors; a write to the rest makes the file grow. */
static void test_odd_size(void)
{
    char buf[512], zeroes[512] = {};
    BlockNode *node;
    struct stat st;

    make_image();
    g_assert_cmpint(truncate(image, 1001), ==, 0);
    node = add_image("f", "");
    g_assert_cmpuint(block_node_size(node), ==, 1024);
    memset(buf, 7, sizeof(buf));
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 512, 512, buf, 0),
                    ==, 0);
    g_assert_cmpmem(buf, 512, zeroes, 512);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 1000, 24, NULL, 0), ==,
        0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, 1001, 23,
                                       "of 23 characters, and 0",
                                       BLOCK_REQ_FUA),
                    ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 1000, 24, buf, 0),
                    ==, 0);
    g_assert_cmpmem(buf + 1, 23, "of 23 characters, and 0", 23);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, 1001, 24, buf, 0),
                    ==, -ENOSPC);
    g_assert_cmpint(stat(image, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 1024);
    block_node_del("f", &error_abort);
    test_finish();
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    tmpdir = g_dir_make_tmp("yankd-XXXXXX", NULL);
    image = g_build_filename(tmpdir, "image", NULL);
    test_main_begin();
    g_test_add_func("/block/file/cached", test_cached);
    g_test_add_func("/block/file/direct", test_direct);
    g_test_add_func("/block/file/discard", test_discard);
    g_test_add_func("/block/file/discard-ignored", test_discard_ignored);
    g_test_add_func("/block/file/many", test_many);
    g_test_add_func("/block/file/resize", test_resize);
    g_test_add_func("/block/file/odd-size", test_odd_size);
    g_test_add_func("/block/file/lock", test_lock);
    g_test_add_func("/block/file/errors", test_errors);
    ret = test_main_end(g_test_run());
    g_unlink(image);
    g_rmdir(tmpdir);
    g_free(image);
    g_free(tmpdir);
    return ret;
}
