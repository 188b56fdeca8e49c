/*
 * What QMP and yank ask of the destination, whatever its own threads do.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/oob.h"
#include "destination.h"
#include "migration-internal.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/shutdown.h"
#include "qemu/yank.h"
#include "state.h"

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

/* All at once, or a connection could go from one that is not cut to another. */
static void cut_links(Destination *d, const char *reason, bool report)
{
    g_autoptr(Link) hello = NULL;
    g_autofree char *pending = NULL;

    QEMU_LOCK_GUARD(&migration_lock);
    if (report) {
        g_autofree char *where = destination_give_up_listening(d, reason);

        if (where) {
            pending = g_strdup_printf("attempt to listen at %s", where);
            yank_report_cut(pending);
        }
    }
    hello = g_steal_pointer(&d->hello_link);
    d->hello_link = link_new();
    link_cut_locked(hello, reason, report);
    if (d->assembly) {
        link_cut_locked(d->assembly->link, reason, report);
    }
    if (d->waiting) {
        link_cut_locked(d->waiting->link, reason, report);
    }
    if (d->link) {
        link_cut_locked(d->link, reason, report);
    }
}

void destination_cut_links(Destination *d, const char *reason)
{
    cut_links(d, reason, false);
}

static void destination_yank(void *opaque)
{
    Destination *d = opaque;

    cut_links(d, LINK_YANKED, true);
    /* The main thread may wait for just these on its way to the end. */
    if (shutdown_requested() != SHUTDOWN_CAUSE_NONE) {
        destination_give_up_missing(d);
    }
}

void destination_forget_yank(Destination *d)
{
    yank_unregister_function(MIGRATION_YANK_INSTANCE, destination_yank, d);
    yank_unregister_instance(MIGRATION_YANK_INSTANCE);
}

/* ---- Beginning and end, by the main thread. ---- */

Destination *destination_get(void)
{
    return destination;
}

void destination_publish(Destination *d)
{
    QEMU_LOCK_GUARD(&destination_lock);

    destination = d;
}

void destination_begin_shutdown(Destination *d)
{
    QEMU_LOCK_GUARD(&destination_lock);
    QEMU_LOCK_GUARD(&migration_lock);

    d->shutting_down = true;
    qemu_cond_broadcast(&migration_cond);
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
    destination_cut_links(d, "Its goodbye was not waited for");
    OOB_WAIT_BOUND("all its links are cut");
    QEMU_LOCK_GUARD(&migration_lock);
    while (!d->finished) {
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
}

/* ---- Any thread, out-of-band. ---- */

/* What follows, up to the end, holds destination_lock. */

/*
 * Waits for the outcome if the command runs in-band (an out-of-band command has
 * its reply sent later).  Without @wait, does not wait for the resolution of a
 * name, which may take long: the client learns the outcome from the status.
 */
static bool await_outcome(Destination *d, unsigned number, bool numeric,
                          bool replies, bool wait, Error **errp)
{
    return replies || !(numeric || wait) ||
           destination_await_listening(d, number, errp);
}

static bool may_listen(Destination *d, Error **errp)
{
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
    return true;
}

static bool make_yankable(Destination *d, Error **errp)
{
    if (d->listens) {
        return true;
    }
    if (!yank_register_instance_with(MIGRATION_YANK_INSTANCE, destination_yank,
                                     d, errp)) {
        return false;
    }
    QEMU_LOCK_GUARD(&migration_lock);
    d->listens = true;
    return true;
}

bool destination_listen(const SocketAddress *address, bool wait, Error **errp)
{
    bool numeric = socket_address_is_numeric(address);
    QmpReply *reply = NULL;
    unsigned number;
    Destination *d;

    WITH_QEMU_LOCK_GUARD(&destination_lock) {
        d = destination;
        if (!may_listen(d, errp)) {
            return false;
        }
        activity_set_phase(d->activity, numeric ? "bind" : "resolve");
        if (!make_yankable(d, errp)) {
            return false;
        }
        reply = numeric ? qmp_reply_take() : NULL;
        number = destination_begin_listening(d, address, true, reply);
    }
    return await_outcome(d, number, numeric, reply != NULL, wait, errp);
}

bool destination_recover(const SocketAddress *address, Error **errp)
{
    bool numeric = socket_address_is_numeric(address);
    QmpReply *reply = NULL;
    unsigned number;
    Destination *d;

    WITH_QEMU_LOCK_GUARD(&destination_lock) {
        d = destination;
        if (!d || migration_state() != MIGRATION_STATUS_POSTCOPY_PAUSED) {
            error_setg(errp, "Migrate recover can only be run when postcopy is "
                             "paused.");
            return false;
        }
        reply = numeric ? qmp_reply_take() : NULL;
        number = destination_begin_listening(d, address, false, reply);
    }
    return await_outcome(d, number, numeric, reply != NULL, false, errp);
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
    destination_cut_links(d, "The migration was cancelled");
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

bool destination_pause(void)
{
    QEMU_LOCK_GUARD(&destination_lock);

    if (!destination) {
        return false;
    }
    destination_cut_links(destination, "The migration was paused");
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
    if (d->waiting || !link_is_cut_locked(d->link)) {
        error_setg(errp, "The source has come back");
        return false;
    }
    d->take_over = true;
    qemu_cond_broadcast(&migration_cond);
    return true;
}
