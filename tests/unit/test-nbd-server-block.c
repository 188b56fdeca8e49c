/*
 * A block layer for the tests of the NBD server.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "test-nbd-server-block.h"

#define DEADLINE_MS 30000

struct BlockNode {
    char *name;
    uint8_t *data;
    uint64_t size; /* atomic */
    bool read_only;
    BlockNodeCaps caps;
    IOThread *iothread;
    unsigned n_users;

    QemuMutex lock; /* guards the rest; fast */
    QemuCond cond;  /* one more is held */
    bool hold;
    GQueue held; /* of BlockRequest */
    bool wait;
    GQueue waiting; /* of BlockRequest */
    TestLastRequest last;
};

struct BlockUser {
    BlockNode *node;
};

static GQueue nodes = G_QUEUE_INIT;

static inline uint8_t pattern(uint64_t offset)
{
    return (offset * 7 + (offset >> 9)) & 0xff;
}

uint8_t test_node_pattern(uint64_t offset)
{
    return pattern(offset);
}

/* Nobody else knows the memory yet, and each test has a lot of it. */
static void __attribute__((no_sanitize("address", "thread", "undefined")))
fill(uint8_t *data, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++) {
        data[i] = pattern(i);
    }
}

BlockNode *test_node_new(const char *name, uint64_t size)
{
    BlockNode *node = g_new0(BlockNode, 1);

    node->name = g_strdup(name);
    node->size = size;
    node->data = g_malloc(size);
    fill(node->data, size);
    node->caps = (BlockNodeCaps){
        .flush = true,
        .discard = true,
        .write_zeroes = true,
        .min_block = 1,
        .preferred_block = 4096,
        .max_transfer = 32 * MiB,
    };
    node->iothread = iothread_ref(iothread_default());
    qemu_mutex_init(&node->lock);
    qemu_cond_init(&node->cond);
    g_queue_init(&node->held);
    g_queue_init(&node->waiting);
    g_queue_push_tail(&nodes, node);
    return node;
}

void test_node_free(BlockNode *node)
{
    g_assert_cmpuint(node->n_users, ==, 0);
    g_assert_true(g_queue_is_empty(&node->held));
    g_assert_true(g_queue_is_empty(&node->waiting));
    g_queue_remove(&nodes, node);
    iothread_unref(node->iothread);
    qemu_cond_destroy(&node->cond);
    qemu_mutex_destroy(&node->lock);
    g_free(node->data);
    g_free(node->name);
    g_free(node);
}

void test_node_set_caps(BlockNode *node, const BlockNodeCaps *caps)
{
    node->caps = *caps;
}

void test_node_set_read_only(BlockNode *node)
{
    node->read_only = true;
}

void test_node_set_size(BlockNode *node, uint64_t size)
{
    __atomic_store_n(&node->size, size, __ATOMIC_RELAXED);
}

unsigned test_node_users(BlockNode *node)
{
    return node->n_users;
}

static void node_transfer(BlockNode *node, BlockRequest *req)
{
    switch (req->op) {
    case BLOCK_OP_READ:
        memcpy(req->buf, node->data + req->offset, req->bytes);
        break;
    case BLOCK_OP_WRITE:
        memcpy(node->data + req->offset, req->buf, req->bytes);
        break;
    case BLOCK_OP_WRITE_ZEROES:
        memset(node->data + req->offset, 0, req->bytes);
        break;
    default:
        break;
    }
}

void block_submit(BlockNode *node, BlockRequest *req)
{
    g_assert_true(iothread_current() == node->iothread);
    WITH_QEMU_LOCK_GUARD(&node->lock) {
        if (node->wait) {
            g_queue_push_tail(&node->waiting, req);
            return;
        }
        node->last =
            (TestLastRequest){req->op, req->flags, req->offset, req->bytes};
        if (node->hold) {
            g_queue_push_tail(&node->held, req);
            qemu_cond_broadcast(&node->cond);
            return;
        }
    }
    node_transfer(node, req);
    req->cb(req, 0);
}

void test_node_hold(BlockNode *node)
{
    QEMU_LOCK_GUARD(&node->lock);
    node->hold = true;
}

void test_node_wait_held(BlockNode *node, unsigned n)
{
    QEMU_LOCK_GUARD(&node->lock);
    while (g_queue_get_length(&node->held) < n) {
        g_assert_true(
            qemu_cond_timedwait(&node->cond, &node->lock, DEADLINE_MS));
    }
}

static void do_nothing(void *opaque)
{
}

unsigned test_node_held(BlockNode *node)
{
    iothread_run(node->iothread, do_nothing, NULL);
    QEMU_LOCK_GUARD(&node->lock);
    return g_queue_get_length(&node->held);
}

typedef struct ReleaseCall {
    BlockNode *node;
    unsigned n;
    int ret;
} ReleaseCall;

static BlockRequest *take_held(BlockNode *node)
{
    QEMU_LOCK_GUARD(&node->lock);
    return g_queue_pop_tail(&node->held);
}

static void release_on_iothread(void *opaque)
{
    ReleaseCall *call = opaque;
    BlockRequest *req;

    for (unsigned i = 0; i < call->n; i++) {
        req = take_held(call->node);
        if (!req) {
            return;
        }
        if (call->ret == 0) {
            node_transfer(call->node, req);
        }
        req->cb(req, call->ret);
    }
}

void test_node_release(BlockNode *node, unsigned n, int ret)
{
    ReleaseCall call = {node, n, ret};

    iothread_run(node->iothread, release_on_iothread, &call);
}

void test_node_unhold(BlockNode *node)
{
    WITH_QEMU_LOCK_GUARD(&node->lock) {
        node->hold = false;
    }
    test_node_release(node, UINT_MAX, 0);
}

void test_node_make_wait(BlockNode *node)
{
    QEMU_LOCK_GUARD(&node->lock);
    node->wait = true;
}

unsigned test_node_waiting(BlockNode *node)
{
    iothread_run(node->iothread, do_nothing, NULL);
    QEMU_LOCK_GUARD(&node->lock);
    return g_queue_get_length(&node->waiting);
}

static BlockRequest *take_waiting(BlockNode *node, const void *opaque)
{
    QEMU_LOCK_GUARD(&node->lock);
    for (GList *l = node->waiting.head; l; l = l->next) {
        BlockRequest *req = l->data;

        if (req->opaque == opaque) {
            g_queue_delete_link(&node->waiting, l);
            return req;
        }
    }
    return NULL;
}

void block_cancel_waiting(BlockNode *node, const void *opaque)
{
    BlockRequest *req;

    while ((req = take_waiting(node, opaque))) {
        req->cb(req, -ECANCELED);
    }
}

TestLastRequest test_node_last(BlockNode *node)
{
    QEMU_LOCK_GUARD(&node->lock);
    return node->last;
}

/* ---- What else the server wants of the block layer. ---- */

int block_node_check_request(BlockNode *node, BlockOp op, uint64_t offset,
                             uint64_t bytes)
{
    uint64_t size = block_node_size(node);

    if (offset <= size && bytes <= size - offset) {
        return 0;
    }
    return op == BLOCK_OP_WRITE || op == BLOCK_OP_WRITE_ZEROES ? -ENOSPC
                                                               : -EINVAL;
}

BlockNode *block_node_find(const char *node_name, Error **errp)
{
    for (GList *l = nodes.head; l; l = l->next) {
        BlockNode *node = l->data;

        if (!strcmp(node->name, node_name)) {
            return node;
        }
    }
    error_setg(errp, "Cannot find device='' nor node-name='%s'", node_name);
    return NULL;
}

static bool is_active = true;

void test_role_set_active(bool active)
{
    is_active = active;
}

bool block_is_active(void)
{
    return is_active;
}

const char *block_node_name(const BlockNode *node)
{
    return node->name;
}

uint64_t block_node_size(const BlockNode *node)
{
    return __atomic_load_n(&node->size, __ATOMIC_RELAXED);
}

bool block_node_is_read_only(const BlockNode *node)
{
    return node->read_only;
}

BlockNodeCaps block_node_caps(const BlockNode *node)
{
    return node->caps;
}

BlockUser *block_node_use(BlockNode *node, const char *user, bool writable,
                          void (*resized)(void *opaque), void *opaque,
                          Error **errp)
{
    BlockUser *u = g_new0(BlockUser, 1);

    u->node = node;
    node->n_users++;
    return u;
}

void block_node_unuse(BlockUser *user)
{
    user->node->n_users--;
    g_free(user);
}

IOThread *block_node_iothread(const BlockNode *node)
{
    return node->iothread;
}

bool block_node_is_yankable(const BlockNode *node)
{
    return true;
}

bool block_node_set_iothread(BlockNode *node, IOThread *iothread, Error **errp)
{
    if (node->n_users > 0 && iothread != node->iothread) {
        error_setg(errp, "Cannot change iothread of active block backend");
        return false;
    }
    iothread_unref(node->iothread);
    node->iothread = iothread_ref(iothread);
    return true;
}
