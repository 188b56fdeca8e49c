/*
 * The source of a migration: its coordinator, from setup to the end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block.h"
#include "block/export.h"
#include "main-call.h"
#include "migration-internal.h"
#include "process-id.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/yank.h"
#include "source.h"
#include "state.h"
#include "stats.h"

/* How long the destination has to say why it closed a channel. */
#define LAST_WORDS_MS 500
/* Requests of the coordinator in flight: one at a time. */
#define COORDINATOR_DEPTH 1

/* The one there is; main thread, but read under migration_lock elsewhere. */
static Source *source;

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
    source_start_reader(s);
    if (!source_compare_volumes(s, errp) ||
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
    if (!set_up(s, errp)) {
        return false;
    }
    source_start_senders(s);
    return source_run_precopy(s, errp) &&
           finish_postcopy(s, MIGRATION_STATUS_DEVICE, errp);
}

static bool run_again(Source *s, Error **errp)
{
    if (!source_connect(s, true, errp)) {
        return false;
    }
    activity_set_phase(s->activity, "postcopy-recover");
    if (!source_resume(s, errp)) {
        return false;
    }
    source_start_senders(s);
    return finish_postcopy(s, MIGRATION_STATUS_POSTCOPY_RECOVER, errp);
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
    activity_end(s->activity);
    migration_enter_paused();
}

/* A new link, of which nothing is known yet; with the lock held. */
static void renew_link(Source *s)
{
    link_unref(s->link);
    s->link = link_new();
    qapi_free_SocketAddress(s->address);
    s->address = g_steal_pointer(&s->resume_address);
    s->ready = s->complete = s->lacks_known = false;
    s->work = SOURCE_WORK_NONE;
    s->work_number = s->work_done = 0;
}

/* Until there is somewhere to go on to; false when this is the end. */
static bool wait_for_resume(Source *s)
{
    QEMU_LOCK_GUARD(&migration_lock);

    while (!s->shutting_down && s->gone) {
        if (s->resume_address) {
            renew_link(s);
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

static void forget_yank(Source *s);

static void end_well(Source *s)
{
    forget_yank(s);
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
    forget_yank(s);
    stats_end();
    if (migration_state() != MIGRATION_STATUS_CANCELLING) {
        stats_set_error(error_get_pretty(err));
    }
    migration_enter_failed();
}

static void reap(void);

static void *source_thread(void *opaque)
{
    Source *s = opaque;
    Error *err = NULL;
    bool ok;

    activity_begin(s->activity);
    ok = run(s, &err);
    hang_up(s, err);
    while (!ok && is_gone(s)) {
        enter_paused(s, err);
        if (!wait_for_resume(s)) {
            break;
        }
        g_clear_pointer(&err, error_free);
        activity_begin(s->activity);
        ok = run_again(s, &err);
        hang_up(s, err);
    }
    source_stop_tracking(s);
    if (ok) {
        end_well(s);
    } else if (!is_gone(s)) {
        end_badly(s, err);
    } else { /* the process ends */
        forget_yank(s);
        stats_end();
    }
    error_free(err);
    migration_post_main(reap);
    return NULL;
}

/* ---- The main thread. ---- */

static void source_yank(void *opaque)
{
    Source *s = opaque;
    g_autoptr(Link) link = NULL;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        link = link_ref(s->link);
    }
    link_yank(link);
}

static void forget_yank(Source *s)
{
    yank_unregister_function(MIGRATION_YANK_INSTANCE, source_yank, s);
    yank_unregister_instance(MIGRATION_YANK_INSTANCE);
    g_clear_pointer(&s->activity, activity_free);
}

static void source_free(Source *s)
{
    volumes_release(s->set);
    volume_io_free(s->io);
    tls_creds_unref(s->creds);
    link_unref(s->link);
    qapi_free_MigrationParameters(s->params);
    qapi_free_SocketAddress(s->address);
    qapi_free_SocketAddress(s->resume_address);
    g_free(s->senders);
    g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Source, source_free)

/* The source as long as it runs; with the lock held. */
static Source *running_source(void)
{
    return source && migration_state_is_running(migration_state()) ? source
                                                                   : NULL;
}

/* Joins the coordinator, which has ended or is about to. */
static void join(void)
{
    Source *s = source;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        source = NULL;
    }
    qemu_thread_join(&s->thread);
    source_free(s);
}

/* The last state is the last that the coordinator has to say. */
static void reap(void)
{
    if (source && !source_is_running()) {
        join();
    }
}

static bool check_address(const Source *s, const SocketAddress *address,
                          Error **errp)
{
    if (s->multifd && address->type == SOCKET_ADDRESS_TYPE_FD) {
        error_setg(errp, "multifd needs several connections, which an fd: URI "
                         "cannot give");
        return false;
    }
    return true;
}

static bool source_prepare(Source *s, const SocketAddress *address,
                           Error **errp)
{
    s->multifd = migration_capability(MIGRATION_CAPABILITY_MULTIFD);
    s->confirm = migration_capability(MIGRATION_CAPABILITY_RETURN_PATH);
    s->pause_before_switchover =
        migration_capability(MIGRATION_CAPABILITY_PAUSE_BEFORE_SWITCHOVER);
    s->params = migration_parameters();
    s->n_senders = s->multifd ? s->params->multifd_channels : 1;
    s->senders = g_new0(SourceSender, s->n_senders);
    s->address = QAPI_CLONE(SocketAddress, address);
    s->link = link_new();
    s->io = volume_io_new(COORDINATOR_DEPTH);
    g_queue_init(&s->fetches);
    migration_random_id(s->session);
    if (!check_address(s, address, errp)) {
        return false;
    }
    if (s->params->tls_creds[0]) {
        s->creds = tls_creds_find(s->params->tls_creds,
                                  QCRYPTO_TLS_CREDS_ENDPOINT_CLIENT, errp);
        if (!s->creds) {
            return false;
        }
    }
    s->set = volumes_claim_all(errp);
    return s->set != NULL;
}

bool source_begin(const SocketAddress *address, Error **errp)
{
    g_autoptr(Source) s = g_new0(Source, 1);

    reap();
    if (destination_is_expecting()) {
        error_setg(errp, "A process that waits for an incoming migration "
                         "cannot migrate");
        return false;
    }
    if (source || migration_state_is_running(migration_state())) {
        error_setg(errp, "There's a migration process in progress");
        return false;
    }
    if (!block_is_active()) {
        error_setg(errp, "The volumes were migrated away from here");
        return false;
    }
    destination_retire();
    if (!source_prepare(s, address, errp) ||
        !yank_register_instance(MIGRATION_YANK_INSTANCE, errp)) {
        return false;
    }
    yank_register_function(MIGRATION_YANK_INSTANCE, source_yank, s);
    s->activity = activity_new("migration");
    stats_begin(true);
    stats_set_volumes(s->set);
    migration_set_state(migration_state(), MIGRATION_STATUS_SETUP);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        source = g_steal_pointer(&s);
    }
    qemu_thread_create(&source->thread, "migration", source_thread, source,
                       QEMU_THREAD_JOINABLE);
    return true;
}

bool source_resume_to(const SocketAddress *address, Error **errp)
{
    QEMU_LOCK_GUARD(&migration_lock);

    if (source && !check_address(source, address, errp)) {
        return false;
    }
    /* After migrate-continue it is about to fail, as the user wants it. */
    if (!source || !source->gone ||
        !migration_set_state(MIGRATION_STATUS_POSTCOPY_PAUSED,
                             MIGRATION_STATUS_POSTCOPY_RECOVER)) {
        error_setg(errp, "Cannot resume if there is no paused migration");
        return false;
    }
    source->resume_address = QAPI_CLONE(SocketAddress, address);
    qemu_cond_broadcast(&migration_cond);
    return true;
}

bool source_start_postcopy(Error **errp)
{
    if (!migration_capability(MIGRATION_CAPABILITY_POSTCOPY_BLOCKS)) {
        error_setg(errp, "Enable postcopy with migrate_set_capability before "
                         "the start of migration");
        return false;
    }
    if (!source || migration_state() == MIGRATION_STATUS_NONE) {
        error_setg(errp, "Postcopy must be started after migration has been "
                         "started");
        return false;
    }
    QEMU_LOCK_GUARD(&migration_lock);
    source->want_postcopy = true;
    qemu_cond_broadcast(&migration_cond);
    return true;
}

void source_shutdown(void)
{
    g_autoptr(Link) link = NULL;

    if (!source) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        source->shutting_down = true;
        qapi_free_SocketAddress(source->resume_address);
        source->resume_address = NULL;
        link = link_ref(source->link);
        qemu_cond_broadcast(&migration_cond);
    }
    link_cut(link, "The process ends");
    join();
}

/* ---- Any thread, out-of-band. ---- */

bool source_is_running(void)
{
    QEMU_LOCK_GUARD(&migration_lock);

    return running_source() != NULL;
}

/* From any state but those that do not end in "cancelled". */
static bool enter_cancelling(void)
{
    MigrationStatus from;

    do {
        from = migration_state();
        if (!migration_state_is_running(from) ||
            from == MIGRATION_STATUS_POSTCOPY_PAUSED ||
            from == MIGRATION_STATUS_CANCELLING) {
            return false;
        }
    } while (!migration_set_state(from, MIGRATION_STATUS_CANCELLING));
    return true;
}

bool source_cancel(Error **errp)
{
    g_autoptr(Link) link = NULL;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        Source *s = running_source();

        if (!s) {
            return true;
        }
        if (s->gone) {
            error_setg(errp, "The destination has taken over, there is "
                             "nothing left to cancel here");
            return false;
        }
        if (!enter_cancelling()) {
            return true;
        }
        s->cancelled = true;
        link = link_ref(s->link);
    }
    link_cut(link, "The migration was cancelled");
    return true;
}

bool source_pause(void)
{
    g_autoptr(Link) link = NULL;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        Source *s = running_source();

        link = s ? link_ref(s->link) : NULL;
    }
    return link && link_cut(link, "The migration was paused");
}

bool source_continue(MigrationStatus state, Error **errp)
{
    Source *s;

    QEMU_LOCK_GUARD(&migration_lock);
    s = running_source();
    if (!s) {
        error_setg(errp, "There is no migration to continue");
        return false;
    }
    if (state == MIGRATION_STATUS_PRE_SWITCHOVER) {
        s->want_continue = true;
    } else if (s->is_postcopy || s->served) {
        error_setg(errp, "The destination has served, only a resume can "
                         "continue this");
        return false;
    } else {
        s->gone = false; /* end_badly() lets clients go on */
    }
    qemu_cond_broadcast(&migration_cond);
    return true;
}
