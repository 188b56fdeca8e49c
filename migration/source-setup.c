/*
 * The source, before the first pass: volumes are compared, writes tracked,
 * and what was never written is named.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "source.h"
#include "stats.h"

/* How much of a volume one look at its allocation covers, at most. */
#define LOOK_WINDOW (1 * GiB)

static bool send_volume(Source *s, uint32_t index, Error **errp)
{
    const Volume *volume = &s->set->volumes[index];
    StreamVolume said = {.size = volume->size, .remote = volume->remote};
    uint8_t payload[STREAM_VOLUME_MAX_SIZE];
    Section section = {.type = SECTION_VOLUME, .volume = index};

    g_strlcpy(said.name, volume->name, sizeof(said.name));
    section.payload_size = stream_volume_pack(&said, payload);
    return source_send(s, &section, payload, errp);
}

static bool is_accepted(Source *s)
{
    return s->accepted;
}

bool source_compare_volumes(Source *s, Error **errp)
{
    Section end = {.type = SECTION_SETUP_END, .length = s->set->n};

    for (uint32_t i = 0; i < s->set->n; i++) {
        if (!send_volume(s, i, errp)) {
            return false;
        }
    }
    return source_send(s, &end, NULL, errp) &&
           source_wait(s, is_accepted, errp);
}

/* ---- Ranges without storage. ---- */

/* A run of zeroes that is not sent yet, as it may go on. */
typedef struct ZeroRun {
    uint32_t volume;
    uint64_t start;
    uint64_t end;
} ZeroRun;

static bool send_zero_run(Source *s, ZeroRun *run, Error **errp)
{
    Section section = {
        .type = SECTION_ZERO,
        .volume = run->volume,
        .offset = run->start,
        .length = run->end - run->start,
    };

    if (run->start == run->end) {
        return true;
    }
    stats_count_zeroes(section.length);
    run->start = run->end;
    return source_send(s, &section, NULL, errp);
}

static bool add_zeroes(Source *s, ZeroRun *run, uint64_t start, uint64_t end,
                       Error **errp)
{
    if (run->end != start) {
        if (!send_zero_run(s, run, errp)) {
            return false;
        }
        run->start = start;
    }
    run->end = end;
    return true;
}

/*
 * The granules of [start, end) were taken for clean before the look, so a
 * write since then has made them dirty again.
 */
static bool sort_extent(Source *s, ZeroRun *run, const BlockStatus *status,
                        uint64_t start, uint64_t end, Error **errp)
{
    Volume *volume = &s->set->volumes[run->volume];
    uint64_t first = start, last = end;

    if (!status->zero) {
        block_dirty_bitmap_set(volume->bitmap, start, end - start);
        return true;
    }
    /* Granules that are zero in part are sent as content. */
    first = (start + VOLUME_GRANULARITY - 1) & -VOLUME_GRANULARITY;
    if (end != volume->size) {
        last = end & -VOLUME_GRANULARITY;
    }
    if (first >= last) {
        block_dirty_bitmap_set(volume->bitmap, start, end - start);
        return true;
    }
    if (first > start) {
        block_dirty_bitmap_set(volume->bitmap, start, first - start);
    }
    if (last < end) {
        block_dirty_bitmap_set(volume->bitmap, last, end - last);
    }
    return add_zeroes(s, run, first, last, errp);
}

static bool look_at_window(Source *s, ZeroRun *run, uint64_t start,
                           uint64_t end, Error **errp)
{
    Volume *volume = &s->set->volumes[run->volume];

    block_dirty_bitmap_clear(volume->bitmap, start, end - start);
    while (start < end) {
        VolumeRequest *r = volume_io_next(s->io);
        int ret;

        volume_request_start(r, volume, BLOCK_OP_STATUS, start, end - start, 0);
        ret = volume_request_wait(r);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Cannot look at volume '%s'",
                             volume->name);
            return false;
        }
        if (link_is_cut(s->link)) {
            link_error(s->link, errp);
            return false;
        }
        if (!sort_extent(s, run, &r->req.status, start,
                         start + r->req.status.bytes, errp)) {
            return false;
        }
        start += r->req.status.bytes;
    }
    return true;
}

static bool look_at_volume(Source *s, uint32_t index, Error **errp)
{
    uint64_t size = s->set->volumes[index].size;
    ZeroRun run = {.volume = index};

    for (uint64_t start = 0; start < size; start += LOOK_WINDOW) {
        if (!look_at_window(s, &run, start, MIN(start + LOOK_WINDOW, size),
                            errp)) {
            return false;
        }
    }
    return send_zero_run(s, &run, errp);
}

static bool first_pass_is_acked(Source *s)
{
    return s->acked;
}

bool source_start_tracking(Source *s, Error **errp)
{
    for (uint32_t i = 0; i < s->set->n; i++) {
        Volume *volume = &s->set->volumes[i];
        BlockDirtyBitmap *bitmap;

        if (volume->remote) {
            continue;
        }
        bitmap = volume_bitmap_new(volume, errp);
        if (!bitmap) {
            return false;
        }
        volume->memory = block_node_peek(volume->node);
        block_dirty_bitmap_set(bitmap, 0, volume->size);
        /* Whoever asks for statistics looks at it at once. */
        __atomic_store_n(&volume->bitmap, bitmap, __ATOMIC_RELEASE);
        block_node_set_dirty_bitmap(volume->node, bitmap);
    }
    for (uint32_t i = 0; i < s->set->n; i++) {
        if (!s->set->volumes[i].remote && !look_at_volume(s, i, errp)) {
            return false;
        }
    }
    /*
     * Content goes over other channels: it must not arrive before the zeroes
     * that it replaces.
     */
    return source_send_type(s, SECTION_PASS_END, 0, errp) &&
           source_wait(s, first_pass_is_acked, errp);
}

void source_stop_tracking(Source *s)
{
    for (uint32_t i = 0; i < s->set->n; i++) {
        if (s->set->volumes[i].bitmap) {
            block_node_set_dirty_bitmap(s->set->volumes[i].node, NULL);
        }
    }
}
