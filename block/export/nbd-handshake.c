/*
 * NBD clients in their handshake: carries bytes between the socket and the
 * negotiation, for a limited time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-client.h"
#include "nbd-server.h"

struct NbdHandshake {
    NbdNegotiation negotiation;
    GSource *deadline; /* NULL: no time limit */
};

/* Takes the client out of the server's list, and leaves nothing watched. */
static void handshake_free(NbdClient *client)
{
    NbdHandshake *hs = g_steal_pointer(&client->handshake);

    g_clear_pointer(&client->watch, fd_watch_free);
    if (hs->deadline) {
        g_source_destroy(hs->deadline);
        g_source_unref(hs->deadline);
    }
    nbd_negotiation_destroy(&hs->negotiation);
    g_free(hs);
    nbd_server_remove_negotiating(client->server, &client->link);
}

void nbd_client_handshake_cut(NbdClient *client)
{
    handshake_free(client);
    nbd_client_free(client);
}

static gboolean handshake_expired(gpointer opaque)
{
    nbd_client_handshake_cut(opaque);
    return G_SOURCE_REMOVE;
}

typedef enum Progress {
    PROGRESS_MADE,
    PROGRESS_BLOCKED, /* the socket has to become ready first */
    PROGRESS_FAILED,
} Progress;

static Progress handshake_send(NbdClient *client, GByteArray *out)
{
    ssize_t n = qio_channel_write(client->ioc, out->data, out->len, NULL);

    if (n == QIO_CHANNEL_ERR_BLOCK) {
        return PROGRESS_BLOCKED;
    }
    if (n < 0) {
        return PROGRESS_FAILED;
    }
    g_byte_array_remove_range(out, 0, n);
    return PROGRESS_MADE;
}

static Progress handshake_read(NbdClient *client)
{
    ssize_t n = qio_channel_read(client->ioc, client->rx + client->rx_end,
                                 NBD_RX_SIZE - client->rx_end, NULL);

    if (n == QIO_CHANNEL_ERR_BLOCK) {
        return PROGRESS_BLOCKED;
    }
    if (n <= 0) {
        return PROGRESS_FAILED;
    }
    client->rx_end += n;
    nbd_server_touch_negotiating(client->server, &client->link);
    return PROGRESS_MADE;
}

static void handshake_feed(NbdClient *client)
{
    client->rx_start += nbd_negotiation_feed(&client->handshake->negotiation,
                                             client->rx + client->rx_start,
                                             client->rx_end - client->rx_start);
}

/* Makes room for the next read. */
static void handshake_compact(NbdClient *client)
{
    size_t len = client->rx_end - client->rx_start;

    memmove(client->rx, client->rx + client->rx_start, len);
    client->rx_start = 0;
    client->rx_end = len;
}

static void handshake_done(NbdClient *client)
{
    NbdNegotiation *n = &client->handshake->negotiation;
    NbdExport *exp = g_steal_pointer(&n->exp);
    uint64_t size = n->info.size;

    handshake_free(client);
    nbd_client_start(client, exp, size);
}

/* Goes on as far as it can without another read. */
static Progress handshake_step(NbdClient *client)
{
    NbdNegotiation *n = &client->handshake->negotiation;

    do {
        while (n->out->len > 0) {
            Progress sent = handshake_send(client, n->out);

            if (sent != PROGRESS_MADE) {
                return sent;
            }
        }
        handshake_feed(client);
    } while (n->out->len > 0);
    return n->state == NBD_NEGOTIATION_CLOSE ? PROGRESS_FAILED : PROGRESS_MADE;
}

static void handshake_continue(NbdClient *client, Progress progress)
{
    NbdNegotiation *n = &client->handshake->negotiation;

    if (progress != PROGRESS_FAILED) {
        progress = handshake_step(client);
    }
    if (progress == PROGRESS_FAILED) {
        nbd_client_handshake_cut(client);
    } else if (progress == PROGRESS_BLOCKED) {
        fd_watch_set_events(client->watch, G_IO_OUT);
    } else if (n->state == NBD_NEGOTIATION_DONE) {
        handshake_done(client);
    } else {
        handshake_compact(client);
        fd_watch_set_events(client->watch, G_IO_IN);
    }
}

static void handshake_ready(GIOCondition condition, void *opaque)
{
    NbdClient *client = opaque;
    Progress progress = PROGRESS_MADE;

    if (condition & G_IO_IN) {
        progress = handshake_read(client);
    } else if (!(condition & G_IO_OUT)) {
        progress = PROGRESS_FAILED;
    }
    if (progress != PROGRESS_BLOCKED) {
        handshake_continue(client, progress);
    }
}

static void set_deadline(NbdClient *client)
{
    NbdHandshake *hs = client->handshake;
    int64_t ms = nbd_server_handshake_ms(client->server);

    if (ms > 0) {
        /* A GLib timer is limited to 49 days; a longer limit is cut to that. */
        hs->deadline = g_timeout_source_new(MIN(ms, (int64_t)UINT_MAX));
        g_source_set_callback(hs->deadline, handshake_expired, client, NULL);
        g_source_attach(hs->deadline, nbd_server_context(client->server));
    }
}

void nbd_client_handshake(NbdClient *client)
{
    GMainContext *context = nbd_server_context(client->server);
    NbdHandshake *hs = g_new0(NbdHandshake, 1);

    client->handshake = hs;
    nbd_negotiation_init(&hs->negotiation);
    set_deadline(client);
    client->watch = fd_watch_new(context, qio_channel_get_read_fd(client->ioc),
                                 handshake_ready, client);
    nbd_server_add_negotiating(client->server, &client->link);
    handshake_continue(client, PROGRESS_MADE);
}
