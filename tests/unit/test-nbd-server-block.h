/*
 * A block layer for the tests of the NBD server: nodes in memory that keep
 * requests until the test lets them go.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TEST_NBD_SERVER_BLOCK_H
#define TEST_NBD_SERVER_BLOCK_H

#include "qapi/error.h"
#include "block/block.h"

/*
 * A node on the default I/O thread, filled with a pattern.  Main thread, as
 * all here.
 */
BlockNode *test_node_new(const char *name, uint64_t size);
/* Nobody may use it any more. */
void test_node_free(BlockNode *node);

uint8_t test_node_pattern(uint64_t offset);
void test_node_set_caps(BlockNode *node, const BlockNodeCaps *caps);
void test_node_set_read_only(BlockNode *node);
void test_node_set_size(BlockNode *node, uint64_t size);
/* Users that it has. */
unsigned test_node_users(BlockNode *node);

/* From now on requests wait. */
void test_node_hold(BlockNode *node);
/* Waits until at least @n requests wait; a deadline ends the test. */
void test_node_wait_held(BlockNode *node, unsigned n);
/* How many wait, once what the I/O thread has begun is done. */
unsigned test_node_held(BlockNode *node);
/* Completes up to @n of those that wait, the last first, with @ret. */
void test_node_release(BlockNode *node, unsigned n, int ret);
/* Completes all, and lets new ones through. */
void test_node_unhold(BlockNode *node);

/* Whether this process is active; it is to begin with. */
void test_role_set_active(bool active);

/* From now on requests wait, and nothing of them is done. */
void test_node_make_wait(BlockNode *node);
/* How many of them wait. */
unsigned test_node_waiting(BlockNode *node);

/* What the last request was. */
typedef struct TestLastRequest {
    BlockOp op;
    unsigned flags;
    uint64_t offset;
    uint64_t bytes;
} TestLastRequest;
TestLastRequest test_node_last(BlockNode *node);

#endif
