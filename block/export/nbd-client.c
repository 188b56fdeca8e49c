/*
 * NBD clients in transmission: their connection and their end.
 *
 * Nothing below the two entry points (an event on the socket, the end of a
 * round) frees a client.  They mark what happened, and client_settle() acts on
 * it last.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "nbd-budget.h"
#include "nbd-client.h"
#include "nbd-server.h"

/* How often a client that waits for memory tries again, in milliseconds. */
#define BUDGET_RETRY_MS 20

static void client_deferred(void *opaque);

NbdClient *nbd_client_new(NbdServer *server, QIOChannel *ioc)
{
    NbdClient *client = g_new0(NbdClient, 1);

    client->server = server;
    client->ioc = ioc;
    client->link.data = client;
    client->rx = g_malloc(NBD_RX_SIZE);
    client->tx_tail = &client->tx_head;
    return client;
}

/* The export may be gone for good once the client is counted out of it. */
void nbd_client_free(NbdClient *client)
{
    NbdExport *exp = client->exp;

    g_assert(client->n_requests == 0);
    fd_watch_free(client->watch);
    qio_channel_unref(client->ioc);
    nbd_server_client_gone(client->server);
    g_free(client->rx);
    g_free(client);
    if (exp) {
        nbd_export_detach(exp);
    }
}

static void drop_timer(GSource **timer)
{
    if (*timer) {
        g_source_destroy(*timer);
        g_clear_pointer(timer, g_source_unref);
    }
}

static gboolean client_budget_retry(gpointer opaque)
{
    NbdClient *client = opaque;

    drop_timer(&client->budget_timer);
    nbd_client_defer(client);
    return G_SOURCE_REMOVE;
}

bool nbd_client_take_budget(NbdClient *client, NbdRequest *r, uint32_t bytes)
{
    /* A client that does not read its replies must not get more memory. */
    if (client->tx_blocked && nbd_budget_is_short()) {
        return false;
    }
    if (nbd_budget_take(client->budgeted, bytes)) {
        r->budgeted = bytes;
        client->budgeted += bytes;
        return true;
    }
    if (!client->budget_timer) {
        client->budget_timer = g_timeout_source_new(BUDGET_RETRY_MS);
        g_source_set_callback(client->budget_timer, client_budget_retry, client,
                              NULL);
        g_source_attach(client->budget_timer,
                        iothread_get_g_main_context(client->exp->iothread));
    }
    return false;
}

void nbd_client_give_budget(NbdClient *client, NbdRequest *r)
{
    if (r->budgeted) {
        client->budgeted -= r->budgeted;
        nbd_budget_give(r->budgeted);
        r->budgeted = 0;
    }
}

void nbd_client_release(NbdClient *client, NbdRequest *r)
{
    nbd_client_give_budget(client, r);
    client->n_requests--;
    client->request_bytes -= r->charged;
    nbd_request_free(r);
}

static void client_watch_for(NbdClient *client, GIOCondition events)
{
    if (client->events != events) {
        client->events = events;
        fd_watch_set_events(client->watch, events);
    }
}

static void client_cut_off(NbdClient *client)
{
    client->dead = true;
    g_clear_pointer(&client->watch, fd_watch_free);
    drop_timer(&client->budget_timer);
    drop_timer(&client->park_timer);
    qio_channel_close(client->ioc);
    nbd_receive_abandon(client);
    nbd_reply_drop(client);
    block_cancel_waiting(client->exp->node, client);
}

/*
 * A close while there is something to be read would reset the connection, and
 * replies on their way would be lost.  So it is for the client to close it.
 */
static void client_shut(NbdClient *client)
{
    client->shut = true;
    qio_channel_shutdown(client->ioc, QIO_CHANNEL_SHUTDOWN_WRITE, NULL);
}

/* Requests that the node still has keep a client that is cut off. */
static void client_settle(NbdClient *client)
{
    bool ended = client->rx_ended && client->n_requests == 0;

    if (client->watch && (client->dead || ended)) {
        client_cut_off(client);
    }
    if (client->watch) {
        bool read = !client->rx_ended && !client->rx_paused;

        if (client->leaving && !client->shut && client->n_requests == 0) {
            client_shut(client);
        }
        client_watch_for(client, (read ? G_IO_IN : 0) |
                                     (client->tx_blocked ? G_IO_OUT : 0));
    } else if (client->n_requests == 0) {
        if (client->deferred) {
            iothread_undefer(client_deferred, client);
        }
        g_queue_unlink(&client->exp->clients, &client->link);
        nbd_client_free(client);
        /* Other clients of this thread fill the lists again soon enough. */
        nbd_request_trim();
    }
}

/* Sends replies, which may make room for the next requests. */
static void client_flush(NbdClient *client)
{
    if (!client->dead && !client->tx_blocked) {
        nbd_reply_flush(client);
    }
    if (!client->dead && client->rx_paused) {
        nbd_receive_buffered(client);
    }
}

static void client_deferred(void *opaque)
{
    NbdClient *client = opaque;

    client->deferred = false;
    client_flush(client);
    client_settle(client);
}

void nbd_client_defer(NbdClient *client)
{
    if (!client->deferred) {
        client->deferred = true;
        iothread_defer(client_deferred, client);
    }
}

/*
 * A hang-up while there is more to read comes after that.  Without, nobody is
 * left to take replies.
 */
static void client_ready(GIOCondition condition, void *opaque)
{
    NbdClient *client = opaque;

    if (condition & G_IO_OUT) {
        client->tx_blocked = false;
        client_flush(client);
    }
    if (client->dead) {
        /* Nothing to be read for. */
    } else if (condition & client->events & G_IO_IN) {
        nbd_receive(client);
    } else if (condition & (G_IO_HUP | G_IO_ERR | G_IO_NVAL)) {
        client->dead = true;
    }
    client_settle(client);
}

/*
 * On a unix socket what is sent and not yet received counts against this
 * alone, and the default holds less than a deep queue of reads.  TCP tunes
 * itself.  Whatever the system grants is fine.
 */
static void client_enlarge_buffer(int fd)
{
    int size = 1 * MiB;
    int domain = AF_UNSPEC;
    socklen_t len = sizeof(domain);

    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    if (domain == AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
}

static void client_begin(void *opaque)
{
    NbdClient *client = opaque;
    GMainContext *context = iothread_get_g_main_context(client->exp->iothread);
    int fd = qio_channel_get_read_fd(client->ioc);

    client_enlarge_buffer(fd);
    client->watch = fd_watch_new(context, fd, client_ready, client);
    client->events = 0;
    g_queue_push_tail_link(&client->exp->clients, &client->link);
    /* It was closed on the way, and does not know of this client. */
    client->dead = nbd_export_is_closing(client->exp);
    if (nbd_export_is_handed_over(client->exp)) {
        nbd_client_leave(client);
        return;
    }
    if (!client->dead) {
        nbd_receive_buffered(client);
    }
    client_settle(client);
}

void nbd_client_start(NbdClient *client, NbdExport *exp, uint64_t size)
{
    client->exp = exp;
    client->size = size;
    g_clear_pointer(&client->watch, fd_watch_free);
    if (iothread_current() == exp->iothread) {
        client_begin(client);
    } else {
        iothread_post(exp->iothread, client_begin, client);
    }
}

void nbd_client_kill(NbdClient *client)
{
    client->dead = true;
    client_settle(client);
}

void nbd_client_leave(NbdClient *client)
{
    if (!client->dead) {
        client->leaving = true;
        client->rx_bulk = false;
        nbd_receive_abandon(client);
        nbd_receive_buffered(client); /* throws it away */
        block_cancel_waiting(client->exp->node, client);
    }
    client_settle(client);
}
