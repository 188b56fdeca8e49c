/*
 * Requests of a migration thread on volumes.
 *
 * They run on the I/O threads of the nodes, as all data I/O does; the thread
 * waits for them on a condition.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "volume.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"

VolumeIO *volume_io_new(unsigned depth)
{
    VolumeIO *io = g_new0(VolumeIO, 1);

    qemu_mutex_init(&io->lock);
    qemu_cond_init(&io->cond);
    io->depth = depth;
    io->requests = g_new0(VolumeRequest, depth);
    for (unsigned i = 0; i < depth; i++) {
        io->requests[i].io = io;
        io->requests[i].buf =
            g_aligned_alloc(1, STREAM_STRIPE, sysconf(_SC_PAGESIZE));
    }
    return io;
}

void volume_io_free(VolumeIO *io)
{
    if (!io) {
        return;
    }
    for (unsigned i = 0; i < io->depth; i++) {
        g_aligned_free(io->requests[i].buf);
    }
    g_free(io->requests);
    qemu_cond_destroy(&io->cond);
    qemu_mutex_destroy(&io->lock);
    g_free(io);
}

VolumeRequest *volume_io_next(VolumeIO *io)
{
    VolumeRequest *r = &io->requests[io->next];

    io->next = (io->next + 1) % io->depth;
    return r;
}

void volume_request_done(VolumeRequest *r, int ret)
{
    QEMU_LOCK_GUARD(&r->io->lock);

    r->ret = ret;
    r->done = true;
    qemu_cond_signal(&r->io->cond);
}

static void block_done(BlockRequest *req, int ret)
{
    volume_request_done(container_of(req, VolumeRequest, req), ret);
}

static void submit(void *opaque)
{
    VolumeRequest *r = opaque;

    block_submit(r->volume->node, &r->req);
}

void volume_request_start_fn(VolumeRequest *r, Volume *volume, IOThreadFn *fn)
{
    r->volume = volume;
    r->pending = true;
    r->done = false;
    iothread_post(block_node_iothread(volume->node), fn, r);
}

void volume_request_start(VolumeRequest *r, Volume *volume, BlockOp op,
                          uint64_t offset, uint64_t bytes, unsigned flags)
{
    r->req = (BlockRequest){
        .op = op,
        .flags = flags | BLOCK_REQ_UNHELD,
        .offset = offset,
        .bytes = bytes,
        .buf = r->buf,
        .cb = block_done,
    };
    volume_request_start_fn(r, volume, submit);
}

int volume_request_wait(VolumeRequest *r)
{
    VolumeIO *io = r->io;

    oob_assert_may_block("volume_request_wait");
    QEMU_LOCK_GUARD(&io->lock);
    while (!r->done) {
        qemu_cond_wait(&io->cond, &io->lock);
    }
    r->pending = false;
    return r->ret;
}

int volumes_flush(VolumeSet *set, VolumeIO *io, const Volume **failed)
{
    int ret = 0;

    for (uint32_t i = 0; i < set->n && ret == 0; i++) {
        VolumeRequest *r = volume_io_next(io);

        if (set->volumes[i].remote) {
            continue;
        }
        *failed = &set->volumes[i];
        volume_request_start(r, &set->volumes[i], BLOCK_OP_FLUSH, 0, 0, 0);
        ret = volume_request_wait(r);
    }
    return ret;
}
