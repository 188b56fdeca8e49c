/*
 * NBD transmission, send path: replies are gathered, and leave in as few
 * system calls as the socket's buffer allows.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-budget.h"
#include "nbd-client.h"
#include "qemu/bswap.h"

/* Header and payload of so many replies at once. */
#define MAX_IOV 256

static size_t payload_size(const NbdRequest *r)
{
    return r->req.op == BLOCK_OP_READ && !r->error ? r->req.bytes : 0;
}

static size_t reply_size(const NbdRequest *r)
{
    return NBD_SIMPLE_REPLY_SIZE + payload_size(r);
}

static void queue_append(NbdClient *client, NbdRequest *r)
{
    r->next = NULL;
    *client->tx_tail = r;
    client->tx_tail = &r->next;
}

static void queue_pop(NbdClient *client)
{
    NbdRequest *r = client->tx_head;

    client->tx_head = r->next;
    if (!client->tx_head) {
        client->tx_tail = &client->tx_head;
    }
    nbd_client_release(client, r);
}

static void reply_set_error(NbdClient *client, NbdRequest *r, uint32_t error)
{
    r->error = error;
    stl_be_p(r->reply + 4, error);
    if (payload_size(r) == 0) {
        nbd_request_free_buffer(r);
        nbd_client_give_budget(client, r);
    }
}

void nbd_reply_queue(NbdClient *client, NbdRequest *r)
{
    nbd_client_defer(client);
    if (client->dead) {
        nbd_client_release(client, r);
        return;
    }
    stl_be_p(r->reply, NBD_SIMPLE_REPLY_MAGIC);
    reply_set_error(client, r, r->error);
    memcpy(r->reply + 8, r->cookie, sizeof(r->cookie));
    queue_append(client, r);
}

/* Adds what is left of @len bytes at @base after the first *@skip of all. */
static void add_iov(struct iovec *iov, unsigned *n, void *base, size_t len,
                    size_t *skip)
{
    size_t skipped = MIN(*skip, len);

    *skip -= skipped;
    if (len > skipped) {
        iov[(*n)++] = (struct iovec){(char *)base + skipped, len - skipped};
    }
}

/* Returns the number of vectors, and their sum in *@total. */
static unsigned gather(NbdClient *client, struct iovec *iov, size_t *total)
{
    size_t skip = client->tx_sent;
    unsigned n = 0;

    *total = 0;
    for (NbdRequest *r = client->tx_head; r && !r->parked && n + 2 <= MAX_IOV;
         r = r->next) {
        *total += reply_size(r) - skip;
        add_iov(iov, &n, r->reply, sizeof(r->reply), &skip);
        add_iov(iov, &n, r->req.buf, payload_size(r), &skip);
    }
    return n;
}

static void advance(NbdClient *client, size_t sent)
{
    client->tx_sent += sent;
    while (client->tx_head && client->tx_sent >= reply_size(client->tx_head)) {
        client->tx_sent -= reply_size(client->tx_head);
        queue_pop(client);
    }
}

/* ---- Clients that do not read their replies. ---- */

static uint64_t queued_bytes(const NbdClient *client)
{
    uint64_t bytes = 0;

    for (const NbdRequest *r = client->tx_head; r; r = r->next) {
        bytes += r->budgeted;
    }
    return bytes;
}

static void reply_park(NbdClient *client)
{
    for (NbdRequest *r = client->tx_head; r; r = r->next) {
        if (r->budgeted && payload_size(r) > 0) {
            nbd_request_free_buffer(r);
            nbd_client_give_budget(client, r);
            r->parked = true;
        }
    }
    nbd_request_trim();
}

/*
 * Parks a client that has read less than an eighth of its queued data since the
 * last call.
 */
static gboolean reply_look(gpointer opaque)
{
    NbdClient *client = opaque;
    bool slow = client->tx_moved < queued_bytes(client) / 8;

    client->tx_moved = 0;
    if (client->tx_blocked && slow && nbd_budget_is_short()) {
        reply_park(client);
    }
    if (client->tx_blocked) {
        return G_SOURCE_CONTINUE;
    }
    g_clear_pointer(&client->park_timer, g_source_unref);
    return G_SOURCE_REMOVE;
}

static void reply_blocked(NbdClient *client)
{
    client->tx_blocked = true;
    if (!client->park_timer) {
        client->tx_moved = 0;
        client->park_timer = g_timeout_source_new(NBD_PARK_MS);
        g_source_set_callback(client->park_timer, reply_look, client, NULL);
        g_source_attach(client->park_timer,
                        iothread_get_g_main_context(client->exp->iothread));
    }
}

static void reply_reread_done(BlockRequest *req, int ret)
{
    NbdRequest *r = container_of(req, NbdRequest, req);
    NbdClient *client = r->client;

    client->rereading = NULL;
    r->parked = false;
    nbd_client_defer(client);
    if (client->dead) {
        nbd_client_release(client, r);
    } else if (ret < 0 && client->tx_sent > 0) {
        client->dead = true; /* part of the reply was sent as a success */
    } else if (ret == -ECANCELED && client->leaving) {
        queue_pop(client);
    } else if (ret < 0) {
        reply_set_error(client, r, nbd_error_of(-ret));
    }
}

/* Reads the data of the first reply again. */
static void reply_reread(NbdClient *client)
{
    NbdRequest *r = client->tx_head;

    /* A client that is about to be disconnected gets a shorter time. */
    if (client->leaving) {
        client->dead = true;
        nbd_client_defer(client);
        return;
    }
    if (client->rereading || !nbd_client_take_budget(client, r, r->req.bytes)) {
        return;
    }
    client->rereading = r;
    if (nbd_request_alloc_buffer(r, r->req.bytes)) {
        r->req.cb = reply_reread_done;
        block_submit(client->exp->node, &r->req);
    } else {
        reply_reread_done(&r->req, -ENOMEM);
    }
}

void nbd_reply_flush(NbdClient *client)
{
    while (client->tx_head) {
        struct iovec iov[MAX_IOV];
        size_t total;
        unsigned n;
        ssize_t sent;

        if (client->tx_head->parked) {
            reply_reread(client);
            return;
        }
        n = gather(client, iov, &total);
        sent = qio_channel_writev(client->ioc, iov, n, NULL);
        if (sent < 0 && sent != QIO_CHANNEL_ERR_BLOCK) {
            client->dead = true;
            return;
        }
        client->tx_moved += MAX(sent, 0);
        advance(client, MAX(sent, 0));
        /* A short write says that the socket's buffer is full. */
        if (sent < (ssize_t)total) {
            reply_blocked(client);
            return;
        }
    }
}

/* A request that is being read again is released when that read has ended. */
void nbd_reply_drop(NbdClient *client)
{
    client->tx_sent = 0;
    if (client->rereading) {
        client->tx_head = client->rereading->next;
        if (!client->tx_head) {
            client->tx_tail = &client->tx_head;
        }
    }
    while (client->tx_head) {
        queue_pop(client);
    }
}
