/*
 * NBD transmission, send path: replies are gathered, and leave in as few
 * system calls as the socket's buffer allows.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
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

void nbd_reply_queue(NbdClient *client, NbdRequest *r)
{
    nbd_client_defer(client);
    if (client->dead) {
        nbd_client_release(client, r);
        return;
    }
    if (payload_size(r) == 0) {
        nbd_request_free_buffer(r);
    }
    stl_be_p(r->reply, NBD_SIMPLE_REPLY_MAGIC);
    stl_be_p(r->reply + 4, r->error);
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
    for (NbdRequest *r = client->tx_head; r && n + 2 <= MAX_IOV; r = r->next) {
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

void nbd_reply_flush(NbdClient *client)
{
    while (client->tx_head) {
        struct iovec iov[MAX_IOV];
        size_t total;
        unsigned n = gather(client, iov, &total);
        ssize_t sent = qio_channel_writev(client->ioc, iov, n, NULL);

        if (sent < 0 && sent != QIO_CHANNEL_ERR_BLOCK) {
            client->dead = true;
            return;
        }
        advance(client, MAX(sent, 0));
        /* A short write says that the socket's buffer is full. */
        if (sent < (ssize_t)total) {
            client->tx_blocked = true;
            return;
        }
    }
}

void nbd_reply_drop(NbdClient *client)
{
    client->tx_sent = 0;
    while (client->tx_head) {
        queue_pop(client);
    }
}
