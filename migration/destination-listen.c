/*
 * The destination listens.
 *
 * All functions run on the loop ("mig-listen"), an I/O thread that also reads
 * the hello of each connection.  The loop must not wait: a name may have to be
 * resolved, and a path may be on a dead file system.  Therefore a side thread
 * binds such addresses and closes the previous listener.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "qemu/oob.h"
#include "destination.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "state.h"
#include "stats.h"

/* Connections that wait to be accepted: all channels of a source at once. */
#define BACKLOG 256

/* ---- Outcome. ---- */

static void attempt_free(ListenAttempt *a)
{
    if (a->timer) {
        g_source_destroy(a->timer);
        g_source_unref(a->timer);
    }
    aside_unref(a->call);
    if (a->task) {
        qio_connect_task_abandon(a->task);
        qio_connect_task_unref(a->task);
    }
    g_free(a);
}

/*
 * Returns true if the loop is stopped or about to be.  The activity may be
 * freed then.
 */
static bool is_over(Destination *d)
{
    QEMU_LOCK_GUARD(&migration_lock);

    return d->closed || d->shutting_down;
}

/*
 * Ends the current attempt with @err, or with success if @err is NULL, and
 * tells all that wait for it.
 */
static void end_attempt(Destination *d, const Error *err)
{
    ListenAttempt *a = g_steal_pointer(&d->attempt);
    bool over = is_over(d);

    if (!over && migration_state() != MIGRATION_STATUS_POSTCOPY_PAUSED) {
        activity_set_phase(d->activity, err ? "failed" : "listening");
    }
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        if (a->number == d->listen_begun) {
            g_clear_pointer(&d->listen_pending, g_free);
        }
        d->listen_done = a->number;
        g_free(d->listen_error);
        d->listen_error = err ? g_strdup(error_get_pretty(err)) : NULL;
        if (!over) {
            stats_set_error(d->listen_error);
        }
        if (err) {
            /*
             * Allows another attempt.  The state of a resume stays unchanged.
             */
            migration_set_state(MIGRATION_STATUS_SETUP,
                                MIGRATION_STATUS_FAILED);
        }
        qemu_cond_broadcast(&migration_cond);
    }
    if (a->reply) {
        qmp_reply_send(a->reply, err ? error_copy(err) : NULL);
    }
    attempt_free(a);
}

static void fail_attempt(Destination *d, const char *fmt, ...)
    G_GNUC_PRINTF(2, 3);

static void fail_attempt(Destination *d, const char *fmt, ...)
{
    g_autoptr(Error) err = NULL;
    g_autofree char *why = NULL;
    va_list ap;

    va_start(ap, fmt);
    why = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_setg(&err, "%s", why);
    end_attempt(d, err);
}

/* ---- Binding. ---- */

/* Data of the side thread. */
typedef struct Bind {
    Destination *d; /* the loop accesses it */
    SocketAddress *address;
    QIONetListener *old; /* closed first, as it may have the same address */
    QIONetListener *listener;
    Error *err;
} Bind;

static void bind_run(void *opaque)
{
    Bind *b = opaque;

    g_clear_pointer(&b->old, qio_net_listener_free);
    b->listener = qio_net_listener_new(b->address, BACKLOG, &b->err);
}

static void bind_free(void *opaque)
{
    Bind *b = opaque;

    qapi_free_SocketAddress(b->address);
    qio_net_listener_free(b->old);
    qio_net_listener_free(b->listener);
    error_free(b->err);
    g_free(b);
}

static void accepted(QIOChannel *ioc, void *opaque)
{
    destination_greet(opaque, ioc);
}

static void bind_done(void *opaque)
{
    Bind *b = opaque;
    Destination *d = b->d;

    if (b->listener) {
        d->listener = g_steal_pointer(&b->listener);
        stats_set_listening(qio_net_listener_address(d->listener));
        qio_net_listener_set_client_fn(
            d->listener, iothread_get_g_main_context(d->loop), accepted, d);
    }
    end_attempt(d, b->err);
}

/*
 * Returns true if listening at @address, or closing it, accesses a file system.
 */
static bool has_path(const SocketAddress *address)
{
    return address->type == SOCKET_ADDRESS_TYPE_UNIX &&
           !(address->u.q_unix.has_abstract && address->u.q_unix.abstract);
}

static void begin_bind(Destination *d, const SocketAddress *address)
{
    g_autofree char *text = socket_address_to_string(address);
    g_autofree char *what = g_strdup_printf("listening at %s", text);
    bool aside =
        has_path(address) || !socket_address_is_numeric(address) ||
        (d->listener && has_path(qio_net_listener_address(d->listener)));
    g_autoptr(Error) err = NULL;
    Bind *b = g_new0(Bind, 1);

    b->d = d;
    b->address = QAPI_CLONE(SocketAddress, address);
    b->old = g_steal_pointer(&d->listener);
    if (!aside) {
        bind_run(b);
        bind_done(b);
        bind_free(b);
        return;
    }
    d->attempt->call = aside_start_async(what, bind_run, b, bind_free,
                                         iothread_get_g_main_context(d->loop),
                                         bind_done, &err);
    if (!d->attempt->call) {
        end_attempt(d, err);
    }
}

/* ---- A descriptor that is connected already. ---- */

/* Such a descriptor is the only client that there will be. */
static bool is_connected_fd(const SocketAddress *address)
{
    int fd, listening = 0;
    socklen_t len = sizeof(listening);

    if (address->type != SOCKET_ADDRESS_TYPE_FD) {
        return false;
    }
    fd = atoi(address->u.fd.str); /* the URI was checked */
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
           !listening;
}

static void fd_connected(QIOChannel *ioc, const Error *err, void *opaque)
{
    Destination *d = opaque;

    g_clear_pointer(&d->attempt->task, qio_connect_task_unref);
    if (ioc) {
        destination_greet(d, ioc);
    }
    end_attempt(d, err);
}

/* ---- On the loop. ---- */

/* Stops accepting clients; the listener remains to be freed. */
static void stop_accepting(Destination *d)
{
    if (d->listener) {
        qio_net_listener_set_client_fn(d->listener, NULL, NULL, NULL);
        stats_set_listening(NULL);
    }
}

static gboolean attempt_timed_out(gpointer opaque)
{
    Destination *d = opaque;

    fail_attempt(d, "Listening has not begun within %d ms", ASIDE_TIMEOUT_MS);
    return G_SOURCE_REMOVE;
}

/* Limits the time of an attempt whose outcome a command waits for. */
static void start_timer(Destination *d, ListenAttempt *a)
{
    a->timer = g_timeout_source_new(ASIDE_TIMEOUT_MS);
    g_source_set_callback(a->timer, attempt_timed_out, d, NULL);
    g_source_attach(a->timer, iothread_get_g_main_context(d->loop));
}

static void begin_attempt(Destination *d, const SocketAddress *address)
{
    if (socket_address_is_numeric(address)) {
        start_timer(d, d->attempt);
    }
    if (is_connected_fd(address)) {
        d->attempt->task = qio_connect_task_new(
            address, iothread_get_g_main_context(d->loop), fd_connected, d);
    } else {
        begin_bind(d, address);
    }
}

typedef struct Order {
    Destination *d;
    SocketAddress *address;
    ListenAttempt *attempt;
} Order;

static void carry_out(void *opaque)
{
    Order *order = opaque;
    Destination *d = order->d;

    if (d->attempt) {
        fail_attempt(d, "Another address was given to listen at");
    }
    stop_accepting(d);
    d->attempt = order->attempt;
    if (is_over(d)) {
        fail_attempt(d, "No migration is expected here any more");
    } else {
        begin_attempt(d, order->address);
    }
    qapi_free_SocketAddress(order->address);
    g_free(order);
}

unsigned destination_begin_listening(Destination *d,
                                     const SocketAddress *address, bool setup,
                                     QmpReply *reply)
{
    Order *order = g_new0(Order, 1);

    order->d = d;
    order->address = QAPI_CLONE(SocketAddress, address);
    order->attempt = g_new0(ListenAttempt, 1);
    order->attempt->reply = reply;
    /*
     * A yank that sees the new state also finds the attempt, and its post comes
     * after this one.
     */
    QEMU_LOCK_GUARD(&migration_lock);
    order->attempt->number = ++d->listen_begun;
    g_free(d->listen_pending);
    d->listen_pending = socket_address_to_string(address);
    if (setup) {
        migration_set_state(migration_state(), MIGRATION_STATUS_SETUP);
    }
    iothread_post(d->loop, carry_out, order);
    return d->listen_begun;
}

/* ---- Ends. ---- */

typedef struct GiveUp {
    Destination *d;
    unsigned number;
    char *why;
} GiveUp;

static void give_up(void *opaque)
{
    GiveUp *g = opaque;

    if (g->d->attempt && g->d->attempt->number == g->number) {
        fail_attempt(g->d, "%s", g->why);
    }
    g_free(g->why);
    g_free(g);
}

char *destination_give_up_listening(Destination *d, const char *why)
{
    char *pending = g_steal_pointer(&d->listen_pending);
    GiveUp *g;

    if (pending) {
        g = g_new0(GiveUp, 1);
        g->d = d;
        g->number = d->listen_begun;
        g->why = g_strdup(why);
        iothread_post(d->loop, give_up, g);
    }
    return pending;
}

static void stop(void *opaque)
{
    Destination *d = opaque;

    if (d->attempt) {
        fail_attempt(d, "No migration is expected here any more");
    }
    stop_accepting(d);
    destination_end_greeters(d);
}

void destination_stop_loop(Destination *d)
{
    iothread_run(d->loop, stop, d);
    /*
     * This thread frees the listener, as that waits for a socket's file to be
     * removed.
     */
    g_clear_pointer(&d->listener, qio_net_listener_free);
}

bool destination_await_listening(Destination *d, unsigned number, Error **errp)
{
    OOB_WAIT_BOUND("an attempt to listen gives up after 10 s");
    QEMU_LOCK_GUARD(&migration_lock);

    while ((int)(d->listen_done - number) < 0) {
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
    if (d->listen_error) {
        error_setg(errp, "%s", d->listen_error);
    }
    return !d->listen_error;
}
