/*
 * The destination stores what the channels bring.
 *
 * Before this process serves, content goes to where it belongs at once: into
 * the memory of nodes that lie in memory, by requests into others.  Later,
 * clients' requests are in between: see destination-missing.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "destination.h"

/* Requests of a receiver in flight. */
#define WRITE_BEHIND 4

/* ---- Requests. ---- */

static bool finish(VolumeRequest *r, Error **errp)
{
    int ret;

    if (!r->pending) {
        return true;
    }
    ret = volume_request_wait(r);
    if (ret < 0) {
        error_setg_errno(errp, -ret,
                         "Cannot write volume '%s' at offset %" PRIu64,
                         r->volume->name, r->req.offset);
    }
    return ret == 0;
}

static bool finish_all(Receiver *receiver, Error **errp)
{
    bool ok = true;

    for (unsigned i = 0; i < receiver->io->depth; i++) {
        ok = finish(volume_io_next(receiver->io), ok ? errp : NULL) && ok;
    }
    return ok;
}

/* A request whose buffer is free. */
static VolumeRequest *next_request(Receiver *receiver, Error **errp)
{
    VolumeRequest *r = volume_io_next(receiver->io);

    return finish(r, errp) ? r : NULL;
}

static void store(Receiver *receiver, VolumeRequest *r, const Section *section,
                  BlockOp op)
{
    Destination *d = receiver->destination;
    Volume *volume = &d->set->volumes[section->volume];

    if (destination_phase(d) != PHASE_COPY) {
        destination_store_missing(d, r, volume, op, section->offset,
                                  section->length);
    } else {
        volume_request_start(r, volume, op, section->offset, section->length,
                             0);
    }
}

/* ---- Content. ---- */

static bool receive_packed(Receiver *receiver, const Section *section,
                           void *out, Error **errp)
{
    MigrationChannel *c = receiver->channel;
    g_autofree uint8_t *packed = g_malloc(section->payload_size);

    if (!c->compressor) {
        c->compressor = compressor_new();
    }
    return migration_channel_receive_payload(c, section, packed, errp) &&
           compressor_unpack(c->compressor, packed, section->payload_size, out,
                             section->length, errp);
}

static bool receive_content(Receiver *receiver, const Section *section,
                            void *out, bool *intact, Error **errp)
{
    *intact = true;
    if (section->flags & SECTION_FLAG_ZSTD) {
        return receive_packed(receiver, section, out, errp);
    }
    return migration_channel_receive_content(receiver->channel, section, out,
                                             intact, errp);
}

/*
 * The source reads memory that clients write to: it is asked for such content
 * again, before the pass is acknowledged.  In a postcopy nothing changes at
 * the source any more.
 */
static bool note_torn(Destination *d, const Section *section, Error **errp)
{
    const Volume *volume = &d->set->volumes[section->volume];
    Section again = {
        .type = SECTION_AGAIN,
        .volume = section->volume,
        .offset = section->offset,
        .length = section->length,
    };

    if (destination_phase(d) != PHASE_COPY) {
        error_setg(errp,
                   "Content of volume '%s' at offset %" PRIu64
                   " does not fit its checksum",
                   volume->name, section->offset);
        return false;
    }
    block_dirty_bitmap_set(volume->torn, section->offset, section->length);
    return migration_channel_send(d->main, &again, NULL, errp);
}

static bool note_intact(Destination *d, const Section *section, bool intact,
                        Error **errp)
{
    BlockDirtyBitmap *torn = d->set->volumes[section->volume].torn;

    if (!intact) {
        return note_torn(d, section, errp);
    }
    if (block_dirty_bitmap_count(torn)) {
        block_dirty_bitmap_clear(torn, section->offset, section->length);
    }
    return true;
}

static bool apply_data(Receiver *receiver, const Section *section, Error **errp)
{
    Destination *d = receiver->destination;
    uint8_t *map = d->maps[section->volume];
    VolumeRequest *r;
    bool intact;

    if (map && destination_phase(d) == PHASE_COPY) {
        block_node_map_fill(d->set->volumes[section->volume].node,
                            section->offset, section->length);
        return receive_content(receiver, section, map + section->offset,
                               &intact, errp) &&
               note_intact(d, section, intact, errp);
    }
    r = next_request(receiver, errp);
    if (!r || !receive_content(receiver, section, r->buf, &intact, errp) ||
        !note_intact(d, section, intact, errp)) {
        return false;
    }
    store(receiver, r, section, BLOCK_OP_WRITE);
    return true;
}

/* Before this process serves: what has no storage reads as zeroes already,
 * and gets no storage. */
static bool clear_range(Receiver *receiver, Volume *volume, uint64_t offset,
                        uint64_t end, Error **errp)
{
    while (offset < end) {
        VolumeRequest *r = next_request(receiver, errp);
        uint64_t bytes;

        if (!r) {
            return false;
        }
        volume_request_start(r, volume, BLOCK_OP_STATUS, offset, end - offset,
                             0);
        if (!finish(r, errp)) {
            return false;
        }
        bytes = r->req.status.bytes;
        if (!r->req.status.zero) {
            volume_request_start(r, volume, BLOCK_OP_WRITE_ZEROES, offset,
                                 bytes, BLOCK_REQ_MAY_UNMAP);
        }
        offset += bytes;
    }
    return true;
}

static bool apply_zero(Receiver *receiver, const Section *section, Error **errp)
{
    Destination *d = receiver->destination;
    VolumeRequest *r;

    if (!note_intact(d, section, true, errp)) {
        return false;
    }
    if (destination_phase(d) == PHASE_COPY) {
        return clear_range(receiver, &d->set->volumes[section->volume],
                           section->offset, section->offset + section->length,
                           errp);
    }
    r = next_request(receiver, errp);
    if (!r) {
        return false;
    }
    store(receiver, r, section, BLOCK_OP_WRITE_ZEROES);
    return true;
}

static bool check_target(Destination *d, const Section *section, Error **errp)
{
    if (!section_check_range(section, d->set->sizes, d->set->n, errp)) {
        return false;
    }
    if (d->set->volumes[section->volume].remote) {
        error_setg(errp, "Content came for volume '%s', which is remote",
                   d->set->volumes[section->volume].name);
        return false;
    }
    /* After the hand-over, content is for what is missing only. */
    if (destination_phase(d) != PHASE_COPY && !d->missing[section->volume]) {
        error_setg(errp, "Content came for volume '%s', which lacks nothing",
                   d->set->volumes[section->volume].name);
        return false;
    }
    return true;
}

/* ---- Passes. ---- */

static bool brings_content(const Destination *d, unsigned i)
{
    return d->multifd ? i > 0 : i == 0;
}

/*
 * Whether all content up to the end of @pass is stored; migration_lock.  That
 * of pass 0 comes on the main channel, where its end comes after it.
 */
static bool pass_is_stored(Destination *d, uint64_t pass)
{
    for (unsigned i = 0; i < d->n_receivers && pass > 0; i++) {
        if (brings_content(d, i) && d->receivers[i].pass < pass) {
            return false;
        }
    }
    return true;
}

static bool end_pass(Receiver *receiver, const Section *section, Error **errp)
{
    Destination *d = receiver->destination;
    bool stored = false;

    if (!finish_all(receiver, errp)) {
        return false;
    }
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        receiver->pass = section->offset;
        stored = pass_is_stored(d, section->offset);
        qemu_cond_broadcast(&migration_cond);
    }
    return !stored || migration_channel_send_type(d->main, SECTION_PASS_ACK,
                                                  section->offset, errp);
}

bool destination_wait_pass(Destination *d, uint64_t pass, Error **errp)
{
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        while (!link_is_cut_locked(d->link)) {
            if (pass_is_stored(d, pass)) {
                return true;
            }
            /* On the main channel nothing more comes before the answer. */
            if (!d->multifd) {
                error_setg(errp,
                           "The hand-over names pass %" PRIu64
                           ", which has not ended",
                           pass);
                return false;
            }
            qemu_cond_wait(&migration_cond, &migration_lock);
        }
    }
    link_error(d->link, errp);
    return false;
}

bool receiver_apply(Receiver *receiver, const Section *section, Error **errp)
{
    Destination *d = receiver->destination;

    if (section->type == SECTION_PASS_END) {
        return end_pass(receiver, section, errp);
    }
    if (!check_target(d, section, errp)) {
        return false;
    }
    return section->type == SECTION_DATA ? apply_data(receiver, section, errp)
                                         : apply_zero(receiver, section, errp);
}

/* ---- Threads. ---- */

/*
 * Where content goes depends on the phase, so that "copy" does not end while
 * a receiver handles a section.
 */
static bool apply_in_phase(Receiver *receiver, const Section *section,
                           Error **errp)
{
    Destination *d = receiver->destination;
    bool ok;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        d->storing++;
    }
    ok = receiver_apply(receiver, section, errp);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        d->storing--;
        qemu_cond_broadcast(&migration_cond);
    }
    return ok;
}

static bool receive_one(Receiver *receiver, Error **errp)
{
    MigrationChannel *c = receiver->channel;
    Section section;
    int ret = migration_channel_receive(c, &section, errp);

    if (ret == 0) {
        error_setg(errp, "%s closed a channel", qio_channel_peer(c->ioc));
    }
    if (ret <= 0) {
        return false;
    }
    activity_progress(receiver->destination->activity);
    switch (section.type) {
    case SECTION_DATA:
    case SECTION_ZERO:
    case SECTION_PASS_END:
        return apply_in_phase(receiver, &section, errp);
    default:
        error_setg(errp, "A %s section is not expected on channel %u",
                   section_type_name(section.type), c->index);
        return false;
    }
}

static void *receiver_thread(void *opaque)
{
    Receiver *receiver = opaque;
    Error *err = NULL;

    qemu_thread_give_way();
    while (receive_one(receiver, &err)) {
        /* Until the link is cut. */
    }
    finish_all(receiver, NULL);
    if (destination_phase(receiver->destination) == PHASE_DONE) {
        /* Nothing more is to come here; goodbye is on the main channel. */
        error_free(err);
    } else {
        destination_channel_failed(receiver->destination, err);
    }
    return NULL;
}

bool destination_start_receivers(Destination *d, Assembly *a, Error **errp)
{
    d->n_receivers = a->hello.channels + 1;
    d->receivers = g_new0(Receiver, d->n_receivers);
    for (unsigned i = 0; i < d->n_receivers; i++) {
        Receiver *receiver = &d->receivers[i];

        receiver->destination = d;
        receiver->io = volume_io_new(WRITE_BEHIND);
        receiver->channel =
            i == 0 ? d->main
                   : migration_channel_new(g_steal_pointer(&a->channels[i]),
                                           STREAM_FROM_SOURCE, i);
    }
    for (unsigned i = 1; i < d->n_receivers; i++) {
        Receiver *receiver = &d->receivers[i];
        g_autofree char *name = g_strdup_printf("mig-recv-%u", i);

        receiver->runs =
            qemu_thread_try_create(&receiver->thread, name, receiver_thread,
                                   receiver, QEMU_THREAD_JOINABLE, errp);
        if (!receiver->runs) {
            return false;
        }
    }
    return true;
}

void destination_join_receivers(Destination *d)
{
    /* Receivers access each other until all of them have ended. */
    for (unsigned i = 1; i < d->n_receivers; i++) {
        if (d->receivers[i].runs) {
            qemu_thread_join(&d->receivers[i].thread);
        }
    }
    for (unsigned i = 0; i < d->n_receivers; i++) {
        Receiver *receiver = &d->receivers[i];

        if (i > 0) {
            migration_channel_free(receiver->channel);
        } else {
            finish_all(receiver, NULL);
        }
        volume_io_free(receiver->io);
    }
    g_clear_pointer(&d->receivers, g_free);
    d->n_receivers = 0;
}
