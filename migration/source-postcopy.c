/*
 * The source after the destination has begun to serve without having all
 * content: it sends what is asked for first, and the rest in between.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "source.h"
#include "state.h"
#include "stats.h"

bool source_send_missing(Source *s, Error **errp)
{
    for (uint32_t i = 0; i < s->set->n; i++) {
        const Volume *volume = &s->set->volumes[i];
        Section section = {.type = SECTION_MISSING, .volume = i};

        while (volume->bitmap &&
               block_dirty_bitmap_next(volume->bitmap, &section.offset,
                                       volume->size, UINT64_MAX,
                                       &section.length)) {
            if (!source_send(s, &section, NULL, errp)) {
                return false;
            }
            section.offset += section.length;
        }
    }
    return true;
}

/* ---- What the destination asks for. ---- */

static bool read_range(Source *s, SourceContent *content, Error **errp)
{
    VolumeRequest *r = volume_io_next(s->io);
    int ret;

    volume_request_start(r, content->volume, BLOCK_OP_READ, content->offset,
                         content->bytes, 0);
    ret = volume_request_wait(r);
    if (ret < 0) {
        error_setg_errno(errp, -ret,
                         "Cannot read volume '%s' at offset %" PRIu64,
                         content->volume->name, content->offset);
    }
    content->buf = r->buf;
    return ret == 0;
}

static bool send_range(Source *s, Volume *volume, uint64_t offset,
                       uint64_t bytes, Error **errp)
{
    SourceContent content = {
        .volume = volume,
        .offset = offset,
        .bytes = bytes,
    };

    if (volume->memory) {
        content.buf = volume->memory + offset;
    } else if (!read_range(s, &content, errp)) {
        return false;
    }
    return source_send_content(s, s->main, NULL, &content, errp);
}

/* What of it was sent already is on its way. */
static bool serve_fetch(Source *s, const Section *fetch, Error **errp)
{
    Volume *volume = &s->set->volumes[fetch->volume];
    uint64_t offset = fetch->offset;
    uint64_t end = fetch->offset + fetch->length;

    while (offset < end) {
        uint64_t stripe_end = (offset / STREAM_STRIPE + 1) * STREAM_STRIPE;
        uint64_t bytes;

        if (block_dirty_bitmap_take(volume->bitmap, &offset,
                                    MIN(end, stripe_end), STREAM_STRIPE,
                                    &bytes)) {
            if (!send_range(s, volume, offset, bytes, errp)) {
                return false;
            }
            offset += bytes;
        } else {
            offset = stripe_end;
        }
    }
    return true;
}

typedef enum Step {
    STEP_FETCH,
    STEP_PUSHED,
    STEP_COMPLETE,
    STEP_CUT
} Step;

/* What to do next; @pushed: the end of the push has been told. */
static Step next_step(Source *s, bool pushed, Section **fetch)
{
    QEMU_LOCK_GUARD(&migration_lock);

    for (;;) {
        if (s->complete) {
            return STEP_COMPLETE;
        }
        if (link_is_cut_locked(s->link)) {
            return STEP_CUT;
        }
        *fetch = g_queue_pop_head(&s->fetches);
        if (*fetch) {
            return STEP_FETCH;
        }
        if (!pushed && source_work_is_done(s)) {
            return STEP_PUSHED;
        }
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
}

bool source_run_postcopy(Source *s, Error **errp)
{
    bool pushed = false;

    stats_set_phase(STATS_POSTCOPY);
    activity_set_phase(s->activity, "postcopy");
    source_command(s, SOURCE_WORK_PUSH);
    for (;;) {
        g_autofree Section *fetch = NULL;
        bool ok = true;

        switch (next_step(s, pushed, &fetch)) {
        case STEP_FETCH:
            ok = serve_fetch(s, fetch, errp);
            break;
        case STEP_PUSHED:
            pushed = true;
            ok = source_send_type(s, SECTION_PUSH_END, 0, errp);
            break;
        case STEP_COMPLETE:
            return true;
        case STEP_CUT:
            link_error(s->link, errp);
            return false;
        }
        if (!ok) {
            return false;
        }
    }
}

/* ---- Over a new link. ---- */

static bool role_is_known(Source *s)
{
    return s->ready || s->served;
}

static bool lacks_are_known(Source *s)
{
    return s->lacks_known;
}

static bool resume_go(Source *s, Error **errp)
{
    bool served = false;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        served = s->served;
    }
    return served || source_go(s, errp);
}

bool source_resume(Source *s, Error **errp)
{
    /* The destination's word counts, whatever this side has sent. */
    for (uint32_t i = 0; i < s->set->n; i++) {
        if (s->set->volumes[i].bitmap) {
            block_dirty_bitmap_clear(s->set->volumes[i].bitmap, 0,
                                     s->set->volumes[i].size);
        }
    }
    return source_start_reader(s, errp) &&
           source_wait(s, role_is_known, errp) &&
           source_wait(s, lacks_are_known, errp) && resume_go(s, errp);
}
