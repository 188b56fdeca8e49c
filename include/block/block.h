/*
 * Block nodes: a node has a name, a size and a driver.
 *
 * The graph (add, delete, look up, resize, use) belongs to the main thread.
 * Data I/O belongs to the I/O thread of the node: requests are submitted on
 * that thread, the driver completes them there, and neither ever blocks it.  An
 * export runs on the I/O thread of its node, so a request crosses no thread
 * between them.  A request takes a single lock, that of the node's activity,
 * which no thread holds for longer than it takes to read or write a few
 * numbers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include "block/dirty-bitmap.h"
#include "qapi/qapi-types-block-core.h"
#include "qemu/activity.h"
#include "qemu/iothread.h"

typedef struct BlockNode BlockNode;
typedef struct BlockRequest BlockRequest;

/*
 * How long a command waits for requests that no yank can end, in milliseconds.
 * The error message states this limit.
 */
#define BLOCK_WAIT_MS 10000

/* The largest size of a node, in bytes, as in stock. */
#define BLOCK_MAX_SIZE (INT64_MAX / GiB * GiB)

typedef enum BlockOp {
    BLOCK_OP_READ,
    BLOCK_OP_WRITE,
    BLOCK_OP_FLUSH,
    BLOCK_OP_DISCARD,
    BLOCK_OP_WRITE_ZEROES,
    BLOCK_OP_STATUS, /* what is there: see BlockRequest.status */
    BLOCK_OP__MAX,
} BlockOp;

typedef enum BlockReqFlags {
    BLOCK_REQ_FUA = 1 << 0,         /* on stable storage when it completes */
    BLOCK_REQ_MAY_UNMAP = 1 << 1,   /* zeroes may be made by a hole */
    BLOCK_REQ_NO_FALLBACK = 1 << 2, /* zeroes fast, or -ENOTSUP */
    BLOCK_REQ_UNHELD = 1 << 3,      /* runs while others wait: migration's */
} BlockReqFlags;

/* What a BLOCK_OP_STATUS found at the start of its range. */
typedef struct BlockStatus {
    uint64_t bytes; /* so many share it; at least 1 */
    bool zero;      /* they read as zeroes, and no storage holds them */
} BlockStatus;

/* @ret: 0 or -errno.  On the I/O thread; may free the request. */
typedef void BlockCompletionFn(BlockRequest *req, int ret);

/*
 * One request; the caller owns it, and its buffer, until @cb runs.  The
 * fields above the line are the caller's, the rest is the block layer's.
 */
struct BlockRequest {
    BlockOp op;
    unsigned flags;
    uint64_t offset;
    uint64_t bytes;
    void *buf; /* @bytes long, for reads and writes */
    BlockCompletionFn *cb;
    void *opaque;
    BlockStatus status;
    /* ---- */
    BlockNode *node;
    BlockRequest *next; /* in a queue of the node or of its driver */
    BlockRequest *prev; /* in a list of its driver */
    int64_t start_ns;
    void *split; /* the request is a step of another one */
    void *driver_data;
    ActivityRequest activity; /* of the driver */
};

/*
 * Starts @req on @node; a write needs a writable user.  An invalid range fails
 * with the error of block_node_check_request().  @req->cb runs exactly once,
 * possibly before block_submit() returns.  Requests wait while the node is
 * drained or the process is inactive.  After a failed read the content of the
 * buffer is undefined; parts of it may still be what it held before.  I/O
 * thread of the node; does not block.
 */
void block_submit(BlockNode *node, BlockRequest *req);

/*
 * Ends those requests that wait on @node and whose opaque is @opaque, with
 * -ECANCELED, before this returns.  Of those that wait, nothing was done.
 * I/O thread of the node.
 */
void block_cancel_waiting(BlockNode *node, const void *opaque);

/* 0, -EINVAL or -ENOSPC for a range that does not fit.  Any thread. */
int block_node_check_request(BlockNode *node, BlockOp op, uint64_t offset,
                             uint64_t bytes);

/* ---- The graph; main thread. ---- */

/*
 * Opens a node for the user, who ends it with block_node_del().  May block on
 * the peer or the disk; a yank of "blockdev:NODE" ends that.  @options stays
 * the caller's.
 */
BlockNode *block_node_add(const BlockdevOptions *options, Error **errp);
/*
 * Flushes, drains and closes a node that has no user.  May block on the peer,
 * as block_node_add() does.  Returns false with errp set, and keeps the node,
 * when requests that no yank can end do not end within BLOCK_WAIT_MS.  Main
 * thread.
 */
bool block_node_del(const char *node_name, Error **errp);
/* Closes all nodes; at exit, after exports are gone. */
void block_close_all(void);

/* NULL with errp set when there is none. */
BlockNode *block_node_find(const char *node_name, Error **errp);

const char *block_node_name(const BlockNode *node);
/* The size of a node is a multiple of this, in bytes. */
#define BLOCK_SECTOR 512

/*
 * Size of @node in bytes, rounded up to whole sectors as QEMU's clients expect.
 * Bytes past the end of the storage read as zeroes.  Only block_node_resize()
 * may change the size.  Any thread.
 */
uint64_t block_node_size(const BlockNode *node);
bool block_node_is_read_only(const BlockNode *node);
/* Returns true if a yank of @node ends its requests in flight.  Any thread. */
bool block_node_is_yankable(const BlockNode *node);
/* Whether flush, trim and fast zeroes do anything; for NBD flags. */
typedef struct BlockNodeCaps {
    bool flush;
    bool fua; /* by itself; it is there on any node, by a flush */
    bool discard;
    bool write_zeroes;
    uint32_t min_block;       /* bytes, power of two */
    uint32_t preferred_block; /* bytes, power of two */
    uint32_t max_transfer;    /* bytes */
} BlockNodeCaps;
BlockNodeCaps block_node_caps(const BlockNode *node);

bool block_node_resize(BlockNode *node, uint64_t size, Error **errp);

/*
 * Uses a node, so that it cannot be deleted: a parent node or an export.
 * @user: in words, for errors and queries, such as "export 'e0'".
 * @writable: fails on a read-only node.  @resized runs (main thread, node
 * drained) after the size changed; may be NULL.
 */
typedef struct BlockUser BlockUser;
BlockUser *block_node_use(BlockNode *node, const char *user, bool writable,
                          void (*resized)(void *opaque), void *opaque,
                          Error **errp);
void block_node_unuse(BlockUser *user);

/* The I/O thread that data I/O of @node runs on.  Any thread. */
IOThread *block_node_iothread(const BlockNode *node);
/*
 * Moves @node and what is below it; drains it.  Fails when somebody uses it,
 * or what is below it, unless it is there already.
 */
bool block_node_set_iothread(BlockNode *node, IOThread *iothread, Error **errp);

/*
 * Waits until no request is in flight, and keeps new ones waiting until
 * block_drained_end().  Nests.  Blocks on the peer: this is the hang that a
 * yank ends.
 */
void block_drained_begin(BlockNode *node);
/*
 * Like block_drained_begin(), for commands.  Returns false with errp set, and
 * leaves @node undrained, when requests that no yank can end take longer than
 * BLOCK_WAIT_MS.
 */
bool block_drained_try(BlockNode *node, Error **errp);
void block_drained_end(BlockNode *node);

/* ---- The role: whether this process serves the data it has. ---- */

/*
 * A process that is not active holds every request on every node, also on
 * nodes that are added meanwhile, but for those marked BLOCK_REQ_UNHELD.  It
 * is active unless block_inactivate() was called; one that expects a
 * migration is made inactive before its first node.
 *
 * block_inactivate() calls @fn once, on any thread but never before it
 * returned, when no request is in flight on any node; after block_activate()
 * has returned, @fn is not running and never will.  @fn may be NULL; it runs
 * under a fast lock and calls none of these.  Requests that are not held
 * themselves do not count for it.  Inactive already: this @fn takes the place
 * of the other.  Both: any thread, OOB-safe.  What was held starts when the
 * process is active.
 */
void block_inactivate(void (*fn)(void *opaque), void *opaque);
void block_activate(void);
bool block_is_active(void);

/* ---- For migration; the caller is a user of the node. ---- */

/*
 * Whether @node holds its content in this process or on this host.  A node
 * above another holds none: what is below it does.
 */
bool block_node_is_local(const BlockNode *node);

/* From now on @user's node cannot be resized.  Main thread. */
void block_user_fix_size(BlockUser *user);

/*
 * Every write, zeroing or discard on @node that has ended, well or not, is
 * set in @bitmap before its callback runs.  NULL: no more.  @bitmap stays the
 * caller's.  Waits for the I/O thread for a moment; main or migration thread.
 */
void block_node_set_dirty_bitmap(BlockNode *node, BlockDirtyBitmap *bitmap);

/*
 * A gate sees each request that is not BLOCK_REQ_UNHELD before the driver
 * does, on the I/O thread of @node.  True: it keeps the request, which counts
 * as in flight, and ends it later by block_request_pass(), or by
 * block_request_refuse() with -errno; both on that thread.  Set and removed
 * (NULL) like the bitmap above; a gate that is removed keeps nothing.
 */
typedef bool BlockGateFn(BlockNode *node, BlockRequest *req, void *opaque);
void block_node_set_gate(BlockNode *node, BlockGateFn *gate, void *opaque);
void block_request_pass(BlockRequest *req);
void block_request_refuse(BlockRequest *req, int ret);

/*
 * The content of a node that lies in memory, to be read only; NULL where it
 * does not.  Requests change it under the reader's eyes: who has seen half a
 * write will find the range dirty.  As long as its size is fixed.  Any thread.
 */
const void *block_node_peek(BlockNode *node);

/*
 * The content of a node that lies in memory, ready to be filled as a whole;
 * NULL where it does not.  Only while no request runs on @node (the process
 * is inactive) and its size is fixed.  Any thread.
 */
void *block_node_map(BlockNode *node);
/*
 * That range of it is about to be filled; a range that is not may read as
 * zeroes to BLOCK_OP_STATUS.  Any thread.
 */
void block_node_map_fill(BlockNode *node, uint64_t offset, uint64_t bytes);

/*
 * Runs a request on @node and waits for it; 0 or -errno.  Main thread; blocks
 * on the peer.
 */
int block_request_sync(BlockNode *node, BlockOp op, uint64_t offset,
                       uint64_t bytes, void *buf, unsigned flags);

#endif
