/*
 * The source of a migration: its coordinator, from setup to the end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block.h"
#include "block/export.h"
#include "main-call.h"
#include "source.h"
#include "state.h"
#include "stats.h"

/* How long the destination has to say why it closed a channel. */
#define LAST_WORDS_MS 500

/* ---- For the other files. ---- */

bool source_wait(Source *s, bool (*ready)(Source *s), Error **errp)
{
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        for (;;) {
            /* What was heard counts, also if the link was lost right then. */
            if (ready(s)) {
                return true;
            }
            if (link_is_cut_locked(s->link)) {
                break;
            }
            qemu_cond_wait(&migration_cond, &migration_lock);
        }
    }
    link_error(s->link, errp);
    return false;
}

void source_channel_failed(Source *s, Error *err)
{
    link_wait_cut(s->link, LAST_WORDS_MS);
    link_cut_error(s->link, err);
    error_free(err);
}

bool source_send(Source *s, Section *section, const void *payload, Error **errp)
{
    Error *err = NULL;

    if (migration_channel_send(s->main, section, payload, &err)) {
        stats_sent(STREAM_HEADER_SIZE + section->payload_size, false);
        activity_progress(s->activity);
        return true;
    }
    source_channel_failed(s, err);
    link_error(s->link, errp);
    return false;
}

bool source_send_type(Source *s, SectionType type, uint64_t offset,
                      Error **errp)
{
    Section section = {.type = type, .offset = offset};

    return source_send(s, &section, NULL, errp);
}

/* ---- The coordinator. ---- */

static bool enter(Source *s, MigrationStatus from, MigrationStatus to,
                  Error **errp)
{
    if (migration_set_state(from, to)) {
        return true;
    }
    link_error(s->link, errp); /* it was cancelled */
    return false;
}

static bool set_up(Source *s, Error **errp)
{
    if (!source_connect(s, false, errp)) {
        return false;
    }
    activity_set_phase(s->activity, "setup");
    if (!source_start_reader(s, errp) || !source_compare_volumes(s, errp) ||
        !enter(s, MIGRATION_STATUS_SETUP, MIGRATION_STATUS_ACTIVE, errp)) {
        return false;
    }
    if (!source_start_tracking(s, errp)) {
        return false;
    }
    /* What is dirty tells how much there is to do from now on. */
    stats_setup_done();
    return true;
}

/* The destination serves; it may lack content still. */
static bool finish_postcopy(Source *s, MigrationStatus from, Error **errp)
{
    stats_downtime_end();
    block_export_hand_over();
    if (!s->is_postcopy) {
        return true;
    }
    migration_set_state(from, MIGRATION_STATUS_POSTCOPY_ACTIVE);
    return source_run_postcopy(s, errp);
}

static bool run(Source *s, Error **errp)
{
    return set_up(s, errp) && source_start_senders(s, errp) &&
           source_run_precopy(s, errp) &&
           finish_postcopy(s, MIGRATION_STATUS_DEVICE, errp);
}

static bool run_again(Source *s, Error **errp)
{
    if (!source_connect(s, true, errp)) {
        return false;
    }
    activity_set_phase(s->activity, "postcopy-recover");
    return source_resume(s, errp) && source_start_senders(s, errp) &&
           finish_postcopy(s, MIGRATION_STATUS_POSTCOPY_RECOVER, errp);
}

/*
 * Ends the link, with a last word to the destination where there is a link
 * yet; @err: why, or NULL when all went well.
 */
static void hang_up(Source *s, const Error *err)
{
    if (s->main && !link_is_cut(s->link)) {
        if (err) {
            migration_channel_send_message(s->main, SECTION_ABORT,
                                           error_get_pretty(err), NULL);
        } else {
            migration_channel_send_type(s->main, SECTION_BYE, 0, NULL);
        }
    }
    link_cut(s->link, "%s", err ? error_get_pretty(err) : "The end");
    source_join_senders(s);
    source_join_reader(s);
    source_disconnect(s);
    g_queue_clear_full(&s->fetches, g_free);
}

/* ---- Postcopy, paused. ---- */

static void enter_paused(Source *s, const Error *err)
{
    stats_set_error(error_get_pretty(err));
    activity_set_phase(s->activity, "postcopy-paused");
    activity_end_session(s->activity);
    migration_enter_paused();
}

/*
 * Waits until a resume has made a new link.  Returns false when the migration
 * must end.
 */
static bool wait_for_resume(Source *s)
{
    QEMU_LOCK_GUARD(&migration_lock);

    while (!s->shutting_down && s->gone) {
        if (s->resuming) {
            s->resuming = false;
            return true;
        }
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
    return false;
}

static bool is_gone(Source *s)
{
    QEMU_LOCK_GUARD(&migration_lock);

    return s->gone;
}

/* ---- The end. ---- */

static void end_well(Source *s)
{
    source_forget_yank(s);
    stats_end();
    stats_set_error(NULL);
    if (!migration_set_state(MIGRATION_STATUS_DEVICE,
                             MIGRATION_STATUS_COMPLETED) &&
        !migration_set_state(MIGRATION_STATUS_POSTCOPY_ACTIVE,
                             MIGRATION_STATUS_COMPLETED)) {
        migration_set_state(MIGRATION_STATUS_POSTCOPY_RECOVER,
                            MIGRATION_STATUS_COMPLETED);
    }
}

static void end_badly(Source *s, const Error *err)
{
    block_activate();
    source_forget_yank(s);
    stats_end();
    if (migration_state() != MIGRATION_STATUS_CANCELLING) {
        stats_set_error(error_get_pretty(err));
    }
    migration_enter_failed();
}

void *source_thread(void *opaque)
{
    Source *s = opaque;
    Error *err = NULL;
    bool ok;

    activity_begin_session(s->activity);
    ok = run(s, &err);
    hang_up(s, err);
    while (!ok && is_gone(s)) {
        enter_paused(s, err);
        if (!wait_for_resume(s)) {
            break;
        }
        g_clear_pointer(&err, error_free);
        activity_begin_session(s->activity);
        ok = run_again(s, &err);
        hang_up(s, err);
    }
    source_stop_tracking(s);
    if (ok) {
        end_well(s);
    } else if (!is_gone(s)) {
        end_badly(s, err);
    } else { /* the process ends */
        source_forget_yank(s);
        stats_end();
    }
    error_free(err);
    migration_post_main(source_reap);
    return NULL;
}
