/*
 * One client of the NBD server.
 *
 * It is born on the I/O thread of the server, negotiates there
 * (nbd-handshake.c), and moves to the I/O thread of its export for good:
 * nbd-receive.c takes requests in, nbd-reply.c sends replies, nbd-client.c
 * holds the two together.  From then on only that thread touches it.  It dies
 * when its connection has ended and the last of its requests has come back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_EXPORT_NBD_CLIENT_H
#define BLOCK_EXPORT_NBD_CLIENT_H

#include "io/channel.h"
#include "nbd-negotiate.h"
#include "nbd-request.h"
#include "qemu/fd-watch.h"

typedef struct NbdHandshake NbdHandshake;
typedef struct NbdServer NbdServer;

/* Holds any option's data, and requests enough for a deep queue. */
#define NBD_RX_SIZE (128 * 1024)
G_STATIC_ASSERT(NBD_RX_SIZE >= NBD_MAX_OPTION_DATA);

/*
 * What one client may have under way, replies not yet sent included.  Beyond
 * it nothing more is read, so a client that does not take its replies stops
 * only itself.
 */
#define NBD_MAX_REQUESTS 256
#define NBD_MAX_REQUEST_BYTES (64 * MiB)
G_STATIC_ASSERT(NBD_MAX_REQUEST_BYTES >= NBD_MAX_PAYLOAD);

/*
 * Identifies a peer, to share resources fairly: on a unix socket a user and its
 * processes, on TCP an address (with IPv6, the addresses of one network).
 */
typedef struct NbdPeer {
    uint64_t group;
    uint64_t member;
} NbdPeer;

struct NbdClient {
    NbdServer *server;
    QIOChannel *ioc;
    NbdPeer peer;
    int64_t heard_us;    /* in the handshake: when it last sent data */
    FdWatch *watch;      /* NULL while it moves, and once it is cut off */
    GIOCondition events; /* what that watches for */
    GList link;          /* in the server's or the export's clients */

    uint8_t *rx; /* NBD_RX_SIZE bytes; [start, end) is yet to be looked at */
    size_t rx_start;
    size_t rx_end;

    NbdHandshake *handshake; /* NULL in transmission */

    /* ---- Transmission. ---- */
    NbdExport *exp;
    uint64_t size; /* as negotiated, whatever became of the node's */

    NbdRequest *rx_req; /* its payload is coming in ... */
    size_t rx_left;     /* ... with so many bytes to go */
    bool rx_bulk;       /* the last request was a large write */
    bool rx_paused;     /* the next request is beyond the limits */
    bool rx_ended;      /* the client sends no more */
    bool dead;          /* nor does it take any more */
    bool leaving;       /* what it sends is thrown away ... */
    bool shut;          /* ... and it has got its last reply */

    unsigned n_requests; /* under way, replies being sent included */
    uint64_t request_bytes;

    NbdRequest *tx_head; /* replies to be sent, in order */
    NbdRequest **tx_tail;
    size_t tx_sent;        /* bytes of the first reply that were sent */
    uint64_t tx_moved;     /* bytes sent since the park timer last ran */
    bool tx_blocked;       /* waits for G_IO_OUT */
    bool deferred;         /* has work to do at the end of this round */
    NbdRequest *rereading; /* the first reply, while its data is read again */

    uint64_t budgeted;     /* bytes taken from the budget of all clients */
    GSource *budget_timer; /* set while it waits for more memory */
    GSource *park_timer;   /* set while the socket takes no replies */
};

/* ---- nbd-client.c ---- */

/* A client in its handshake; takes @ioc.  I/O thread of the server. */
NbdClient *nbd_client_new(NbdServer *server, QIOChannel *ioc);
/* Frees it and counts it out.  The thread it lives on. */
void nbd_client_free(NbdClient *client);
/*
 * A client has negotiated: moves it to the I/O thread of @exp (attached, now
 * the client's), where transmission starts with what rx holds.  I/O thread
 * of the server.
 */
void nbd_client_start(NbdClient *client, NbdExport *exp, uint64_t size);
/* Cuts it off; it is freed now or with its last request.  Its I/O thread. */
void nbd_client_kill(NbdClient *client);
/*
 * Ends it once it has got the replies to what is under way, and has hung up;
 * what waits is not done.  Its I/O thread.
 */
void nbd_client_leave(NbdClient *client);
/*
 * Takes memory for the data of a read.  Returns false if the read must wait:
 * until other clients give memory back, or until this client reads its replies.
 */
bool nbd_client_take_budget(NbdClient *client, NbdRequest *r, uint32_t bytes);
void nbd_client_give_budget(NbdClient *client, NbdRequest *r);
/* Has queued replies sent and reading resumed when this round is over. */
void nbd_client_defer(NbdClient *client);
/* Counts a request out and frees it. */
void nbd_client_release(NbdClient *client, NbdRequest *r);

/* ---- nbd-receive.c; may set rx_ended and dead. ---- */

/* Reads what the socket has and starts the requests in it. */
void nbd_receive(NbdClient *client);
/* Starts what requests of those in rx the limits allow. */
void nbd_receive_buffered(NbdClient *client);
/* Returns the NBD_E* code for an errno. */
uint32_t nbd_error_of(int err);
/* Drops the request whose payload is coming in. */
void nbd_receive_abandon(NbdClient *client);

/* ---- nbd-reply.c; may set dead. ---- */

/* Sends the reply to @r when this round is over, and then frees @r. */
void nbd_reply_queue(NbdClient *client, NbdRequest *r);
/* Sends what is queued, as far as the socket takes it. */
void nbd_reply_flush(NbdClient *client);
/* Drops what is queued. */
void nbd_reply_drop(NbdClient *client);
/*
 * A client that does not read its replies must not hold memory that others
 * need.  When it has read little for this time (milliseconds) and memory is
 * short, the data of its replies is dropped, and is read again when the client
 * goes on.  Such a read was not answered yet, so it may return what was written
 * meanwhile.
 */
#define NBD_PARK_MS 250

/* ---- nbd-handshake.c; I/O thread of the server. ---- */

/* Greets the client, whose time to choose an export begins. */
void nbd_client_handshake(NbdClient *client);
/* Ends a client in its handshake. */
void nbd_client_handshake_cut(NbdClient *client);

#endif
