/*
 * blkdebug: its rules, and its config file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/stat.h>
#include "block-test.h"

static char *tmpdir;

static BlockNode *add_with(const char *more)
{
    g_autofree char *json =
        g_strdup_printf("{'driver': 'blkdebug', 'node-name': 'd', 'image':"
                        " {'driver': 'null-co', 'read-zeroes': true}%s}",
                        more);

    return test_add(json);
}

static int do_op(BlockNode *node, BlockOp op, uint64_t offset)
{
    static char buf[4096];

    return block_request_sync(node, op, offset, op == BLOCK_OP_FLUSH ? 0 : 512,
                              buf, 0);
}

static void end(void)
{
    block_node_del("d", &error_abort);
    test_finish();
}

static void test_events(void)
{
    BlockNode *node = add_with(", 'discard': 'unmap', 'inject-error': ["
                               " {'event': 'read_aio', 'errno': 28},"
                               " {'event': 'pwritev_zero'},"
                               " {'event': 'discard', 'errno': 12}]");

    g_assert_cmpint(do_op(node, BLOCK_OP_READ, 0), ==, -ENOSPC);
    g_assert_cmpint(do_op(node, BLOCK_OP_WRITE, 0), ==, 0);
    g_assert_cmpint(do_op(node, BLOCK_OP_WRITE_ZEROES, 0), ==, -EIO);
    g_assert_cmpint(do_op(node, BLOCK_OP_DISCARD, 0), ==, -ENOMEM);
    g_assert_cmpint(do_op(node, BLOCK_OP_FLUSH, 0), ==, 0);
    end();
}

static void test_iotype_sector(void)
{
    BlockNode *node = add_with(", 'inject-error': [{'event': 'none',"
                               " 'iotype': 'write', 'sector': 3}]");

    g_assert_cmpint(do_op(node, BLOCK_OP_READ, 1536), ==, 0);
    g_assert_cmpint(do_op(node, BLOCK_OP_WRITE, 1024), ==, 0);
    g_assert_cmpint(do_op(node, BLOCK_OP_WRITE, 1536), ==, -EIO);
    g_assert_cmpint(do_op(node, BLOCK_OP_WRITE, 1025), ==, -EIO);
    g_assert_cmpint(do_op(node, BLOCK_OP_WRITE, 2048), ==, 0);
    end();
}

static void test_once(void)
{
    BlockNode *node = add_with(", 'inject-error': ["
                               " {'event': 'none', 'errno': 5, 'once': true},"
                               " {'event': 'none', 'errno': 6, 'once': true}]");

    g_assert_cmpint(do_op(node, BLOCK_OP_READ, 0), ==, -EIO);
    g_assert_cmpint(do_op(node, BLOCK_OP_WRITE, 0), ==, -ENXIO);
    g_assert_cmpint(do_op(node, BLOCK_OP_READ, 0), ==, 0);
    end();
}

static void test_delay(void)
{
    BlockNode *node = add_with(", 'delay': [{'event': 'read_aio',"
                               " 'latency-ns': 30000000}],"
                               " 'inject-error': [{'event': 'read_aio'}]");
    int64_t start = g_get_monotonic_time();

    g_assert_cmpint(do_op(node, BLOCK_OP_READ, 0), ==, -EIO);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 30000);
    g_assert_cmpint(do_op(node, BLOCK_OP_WRITE, 0), ==, 0);
    end();
}

static void test_errno_range(void)
{
    test_add_fails("{'driver': 'blkdebug', 'node-name': 'd', 'image':"
                   " {'driver': 'null-co'},"
                   " 'inject-error': [{'event': 'none', 'errno': 0}]}",
                   "Invalid errno 0, it must be 1 to 4095");
    test_finish();
}

/* ---- The config file. ---- */

static char *config_json(const char *path)
{
    return g_strdup_printf("{'driver': 'blkdebug', 'node-name': 'd', 'image':"
                           " {'driver': 'null-co'}, 'config': '%s'}",
                           path);
}

static void config_fails(const char *text, const char *message)
{
    g_autofree char *path = g_build_filename(tmpdir, "config", NULL);
    g_autofree char *json = config_json(path);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    test_add_fails(json, message);
    g_unlink(path);
}

static void test_config_errors(void)
{
    g_autofree char *none = g_build_filename(tmpdir, "none", NULL);
    g_autofree char *json = config_json(none);
    g_autofree char *large = g_strnfill(2 * MiB, '#');

    test_add_fails(json, "Could not read blkdebug config file: "
                         "No such file or directory");
    config_fails(large, "Could not read blkdebug config file: it has more "
                        "than 1048576 bytes");
    config_fails("[inject-error]\nevent = \"foo\"\n",
                 "invalid parameter value: foo");
    config_fails("[inject-error]\nevent = read_aio\n",
                 "invalid parameter value: ");
    config_fails("[foo]\n", "There is no option group 'foo'");
    config_fails("event = \"x\"\n", "no group defined");
    config_fails("garbage\n", "no group defined");
    config_fails("[inject-error]\nevnt = \"x\"\n", "Invalid parameter 'evnt'");
    config_fails("[inject-error]\nerrno = \"5\"\n",
                 "Missing event name for rule");
    config_fails("[inject-error]\nevent = \"none\"\nerrno = \"abc\"\n",
                 "Parameter 'errno' expects a number");
    config_fails("[inject-error]\nevent = \"none\"\nonce = \"abc\"\n",
                 "Parameter 'once' expects 'on' or 'off'");
    config_fails("[inject-error]\nevent = \"none\"\nerrno = \"-1\"\n",
                 "Invalid errno -1, it must be 1 to 4095");
    config_fails("[delay]\nevent = \"none\"\n",
                 "Parameter 'latency-ns' is missing");
    config_fails("[delay]\nevent = \"none\"\nerrno = \"5\"\n",
                 "Invalid parameter 'errno'");
    test_finish();
}

static const char good_config[] = "# a comment\n"
                                  "\n"
                                  "[inject-error]\n"
                                  "event = \"read_aio\"\n"
                                  "errno = \"28\"\n"
                                  "sector = \"2\"\n"
                                  "[inject-error]\n"
                                  "  event = \"none\"\n"
                                  "  iotype = \"flush\"\n"
                                  "  once = \"on\"\n"
                                  "[delay]\n"
                                  "event = \"write_aio\"\n"
                                  "latency-ns = \"1000\"\n";

static void check_good_config(BlockNode *node)
{
    g_assert_cmpint(do_op(node, BLOCK_OP_READ, 0), ==, 0);
    g_assert_cmpint(do_op(node, BLOCK_OP_READ, 1024), ==, -ENOSPC);
    g_assert_cmpint(do_op(node, BLOCK_OP_FLUSH, 0), ==, -EIO);
    g_assert_cmpint(do_op(node, BLOCK_OP_FLUSH, 0), ==, 0);
    g_assert_cmpint(do_op(node, BLOCK_OP_WRITE, 0), ==, 0);
}

static void *write_fifo(void *opaque)
{
    int fd = open(opaque, O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(write(fd, good_config, strlen(good_config)), ==,
                    strlen(good_config));
    close(fd);
    return NULL;
}

/* It blocks the main thread until somebody writes the other end. */
static void test_config_fifo(void)
{
    g_autofree char *path = g_build_filename(tmpdir, "fifo", NULL);
    g_autofree char *json = config_json(path);
    QemuThread writer;

    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    qemu_thread_create(&writer, "writer", write_fifo, path, true);
    check_good_config(test_add(json));
    qemu_thread_join(&writer);
    g_unlink(path);
    end();
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    tmpdir = g_dir_make_tmp("yankd-XXXXXX", NULL);
    test_main_begin();
    g_test_add_func("/block/blkdebug/events", test_events);
    g_test_add_func("/block/blkdebug/iotype-sector", test_iotype_sector);
    g_test_add_func("/block/blkdebug/once", test_once);
    g_test_add_func("/block/blkdebug/delay", test_delay);
    g_test_add_func("/block/blkdebug/errno-range", test_errno_range);
    g_test_add_func("/block/blkdebug/config-errors", test_config_errors);
    g_test_add_func("/block/blkdebug/config-fifo", test_config_fifo);
    ret = test_main_end(g_test_run());
    g_rmdir(tmpdir);
    g_free(tmpdir);
    return ret;
}
