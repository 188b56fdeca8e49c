/*
 * The speaker: tells the source which blocks the destination lacks, that it has
 * everything, and which error occurred.  I/O threads must not wait for a
 * channel, so they leave this to the speaker.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "destination.h"
#include "state.h"
#include "stats.h"

typedef enum Word {
    WORD_FETCH,
    WORD_COMPLETE,
    WORD_FAILED,
    WORD_NONE
} Word;

static Word next_word(Destination *d, Section **fetch, Error **errp)
{
    QEMU_LOCK_GUARD(&migration_lock);

    for (;;) {
        if (link_is_cut_locked(d->link)) {
            return WORD_NONE;
        }
        if (d->all_here) {
            return WORD_COMPLETE;
        }
        if (d->store_error) {
            error_propagate(errp, g_steal_pointer(&d->store_error));
            return WORD_FAILED;
        }
        *fetch = g_queue_pop_head(&d->fetches);
        if (*fetch) {
            return WORD_FETCH;
        }
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
}

bool destination_complete(Destination *d, Error **errp)
{
    if (!destination_flush(d, errp)) {
        return false;
    }
    destination_drop_gates(d);
    destination_enter_phase(d, PHASE_DONE);
    activity_set_phase(d->activity, "completed");
    stats_end();
    if (!migration_set_state(MIGRATION_STATUS_POSTCOPY_ACTIVE,
                             MIGRATION_STATUS_COMPLETED)) {
        migration_set_state(MIGRATION_STATUS_POSTCOPY_RECOVER,
                            MIGRATION_STATUS_COMPLETED);
    }
    return true;
}

static bool complete(Destination *d, Error **errp)
{
    return destination_complete(d, errp) &&
           migration_channel_send_type(d->main, SECTION_COMPLETE, 0, errp);
}

static void *speaker_thread(void *opaque)
{
    Destination *d = opaque;
    Error *err = NULL;

    for (;;) {
        g_autofree Section *fetch = NULL;
        bool ok = true;

        switch (next_word(d, &fetch, &err)) {
        case WORD_FETCH:
            ok = migration_channel_send(d->main, fetch, NULL, &err);
            break;
        case WORD_COMPLETE:
            if (complete(d, &err)) {
                return NULL;
            }
            ok = false;
            break;
        case WORD_FAILED:
            ok = false;
            break;
        case WORD_NONE:
            return NULL;
        }
        if (!ok) {
            destination_channel_failed(d, err);
            return NULL;
        }
    }
}

bool destination_start_speaker(Destination *d, Error **errp)
{
    d->has_speaker =
        qemu_thread_try_create(&d->speaker, "mig-speak", speaker_thread, d,
                               QEMU_THREAD_JOINABLE, errp);
    return d->has_speaker;
}

void destination_join_speaker(Destination *d)
{
    if (d->has_speaker) {
        qemu_thread_join(&d->speaker);
        d->has_speaker = false;
    }
    QEMU_LOCK_GUARD(&migration_lock);
    g_queue_clear_full(&d->fetches, g_free);
    g_clear_pointer(&d->store_error, error_free);
}
