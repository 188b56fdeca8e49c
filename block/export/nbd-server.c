/*
 * The NBD server: starts and stops, accepts clients and counts them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "export-internal.h"
#include "io/net-listener.h"
#include "nbd-client.h"
#include "nbd-server.h"

struct NbdServer {
    int refcount; /* atomic; one is that of nbd_server, others of clients */
    IOThread *iothread;
    QIONetListener *listener;
    uint32_t max_connections; /* 0: no limit */

    /* I/O thread of the server. */
    GQueue negotiating; /* of NbdClient */
    uint32_t n_clients; /* wherever they are */
    bool accepting;
    bool stopped;
};

static NbdServer *nbd_server; /* main thread */

static void server_unref(NbdServer *server)
{
    if (__atomic_sub_fetch(&server->refcount, 1, __ATOMIC_ACQ_REL) == 0) {
        g_free(server);
    }
}

static void server_accept(QIOChannel *ioc, void *opaque);

static void server_update_accepting(NbdServer *server)
{
    bool accept =
        !server->stopped &&
        (!server->max_connections ||
         server->n_clients < server->max_connections) &&
        g_queue_get_length(&server->negotiating) < NBD_MAX_NEGOTIATING;

    if (accept != server->accepting) {
        server->accepting = accept;
        qio_net_listener_set_client_fn(server->listener,
                                       nbd_server_context(server),
                                       accept ? server_accept : NULL, server);
    }
}

static void server_accept(QIOChannel *ioc, void *opaque)
{
    NbdServer *server = opaque;

    __atomic_fetch_add(&server->refcount, 1, __ATOMIC_RELAXED);
    server->n_clients++;
    nbd_client_handshake(nbd_client_new(server, ioc));
    server_update_accepting(server);
}

void nbd_server_add_negotiating(NbdServer *server, GList *link)
{
    g_queue_push_tail_link(&server->negotiating, link);
}

void nbd_server_remove_negotiating(NbdServer *server, GList *link)
{
    g_queue_unlink(&server->negotiating, link);
    server_update_accepting(server);
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

bool nbd_server_is_running(void)
{
    return nbd_server;
}

bool nbd_server_start(const SocketAddress *addr, uint32_t max_connections,
                      Error **errp)
{
    QIONetListener *listener;

    if (nbd_server) {
        error_setg(errp, "NBD server already running");
        return false;
    }
    listener = qio_net_listener_new(addr, SOMAXCONN, errp);
    if (!listener) {
        return false;
    }
    nbd_server = g_new0(NbdServer, 1);
    nbd_server->refcount = 1;
    nbd_server->iothread = iothread_default();
    nbd_server->listener = listener;
    nbd_server->max_connections = max_connections;
    g_queue_init(&nbd_server->negotiating);
    iothread_run(nbd_server->iothread, server_start_accepting, nbd_server);
    return true;
}

static void server_stop_accepting(void *opaque)
{
    NbdServer *server = opaque;

    server->stopped = true;
    server_update_accepting(server);
    g_clear_pointer(&server->listener, qio_net_listener_free);
    while (!g_queue_is_empty(&server->negotiating)) {
        nbd_client_handshake_cut(g_queue_peek_head(&server->negotiating));
    }
}

/* Runs after all that clients have posted when they ended. */
static void server_release(void *opaque)
{
    server_unref(opaque);
}

void nbd_server_stop(void)
{
    NbdServer *server = g_steal_pointer(&nbd_server);

    if (!server) {
        return;
    }
    iothread_run(server->iothread, server_stop_accepting, server);
    block_export_close_all();
    iothread_run(server->iothread, server_release, server);
}
