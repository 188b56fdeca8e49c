/*
 * The destination listens.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "destination.h"
#include "io/connect-task.h"
#include "io/net-listener.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "state.h"
#include "stats.h"

/* Connections that wait to be accepted: all channels of a source at once. */
#define BACKLOG 256
/* After a failure to accept, for want of descriptors, say. */
#define ACCEPT_PAUSE_MS 200

void destination_wake_listener(Destination *d)
{
    eventfd_write(d->wake_fd, 1);
    qemu_cond_broadcast(&migration_cond);
}

static void listening_tried(Destination *d, const Error *err)
{
    QEMU_LOCK_GUARD(&migration_lock);

    d->listen_tried = true;
    g_free(d->listen_error);
    d->listen_error = err ? g_strdup(error_get_pretty(err)) : NULL;
    stats_set_error(d->listen_error);
    if (err) {
        /* So that it may be tried anew; a resume stays in postcopy-paused. */
        migration_set_state(MIGRATION_STATUS_SETUP, MIGRATION_STATUS_FAILED);
    }
    qemu_cond_broadcast(&migration_cond);
}

/* A descriptor that is connected already is the only client there will be. */
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

static void greet_fd(Destination *d, const SocketAddress *address)
{
    Error *err = NULL;
    QIOChannel *ioc = qio_connect_sync(address, NULL, NULL, &err);

    listening_tried(d, err);
    if (ioc) {
        destination_greet(d, ioc);
    }
    error_free(err);
}

/*
 * Listening is begun by a thread of its own: a name server may keep silent for
 * long, and a new address, or the end of the process, is not to wait for it.
 */
typedef struct Attempt {
    SocketAddress *address;
    /* migration_lock. */
    QIONetListener *listener;
    Error *err;
    bool done;
    bool given_up; /* its thread frees it */
} Attempt;

static void attempt_free(Attempt *a)
{
    qapi_free_SocketAddress(a->address);
    qio_net_listener_free(a->listener);
    error_free(a->err);
    g_free(a);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Attempt, attempt_free)

static void *attempt_thread(void *opaque)
{
    Attempt *a = opaque;
    bool given_up = false;
    Error *err = NULL;
    QIONetListener *listener = qio_net_listener_new(a->address, BACKLOG, &err);

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        a->listener = listener;
        a->err = err;
        a->done = true;
        given_up = a->given_up;
        qemu_cond_broadcast(&migration_cond);
    }
    if (given_up) {
        attempt_free(a);
    }
    return NULL;
}

/* False: something else is to be done. */
static bool attempt_wait(Destination *d, Attempt *a)
{
    QEMU_LOCK_GUARD(&migration_lock);

    while (!a->done && !d->shutting_down && !d->closed && !d->listen_address) {
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
    a->given_up = !a->done;
    return a->done;
}

static QIONetListener *listen_at(Destination *d, const SocketAddress *address)
{
    g_autoptr(Attempt) a = NULL;
    QemuThread thread;

    if (is_connected_fd(address)) {
        greet_fd(d, address);
        return NULL;
    }
    a = g_new0(Attempt, 1);
    a->address = QAPI_CLONE(SocketAddress, address);
    qemu_thread_create(&thread, "mig-bind", attempt_thread, a,
                       QEMU_THREAD_DETACHED);
    if (!attempt_wait(d, a)) {
        a = NULL; /* its thread's */
        return NULL;
    }
    stats_set_listening(a->listener ? qio_net_listener_address(a->listener)
                                    : NULL);
    listening_tried(d, a->err);
    return g_steal_pointer(&a->listener);
}

typedef enum ListenStep {
    LISTEN_ON,
    LISTEN_ANEW,
    LISTEN_END
} ListenStep;

/* What to do; waits while there is neither a listener nor an address. */
static ListenStep next_step(Destination *d, bool has_listener,
                            SocketAddress **address)
{
    QEMU_LOCK_GUARD(&migration_lock);

    for (;;) {
        if (d->shutting_down || d->closed) {
            return LISTEN_END;
        }
        if (d->listen_address) {
            *address = g_steal_pointer(&d->listen_address);
            return LISTEN_ANEW;
        }
        if (has_listener) {
            return LISTEN_ON;
        }
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
}

static void accept_one(Destination *d, QIONetListener *listener)
{
    QIOChannel *ioc = qio_net_listener_wait_client(listener, d->wake_fd, NULL);
    eventfd_t value;

    if (ioc) {
        destination_greet(d, ioc);
    } else if (eventfd_read(d->wake_fd, &value) < 0) {
        /* It was not woken: who waits to be accepted would make it spin. */
        struct pollfd pfd = {d->wake_fd, POLLIN, 0};

        poll(&pfd, 1, ACCEPT_PAUSE_MS);
    }
}

void *destination_listener_thread(void *opaque)
{
    Destination *d = opaque;
    g_autoptr(QIONetListener) listener = NULL;

    for (;;) {
        g_autoptr(SocketAddress) address = NULL;

        switch (next_step(d, listener != NULL, &address)) {
        case LISTEN_ON:
            accept_one(d, listener);
            break;
        case LISTEN_ANEW:
            g_clear_pointer(&listener, qio_net_listener_free);
            listener = listen_at(d, address);
            break;
        case LISTEN_END:
            stats_set_listening(NULL);
            return NULL;
        }
    }
}
