/*
 * The role: a process that is not active holds requests, says when all is at
 * rest, and starts what it held when it is active again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block-test.h"
#include "qemu/oob.h"

#define RAM(name) "{'driver': 'ram', 'node-name': '" name "', 'size': 65536}"
#define SLOW_FILTER(name, below)                                               \
    "{'driver': 'blkdebug', 'node-name': '" name "', 'image': '" below         \
    "', 'delay': [{'event': 'none', 'latency-ns': 50000000}]}"

static char buf[4096];

/* ---- "All is at rest". ---- */

typedef struct Rest {
    QemuMutex lock;
    QemuCond cond;
    unsigned calls;
} Rest;

static void rest_init(Rest *r)
{
    qemu_mutex_init(&r->lock);
    qemu_cond_init(&r->cond);
    r->calls = 0;
}

static void rest_destroy(Rest *r)
{
    qemu_cond_destroy(&r->cond);
    qemu_mutex_destroy(&r->lock);
}

static void rest_fn(void *opaque)
{
    Rest *r = opaque;

    QEMU_LOCK_GUARD(&r->lock);
    r->calls++;
    qemu_cond_broadcast(&r->cond);
}

static void rest_wait(Rest *r)
{
    QEMU_LOCK_GUARD(&r->lock);
    while (r->calls == 0) {
        g_assert_true(qemu_cond_timedwait(&r->cond, &r->lock, DEADLINE_MS));
    }
    g_assert_cmpuint(r->calls, ==, 1);
}

static unsigned rest_calls(Rest *r)
{
    QEMU_LOCK_GUARD(&r->lock);
    return r->calls;
}

/* ---- Requests that are in flight as long as it takes. ---- */

static BlockRequest *kept;

static bool keep(BlockNode *node, BlockRequest *req, void *opaque)
{
    g_assert_null(kept);
    kept = req;
    return true;
}

static TestReq *start_kept(BlockNode *node)
{
    TestReq *t;

    block_node_set_gate(node, keep, NULL);
    t = test_start(node, BLOCK_OP_READ, 0, 512, buf);
    block_node_set_gate(node, NULL, NULL);
    g_assert_true(kept == &t->req);
    return t;
}

static void pass_kept(void *opaque)
{
    block_request_pass(g_steal_pointer(&kept));
}

static void end_kept(TestReq *t)
{
    iothread_run(block_node_iothread(t->node), pass_kept, NULL);
    g_assert_cmpint(test_wait(t), ==, 0);
}

static TestReq *start_unheld(BlockNode *node)
{
    TestReq *t = test_req_new(node, BLOCK_OP_READ, 0, 512, buf);

    t->req.flags = BLOCK_REQ_UNHELD;
    iothread_run(block_node_iothread(node), test_req_submit, t);
    return t;
}

static TestReq *start_read(BlockNode *node)
{
    return test_start(node, BLOCK_OP_READ, 0, 512, buf);
}

/* ---- The tests. ---- */

static void test_rest(void)
{
    BlockNode *a = test_add(RAM("a"));
    BlockNode *b = test_add(RAM("b"));
    TestReq *before, *held;
    Rest rest;

    rest_init(&rest);
    g_assert_true(block_is_active());
    before = start_kept(a);
    oob_section_enter("test");
    block_inactivate(rest_fn, &rest);
    block_activate();
    block_inactivate(rest_fn, &rest);
    oob_section_leave();
    g_assert_false(block_is_active());
    test_settle(a);
    held = start_read(b);
    test_settle(b);
    g_assert_false(test_is_done(held));
    g_assert_cmpuint(rest_calls(&rest), ==, 0);

    end_kept(before);
    rest_wait(&rest);
    g_assert_false(test_is_done(held));
    block_activate();
    g_assert_true(block_is_active());
    g_assert_cmpint(test_wait(held), ==, 0);
    g_assert_cmpuint(rest_calls(&rest), ==, 1);
    block_close_all();
    rest_destroy(&rest);
    test_finish();
}

/* With nothing to wait for it is still not called from within. */
static void test_rest_without_nodes(void)
{
    Rest rest;

    rest_init(&rest);
    block_inactivate(rest_fn, &rest);
    g_assert_cmpuint(rest_calls(&rest), ==, 0);
    while (rest_calls(&rest) == 0) {
        g_main_context_iteration(NULL, TRUE);
    }
    block_activate();

    block_inactivate(rest_fn, &rest);
    block_activate();
    while (g_main_context_iteration(NULL, FALSE)) {
        /* It is not called for what was taken back. */
    }
    g_assert_cmpuint(rest_calls(&rest), ==, 1);
    rest_destroy(&rest);
    test_finish();
}

static void test_activate_before_rest(void)
{
    BlockNode *a = test_add(RAM("a"));
    TestReq *before = start_kept(a);
    Rest first, second;

    rest_init(&first);
    rest_init(&second);
    block_inactivate(rest_fn, &first);
    block_activate();
    g_assert_cmpint(test_wait(start_read(a)), ==, 0);
    block_inactivate(rest_fn, &first);
    block_inactivate(rest_fn, &second); /* takes its place */
    test_settle(a);
    end_kept(before);
    rest_wait(&second);
    g_assert_cmpuint(rest_calls(&first), ==, 0);
    block_activate();
    block_inactivate(NULL, NULL);
    test_settle(a);
    block_activate();
    block_close_all();
    rest_destroy(&first);
    rest_destroy(&second);
    test_finish();
}

static int order[8];
static int n_done; /* atomic */

static void note_order(BlockRequest *req, int ret)
{
    int i = __atomic_fetch_add(&n_done, 1, __ATOMIC_RELAXED);

    order[i] = GPOINTER_TO_INT(req->opaque);
    test_req_done(req, ret);
}

/* A node that comes later holds, too, and starts in order. */
static void test_late_node(void)
{
    TestReq *reqs[8];
    BlockNode *node;

    block_inactivate(NULL, NULL);
    node = test_add(RAM("a"));
    __atomic_store_n(&n_done, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < 8; i++) {
        reqs[i] = test_req_new(node, BLOCK_OP_READ, 0, 512, buf);
        reqs[i]->req.cb = note_order;
        reqs[i]->req.opaque = GINT_TO_POINTER(i);
        iothread_run(block_node_iothread(node), test_req_submit, reqs[i]);
    }
    test_settle(node);
    g_assert_cmpint(__atomic_load_n(&n_done, __ATOMIC_RELAXED), ==, 0);
    block_activate();
    for (int i = 0; i < 8; i++) {
        g_assert_cmpint(test_wait(reqs[i]), ==, 0);
        g_assert_cmpint(order[i], ==, i);
    }
    block_close_all();
    test_finish();
}

static void test_unheld(void)
{
    BlockNode *below = test_add(RAM("a"));
    BlockNode *node = test_add(SLOW_FILTER("f", "a"));
    TestReq *migration = start_unheld(node);
    Rest rest;

    rest_init(&rest);
    block_inactivate(rest_fn, &rest);
    rest_wait(&rest);
    g_assert_false(test_is_done(migration)); /* it does not count */
    g_assert_cmpint(test_wait(migration), ==, 0);
    g_assert_cmpint(test_wait(start_unheld(below)), ==, 0);
    block_drained_begin(below);
    g_assert_cmpint(test_wait(start_unheld(below)), ==, 0);
    block_drained_end(below);
    g_assert_cmpuint(node->n_unheld, ==, 0);
    g_assert_cmpuint(below->n_unheld, ==, 0);
    block_activate();
    block_close_all();
    rest_destroy(&rest);
    test_finish();
}

static void test_drain(void)
{
    BlockNode *node = test_add(RAM("a"));
    TestReq *held;

    block_inactivate(NULL, NULL);
    held = start_read(node);
    block_drained_begin(node);
    block_drained_end(node);
    test_settle(node);
    g_assert_false(test_is_done(held));
    g_assert_true(block_node_resize(node, 32768, &error_abort));

    block_drained_begin(node);
    block_activate();
    test_settle(node);
    g_assert_false(test_is_done(held));
    block_drained_end(node);
    g_assert_cmpint(test_wait(held), ==, 0);
    block_close_all();
    test_finish();
}

/* What has begun above goes on below; what has not waits above. */
static void test_parent(void)
{
    BlockNode *below = test_add(RAM("a"));
    BlockNode *above = test_add(SLOW_FILTER("f", "a"));
    TestReq *running[8], *held;
    Rest rest;

    rest_init(&rest);
    for (int i = 0; i < 8; i++) {
        running[i] = start_read(above);
    }
    block_inactivate(rest_fn, &rest);
    rest_wait(&rest);
    for (int i = 0; i < 8; i++) {
        g_assert_true(test_is_done(running[i]));
        g_assert_cmpint(test_wait(running[i]), ==, 0);
    }
    held = start_read(above);
    g_assert_cmpuint(above->in_flight, ==, 0);
    block_drained_begin(below);
    block_drained_end(below);
    test_settle(below);
    g_assert_false(test_is_done(held));
    block_activate();
    g_assert_cmpint(test_wait(held), ==, 0);
    block_close_all();
    rest_destroy(&rest);
    test_finish();
}

/* What the main thread does of itself goes on. */
static void test_main_thread(void)
{
    IOThread *other = iothread_new("other");
    BlockNode *below, *above;
    TestReq *held;

    block_inactivate(NULL, NULL);
    test_add("{'driver': 'null-co', 'node-name': 'n'}"); /* it has a flush */
    g_assert_true(block_node_del("n", &error_abort));

    below = test_add(RAM("a"));
    above = test_add(SLOW_FILTER("f", "a"));
    g_assert_true(block_node_set_iothread(above, other, &error_abort));
    g_assert_true(block_node_iothread(below) == other);
    held = start_read(above);
    test_settle(above);
    g_assert_false(test_is_done(held));
    block_activate();
    g_assert_cmpint(test_wait(held), ==, 0);
    block_close_all();
    iothread_unref(other);
    test_finish();
}

/* A node that moves, or goes, does not leave anybody waiting. */
static void test_pending_node_moves(void)
{
    IOThread *other = iothread_new("other");
    BlockNode *node = test_add(RAM("a"));
    TestReq *before = start_kept(node);
    Rest rest;

    rest_init(&rest);
    block_inactivate(rest_fn, &rest);
    iothread_post(block_node_iothread(node), pass_kept, NULL);
    g_assert_true(block_node_set_iothread(node, other, &error_abort));
    g_assert_cmpint(test_wait(before), ==, 0);
    rest_wait(&rest);
    block_activate();

    before = start_kept(node);
    rest.calls = 0;
    block_inactivate(rest_fn, &rest);
    iothread_post(block_node_iothread(node), pass_kept, NULL);
    g_assert_true(block_node_del("a", &error_abort));
    g_assert_cmpint(test_wait(before), ==, 0);
    rest_wait(&rest);
    block_activate();
    iothread_unref(other);
    rest_destroy(&rest);
    test_finish();
}

typedef struct Cancel {
    BlockNode *node;
    void *opaque;
} Cancel;

static void do_cancel(void *opaque)
{
    Cancel *c = opaque;

    block_cancel_waiting(c->node, c->opaque);
}

static void test_cancel(void)
{
    BlockNode *node = test_add(RAM("a"));
    TestReq *reqs[6];
    Cancel cancel = {node, &reqs[1]};

    iothread_run(block_node_iothread(node), do_cancel, &cancel);
    block_inactivate(NULL, NULL);
    for (int i = 0; i < 6; i++) {
        reqs[i] = test_req_new(node, BLOCK_OP_READ, 0, 512, buf);
        reqs[i]->req.opaque = &reqs[i % 2];
        iothread_run(block_node_iothread(node), test_req_submit, reqs[i]);
    }
    iothread_run(block_node_iothread(node), do_cancel, &cancel);
    for (int i = 1; i < 6; i += 2) {
        g_assert_true(test_is_done(reqs[i]));
        g_assert_cmpint(test_wait(reqs[i]), ==, -ECANCELED);
        g_assert_false(test_is_done(reqs[i - 1]));
    }
    g_assert_cmpuint(node->in_flight, ==, 0);
    block_activate();
    for (int i = 0; i < 6; i += 2) {
        g_assert_cmpint(test_wait(reqs[i]), ==, 0);
    }
    block_close_all();
    test_finish();
}

/* ---- All at once. ---- */

#define STRESS_ROUNDS 200

typedef struct Stress {
    int stop; /* atomic */
    unsigned rounds;
} Stress;

static void *toggle(void *opaque)
{
    Stress *s = opaque;
    Rest rest;

    while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
        rest_init(&rest);
        block_inactivate(rest_fn, &rest);
        if (++s->rounds % 2) {
            rest_wait(&rest); /* it always comes */
        }
        block_activate();
        rest_destroy(&rest);
        g_thread_yield();
    }
    return NULL;
}

/* The graph changes and requests run while the role goes to and fro. */
static void test_stress(void)
{
    Stress s = {};
    IOThread *other = iothread_new("other");
    GThread *thread;

    test_add(RAM("stays"));
    thread = g_thread_new("toggle", toggle, &s);
    for (int i = 0; i < STRESS_ROUNDS; i++) {
        BlockNode *node = test_add(RAM("a"));
        BlockNode *filter =
            test_add("{'driver': 'blkdebug', 'node-name': 'f', 'image': 'a'}");
        TestReq *reqs[4];

        for (int j = 0; j < 4; j++) {
            reqs[j] = start_read(j % 2 ? node : filter);
        }
        block_node_set_iothread(filter, other, &error_abort);
        block_drained_begin(node);
        block_drained_end(node);
        for (int j = 0; j < 4; j++) {
            g_assert_cmpint(test_wait(reqs[j]), ==, 0);
        }
        g_assert_true(block_node_del("f", &error_abort));
        g_assert_true(block_node_del("a", &error_abort));
    }
    __atomic_store_n(&s.stop, 1, __ATOMIC_RELEASE);
    g_thread_join(thread);
    g_test_message("%u times to and fro", s.rounds);
    g_assert_true(block_is_active());
    block_close_all();
    iothread_unref(other);
    test_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_main_context_default(); /* has a descriptor from now on */
    test_main_begin();
    g_test_add_func("/block/role/rest", test_rest);
    g_test_add_func("/block/role/rest-without-nodes", test_rest_without_nodes);
    g_test_add_func("/block/role/activate-before-rest",
                    test_activate_before_rest);
    g_test_add_func("/block/role/late-node", test_late_node);
    g_test_add_func("/block/role/unheld", test_unheld);
    g_test_add_func("/block/role/drain", test_drain);
    g_test_add_func("/block/role/parent", test_parent);
    g_test_add_func("/block/role/main-thread", test_main_thread);
    g_test_add_func("/block/role/pending-node-moves", test_pending_node_moves);
    g_test_add_func("/block/role/cancel", test_cancel);
    g_test_add_func("/block/role/stress", test_stress);
    return test_main_end(g_test_run());
}
