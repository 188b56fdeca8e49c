/*
 * The graph, and what drains and requests of nodes in memory do.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block-test.h"
#include "qapi/qapi-commands-block-core.h"

#define RAM(name, size)                                                        \
    "{'driver': 'ram', 'node-name': '" name "', 'size': " size "}"
#define SLOW(name, ns)                                                         \
    "{'driver': 'null-co', 'node-name': '" name "', 'latency-ns': " ns "}"
#define FILTER(name, below)                                                    \
    "{'driver': 'blkdebug', 'node-name': '" name "', 'image': '" below "'}"

static void del_fails(const char *name, const char *message)
{
    g_autoptr(Error) err = NULL;

    g_assert_false(block_node_del(name, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, message);
}

static void test_names(void)
{
    test_add(RAM("a", "4096"));
    test_add_fails(RAM("a", "4096"), "Duplicate nodes with node-name='a'");
    test_add_fails("{'driver': 'blkdebug', 'node-name': 'b', 'image':"
                   " {'driver': 'null-co', 'node-name': 'b'}}",
                   "Duplicate nodes with node-name='b'");
    test_add_fails(RAM("1a", "4096"), "Invalid node-name: '1a'");
    test_add_fails(RAM("", "4096"), "Invalid node-name: ''");
    test_add_fails(RAM("abcdefghijklmnopqrstuvwxyz012345", "1"),
                   "Node name too long");
    test_add_fails("{'driver': 'ram', 'size': 1}",
                   "'node-name' must be specified for the root node");
    /* Rounding this up to whole sectors would overflow. */
    test_add_fails("{'driver': 'blkdebug', 'node-name': 'b', 'image':"
                   " {'driver': 'null-co', 'size': 9223372036854775807}}",
                   "Could not refresh total sector count: File too large");
    test_add("{'driver': 'null-co', 'node-name': 'b',"
             " 'size': 9223372035781033984}");
    g_assert_true(block_node_del("b", &error_abort));
    del_fails("b", "Failed to find node with node-name='b'");
    g_assert_true(block_node_del("a", &error_abort));
    del_fails("a", "Failed to find node with node-name='a'");
    test_finish();
}

static void test_users(void)
{
    g_autoptr(Error) err = NULL;
    BlockNode *node = test_add("{'driver': 'ram', 'node-name': 'a', 'size': 1,"
                               " 'read-only': true}");
    BlockUser *user;

    g_assert_null(block_node_use(node, "x", true, NULL, NULL, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "Block node is read-only");
    user = block_node_use(node, "x", false, NULL, NULL, &error_abort);
    del_fails("a", "Node a is in use");
    block_node_unuse(user);
    block_node_del("a", &error_abort);
    test_finish();
}

static void test_filter(void)
{
    BlockNode *filter;

    test_add(RAM("below", "4096"));
    filter = test_add(FILTER("filter", "below"));
    g_assert_cmpuint(block_node_size(filter), ==, 4096);
    del_fails("below", "Block device below is in use");
    test_add_fails(FILTER("f2", "none"),
                   "Cannot find device='none' nor node-name='none'");
    block_node_del("filter", &error_abort);
    block_node_del("below", &error_abort);

    test_add("{'driver': 'blkdebug', 'node-name': 'f', 'image':"
             " {'driver': 'ram', 'node-name': 'inner', 'size': 512}}");
    del_fails("inner", "Node inner is not owned by the monitor");
    block_node_del("f", &error_abort);
    test_finish();
}

static void count_resize(void *opaque)
{
    ++*(int *)opaque;
}

static void test_resize(void)
{
    g_autoptr(Error) err = NULL;
    char buf[512];
    int resized = 0;
    BlockNode *node = test_add(RAM("a", "4096"));
    BlockNode *filter = test_add(FILTER("f", "a"));
    BlockUser *user =
        block_node_use(filter, "x", true, count_resize, &resized, &error_abort);

    memset(buf, 0x55, sizeof(buf));
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, 3584, 512, buf, 0),
                    ==, 0);
    g_assert_true(block_node_resize(node, 3600, &error_abort));
    g_assert_cmpint(resized, ==, 1);
    g_assert_cmpuint(block_node_size(filter), ==, 4096); /* whole sectors */
    g_assert_cmpint(
        block_request_sync(filter, BLOCK_OP_READ, 3584, 512, buf, 0), ==, 0);
    g_assert_cmpint(buf[15], ==, 0x55);
    g_assert_cmpint(buf[16], ==, 0);
    g_assert_cmpint(
        block_request_sync(filter, BLOCK_OP_READ, 3585, 512, buf, 0), ==,
        -EINVAL);
    g_assert_true(block_node_resize(filter, 1 << 20, &error_abort));
    g_assert_cmpuint(block_node_size(node), ==, 1 << 20);
    g_assert_cmpint(
        block_request_sync(filter, BLOCK_OP_READ, 3584, 512, buf, 0), ==, 0);
    g_assert_cmpint(buf[15], ==, 0x55);
    g_assert_cmpint(buf[16], ==, 0); /* cut off, and not back */
    g_assert_false(block_node_resize(node, BLOCK_MAX_SIZE + 1, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Cannot resize node 'a' to 9223372035781033985 bytes: at "
                    "most 9223372035781033984 bytes are possible");
    block_node_unuse(user);
    block_node_del("f", &error_abort);
    block_node_del("a", &error_abort);
    test_finish();
}

static void test_ram(void)
{
    static char buf[64 * 1024], back[64 * 1024];
    BlockNode *node = test_add("{'driver': 'ram', 'node-name': 'a',"
                               " 'size': 65536, 'discard': 'unmap'}");

    memset(buf, 0x11, sizeof(buf));
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_WRITE, 0, sizeof(buf), buf, 0), ==,
        0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 4000, 9000,
                                       NULL, BLOCK_REQ_MAY_UNMAP),
                    ==, 0);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_DISCARD, 40000, 10, NULL, 0), ==, 0);
    memset(buf + 4000, 0, 9000);
    memset(buf + 40000, 0, 10);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_READ, 0, sizeof(back), back, 0), ==,
        0);
    g_assert_cmpmem(buf, sizeof(buf), back, sizeof(back));
    block_node_del("a", &error_abort);
    test_finish();
}

static void test_range(void)
{
    char buf[16] = "";
    BlockNode *node = test_add(RAM("a", "4096"));

    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 4096, 1, buf, 0),
                    ==, -EINVAL);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, 4090, 7, buf, 0),
                    ==, -ENOSPC);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_WRITE, UINT64_MAX, 2, buf, 0), ==,
        -ENOSPC);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 4096, 0, buf, 0),
                    ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_FLUSH, 0, 0, NULL, 0), ==,
                    0);
    block_node_del("a", &error_abort);
    test_finish();
}

/* ---- Drains. ---- */

static void test_drain_waits(void)
{
    BlockNode *node = test_add(SLOW("a", "200000000"));
    char buf[512];
    TestReq *first = test_start(node, BLOCK_OP_READ, 0, 512, buf);
    TestReq *second;

    g_assert_false(test_is_done(first));
    block_drained_begin(node);
    g_assert_true(test_is_done(first));
    second = test_start(node, BLOCK_OP_READ, 0, 512, buf);
    block_drained_begin(node); /* nests */
    block_drained_end(node);
    test_settle(node);
    g_assert_cmpuint(node->in_flight, ==, 0);
    g_assert_false(test_is_done(second));
    block_drained_end(node);
    g_assert_cmpint(test_wait(second), ==, 0);
    g_assert_cmpint(test_wait(first), ==, 0);
    block_node_del("a", &error_abort);
    test_finish();
}

/* What waits at the node below would keep the one above from draining. */
static void test_drain_parent_first(void)
{
    BlockNode *below = test_add(RAM("a", "4096"));
    BlockNode *above = test_add("{'driver': 'blkdebug', 'node-name': 'f',"
                                " 'image': 'a', 'delay': [{'event': 'none',"
                                " 'latency-ns': 50000000}]}");
    char buf[512];
    TestReq *reqs[8];

    for (int i = 0; i < 8; i++) {
        reqs[i] = test_start(above, BLOCK_OP_READ, 0, 512, buf);
    }
    block_drained_begin(below);
    block_drained_begin(above);
    for (int i = 0; i < 8; i++) {
        g_assert_true(test_is_done(reqs[i]));
        test_wait(reqs[i]);
    }
    reqs[0] = test_start(above, BLOCK_OP_READ, 0, 512, buf);
    block_drained_end(above);
    test_settle(above);
    g_assert_false(test_is_done(reqs[0]));
    block_drained_end(below);
    g_assert_cmpint(test_wait(reqs[0]), ==, 0);
    block_node_del("f", &error_abort);
    block_node_del("a", &error_abort);
    test_finish();
}

/* A size that changes while a request waits is looked at anew. */
static void test_drain_resize(void)
{
    BlockNode *node = test_add(RAM("a", "4096"));
    char buf[512];
    TestReq *req;

    block_drained_begin(node);
    req = test_start(node, BLOCK_OP_READ, 3584, 512, buf);
    block_node_resize(node, 512, &error_abort);
    block_drained_end(node);
    g_assert_cmpint(test_wait(req), ==, -EINVAL);
    block_node_del("a", &error_abort);
    test_finish();
}

static void test_iothread(void)
{
    g_autoptr(Error) err = NULL;
    IOThread *other = iothread_new("other");
    BlockNode *below = test_add(SLOW("a", "1000000"));
    BlockNode *above = test_add(FILTER("f", "a"));
    char buf[512];
    TestReq *req = test_start(above, BLOCK_OP_READ, 0, 512, buf);
    BlockUser *user;

    g_assert_false(block_node_set_iothread(below, other, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Node 'a' cannot change its I/O thread: node 'f' uses it");
    g_assert_true(block_node_set_iothread(above, other, &error_abort));
    g_assert_cmpint(test_wait(req), ==, 0);
    g_assert_true(block_node_iothread(below) == other);
    req = test_start(above, BLOCK_OP_READ, 0, 512, buf);
    g_assert_cmpint(test_wait(req), ==, 0);
    user = block_node_use(above, "x", true, NULL, NULL, &error_abort);
    g_assert_true(block_node_set_iothread(above, other, &error_abort));
    g_assert_false(block_node_set_iothread(above, iothread_default(), NULL));
    block_node_unuse(user);
    block_node_del("f", &error_abort);
    block_node_del("a", &error_abort);
    iothread_unref(other);
    test_finish();
}

/* ---- Latency, statistics, what QMP shows. ---- */

static void test_latency(void)
{
    BlockNode *node = test_add(SLOW("a", "20000000"));
    int64_t start = g_get_monotonic_time();
    BlockStatsList *list;
    BlockDeviceStats *stats;

    g_assert_cmpint(block_request_sync(node, BLOCK_OP_FLUSH, 0, 0, NULL, 0), ==,
                    0);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 20000);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_DISCARD, 0, 512, NULL, 0),
                    ==, 0);
    list = qmp_query_blockstats(true, true, &error_abort);
    stats = list->value->stats;
    g_assert_cmpstr(list->value->node_name, ==, "a");
    g_assert_cmpint(stats->flush_operations, ==, 1);
    g_assert_cmpint(stats->flush_total_time_ns, >=, 20000000);
    g_assert_cmpint(stats->unmap_operations, ==, 1);
    g_assert_cmpint(stats->rd_operations, ==, 0);
    qapi_free_BlockStatsList(list);
    block_node_del("a", &error_abort);
    test_finish();
}

static void test_query(void)
{
    BlockDeviceInfoList *list;

    test_add(RAM("a", "4096"));
    test_add(FILTER("f", "a"));
    list = qmp_query_named_block_nodes(false, false, &error_abort);
    g_assert_cmpstr(list->value->node_name, ==, "f");
    g_assert_cmpstr(list->value->drv, ==, "blkdebug");
    g_assert_cmpint(list->value->image->virtual_size, ==, 4096);
    g_assert_cmpstr(list->value->image->backing_image->format, ==, "ram");
    g_assert_cmpstr(list->next->value->node_name, ==, "a");
    g_assert_null(list->next->next);
    qapi_free_BlockDeviceInfoList(list);
    list = qmp_query_named_block_nodes(true, true, &error_abort);
    g_assert_null(list->value->image->backing_image);
    qapi_free_BlockDeviceInfoList(list);
    g_assert_null(qmp_query_block(&error_abort));
    g_assert_null(qmp_query_blockstats(false, false, &error_abort));
    block_close_all();
    test_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_main_begin();
    g_test_add_func("/block/node/names", test_names);
    g_test_add_func("/block/node/users", test_users);
    g_test_add_func("/block/node/filter", test_filter);
    g_test_add_func("/block/node/resize", test_resize);
    g_test_add_func("/block/node/ram", test_ram);
    g_test_add_func("/block/node/range", test_range);
    g_test_add_func("/block/drain/waits", test_drain_waits);
    g_test_add_func("/block/drain/parent-first", test_drain_parent_first);
    g_test_add_func("/block/drain/resize", test_drain_resize);
    g_test_add_func("/block/node/iothread", test_iothread);
    g_test_add_func("/block/node/latency", test_latency);
    g_test_add_func("/block/node/query", test_query);
    return test_main_end(g_test_run());
}
