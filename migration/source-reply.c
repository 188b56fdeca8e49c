/*
 * The source hears what the destination says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "source.h"
#include "stats.h"

/* Ranges that may be asked for and not be sent yet. */
#define MAX_FETCHES (1 << 20)

static bool note_pass(Source *s, const Section *section, Error **errp)
{
    if (section->offset > s->pass) {
        error_setg(errp,
                   "The destination confirms pass %" PRIu64
                   ", which has not begun",
                   section->offset);
        return false;
    }
    s->acked = true;
    s->acked_pass = section->offset;
    return true;
}

static bool note_fetch(Source *s, const Section *section, Error **errp)
{
    if (g_queue_get_length(&s->fetches) >= MAX_FETCHES) {
        error_setg(errp, "The destination asks for more than %d ranges at once",
                   MAX_FETCHES);
        return false;
    }
    stats_count_fetch();
    g_queue_push_tail(&s->fetches, g_memdup2(section, sizeof(*section)));
    return true;
}

/* The volume that @section asks for, or NULL. */
static Volume *asked_volume(Source *s, const Section *section, Error **errp)
{
    Volume *volume;

    if (!section_check_range(section, s->set->sizes, s->set->n, errp)) {
        return NULL;
    }
    volume = &s->set->volumes[section->volume];
    if (volume->remote) {
        error_setg(errp,
                   "The destination asks for content of volume '%s', "
                   "which is remote",
                   volume->name);
        return NULL;
    }
    return volume;
}

static bool note_lack(Source *s, const Section *section, Error **errp)
{
    Volume *volume = asked_volume(s, section, errp);

    if (!volume) {
        return false;
    }
    if (!s->gone) {
        error_setg(errp, "The destination asks for content, but has not "
                         "taken over");
        return false;
    }
    if (section->type == SECTION_FETCH) {
        return note_fetch(s, section, errp);
    }
    block_dirty_bitmap_set(volume->bitmap, section->offset, section->length);
    return true;
}

/* A client wrote to what was on its way: it goes out with the next pass. */
static bool note_again(Source *s, const Section *section, Error **errp)
{
    Volume *volume = asked_volume(s, section, errp);

    if (!volume) {
        return false;
    }
    if (!s->pass || s->gone) {
        error_setg(errp, "The destination asks for content again, which is "
                         "not being copied");
        return false;
    }
    block_dirty_bitmap_set(volume->bitmap, section->offset, section->length);
    return true;
}

/* True for an answer that fits what was asked. */
static bool note(Source *s, const Section *section, Error **errp)
{
    QEMU_LOCK_GUARD(&migration_lock);

    switch (section->type) {
    case SECTION_ACCEPT:
        s->accepted = true;
        break;
    case SECTION_PASS_ACK:
        if (!note_pass(s, section, errp)) {
            return false;
        }
        break;
    case SECTION_READY:
        s->ready = true;
        break;
    case SECTION_STARTED:
        if (!s->gone) {
            error_setg(errp, "The destination serves without being told to");
            return false;
        }
        s->served = true;
        break;
    case SECTION_FETCH:
    case SECTION_LACKS:
        if (!note_lack(s, section, errp)) {
            return false;
        }
        break;
    case SECTION_AGAIN:
        if (!note_again(s, section, errp)) {
            return false;
        }
        break;
    case SECTION_LACKS_END:
        s->lacks_known = true;
        break;
    case SECTION_COMPLETE:
        s->complete = true;
        break;
    default:
        g_assert_not_reached(); /* others are the source's, or have a text */
    }
    qemu_cond_broadcast(&migration_cond);
    return true;
}

static bool hear(Source *s, Error **errp)
{
    g_autofree char *text = NULL;
    Section section;
    int ret = migration_channel_receive(s->main, &section, errp);

    if (ret == 0) {
        error_setg(errp, "%s closed the connection",
                   qio_channel_peer(s->main->ioc));
    }
    if (ret <= 0) {
        return false;
    }
    activity_progress(s->activity);
    if (section.type == SECTION_ERROR) {
        text = migration_channel_receive_message(s->main, &section, errp);
        if (text) {
            error_setg(errp, "The destination says: %s", text);
        }
        return false;
    }
    return note(s, &section, errp);
}

static void *reader_thread(void *opaque)
{
    Source *s = opaque;
    Error *err = NULL;

    while (hear(s, &err)) {
        /* Until the link is cut. */
    }
    link_cut_error(s->link, err);
    error_free(err);
    return NULL;
}

bool source_start_reader(Source *s, Error **errp)
{
    s->has_reader = qemu_thread_try_create(
        &s->reader, "mig-reply", reader_thread, s, QEMU_THREAD_JOINABLE, errp);
    return s->has_reader;
}

void source_join_reader(Source *s)
{
    if (s->has_reader) {
        qemu_thread_join(&s->reader);
        s->has_reader = false;
    }
}
