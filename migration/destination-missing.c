/*
 * Blocks that are not here yet, after the hand-over of a postcopy migration.
 *
 * A bit of the volume's bitmap says that its granule is missing.  A request
 * that touches such a granule waits, and the source is asked for it.  What
 * comes is stored only where it is still missing, and no client's request
 * touches a granule before its bit is clear: so content from the source never
 * replaces what a client wrote.  Clients' requests, arrivals and the bits of
 * one volume are all handled on the I/O thread of its node.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block_int.h"
#include "destination.h"

struct MissingBlocks {
    Destination *d;
    Volume *volume;
    uint32_t index;
    /* I/O thread of the node. */
    BlockDirtyBitmap *arriving; /* being stored just now */
    BlockDirtyBitmap *asked;    /* asked for over this link */
    BlockQueue waiting;         /* clients' requests */
    bool given_up;              /* what is missing will never come */
};

static void missing_free(MissingBlocks *m)
{
    block_dirty_bitmap_free(m->arriving);
    block_dirty_bitmap_free(m->asked);
    g_free(m);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MissingBlocks, missing_free)

static MissingBlocks *missing_new(Destination *d, uint32_t index, Error **errp)
{
    g_autoptr(MissingBlocks) m = g_new0(MissingBlocks, 1);
    Volume *volume = &d->set->volumes[index];

    m->d = d;
    m->index = index;
    m->volume = volume;
    block_queue_init(&m->waiting);
    if (!(m->arriving = volume_bitmap_new(volume, errp)) ||
        !(m->asked = volume_bitmap_new(volume, errp)) ||
        !(volume->bitmap = volume_bitmap_new(volume, errp))) {
        return NULL;
    }
    return g_steal_pointer(&m);
}

static bool lacks_something(Destination *d, uint32_t index, Error **errp)
{
    MissingBlocks *m;

    if (d->missing[index]) {
        return true;
    }
    m = missing_new(d, index, errp);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        d->missing[index] = m;
    }
    return m != NULL;
}

bool destination_note_missing(Destination *d, const Section *section,
                              Error **errp)
{
    Volume *volume;

    if (!section_check_range(section, d->set->sizes, d->set->n, errp)) {
        return false;
    }
    volume = &d->set->volumes[section->volume];
    if (volume->remote) {
        error_setg(errp, "Volume '%s' is remote, nothing of it is missing",
                   volume->name);
        return false;
    }
    if (!lacks_something(d, section->volume, errp)) {
        return false;
    }
    block_dirty_bitmap_set(volume->bitmap, section->offset, section->length);
    block_dirty_bitmap_clear(volume->torn, section->offset, section->length);
    return true;
}

/* ---- Asking. ---- */

/* First run in [*offset, end) with bits set in @yes, but not in @no. */
static bool next_run(const BlockDirtyBitmap *yes, const BlockDirtyBitmap *no,
                     uint64_t *offset, uint64_t end, uint64_t *bytes)
{
    while (block_dirty_bitmap_next(yes, offset, end, UINT64_MAX, bytes)) {
        uint64_t at = *offset, len;

        if (!block_dirty_bitmap_next(no, &at, *offset + *bytes, UINT64_MAX,
                                     &len)) {
            return true;
        }
        if (at > *offset) {
            *bytes = at - *offset;
            return true;
        }
        *offset = at + len;
    }
    return false;
}

static void say_fetch(MissingBlocks *m, uint64_t offset, uint64_t bytes)
{
    Section *section = g_new0(Section, 1);

    section->type = SECTION_FETCH;
    section->volume = m->index;
    section->offset = offset;
    section->length = bytes;
    QEMU_LOCK_GUARD(&migration_lock);
    g_queue_push_tail(&m->d->fetches, section);
    qemu_cond_broadcast(&migration_cond);
}

/* The end of the last granule that the range touches. */
static uint64_t granule_end(const Volume *volume, uint64_t end)
{
    end = (end + VOLUME_GRANULARITY - 1) & -VOLUME_GRANULARITY;
    return MIN(end, volume->size);
}

static void ask_for(MissingBlocks *m, const BlockRequest *req)
{
    uint64_t offset = req->offset & -VOLUME_GRANULARITY;
    uint64_t end = granule_end(m->volume, req->offset + req->bytes);
    uint64_t bytes;

    while (next_run(m->volume->bitmap, m->asked, &offset, end, &bytes)) {
        block_dirty_bitmap_set(m->asked, offset, bytes);
        say_fetch(m, offset, bytes);
        offset += bytes;
    }
}

/* ---- Clients' requests. ---- */

static bool lacks(const MissingBlocks *m, const BlockRequest *req)
{
    return req->bytes > 0 &&
           block_dirty_bitmap_test(m->volume->bitmap, req->offset, req->bytes);
}

/* A BlockGateFn. */
static bool gate(BlockNode *node, BlockRequest *req, void *opaque)
{
    MissingBlocks *m = opaque;

    if (req->op == BLOCK_OP_FLUSH || !lacks(m, req)) {
        return false;
    }
    if (m->given_up) {
        block_request_refuse(req, -EIO);
        return true;
    }
    block_queue_push(&m->waiting, req);
    ask_for(m, req);
    return true;
}

/* What waited for blocks that have come goes on. */
static void pass_waiting(MissingBlocks *m)
{
    BlockQueue queue;
    BlockRequest *req;

    block_queue_init(&queue);
    block_queue_concat(&queue, &m->waiting);
    while ((req = block_queue_pop(&queue))) {
        if (lacks(m, req)) {
            block_queue_push(&m->waiting, req);
        } else {
            block_request_pass(req);
        }
    }
}

/* ---- Arrivals. ---- */

typedef struct Arrival {
    BlockRequest req; /* stores one run that is missing */
    VolumeRequest *r;
    MissingBlocks *m;
    BlockOp op;
    uint64_t offset; /* what is left of the range */
    uint64_t end;
    uint64_t start; /* of the range */
} Arrival;

/*
 * Several I/O threads may clear their last bits at the same time.  The lock
 * makes the bits that one thread has cleared visible to the sum of the next
 * thread; without it, on weakly ordered processors, no thread might find the
 * sum to be zero.
 */
static void note_all_here(Destination *d)
{
    QEMU_LOCK_GUARD(&migration_lock);

    if (!d->all_here && volumes_dirty_bytes(d->set) == 0) {
        d->all_here = true;
        qemu_cond_broadcast(&migration_cond);
    }
}

/*
 * The receiver checks the result only when the next section arrives, which may
 * be never.
 */
static void note_failure(MissingBlocks *m, uint64_t offset, int ret)
{
    g_autoptr(Error) err = NULL;

    error_setg_errno(&err, -ret, "Cannot write volume '%s' at offset %" PRIu64,
                     m->volume->name, offset);
    QEMU_LOCK_GUARD(&migration_lock);
    if (!m->d->store_error) {
        m->d->store_error = g_steal_pointer(&err);
        qemu_cond_broadcast(&migration_cond);
    }
}

static void store_next(Arrival *a);

static void run_stored(BlockRequest *req, int ret)
{
    Arrival *a = container_of(req, Arrival, req);
    MissingBlocks *m = a->m;

    block_dirty_bitmap_clear(m->arriving, req->offset, req->bytes);
    if (ret < 0) {
        note_failure(m, req->offset, ret);
        volume_request_done(a->r, ret);
        g_free(a);
        return;
    }
    block_dirty_bitmap_clear(m->volume->bitmap, req->offset, req->bytes);
    pass_waiting(m);
    a->offset = req->offset + req->bytes;
    store_next(a);
}

static void store_next(Arrival *a)
{
    MissingBlocks *m = a->m;
    uint64_t bytes;

    if (!next_run(m->volume->bitmap, m->arriving, &a->offset, a->end, &bytes)) {
        note_all_here(m->d);
        volume_request_done(a->r, 0);
        g_free(a);
        return;
    }
    block_dirty_bitmap_set(m->arriving, a->offset, bytes);
    a->req = (BlockRequest){
        .op = a->op,
        .flags = BLOCK_REQ_UNHELD |
                 (a->op == BLOCK_OP_WRITE_ZEROES ? BLOCK_REQ_MAY_UNMAP : 0),
        .offset = a->offset,
        .bytes = bytes,
        .buf = a->r->buf + (a->op == BLOCK_OP_WRITE ? a->offset - a->start : 0),
        .cb = run_stored,
    };
    block_submit(m->volume->node, &a->req);
}

/* I/O thread. */
static void arrive(void *opaque)
{
    VolumeRequest *r = opaque;

    store_next(r->req.opaque);
}

void destination_store_missing(Destination *d, VolumeRequest *r, Volume *volume,
                               BlockOp op, uint64_t offset, uint64_t bytes)
{
    Arrival *a = g_new0(Arrival, 1);

    a->r = r;
    a->m = d->missing[volume - d->set->volumes];
    a->op = op;
    a->offset = a->start = offset;
    a->end = offset + bytes;
    r->req.opaque = a;
    r->req.offset = offset;
    volume_request_start_fn(r, volume, arrive);
}

/* ---- The gates as a whole. ---- */

void destination_set_gates(Destination *d)
{
    for (uint32_t i = 0; i < d->set->n; i++) {
        if (d->missing[i]) {
            block_node_set_gate(d->set->volumes[i].node, gate, d->missing[i]);
        }
    }
    note_all_here(d);
}

static void ask_again(void *opaque)
{
    MissingBlocks *m = opaque;

    block_dirty_bitmap_clear(m->asked, 0, m->volume->size);
    for (BlockRequest *req = m->waiting.head; req; req = req->next) {
        ask_for(m, req);
    }
}

void destination_ask_again(Destination *d)
{
    for (uint32_t i = 0; i < d->set->n; i++) {
        if (d->missing[i]) {
            iothread_run(block_node_iothread(d->set->volumes[i].node),
                         ask_again, d->missing[i]);
        }
    }
}

static void refuse_waiting(MissingBlocks *m)
{
    BlockRequest *req;

    while ((req = block_queue_pop(&m->waiting))) {
        block_request_refuse(req, -EIO);
    }
}

/* I/O thread. */
static void give_up(void *opaque)
{
    MissingBlocks *m = opaque;

    m->given_up = true;
    refuse_waiting(m);
}

void destination_give_up_missing(Destination *d)
{
    QEMU_LOCK_GUARD(&migration_lock);

    for (uint32_t i = 0; d->missing && i < d->set->n; i++) {
        MissingBlocks *m = d->missing[i];

        if (m) {
            iothread_post(block_node_iothread(m->volume->node), give_up, m);
        }
    }
}

/* I/O thread. */
static void refuse_rest(void *opaque)
{
    refuse_waiting(opaque);
}

static void drop_gate(MissingBlocks *m, BlockGateFn *after)
{
    block_node_set_gate(m->volume->node, after, NULL);
    iothread_run(block_node_iothread(m->volume->node), refuse_rest, m);
}

void destination_drop_gates(Destination *d)
{
    for (uint32_t i = 0; i < d->set->n; i++) {
        if (d->missing[i]) {
            drop_gate(d->missing[i], NULL);
        }
    }
}

/* ---- The end. ---- */

/* A BlockGateFn for what will never be whole. */
static bool closed_gate(BlockNode *node, BlockRequest *req, void *opaque)
{
    if (req->op == BLOCK_OP_FLUSH) {
        return false;
    }
    block_request_refuse(req, -EIO);
    return true;
}

void destination_free_missing(Destination *d, bool close)
{
    MissingBlocks **missing = NULL;

    /* Who gives up comes before this, or finds none. */
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        missing = g_steal_pointer(&d->missing);
    }
    for (uint32_t i = 0; missing && i < d->set->n; i++) {
        if (missing[i]) {
            drop_gate(missing[i], close ? closed_gate : NULL);
            missing_free(missing[i]);
        }
    }
    g_free(missing);
}
