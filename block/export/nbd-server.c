/*
 * The NBD server: starts and stops, accepts clients and counts them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include "export-internal.h"
#include "io/net-listener.h"
#include "nbd-client.h"
#include "nbd-server.h"
#include "qemu/oob.h"

struct NbdServer {
    int refcount; /* atomic; one is that of nbd_server, others of clients */
    IOThread *iothread;
    QIONetListener *listener;
    uint32_t max_connections; /* 0: no limit */
    int64_t handshake_ms;     /* 0: no limit */

    /* I/O thread of the server. */
    GQueue negotiating;  /* of NbdClient, the longest silent one first */
    uint32_t n_clients;  /* in the handshake or at an export */
    GSource *room_timer; /* set while no more clients fit */
    bool accepting;
    bool stopped;
};

/* Main thread. */
static NbdServer *nbd_server;
static bool nbd_server_held; /* clients wait in the backlog */

/* Time limit for resolving the name of a host to listen at. */
#define RESOLVE_SECONDS 5

static void server_unref(NbdServer *server)
{
    if (__atomic_sub_fetch(&server->refcount, 1, __ATOMIC_ACQ_REL) == 0) {
        g_free(server);
    }
}

/* ---- Accepting clients. ---- */

static NbdPeer peer_of(int fd)
{
    struct sockaddr_storage addr = {};
    socklen_t len = sizeof(addr);
    struct ucred cred;
    socklen_t cred_len = sizeof(cred);
    NbdPeer peer = {};

    if (getpeername(fd, (struct sockaddr *)&addr, &len) < 0) {
        return peer;
    }
    switch (addr.ss_family) {
    case AF_UNIX:
        if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len)) {
            peer = (NbdPeer){cred.uid, cred.pid};
        }
        break;
    case AF_INET:
        peer.group = ((struct sockaddr_in *)&addr)->sin_addr.s_addr;
        break;
    case AF_INET6:
        memcpy(&peer, &((struct sockaddr_in6 *)&addr)->sin6_addr, 16);
        break;
    }
    return peer;
}

/*
 * Weight of the peer of @client: how many clients in their handshake belong to
 * the same group, and among groups of equal size, to the same member.
 */
static uint64_t peer_weight(NbdServer *server, const NbdClient *client)
{
    uint64_t group = 0, member = 0;

    for (GList *l = server->negotiating.head; l; l = l->next) {
        const NbdClient *other = l->data;

        if (other->peer.group == client->peer.group) {
            group++;
            member += other->peer.member == client->peer.member;
        }
    }
    return group << 32 | member;
}

/*
 * Ends one handshake to make room: of the peer with the largest weight, the
 * client that has been silent for the longest time, and for at least
 * @silent_us.
 */
static void server_make_room(NbdServer *server, int64_t silent_us)
{
    int64_t limit = g_get_monotonic_time() - silent_us;
    NbdClient *victim = NULL;
    uint64_t most = 0;

    for (GList *l = server->negotiating.head; l; l = l->next) {
        NbdClient *client = l->data;
        uint64_t weight = peer_weight(server, client);

        if (client->heard_us <= limit && weight > most) {
            most = weight;
            victim = client;
        }
    }
    if (victim) {
        nbd_client_handshake_cut(victim);
    }
}

static bool server_is_full(NbdServer *server)
{
    return server->max_connections &&
           server->n_clients >= server->max_connections;
}

static gboolean server_room_needed(gpointer opaque)
{
    NbdServer *server = opaque;

    if (qio_net_listener_has_client(server->listener)) {
        server_make_room(server, NBD_SILENT_MS * INT64_C(1000));
    }
    return G_SOURCE_CONTINUE;
}

static void server_accept(QIOChannel *ioc, void *opaque);

/*
 * A client in its handshake counts as a connection.  The timer ends silent
 * ones, which would otherwise keep others out for the whole time limit of a
 * handshake.
 */
static void server_update_room_timer(NbdServer *server)
{
    bool on = !server->stopped && server_is_full(server) &&
              !g_queue_is_empty(&server->negotiating);

    if (on && !server->room_timer) {
        server->room_timer = g_timeout_source_new(NBD_SILENT_MS / 2);
        g_source_set_callback(server->room_timer, server_room_needed, server,
                              NULL);
        g_source_attach(server->room_timer, nbd_server_context(server));
    } else if (!on && server->room_timer) {
        g_source_destroy(server->room_timer);
        g_clear_pointer(&server->room_timer, g_source_unref);
    }
}

static void server_update_accepting(NbdServer *server)
{
    bool accept = !server->stopped && !server_is_full(server);

    if (accept != server->accepting) {
        server->accepting = accept;
        qio_net_listener_set_client_fn(server->listener,
                                       nbd_server_context(server),
                                       accept ? server_accept : NULL, server);
    }
    server_update_room_timer(server);
}

static void server_accept(QIOChannel *ioc, void *opaque)
{
    NbdServer *server = opaque;
    NbdClient *client = nbd_client_new(server, ioc);

    __atomic_fetch_add(&server->refcount, 1, __ATOMIC_RELAXED);
    server->n_clients++;
    client->peer = peer_of(qio_channel_get_read_fd(ioc));
    nbd_client_handshake(client);
    if (g_queue_get_length(&server->negotiating) > NBD_MAX_NEGOTIATING) {
        server_make_room(server, 0);
    }
    server_update_accepting(server);
}

void nbd_server_add_negotiating(NbdServer *server, GList *link)
{
    NbdClient *client = link->data;

    client->heard_us = g_get_monotonic_time();
    g_queue_push_tail_link(&server->negotiating, link);
}

void nbd_server_touch_negotiating(NbdServer *server, GList *link)
{
    g_queue_unlink(&server->negotiating, link);
    nbd_server_add_negotiating(server, link);
}

void nbd_server_remove_negotiating(NbdServer *server, GList *link)
{
    g_queue_unlink(&server->negotiating, link);
    server_update_accepting(server);
}

int64_t nbd_server_handshake_ms(NbdServer *server)
{
    return server->handshake_ms;
}

GMainContext *nbd_server_context(NbdServer *server)
{
    return iothread_get_g_main_context(server->iothread);
}

static void server_count_out(void *opaque)
{
    NbdServer *server = opaque;

    server->n_clients--;
    server_update_accepting(server);
    server_unref(server);
}

void nbd_server_client_gone(NbdServer *server)
{
    iothread_post(server->iothread, server_count_out, server);
}

static void server_start_accepting(void *opaque)
{
    server_update_accepting(opaque);
}

/* ---- Start and end, on the main thread. ---- */

bool nbd_server_is_running(void)
{
    return nbd_server;
}

bool nbd_server_is_multi(void)
{
    return !nbd_server || nbd_server->max_connections != 1;
}

/* Listens with a time limit, since no yank ends the wait for a name server. */
static QIONetListener *listen_in_time(const SocketAddress *addr, Error **errp)
{
    struct itimerspec limit = {.it_value.tv_sec = RESOLVE_SECONDS};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    Error *err = NULL;
    QIONetListener *listener;
    uint64_t expired;

    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to create a timer");
        return NULL;
    }
    OOB_WAIT_BOUND("RESOLVE_SECONDS");
    timerfd_settime(fd, 0, &limit, NULL);
    listener = qio_net_listener_new_cancel(addr, SOMAXCONN, fd, &err);
    if (!listener && read(fd, &expired, sizeof(expired)) > 0) {
        g_autofree char *text = socket_address_to_string(addr);

        error_free(err);
        error_setg(errp, "Cannot listen at '%s' within %d s", text,
                   RESOLVE_SECONDS);
    } else {
        error_propagate(errp, err);
    }
    close(fd);
    return listener;
}

bool nbd_server_start(const SocketAddress *addr, uint32_t max_connections,
                      int64_t handshake_ms, Error **errp)
{
    QIONetListener *listener;

    if (nbd_server) {
        error_setg(errp, "NBD server already running");
        return false;
    }
    listener = listen_in_time(addr, errp);
    if (!listener) {
        return false;
    }
    nbd_server = g_new0(NbdServer, 1);
    nbd_server->refcount = 1;
    nbd_server->iothread = iothread_default();
    nbd_server->listener = listener;
    nbd_server->max_connections = max_connections;
    nbd_server->handshake_ms = handshake_ms;
    g_queue_init(&nbd_server->negotiating);
    if (!nbd_server_held) {
        iothread_run(nbd_server->iothread, server_start_accepting, nbd_server);
    }
    return true;
}

void nbd_server_hold(void)
{
    nbd_server_held = true;
}

void nbd_server_release(void)
{
    nbd_server_held = false;
    if (nbd_server) {
        iothread_run(nbd_server->iothread, server_start_accepting, nbd_server);
    }
}

static void server_stop_accepting(void *opaque)
{
    NbdServer *server = opaque;

    server->stopped = true;
    server_update_accepting(server);
    while (!g_queue_is_empty(&server->negotiating)) {
        nbd_client_handshake_cut(g_queue_peek_head(&server->negotiating));
    }
}

/* Runs after all that clients have posted when they ended. */
static void server_release(void *opaque)
{
    server_unref(opaque);
}

static bool server_stop(bool bounded, Error **errp)
{
    NbdServer *server = g_steal_pointer(&nbd_server);
    bool ok = true;

    if (!server) {
        return true;
    }
    iothread_run(server->iothread, server_stop_accepting, server);
    /*
     * The main thread does this: it removes the socket's file, and no I/O must
     * wait for that.
     */
    g_clear_pointer(&server->listener, qio_net_listener_free);
    if (bounded) {
        ok = block_export_close_all_try(errp);
    } else {
        block_export_close_all();
    }
    iothread_run(server->iothread, server_release, server);
    return ok;
}

void nbd_server_stop(void)
{
    server_stop(false, NULL);
}

bool nbd_server_stop_try(Error **errp)
{
    return server_stop(true, errp);
}
