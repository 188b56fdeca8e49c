/*
 * What block drivers implement, and what the block layer knows of a node.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_BLOCK_INT_H
#define BLOCK_BLOCK_INT_H

#include "block/block.h"
#include "qemu/thread.h"
#include "qobject/json.h"

/* Payload of one request to a driver, in bytes, where caps give no less. */
#define BLOCK_MAX_TRANSFER (32 * MiB)
/* The same for requests without payload (discard, zeroes). */
#define BLOCK_MAX_UNMAP (1 * GiB)

typedef struct BlockDriver {
    const char *format_name;
    size_t instance_size; /* of node->opaque, zeroed */

    /*
     * Main thread; may block.  Sets node->size, node->caps and what else
     * applies; on failure leaves nothing behind.  node->iothread is set, but
     * no request comes before it returned.
     */
    bool (*open)(BlockNode *node, const BlockdevOptions *options, Error **errp);
    /*
     * Main thread; drained and flushed.  May block on the peer; a yank ends
     * that.
     */
    void (*close)(BlockNode *node);
    /*
     * I/O thread of the node; ends in block_request_complete().  Gets only
     * what its caps allow: no payload over max_transfer, no discard or
     * zeroes that it cannot do, no FUA without caps.fua, no empty request.
     */
    void (*submit)(BlockNode *node, BlockRequest *req);
    /* Main thread, drained; sets node->size.  NULL when the size is fixed. */
    bool (*truncate)(BlockNode *node, uint64_t size, Error **errp);
    /*
     * Main thread, drained: leave the old and enter the new I/O thread.  Both
     * NULL when nothing is bound to one.
     */
    void (*detach)(BlockNode *node);
    void (*attach)(BlockNode *node);
    /*
     * Connects again; the parameters are those of blockdev-reconnect.  Main
     * thread; blocks.  NULL if the driver has no connection.
     */
    bool (*reconnect)(BlockNode *node, uint32_t close_timeout, bool force,
                      Error **errp);
    /*
     * Returns a file name that describes the node completely; the caller frees
     * it with g_free().  Returns NULL when the node has options that no file
     * name can express; queries then show the options instead.
     */
    char *(*filename)(BlockNode *node);
    /*
     * Returns the options that make such a node, including "driver", as the
     * user gave them; the caller frees them with json_object_put().  NULL if
     * the driver and the file name are all the options.
     */
    json_object *(*options)(BlockNode *node);
    /*
     * Returns the bytes allocated on disk, or -1 if unknown.  Main thread;
     * waits for at most @timeout_ms milliseconds for what refresh() started,
     * and then returns the last known value.  NULL if the driver does not
     * report it.
     */
    int64_t (*actual_size)(BlockNode *node, int timeout_ms);
    /*
     * Starts to look up the allocated size.  Main thread; does not block.  NULL
     * if the driver has no use for it.
     */
    void (*refresh)(BlockNode *node);
    /* block_node_peek(); any thread; NULL where it does not lie in memory. */
    const void *(*peek)(BlockNode *node);
    /* block_node_map(); any thread; NULL where it does not lie in memory. */
    void *(*map)(BlockNode *node);
    /* block_node_map_fill(); goes with map. */
    void (*map_fill)(BlockNode *node, uint64_t offset, uint64_t bytes);
    bool local;      /* its content is on this host */
    bool yankable;   /* a yank of the node ends its requests */
    bool has_status; /* submit() takes BLOCK_OP_STATUS */
    /*
     * true: submit() never gets a request that reaches past node->size.  false:
     * submit() gets requests up to block_node_size(), and reads zeroes past
     * node->size.
     */
    bool exact_size;
    bool is_file; /* queries show a dirty-flag for its image */
} BlockDriver;

/*
 * A step of a request that a parent node has already started: it must go on
 * for that one to end.  Beside BlockReqFlags in BlockRequest.flags.
 */
#define BLOCK_REQ_OF_PARENT (1u << 16)
/* These do not wait where others are held. */
#define BLOCK_REQ_PASSES (BLOCK_REQ_UNHELD | BLOCK_REQ_OF_PARENT)

/* Why new requests wait on a node. */
typedef enum BlockHeld {
    BLOCK_HELD_DRAINED = 1 << 0,
    BLOCK_HELD_INACTIVE = 1 << 1,
} BlockHeld;

/* What was done; written by the I/O thread, read by any (relaxed atomics). */
typedef struct BlockOpStats {
    uint64_t bytes;
    uint64_t done;
    uint64_t failed;
    uint64_t invalid;
    uint64_t time_ns;
} BlockOpStats;

/* A list of requests, in order. */
typedef struct BlockQueue {
    BlockRequest *head;
    BlockRequest **tail;
} BlockQueue;

struct BlockNode {
    /* Constant once the node is open. */
    const BlockDriver *driver;
    char *name;
    void *opaque; /* the driver's */
    bool read_only;
    bool unmap;    /* discards reach the storage */
    bool direct;   /* around the host's cache */
    bool no_flush; /* flushes are ignored */
    bool force_share;
    bool auto_read_only;
    BlockNodeCaps caps;
    BlockNode *child; /* the node below, or NULL; we are a user of it */

    /* Changed by the main thread while the node is drained. */
    uint64_t size;      /* atomic; in bytes; set by the driver */
    IOThread *iothread; /* atomic; a reference */

    /* Main thread. */
    bool monitor_owned; /* blockdev-add made it, blockdev-del may end it */
    GQueue users;       /* of BlockUser */
    BlockUser *child_user;
    unsigned drain_count;

    /* I/O thread. */
    unsigned held; /* BlockHeld: new requests wait, but for those that pass */
    unsigned in_flight;
    unsigned n_unheld; /* of these: BLOCK_REQ_UNHELD */
    BlockQueue waiting;
    BlockDirtyBitmap *dirty; /* or NULL */
    BlockGateFn *gate;       /* or NULL */
    void *gate_opaque;
    BlockOpStats stats[BLOCK_OP__MAX];
    bool written; /* atomic; there was a write since the start */
    uint64_t wr_highest_offset;

    /*
     * Counts of drains.  A drain may begin while the message that ends the
     * previous one is still on its way to the I/O thread.
     */
    unsigned drains_asked; /* begun by the main thread */
    unsigned drains_seen;  /* seen by the I/O thread */
    /*
     * Guards drains_done, the number of the last drain that ended.  Fast; no
     * lock is taken under it.
     */
    QemuMutex drain_lock;
    QemuCond drain_cond;
    unsigned drains_done;

    /*
     * Of block/role.c, guarded by its lock and also read without: the end of
     * the last request that is to be held is still awaited.
     */
    bool rest_pending;
};

struct BlockUser {
    BlockNode *node;
    BlockNode *parent; /* when a node uses it */
    char *name;
    bool writable;
    bool fixed_size; /* while it is there, the node keeps its size */
    void (*resized)(void *opaque);
    void *opaque;
};

/* What the driver calls when @req is done.  I/O thread of the node. */
void block_request_complete(BlockRequest *req, int ret);

/* Queues, on one thread. */
static inline void block_queue_init(BlockQueue *queue)
{
    queue->head = NULL;
    queue->tail = &queue->head;
}

static inline void block_queue_push(BlockQueue *queue, BlockRequest *req)
{
    req->next = NULL;
    *queue->tail = req;
    queue->tail = &req->next;
}

/* NULL when it is empty. */
static inline BlockRequest *block_queue_pop(BlockQueue *queue)
{
    BlockRequest *req = queue->head;

    if (req) {
        queue->head = req->next;
        if (!queue->head) {
            queue->tail = &queue->head;
        }
    }
    return req;
}

/* Moves all of @src to the end of @dst. */
static inline void block_queue_concat(BlockQueue *dst, BlockQueue *src)
{
    if (src->head) {
        *dst->tail = src->head;
        dst->tail = src->tail;
        block_queue_init(src);
    }
}

/*
 * Opens or finds the node below @node, which is being opened, and puts @node
 * on its I/O thread.  Main thread; may block on a peer.
 */
bool block_node_open_child(BlockNode *node, const BlockdevRef *ref,
                           Error **errp);
/* Lets go of it; ends it when nobody else holds it. */
void block_node_close_child(BlockNode *node);

/* All nodes in order of their creation (GList of BlockNode); main thread. */
GList *block_node_list(void);

/* block/drain.c; the parts of a drain, for request.c. */
void block_drain_init(BlockNode *node);
void block_drain_destroy(BlockNode *node);
/* I/O thread: a request ended while the node was held for a drain. */
void block_drain_progress(BlockNode *node);

/* block/role.c.  Main thread, while no request is in flight on the node. */
/* From now on the node follows the role. */
void block_role_join(BlockNode *node);
/* It is about to change its I/O thread, or to end; blocks for a moment. */
void block_role_leave(BlockNode *node);
/* I/O thread: a request ended while the node was held. */
void block_role_progress(BlockNode *node);

/*
 * block/request.c: flushes @node and waits for at most @timeout_ms, or without
 * a limit if that is negative.  Returns false when the flush is still in
 * flight; otherwise it has ended, well or not.  Main thread.
 */
bool block_flush_sync(BlockNode *node, int timeout_ms);

/* block/node.c: the file name that queries show for @node; g_free() it. */
char *block_node_filename(BlockNode *node);
/*
 * The options of @node for the options of its parent; json_object_put() them.
 */
json_object *block_node_options(BlockNode *node);

/* block/request.c: starts what waited, if nothing holds it; I/O thread. */
void block_request_restart(BlockNode *node);

/* block/split.c: does @req in steps that the driver can do; I/O thread. */
bool block_split_needed(const BlockNode *node, const BlockRequest *req);
void block_split_start(BlockRequest *req);
/* Ends a step of a split request. */
void block_split_complete(BlockRequest *step, int ret);
/*
 * Returns true if @req is a step of a split request whose last step is a flush.
 * Such a request is not acknowledged before that flush.
 */
bool block_split_ends_in_flush(const BlockRequest *req);
/*
 * For a driver that holds @req, a step of a request that ends in a flush, and
 * may have lost the writes of earlier steps: turns @req into the first step
 * again.
 */
void block_split_restart(BlockRequest *req);

extern const BlockDriver block_driver_nbd;
extern const BlockDriver block_driver_file;
extern const BlockDriver block_driver_ram;
extern const BlockDriver block_driver_null_co;
extern const BlockDriver block_driver_blkdebug;

#endif
