/*
 * Senders: threads that read volumes and send their content.
 *
 * A stripe of a volume always goes over the same channel, so that content of
 * a later pass cannot overtake that of an earlier one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "source.h"
#include "stats.h"

/* Stripes that are read ahead of the one that is sent. */
#define READ_AHEAD 3
/*
 * So much goes out at once: it is read twice, for the checksum and by the
 * kernel, and should still be in the processor's cache by then.
 */
#define SEND_SIZE (512 * KiB)
/*
 * Pushes are short, so that what the destination asks for does not have to
 * wait for long where both go over the one channel.
 */
#define PUSH_SIZE (128 * KiB)

/* ---- The rate. ---- */

static uint64_t no_limit(void)
{
    return 0;
}

typedef uint64_t RateFn(void);

static RateFn *rate_of(SourceWork work)
{
    switch (work) {
    case SOURCE_WORK_PASS:
        return migration_max_bandwidth;
    case SOURCE_WORK_PUSH:
        return migration_max_postcopy_bandwidth;
    default:
        return no_limit;
    }
}

/*
 * What it is to take was charged for before, so that others wait meanwhile; it
 * is what went over the link that counts.
 */
static bool send_content(SourceSender *sender, SourceContent *content,
                         Error **errp)
{
    Source *s = sender->source;

    if (!source_send_content(s, sender->channel, sender->compressor, content,
                             errp)) {
        return false;
    }
    limiter_settle(&s->limiter, content->bytes, content->sent,
                   rate_of(sender->work)());
    return true;
}

/* ---- A sender's sweep over its stripes. ---- */

/* Waits for what @r reads and sends it. */
static bool send_read(SourceSender *sender, VolumeRequest *r, Error **errp)
{
    SourceContent content = {
        .volume = r->volume,
        .offset = r->req.offset,
        .bytes = r->req.bytes,
        .buf = r->buf,
    };
    int ret = volume_request_wait(r);

    if (ret < 0) {
        error_setg_errno(errp, -ret,
                         "Cannot read volume '%s' at offset %" PRIu64,
                         r->volume->name, r->req.offset);
        return false;
    }
    return send_content(sender, &content, errp);
}

/* The same, unless @r was sent already. */
static bool finish(SourceSender *sender, VolumeRequest *r, Error **errp)
{
    bool ok;

    if (!r->pending) {
        return true;
    }
    ok = send_read(sender, r, errp);
    stats_put_down(r->req.bytes);
    return ok;
}

/* The same for all; only waits for them when something has failed (!@ok). */
static bool finish_all(SourceSender *sender, bool ok, Error **errp)
{
    for (unsigned i = 0; i < sender->io->depth; i++) {
        VolumeRequest *r = volume_io_next(sender->io);

        if (ok) {
            ok = finish(sender, r, errp);
        } else if (r->pending) {
            volume_request_wait(r);
            stats_put_down(r->req.bytes);
        }
    }
    return ok;
}

/* Whether a pass is to be broken off: the link is cut, or postcopy begins. */
static bool is_called_off(const SourceSender *sender)
{
    Source *s = sender->source;

    QEMU_LOCK_GUARD(&migration_lock);

    return link_is_cut_locked(s->link) ||
           (sender->work == SOURCE_WORK_PASS && s->want_postcopy);
}

/*
 * Waits until more may be sent.  Nothing is in hand meanwhile: the destination
 * may want just that, and it is not in the bitmap any more.
 */
static bool wait_for_turn(SourceSender *sender, Error **errp)
{
    Source *s = sender->source;
    RateFn *get_rate = rate_of(sender->work);

    if (!limiter_must_wait(&s->limiter, get_rate())) {
        return true;
    }
    if (!finish_all(sender, true, errp)) {
        return false;
    }
    limiter_wait(&s->limiter, s->link, get_rate,
                 sender->work == SOURCE_WORK_PASS ? &s->want_postcopy : NULL);
    return true;
}

/* Right out of the node's memory: no request, and nothing copied. */
static bool send_from_memory(SourceSender *sender, Volume *volume,
                             uint64_t offset, uint64_t bytes, Error **errp)
{
    SourceContent content = {
        .volume = volume,
        .offset = offset,
        .bytes = bytes,
        .buf = volume->memory + offset,
    };
    bool ok;

    /* A compressor wants its input to stay as it is; no request is pending. */
    if (sender->compressor) {
        uint8_t *copy = sender->io->requests[0].buf;

        memcpy(copy, content.buf, bytes);
        content.buf = copy;
    }
    stats_take_in_hand(bytes);
    ok = send_content(sender, &content, errp);
    stats_put_down(bytes);
    return ok;
}

static bool send_by_request(SourceSender *sender, Volume *volume,
                            uint64_t offset, uint64_t bytes, Error **errp)
{
    VolumeRequest *r = volume_io_next(sender->io);

    if (!finish(sender, r, errp)) {
        return false;
    }
    stats_take_in_hand(bytes);
    volume_request_start(r, volume, BLOCK_OP_READ, offset, bytes, 0);
    return true;
}

static bool sweep_stripe(SourceSender *sender, Volume *volume, uint64_t offset,
                         uint64_t end, Error **errp)
{
    uint64_t max = sender->work == SOURCE_WORK_PUSH ? PUSH_SIZE : SEND_SIZE;
    uint64_t bytes;

    while (block_dirty_bitmap_next(volume->bitmap, &offset, end, max, &bytes)) {
        if (!wait_for_turn(sender, errp)) {
            return false;
        }
        if (is_called_off(sender) ||
            !block_dirty_bitmap_take(volume->bitmap, &offset, end, max,
                                     &bytes)) {
            break;
        }
        limiter_charge(&sender->source->limiter, bytes,
                       rate_of(sender->work)());
        if (!(volume->memory
                  ? send_from_memory(sender, volume, offset, bytes, errp)
                  : send_by_request(sender, volume, offset, bytes, errp))) {
            return false;
        }
        offset += bytes;
    }
    return true;
}

static bool sweep_volume(SourceSender *sender, Volume *volume, Error **errp)
{
    Source *s = sender->source;
    uint64_t offset = 0, bytes;

    /* What is sent from memory may use a buffer of theirs. */
    if (volume->memory && !finish_all(sender, true, errp)) {
        return false;
    }
    while (block_dirty_bitmap_next(volume->bitmap, &offset, volume->size,
                                   STREAM_STRIPE, &bytes)) {
        uint64_t stripe = offset / STREAM_STRIPE;
        uint64_t end = MIN((stripe + 1) * STREAM_STRIPE, volume->size);

        if (stripe % s->n_senders == sender->index) {
            if (is_called_off(sender)) {
                return true;
            }
            if (!sweep_stripe(sender, volume, offset, end, errp)) {
                return false;
            }
        }
        offset = end;
    }
    return true;
}

static bool sweep(SourceSender *sender, Error **errp)
{
    VolumeSet *set = sender->source->set;
    bool ok = true;

    for (uint32_t i = 0; i < set->n && ok; i++) {
        if (!set->volumes[i].remote) {
            ok = sweep_volume(sender, &set->volumes[i], errp);
        }
    }
    return finish_all(sender, ok, errp);
}

/* ---- Commands from the coordinator. ---- */

static bool carry_out(SourceSender *sender, SourceWork work, Error **errp)
{
    Source *s = sender->source;

    sender->work = work;
    return sweep(sender, errp) &&
           (work == SOURCE_WORK_PUSH ||
            migration_channel_send_type(sender->channel, SECTION_PASS_END,
                                        s->pass, errp));
}

/* The next command after that of @number; SOURCE_WORK_STOP after a cut. */
static SourceWork next_work(Source *s, uint64_t *number)
{
    QEMU_LOCK_GUARD(&migration_lock);

    while (s->work_number == *number && !link_is_cut_locked(s->link)) {
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
    if (s->work_number == *number) {
        return SOURCE_WORK_STOP;
    }
    *number = s->work_number;
    return s->work;
}

static void work_done(Source *s)
{
    QEMU_LOCK_GUARD(&migration_lock);

    s->work_done++;
    qemu_cond_broadcast(&migration_cond);
}

static void *sender_thread(void *opaque)
{
    SourceSender *sender = opaque;
    Source *s = sender->source;
    uint64_t number = 0;
    SourceWork work;
    Error *err = NULL;

    qemu_thread_give_way();
    while ((work = next_work(s, &number)) != SOURCE_WORK_STOP) {
        if (!carry_out(sender, work, &err)) {
            source_channel_failed(s, err);
            break;
        }
        work_done(s);
    }
    return NULL;
}

bool source_work_is_done(Source *s)
{
    return s->work_done == s->n_senders;
}

void source_command(Source *s, SourceWork work)
{
    QEMU_LOCK_GUARD(&migration_lock);

    s->work = work;
    s->work_number++;
    s->work_done = 0;
    qemu_cond_broadcast(&migration_cond);
}

bool source_start_senders(Source *s, Error **errp)
{
    s->work_number = 0;
    for (unsigned i = 0; i < s->n_senders; i++) {
        SourceSender *sender = &s->senders[i];
        g_autofree char *name = g_strdup_printf("mig-send-%u", i);

        sender->source = s;
        sender->index = i;
        sender->io = volume_io_new(READ_AHEAD);
        if (s->params->multifd_compression == MULTI_FD_COMPRESSION_ZSTD) {
            sender->compressor = compressor_new();
        }
        sender->runs =
            qemu_thread_try_create(&sender->thread, name, sender_thread, sender,
                                   QEMU_THREAD_JOINABLE, errp);
        if (!sender->runs) {
            return false;
        }
    }
    return true;
}

void source_join_senders(Source *s)
{
    for (unsigned i = 0; i < s->n_senders; i++) {
        SourceSender *sender = &s->senders[i];

        if (sender->runs) {
            qemu_thread_join(&sender->thread);
            sender->runs = false;
        }
        g_clear_pointer(&sender->io, volume_io_free);
        g_clear_pointer(&sender->compressor, compressor_free);
    }
}
