/*
 * The destination of a migration: its coordinator, and what QMP asks of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include "block/block.h"
#include "destination.h"
#include "main-call.h"
#include "migration-internal.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/shutdown.h"
#include "qemu/yank.h"
#include "state.h"
#include "stats.h"

/*
 * Keeps the destination from its end while other threads than the main one
 * ask something of it, and listening from being begun twice.  Fast; taken
 * before migration_lock and those of yank.
 */
static QemuMutex destination_lock;
/* The one there is, from destination_expect() on. */
static Destination *destination;

static void __attribute__((constructor)) destination_init(void)
{
    qemu_mutex_init(&destination_lock);
}

/* ---- Yank. ---- */

/* Links that a cut has to reach: of greeters, of assemblies, of the session. */
static void cut_links(Destination *d, void (*cut)(Link *link))
{
    g_autoptr(Link) hello = NULL;
    g_autoptr(Link) half = NULL;
    g_autoptr(Link) whole = NULL;
    g_autoptr(Link) session = NULL;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        hello = d->hello_link;
        d->hello_link = link_new();
        half = d->assembly ? link_ref(d->assembly->link) : NULL;
        whole = d->waiting ? link_ref(d->waiting->link) : NULL;
        session = d->link ? link_ref(d->link) : NULL;
    }
    cut(hello);
    if (half) {
        cut(half);
    }
    if (whole) {
        cut(whole);
    }
    if (session) {
        cut(session);
    }
}

static void destination_yank(void *opaque)
{
    Destination *d = opaque;

    cut_links(d, link_yank);
    /* The main thread may wait for just these on its way to the end. */
    if (shutdown_requested() != SHUTDOWN_CAUSE_NONE) {
        destination_give_up_missing(d);
    }
}

static void forget_yank(Destination *d)
{
    yank_unregister_function(MIGRATION_YANK_INSTANCE, destination_yank, d);
    yank_unregister_instance(MIGRATION_YANK_INSTANCE);
}

/* ---- The coordinator. ---- */

/* NULL: this is the end. */
static Assembly *wait_for_assembly(Destination *d)
{
    QEMU_LOCK_GUARD(&migration_lock);

    while (!d->shutting_down && !d->goodbye && !d->waiting && !d->take_over) {
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
    if (d->shutting_down || d->goodbye || !d->waiting) {
        return NULL;
    }
    link_unref(d->link);
    d->link = link_ref(d->waiting->link);
    d->failure_said = false;
    d->take_over = false; /* the source lives */
    return g_steal_pointer(&d->waiting);
}

/* The end of a session that leaves nothing to go on with. */
static void forget_session(Destination *d)
{
    g_clear_pointer(&d->maps, g_free);
    destination_free_missing(d, false);
}

static void start_session(Destination *d, Assembly *a)
{
    MigrationStatus from;

    forget_session(d);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        memcpy(d->process, a->hello.process, STREAM_ID_SIZE);
        memcpy(d->session, a->hello.session, STREAM_ID_SIZE);
        destination_enter_phase(d, PHASE_SETUP);
        d->ready_said = d->served = d->is_postcopy = d->all_here = false;
    }
    stats_begin(false);
    do {
        from = migration_state();
    } while (from != MIGRATION_STATUS_SETUP &&
             !migration_set_state(from, MIGRATION_STATUS_SETUP));
}

static bool run(Destination *d, Assembly *a, Error **errp)
{
    if (a->hello.flags & STREAM_HELLO_RESUME) {
        migration_set_state(MIGRATION_STATUS_POSTCOPY_PAUSED,
                            MIGRATION_STATUS_POSTCOPY_RECOVER);
        return destination_resume_session(d, a, errp);
    }
    start_session(d, a);
    return destination_run_session(d, a, errp);
}

/* Whether the source may have given up its role, so that we cannot go back. */
static bool is_committed(Destination *d)
{
    QEMU_LOCK_GUARD(&migration_lock);

    return d->ready_said;
}

static void enter_paused(void)
{
    if (!migration_set_state(MIGRATION_STATUS_DEVICE,
                             MIGRATION_STATUS_POSTCOPY_PAUSED) &&
        !migration_set_state(MIGRATION_STATUS_POSTCOPY_ACTIVE,
                             MIGRATION_STATUS_POSTCOPY_PAUSED)) {
        migration_set_state(MIGRATION_STATUS_POSTCOPY_RECOVER,
                            MIGRATION_STATUS_POSTCOPY_PAUSED);
    }
}

static void enter_failed(void)
{
    MigrationStatus from;

    if (migration_set_state(MIGRATION_STATUS_CANCELLING,
                            MIGRATION_STATUS_CANCELLED)) {
        return;
    }
    do {
        from = migration_state();
    } while (!migration_set_state(from, from == MIGRATION_STATUS_CANCELLING
                                            ? MIGRATION_STATUS_CANCELLED
                                            : MIGRATION_STATUS_FAILED));
}

/* The last blocks came, and then the link was lost. */
static void complete_alone(Destination *d)
{
    bool ready;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        ready = d->served && d->is_postcopy && d->all_here;
    }
    if (ready && migration_state() != MIGRATION_STATUS_COMPLETED) {
        destination_complete(d, NULL);
    }
}

static void end_session(Destination *d)
{
    g_autofree char *why = link_reason(d->link);

    complete_alone(d);
    if (migration_state() == MIGRATION_STATUS_COMPLETED) {
        activity_set_phase(d->activity, "completed");
        return;
    }
    if (migration_state() != MIGRATION_STATUS_CANCELLING) {
        stats_set_error(why);
    }
    if (is_committed(d)) {
        activity_set_phase(d->activity, "postcopy-paused");
        enter_paused();
    } else {
        activity_set_phase(d->activity, "listening");
        stats_end();
        enter_failed();
    }
}

/* The user has decided: the source is gone for good. */
static void take_over(Destination *d)
{
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        d->served = true;
    }
    block_activate();
    stats_end();
    migration_set_state(MIGRATION_STATUS_POSTCOPY_PAUSED,
                        MIGRATION_STATUS_COMPLETED);
}

static bool is_over(Destination *d)
{
    QEMU_LOCK_GUARD(&migration_lock);

    return d->goodbye;
}

static void run_sessions(Destination *d)
{
    Assembly *a;

    while (!is_over(d) && (a = wait_for_assembly(d))) {
        Error *err = NULL;

        activity_begin(d->activity);
        run(d, a, &err);
        destination_hang_up(d, err);
        activity_end(d->activity);
        end_session(d);
        assembly_free(a);
        error_free(err);
    }
}

static void release_volumes(void)
{
    bool closed = false;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        closed = destination && destination->closed;
    }
    if (closed) {
        g_clear_pointer(&destination->set, volumes_release);
    }
}

static void cut_at_end(Link *link)
{
    link_cut(link, "No migration is expected here any more");
}

static void *coordinator_thread(void *opaque)
{
    Destination *d = opaque;
    bool shutting_down;

    run_sessions(d);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        shutting_down = d->shutting_down;
    }
    if (shutting_down) {
        return NULL; /* destination_shutdown() does the rest */
    }
    if (!is_over(d)) {
        take_over(d);
    }
    forget_session(d);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        d->closed = true;
        destination_wake_listener(d);
    }
    cut_links(d, cut_at_end);
    forget_yank(d);
    g_clear_pointer(&d->activity, activity_free);
    migration_post_main(release_volumes);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        d->finished = true;
        qemu_cond_broadcast(&migration_cond);
    }
    return NULL;
}

/* ---- The main thread. ---- */

void destination_expect(void)
{
    Destination *d = g_new0(Destination, 1);

    d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->wake_fd < 0) {
        g_error("eventfd: %s", g_strerror(errno));
    }
    d->hello_link = link_new();
    g_queue_init(&d->fetches);
    g_queue_init(&d->silent);
    d->activity = activity_new("migration");
    activity_set_phase(d->activity, "listening");
    destination = d;
    block_inactivate(NULL, NULL);
    qemu_thread_create(&d->listener, "mig-listen", destination_listener_thread,
                       d, QEMU_THREAD_JOINABLE);
    qemu_thread_create(&d->coordinator, "migration", coordinator_thread, d,
                       QEMU_THREAD_JOINABLE);
}

bool destination_wait_listening(Error **errp)
{
    QEMU_LOCK_GUARD(&migration_lock);

    while (!destination->listen_tried) {
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
    if (destination->listen_error) {
        error_setg(errp, "%s", destination->listen_error);
    }
    return !destination->listen_error;
}

static void cut_for_shutdown(Link *link)
{
    link_cut(link, "The process ends");
}

static void wait_for_greeters(Destination *d)
{
    QEMU_LOCK_GUARD(&migration_lock);

    while (d->n_greeters) {
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
}

/* Nothing new begins. */
static void begin_shutdown(Destination *d)
{
    QEMU_LOCK_GUARD(&destination_lock);
    QEMU_LOCK_GUARD(&migration_lock);

    d->shutting_down = true;
    destination_wake_listener(d);
}

static void destination_free(Destination *d)
{
    volumes_release(d->set);
    activity_free(d->activity);
    assembly_free(d->assembly);
    assembly_free(d->waiting);
    link_unref(d->link);
    link_unref(d->hello_link);
    tls_creds_unref(d->creds);
    qapi_free_SocketAddress(d->listen_address);
    g_free(d->listen_error);
    close(d->wake_fd);
    g_free(d);
}

void destination_shutdown(void)
{
    Destination *d = destination;

    if (!d) {
        return;
    }
    begin_shutdown(d);
    cut_links(d, cut_for_shutdown);
    qemu_thread_join(&d->listener);
    wait_for_greeters(d);
    qemu_thread_join(&d->coordinator);
    if (d->listens && !d->closed) {
        forget_yank(d);
    }
    /* Exports live on for a moment: nobody is to see what is not there. */
    destination_free_missing(d, d->is_postcopy && !d->all_here);
    forget_session(d);
    WITH_QEMU_LOCK_GUARD(&destination_lock) {
        destination = NULL;
    }
    destination_free(d);
}

/* How long a source that is there may take to say goodbye. */
#define GOODBYE_MS 1000

static bool wait_finished(Destination *d, int ms)
{
    int64_t end = g_get_monotonic_time() + ms * INT64_C(1000);
    int64_t left;

    QEMU_LOCK_GUARD(&migration_lock);
    while (!d->finished && d->link && !link_is_cut_locked(d->link) &&
           (left = end - g_get_monotonic_time()) > 0) {
        qemu_cond_timedwait(&migration_cond, &migration_lock,
                            (left + 999) / 1000);
    }
    return d->finished;
}

/* Waits for it no longer; with migration_lock held. */
static void give_up_goodbye(Destination *d)
{
    d->goodbye = true;
    qemu_cond_broadcast(&migration_cond);
}

void destination_retire(void)
{
    Destination *d = destination;

    if (!d || wait_finished(d, GOODBYE_MS)) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        give_up_goodbye(d);
    }
    cut_links(d, cut_at_end);
    QEMU_LOCK_GUARD(&migration_lock);
    while (!d->finished) {
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
}

/* ---- Any thread, out-of-band. ---- */

/* What follows, up to the end, holds destination_lock. */

static void set_address(Destination *d, const SocketAddress *address)
{
    QEMU_LOCK_GUARD(&migration_lock);

    qapi_free_SocketAddress(d->listen_address);
    d->listen_address = QAPI_CLONE(SocketAddress, address);
    d->listens = true;
    destination_wake_listener(d);
}

bool destination_listen(const SocketAddress *address, Error **errp)
{
    Destination *d;

    QEMU_LOCK_GUARD(&destination_lock);
    d = destination;
    if (!d) {
        error_setg(errp, "'-incoming' was not specified on the command line");
        return false;
    }
    if (d->shutting_down) {
        error_setg(errp, "The process ends");
        return false;
    }
    if (d->listens && migration_state() != MIGRATION_STATUS_FAILED &&
        migration_state() != MIGRATION_STATUS_CANCELLED) {
        error_setg(errp, "The incoming migration has already been started");
        return false;
    }
    if (!d->listens) {
        if (!yank_register_instance(MIGRATION_YANK_INSTANCE, errp)) {
            return false;
        }
        yank_register_function(MIGRATION_YANK_INSTANCE, destination_yank, d);
    }
    migration_set_state(migration_state(), MIGRATION_STATUS_SETUP);
    set_address(d, address);
    return true;
}

bool destination_recover(const SocketAddress *address, Error **errp)
{
    QEMU_LOCK_GUARD(&destination_lock);

    if (!destination || migration_state() != MIGRATION_STATUS_POSTCOPY_PAUSED) {
        error_setg(errp,
                   "Migrate recover can only be run when postcopy is paused.");
        return false;
    }
    set_address(destination, address);
    return true;
}

static void cut_for_cancel(Link *link)
{
    link_cut(link, "The migration was cancelled");
}

static bool enter_cancelling(void)
{
    return migration_set_state(MIGRATION_STATUS_SETUP,
                               MIGRATION_STATUS_CANCELLING) ||
           migration_set_state(MIGRATION_STATUS_ACTIVE,
                               MIGRATION_STATUS_CANCELLING);
}

/*
 * A listener without a session has nothing to cancel, nor has one that has
 * everything, but for its wait for a source that is gone.
 */
bool destination_cancel(Error **errp)
{
    Destination *d;

    QEMU_LOCK_GUARD(&destination_lock);
    d = destination;
    if (!d) {
        return true;
    }
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        if (d->closed || migration_state() == MIGRATION_STATUS_COMPLETED) {
            if (!d->closed && link_is_cut_locked(d->link)) {
                give_up_goodbye(d);
            }
            return true;
        }
        if (d->ready_said) {
            error_setg(errp, "The source may have given up its role, the "
                             "migration cannot be cancelled here");
            return false;
        }
        if (!d->link || link_is_cut_locked(d->link) || !enter_cancelling()) {
            return true;
        }
    }
    cut_links(d, cut_for_cancel);
    return true;
}

bool destination_is_expecting(void)
{
    QEMU_LOCK_GUARD(&destination_lock);
    QEMU_LOCK_GUARD(&migration_lock);

    return destination && !destination->served;
}

bool destination_is_idle(void)
{
    Destination *d;

    QEMU_LOCK_GUARD(&destination_lock);
    QEMU_LOCK_GUARD(&migration_lock);
    d = destination;
    return d && !d->ready_said && !d->waiting &&
           (!d->link || link_is_cut_locked(d->link));
}

static void cut_for_pause(Link *link)
{
    link_cut(link, "The migration was paused");
}

bool destination_pause(void)
{
    QEMU_LOCK_GUARD(&destination_lock);

    if (!destination) {
        return false;
    }
    cut_links(destination, cut_for_pause);
    return true;
}

bool destination_continue(Error **errp)
{
    Destination *d;

    QEMU_LOCK_GUARD(&destination_lock);
    QEMU_LOCK_GUARD(&migration_lock);
    d = destination;
    if (!d || !d->ready_said) {
        error_setg(errp, "There is no migration to continue");
        return false;
    }
    if (d->is_postcopy && !d->all_here) {
        error_setg(errp, "Not all content is here, only a resume can continue "
                         "this");
        return false;
    }
    d->take_over = true;
    qemu_cond_broadcast(&migration_cond);
    return true;
}
