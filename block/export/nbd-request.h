/*
 * Requests of NBD clients, with their buffers, from free lists of the thread:
 * in a busy server no request allocates memory or touches a fresh page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_EXPORT_NBD_REQUEST_H
#define BLOCK_EXPORT_NBD_REQUEST_H

#include "qapi/error.h"
#include "block/block.h"
#include "nbd-proto.h"

typedef struct NbdClient NbdClient;
typedef struct NbdRequest NbdRequest;

struct NbdRequest {
    BlockRequest req; /* req.buf is from nbd_request_alloc_buffer() */
    NbdClient *client;
    NbdRequest *next;  /* in the queue of replies, or in the free list */
    uint32_t error;    /* NBD_*, for the reply */
    uint32_t charged;  /* bytes counted against the client's limit */
    uint32_t budgeted; /* bytes taken from the budget of all clients */
    bool parked;       /* in the queue of replies, without its data */
    uint8_t cookie[8]; /* of the client, for the reply */
    uint8_t reply[NBD_SIMPLE_REPLY_SIZE];
};

/* A request without a buffer, most of it not set.  The thread it stays on. */
NbdRequest *nbd_request_new(void);
/* Frees it with its buffer. */
void nbd_request_free(NbdRequest *r);

/*
 * Gives @r a buffer of @bytes (up to NBD_MAX_PAYLOAD), page-aligned, with
 * undefined content, and sets req.bytes.  False when there is no memory.
 */
bool nbd_request_alloc_buffer(NbdRequest *r, uint64_t bytes);
/* Frees the buffer only. */
void nbd_request_free_buffer(NbdRequest *r);

/* Gives back what the calling thread keeps in its free lists. */
void nbd_request_trim(void);

#endif
