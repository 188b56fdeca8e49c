/*
 * What unit tests of block nodes share: nodes from JSON, requests in flight,
 * and a look at what is left at the end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_BLOCK_TEST_H
#define TESTS_UNIT_BLOCK_TEST_H

#include "block/block_int.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-yank.h"
#include "qapi/qapi-visit-block-core.h"
#include "qemu/lockable.h"
#include "qobject/json.h"

#define DEADLINE_MS 30000

/* ---- Nodes. ---- */

static inline BlockdevOptions *test_options(const char *json)
{
    g_autoptr(json_object) obj = json_parse(json, &error_abort);
    g_autoptr(Visitor) v = qobject_input_visitor_new(obj);
    BlockdevOptions *options = NULL;

    visit_type_BlockdevOptions(v, NULL, &options, &error_abort);
    return options;
}

static inline BlockNode *test_add_err(const char *json, Error **errp)
{
    BlockdevOptions *options = test_options(json);
    BlockNode *node = block_node_add(options, errp);

    qapi_free_BlockdevOptions(options);
    return node;
}

static inline BlockNode *test_add(const char *json)
{
    return test_add_err(json, &error_abort);
}

static inline void test_add_fails(const char *json, const char *message)
{
    g_autoptr(Error) err = NULL;

    g_assert_null(test_add_err(json, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, message);
}

/* ---- Requests in flight. ---- */

typedef struct TestReq {
    BlockRequest req;
    BlockNode *node;
    QemuMutex lock;
    QemuCond cond;
    bool done;
    int ret;
} TestReq;

static inline void test_req_done(BlockRequest *req, int ret)
{
    TestReq *t = container_of(req, TestReq, req);

    QEMU_LOCK_GUARD(&t->lock);
    g_assert_false(t->done);
    t->done = true;
    t->ret = ret;
    qemu_cond_broadcast(&t->cond);
}

static inline void test_req_submit(void *opaque)
{
    TestReq *t = opaque;

    block_submit(t->node, &t->req);
}

static inline TestReq *test_req_new(BlockNode *node, BlockOp op,
                                    uint64_t offset, uint64_t bytes, void *buf)
{
    TestReq *t = g_new0(TestReq, 1);

    qemu_mutex_init(&t->lock);
    qemu_cond_init(&t->cond);
    t->node = node;
    t->req.op = op;
    t->req.offset = offset;
    t->req.bytes = bytes;
    t->req.buf = buf;
    t->req.cb = test_req_done;
    return t;
}

/* Submits it on the node's I/O thread; does not wait. */
static inline TestReq *test_start_flags(BlockNode *node, BlockOp op,
                                        uint64_t offset, uint64_t bytes,
                                        void *buf, unsigned flags)
{
    TestReq *t = test_req_new(node, op, offset, bytes, buf);

    t->req.flags = flags;
    iothread_run(block_node_iothread(node), test_req_submit, t);
    return t;
}

static inline TestReq *test_start(BlockNode *node, BlockOp op, uint64_t offset,
                                  uint64_t bytes, void *buf)
{
    return test_start_flags(node, op, offset, bytes, buf, 0);
}

static inline bool test_is_done(TestReq *t)
{
    QEMU_LOCK_GUARD(&t->lock);
    return t->done;
}

/* Waits for it, and frees it. */
static inline int test_wait(TestReq *t)
{
    int ret;

    WITH_QEMU_LOCK_GUARD(&t->lock) {
        while (!t->done) {
            if (!qemu_cond_timedwait(&t->cond, &t->lock, DEADLINE_MS)) {
                g_error("a request does not end");
            }
        }
        ret = t->ret;
    }
    qemu_cond_destroy(&t->cond);
    qemu_mutex_destroy(&t->lock);
    g_free(t);
    return ret;
}

/* ---- Another thread does something that blocks, and is waited for. ---- */

static inline void test_nothing(void *opaque)
{
}

/* Everything posted to the node's I/O thread so far has run. */
static inline void test_settle(BlockNode *node)
{
    iothread_run(block_node_iothread(node), test_nothing, NULL);
}

/* ---- What is left. ---- */

static inline unsigned test_count_entries(const char *dir)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(d)) {
        n++;
    }
    return n;
}

/* At the end of each test: no nodes, instances or sources are left. */
static inline void test_finish(void)
{
    g_assert_null(block_node_list());
    g_assert_null(qmp_query_yank(&error_abort));
}

static unsigned test_fds_at_start;

static inline void test_main_begin(void)
{
    test_fds_at_start = test_count_entries("/proc/self/fd");
}

/* Waits until all side threads whose call has returned have ended. */
static inline void test_wait_for_threads(void)
{
    int64_t deadline = g_get_monotonic_time() + DEADLINE_MS * INT64_C(1000);

    while (test_count_entries("/proc/self/task") > 1) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(1000);
    }
}

/* At the end of all: no threads and no descriptors are left. */
static inline int test_main_end(int ret)
{
    iothread_default_cleanup();
#ifndef __SANITIZE_THREAD__ /* which has a thread of its own */
    test_wait_for_threads();
#endif
    g_assert_cmpuint(test_count_entries("/proc/self/fd"), ==,
                     test_fds_at_start);
    return ret;
}

#endif
