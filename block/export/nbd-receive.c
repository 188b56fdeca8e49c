/*
 * NBD transmission, receive path: one read brings the rest of a payload right
 * to where it belongs, and with it whatever requests follow.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-client.h"
#include "qemu/bswap.h"

/* Reads in a row before other clients of the thread have their turn. */
#define MAX_READS 4

/*
 * Behind the payload of a large write another of that kind is likely.  Only
 * its header is to be read with it, so that the payload need not be copied.
 */
#define BULK_BYTES (32 * KiB)
#define BULK_WINDOW 512

/* A request as it came. */
typedef struct RequestHeader {
    uint16_t flags;
    uint16_t type;
    uint64_t offset;
    uint32_t length;
} RequestHeader;

typedef struct CommandInfo {
    bool known;
    BlockOp op;
    bool modifies;
    uint16_t advertised_by; /* flag of the export; 0: always there */
    uint16_t flags;         /* that it may carry */
} CommandInfo;

static const CommandInfo commands[] = {
    [NBD_CMD_READ] = {true, BLOCK_OP_READ, false, 0, NBD_CMD_FLAG_FUA},
    [NBD_CMD_WRITE] = {true, BLOCK_OP_WRITE, true, 0, NBD_CMD_FLAG_FUA},
    [NBD_CMD_FLUSH] = {true, BLOCK_OP_FLUSH, false, NBD_FLAG_SEND_FLUSH,
                       NBD_CMD_FLAG_FUA},
    [NBD_CMD_TRIM] = {true, BLOCK_OP_DISCARD, true, NBD_FLAG_SEND_TRIM,
                      NBD_CMD_FLAG_FUA},
    [NBD_CMD_WRITE_ZEROES] = {true, BLOCK_OP_WRITE_ZEROES, true,
                              NBD_FLAG_SEND_WRITE_ZEROES,
                              NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE |
                                  NBD_CMD_FLAG_FAST_ZERO},
};

static const CommandInfo *find_command(uint16_t type)
{
    return type < G_N_ELEMENTS(commands) && commands[type].known
               ? &commands[type]
               : NULL;
}

uint32_t nbd_error_of(int err)
{
    switch (err) {
    case 0:
        return NBD_SUCCESS;
    case EPERM:
    case EROFS:
        return NBD_EPERM;
    case ENOMEM:
        return NBD_ENOMEM;
    case EINVAL:
        return NBD_EINVAL;
    case ENOSPC:
    case EFBIG:
    case EDQUOT:
        return NBD_ENOSPC;
    case EOVERFLOW:
        return NBD_EOVERFLOW;
    case ENOTSUP:
        return NBD_ENOTSUP;
    case ESHUTDOWN:
        return NBD_ESHUTDOWN;
    default:
        return NBD_EIO;
    }
}

static uint32_t check_flags(const NbdExport *exp, const CommandInfo *cmd,
                            uint16_t flags)
{
    uint16_t allowed = cmd->flags;

    if (!(exp->flags & NBD_FLAG_SEND_FUA)) {
        allowed &= ~NBD_CMD_FLAG_FUA;
    }
    return flags & ~allowed ? NBD_EINVAL : NBD_SUCCESS;
}

static uint32_t check_range(const NbdClient *client, const CommandInfo *cmd,
                            const RequestHeader *h)
{
    const NbdExport *exp = client->exp;
    bool transfers = cmd->op == BLOCK_OP_READ || cmd->op == BLOCK_OP_WRITE;

    if ((transfers && h->length > exp->max_block) ||
        ((h->offset | h->length) & (exp->min_block - 1))) {
        return NBD_EINVAL;
    }
    if (h->offset > client->size || h->length > client->size - h->offset) {
        return cmd->op == BLOCK_OP_WRITE || cmd->op == BLOCK_OP_WRITE_ZEROES
                   ? NBD_ENOSPC
                   : NBD_EINVAL;
    }
    /* The node may have shrunk since. */
    return nbd_error_of(
        -block_node_check_request(exp->node, cmd->op, h->offset, h->length));
}

/* What is wrong with a request, or NBD_SUCCESS. */
static uint32_t check_request(const NbdClient *client, const CommandInfo *cmd,
                              const RequestHeader *h)
{
    const NbdExport *exp = client->exp;
    uint32_t error;

    if (!cmd) {
        return NBD_EINVAL;
    }
    error = check_flags(exp, cmd, h->flags);
    if (error) {
        return error;
    }
    if (cmd->modifies && (exp->flags & NBD_FLAG_READ_ONLY)) {
        return NBD_EPERM;
    }
    if ((exp->flags & cmd->advertised_by) != cmd->advertised_by) {
        return NBD_EINVAL;
    }
    if (cmd->op == BLOCK_OP_FLUSH) {
        return NBD_SUCCESS;
    }
    return check_range(client, cmd, h);
}

static unsigned block_flags(const NbdExport *exp, const CommandInfo *cmd,
                            uint16_t flags)
{
    unsigned ret = 0;

    if (!cmd->modifies) {
        return 0;
    }
    if (exp->writethrough || (flags & NBD_CMD_FLAG_FUA)) {
        ret |= BLOCK_REQ_FUA;
    }
    if (cmd->op == BLOCK_OP_WRITE_ZEROES && !(flags & NBD_CMD_FLAG_NO_HOLE)) {
        ret |= BLOCK_REQ_MAY_UNMAP;
    }
    if (flags & NBD_CMD_FLAG_FAST_ZERO) {
        ret |= BLOCK_REQ_NO_FALLBACK;
    }
    return ret;
}

static void request_done(BlockRequest *req, int ret)
{
    NbdRequest *r = container_of(req, NbdRequest, req);
    NbdClient *client = r->client;

    /* It waited, and was not done; see block_cancel_waiting(). */
    if (ret == -ECANCELED && (client->leaving || client->dead)) {
        nbd_client_release(client, r);
        return;
    }
    r->error = nbd_error_of(-ret);
    nbd_reply_queue(client, r);
}

/* All of it is there. */
static void request_run(NbdClient *client, NbdRequest *r)
{
    bool nothing_to_do = r->req.bytes == 0 && r->req.op != BLOCK_OP_FLUSH;

    if (r->error || nothing_to_do) {
        nbd_reply_queue(client, r);
    } else {
        block_submit(client->exp->node, &r->req);
    }
}

static NbdRequest *request_new(NbdClient *client, const uint8_t *cookie)
{
    NbdRequest *r = nbd_request_new();

    client->n_requests++;
    r->client = client;
    r->charged = 0;
    r->budgeted = 0;
    r->parked = false;
    memcpy(r->cookie, cookie, sizeof(r->cookie));
    return r;
}

static void request_fill(NbdClient *client, NbdRequest *r,
                         const CommandInfo *cmd, const RequestHeader *h)
{
    BlockRequest *req = &r->req;

    r->error = check_request(client, cmd, h);
    req->op = cmd ? cmd->op : BLOCK_OP_FLUSH;
    req->bytes = 0;
    if (r->error) {
        return;
    }
    req->flags = block_flags(client->exp, cmd, h->flags);
    req->cb = request_done;
    req->opaque = client;
    req->offset = req->op == BLOCK_OP_FLUSH ? 0 : h->offset;
    req->bytes = req->op == BLOCK_OP_FLUSH ? 0 : h->length;
}

static void request_get_buffer(NbdClient *client, NbdRequest *r)
{
    bool transfers = r->req.op == BLOCK_OP_READ || r->req.op == BLOCK_OP_WRITE;

    if (r->error || !transfers || r->req.bytes == 0) {
        return;
    }
    if (!nbd_request_alloc_buffer(r, r->req.bytes)) {
        r->error = NBD_ENOMEM;
        return;
    }
    r->charged = r->req.bytes;
    client->request_bytes += r->charged;
}

static bool within_limits(const NbdClient *client, const RequestHeader *h)
{
    bool transfers = h->type == NBD_CMD_READ || h->type == NBD_CMD_WRITE;
    uint64_t bytes = transfers ? h->length : 0;

    return client->n_requests == 0 ||
           (client->n_requests < NBD_MAX_REQUESTS &&
            client->request_bytes + bytes <= NBD_MAX_REQUEST_BYTES);
}

/* Starts the request whose header is next; false when it has to wait. */
static bool request_begin(NbdClient *client)
{
    const uint8_t *data = client->rx + client->rx_start;
    RequestHeader h = {
        .flags = lduw_be_p(data + 4),
        .type = lduw_be_p(data + 6),
        .offset = ldq_be_p(data + 16),
        .length = ldl_be_p(data + 24),
    };
    NbdRequest *r;

    /* Without a sane header nobody knows where the next one starts. */
    if (ldl_be_p(data) != NBD_REQUEST_MAGIC ||
        (h.type == NBD_CMD_WRITE && h.length > NBD_MAX_PAYLOAD)) {
        client->dead = true;
        return true;
    }
    if (!within_limits(client, &h)) {
        return false;
    }
    if (h.type == NBD_CMD_DISC) {
        client->rx_start += NBD_REQUEST_SIZE;
        client->rx_ended = true;
        return true;
    }

    r = request_new(client, data + 8);
    if (h.type == NBD_CMD_READ && h.length <= NBD_MAX_PAYLOAD &&
        !nbd_client_take_budget(client, r, h.length)) {
        nbd_client_release(client, r);
        return false;
    }
    client->rx_start += NBD_REQUEST_SIZE;
    request_fill(client, r, find_command(h.type), &h);
    request_get_buffer(client, r);
    client->rx_bulk = h.type == NBD_CMD_WRITE && h.length >= BULK_BYTES;
    if (h.type == NBD_CMD_WRITE) {
        client->rx_req = r;
        client->rx_left = h.length;
    } else {
        request_run(client, r);
    }
    return true;
}

/* Where the payload goes on; NULL for that of a refused write. */
static uint8_t *payload_end(const NbdClient *client)
{
    const BlockRequest *req = &client->rx_req->req;

    return req->buf ? (uint8_t *)req->buf + req->bytes - client->rx_left : NULL;
}

/* Moves payload out of rx, and starts the write when it is complete. */
static void payload_take(NbdClient *client)
{
    size_t n = MIN(client->rx_left, client->rx_end - client->rx_start);
    uint8_t *to = payload_end(client);

    if (to) {
        memcpy(to, client->rx + client->rx_start, n);
    }
    client->rx_start += n;
    client->rx_left -= n;
    if (client->rx_left == 0) {
        request_run(client, g_steal_pointer(&client->rx_req));
    }
}

/* Makes room behind what is left, which is little unless it is paused. */
static void compact(NbdClient *client)
{
    size_t left = client->rx_end - client->rx_start;

    if (client->rx_start > 0 && !client->rx_paused) {
        memmove(client->rx, client->rx + client->rx_start, left);
        client->rx_start = 0;
        client->rx_end = left;
    }
}

void nbd_receive_buffered(NbdClient *client)
{
    client->rx_paused = false;
    if (client->leaving) {
        client->rx_start = client->rx_end = 0;
        return;
    }
    while (!client->dead && !client->rx_ended && !client->rx_paused) {
        if (client->rx_req) {
            payload_take(client);
            if (client->rx_req) {
                break;
            }
        } else if (client->rx_end - client->rx_start < NBD_REQUEST_SIZE) {
            break;
        } else {
            client->rx_paused = !request_begin(client);
        }
    }
    compact(client);
}

/* One read; true when there may be more. */
static bool receive_once(NbdClient *client)
{
    uint8_t *payload = client->rx_req ? payload_end(client) : NULL;
    size_t direct = payload ? client->rx_left : 0;
    size_t room = client->rx_bulk ? BULK_WINDOW : NBD_RX_SIZE - client->rx_end;
    struct iovec iov[2] = {
        {payload, direct},
        {client->rx + client->rx_end, room},
    };
    struct iovec *first = direct ? iov : iov + 1;
    ssize_t got = qio_channel_readv(client->ioc, first, iov + 2 - first, NULL);

    if (got == QIO_CHANNEL_ERR_BLOCK) {
        return false;
    }
    if (got <= 0) {
        client->rx_ended = got == 0;
        client->dead = got < 0;
        nbd_receive_abandon(client);
        return false;
    }
    direct = MIN(direct, (size_t)got);
    client->rx_left -= direct;
    client->rx_end += got - direct;
    nbd_receive_buffered(client);
    return (size_t)got == first->iov_len + (first == iov ? room : 0);
}

void nbd_receive(NbdClient *client)
{
    for (int i = 0; i < MAX_READS; i++) {
        if (!receive_once(client) || client->dead || client->rx_ended ||
            client->rx_paused) {
            return;
        }
    }
}

void nbd_receive_abandon(NbdClient *client)
{
    if (client->rx_req) {
        nbd_client_release(client, g_steal_pointer(&client->rx_req));
    }
}
