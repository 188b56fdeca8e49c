/*
 * What QMP, yank and the end of the process ask of the source, whatever its
 * own threads do; and how it comes and goes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block.h"
#include "qemu/oob.h"
#include "migration-internal.h"
#include "process-id.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/yank.h"
#include "source.h"
#include "state.h"
#include "stats.h"

/* Requests of the coordinator in flight: one at a time. */
#define COORDINATOR_DEPTH 1

/* The one there is; main thread, but read under migration_lock elsewhere. */
static Source *source;

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

void source_forget_yank(Source *s)
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
    OOB_WAIT_BOUND("the coordinator has ended but for its return");
    qemu_thread_join(&s->thread);
    source_free(s);
}

/* The last state is the last that the coordinator has to say. */
void source_reap(void)
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

/*
 * Holds the lock all the time: a cancel that sees the new state also finds the
 * source, and the thread can change the state only after this.
 */
static bool start(Source *s, Error **errp)
{
    QEMU_LOCK_GUARD(&migration_lock);

    if (!qemu_thread_try_create(&s->thread, "migration", source_thread, s,
                                QEMU_THREAD_JOINABLE, errp)) {
        return false;
    }
    stats_begin(true);
    stats_set_volumes(s->set);
    migration_set_state(migration_state(), MIGRATION_STATUS_SETUP);
    source = s;
    return true;
}

bool source_begin(const SocketAddress *address, Error **errp)
{
    g_autoptr(Source) s = g_new0(Source, 1);

    source_reap();
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
        !yank_register_instance_with(MIGRATION_YANK_INSTANCE, source_yank, s,
                                     errp)) {
        return false;
    }
    s->activity = activity_new("migration");
    if (!start(s, errp)) {
        source_forget_yank(s);
        return false;
    }
    g_steal_pointer(&s);
    return true;
}

/*
 * Replaces the link by a new one to @address and discards everything that the
 * destination said over the old one.  Call with the lock held while the
 * coordinator is paused, since it uses link and address without the lock.
 */
static void renew_link(Source *s, const SocketAddress *address)
{
    link_unref(s->link);
    s->link = link_new();
    qapi_free_SocketAddress(s->address);
    s->address = QAPI_CLONE(SocketAddress, address);
    s->ready = s->complete = s->lacks_known = false;
    s->work = SOURCE_WORK_NONE;
    s->work_number = s->work_done = 0;
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
    /*
     * In one critical section with the state: a yank that sees the state cuts
     * the new link.
     */
    renew_link(source, address);
    source->resuming = true;
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
