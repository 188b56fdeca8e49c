/*
 * Volumes: the nodes whose content moves, and requests on them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_VOLUME_H
#define MIGRATION_VOLUME_H

#include "block/block.h"
#include "qemu/thread.h"
#include "stream.h"

/* What a bit of a volume's bitmap stands for, in bytes. */
#define VOLUME_GRANULARITY (16 * KiB)

typedef struct Volume {
    char *name;
    uint64_t size;
    bool remote; /* only its name is compared; no node below */
    BlockNode *node;
    BlockUser *user;
    const uint8_t *memory; /* source: where its content lies, or NULL */
    /*
     * Source: what is to be sent.  Destination after the hand-over of a
     * postcopy: what is missing.  Atomic where it is set: from then on
     * volumes_dirty_bytes() counts it.
     */
    BlockDirtyBitmap *bitmap;
    /*
     * Destination: content whose checksum did not fit, as it changed while it
     * was sent.  It comes again, intact, before the hand-over.
     */
    BlockDirtyBitmap *torn;
} Volume;

typedef struct VolumeSet {
    Volume *volumes;
    uint32_t n;
    uint64_t *sizes; /* of each volume */
    uint64_t total;  /* bytes that move */
} VolumeSet;

/*
 * Claims all writable local nodes, and names the remote ones: they can be
 * neither deleted nor resized until volumes_release().  Main thread.
 */
VolumeSet *volumes_claim_all(Error **errp);
/*
 * Claims the nodes that the source has told of.  Errors say how a volume
 * differs here.  Main thread.
 */
VolumeSet *volumes_claim(const StreamVolume *wanted, uint32_t n, Error **errp);
/* NULL is fine.  Main thread. */
void volumes_release(VolumeSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeSet, volumes_release)

/*
 * A bitmap for @volume, all clear; NULL with errp set when there is no memory
 * for it.  Any thread.
 */
BlockDirtyBitmap *volume_bitmap_new(const Volume *volume, Error **errp);

/* Bytes whose bits are set.  Any thread, OOB-safe. */
uint64_t volumes_dirty_bytes(const VolumeSet *set);

/* ---- Requests of one thread, several in flight. ---- */

typedef struct VolumeIO VolumeIO;

typedef struct VolumeRequest {
    BlockRequest req;
    Volume *volume;
    VolumeIO *io;
    uint8_t *buf; /* STREAM_STRIPE bytes, page aligned */
    bool pending; /* submitted, not waited for */
    bool done;    /* io->lock */
    int ret;      /* io->lock */
} VolumeRequest;

struct VolumeIO {
    /* Guards what says so above.  Fast; nothing is taken under it. */
    QemuMutex lock;
    QemuCond cond;
    VolumeRequest *requests; /* used as a ring */
    unsigned depth;
    unsigned next;
};

VolumeIO *volume_io_new(unsigned depth);
/* All requests must have been waited for; NULL is fine. */
void volume_io_free(VolumeIO *io);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeIO, volume_io_free)

/*
 * The request to use next, which is the oldest.  When it is pending, the
 * caller waits for it first.
 */
VolumeRequest *volume_io_next(VolumeIO *io);

/*
 * Starts @op on @volume, past what holds other requests; reads and writes use
 * r->buf.  Does not block.
 */
void volume_request_start(VolumeRequest *r, Volume *volume, BlockOp op,
                          uint64_t offset, uint64_t bytes, unsigned flags);
/*
 * The same with a function that runs on the I/O thread of the node and ends
 * in volume_request_done().
 */
void volume_request_start_fn(VolumeRequest *r, Volume *volume, IOThreadFn *fn);
/* On the I/O thread. */
void volume_request_done(VolumeRequest *r, int ret);
/* 0 or -errno.  Blocks, as long as the local storage needs. */
int volume_request_wait(VolumeRequest *r);

/* Flushes each volume; 0 or -errno with *@failed set.  Blocks on storage. */
int volumes_flush(VolumeSet *set, VolumeIO *io, const Volume **failed);

#endif
