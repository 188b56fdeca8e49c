/*
 * The destination of a migration: its coordinator, its beginning and its end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block.h"
#include "destination.h"
#include "main-call.h"
#include "migration-internal.h"
#include "state.h"
#include "stats.h"

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
    d->forgotten = false;
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

/* The last blocks came, and then the link was lost. */
static void complete_alone(Destination *d)
{
    bool ready = false;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        ready = d->served && d->is_postcopy && d->all_here;
    }
    if (ready && migration_state() != MIGRATION_STATUS_COMPLETED) {
        destination_complete(d, NULL);
    }
}

/* No session uses them; what a later one claims, it claims after this. */
static void release_volumes(void)
{
    Destination *d = destination_get();

    if (d) {
        g_clear_pointer(&d->set, volumes_release);
    }
}

/* Nothing of the session is needed any more but what it was. */
static void forget_volumes(Destination *d)
{
    forget_session(d);
    d->forgotten = true;
    migration_post_main(release_volumes);
}

static void end_session(Destination *d)
{
    g_autofree char *why = link_reason(d->link);

    complete_alone(d);
    if (migration_state() == MIGRATION_STATUS_COMPLETED) {
        activity_set_phase(d->activity, "completed");
        forget_volumes(d);
        return;
    }
    if (migration_state() != MIGRATION_STATUS_CANCELLING) {
        stats_set_error(why);
    }
    if (is_committed(d)) {
        activity_set_phase(d->activity, "postcopy-paused");
        migration_enter_paused();
    } else {
        activity_set_phase(d->activity, "listening");
        stats_end();
        forget_volumes(d);
        migration_enter_failed();
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

        activity_begin_session(d->activity);
        run(d, a, &err);
        destination_hang_up(d, err);
        activity_end_session(d->activity);
        end_session(d);
        assembly_free(a);
        error_free(err);
    }
}

/* Frees the loop, to which no thread posts any more.  Main thread. */
static void free_loop(void)
{
    Destination *d = destination_get();

    if (d) {
        g_clear_pointer(&d->loop, iothread_unref);
    }
}

static void *coordinator_thread(void *opaque)
{
    Destination *d = opaque;
    bool shutting_down = false;

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
    forget_volumes(d);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        d->closed = true;
    }
    destination_cut_links(d, "No migration is expected here any more");
    destination_stop_loop(d);
    destination_forget_yank(d);
    g_clear_pointer(&d->activity, activity_free);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        d->finished = true;
        qemu_cond_broadcast(&migration_cond);
    }
    migration_post_main(free_loop);
    return NULL;
}

/* ---- The main thread. ---- */

static void destination_free(Destination *d)
{
    /* Requests that came while there was no link. */
    g_queue_clear_full(&d->fetches, g_free);
    error_free(d->store_error);
    volumes_release(d->set);
    activity_free(d->activity);
    assembly_free(d->assembly);
    assembly_free(d->waiting);
    link_unref(d->link);
    link_unref(d->hello_link);
    tls_creds_unref(d->creds);
    g_free(d->listen_pending);
    g_free(d->listen_error);
    iothread_unref(d->loop);
    g_free(d);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Destination, destination_free)

bool destination_expect(Error **errp)
{
    g_autoptr(Destination) d = g_new0(Destination, 1);

    g_queue_init(&d->fetches);
    g_queue_init(&d->greeters);
    d->hello_link = link_new();
    d->loop = iothread_try_new("mig-listen", errp);
    if (!d->loop) {
        return false;
    }
    d->activity = activity_new("migration");
    destination_publish(d);
    block_inactivate(NULL, NULL);
    if (!qemu_thread_try_create(&d->coordinator, "migration",
                                coordinator_thread, d, QEMU_THREAD_JOINABLE,
                                errp)) {
        destination_publish(NULL);
        return false;
    }
    g_steal_pointer(&d);
    return true;
}

void destination_shutdown(void)
{
    Destination *d = destination_get();

    if (!d) {
        return;
    }
    destination_begin_shutdown(d);
    destination_cut_links(d, "The process ends");
    qemu_thread_join(&d->coordinator);
    if (!d->closed) {
        destination_stop_loop(d);
    }
    if (d->listens && !d->closed) {
        destination_forget_yank(d);
    }
    /* Exports live on for a moment: nobody is to see what is not there. */
    destination_free_missing(d, d->is_postcopy && !d->all_here);
    forget_session(d);
    destination_publish(NULL);
    destination_free(d);
}
