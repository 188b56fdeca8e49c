/*
 * NBD handshake of one client as a state machine that does no I/O: bytes of
 * the client go in, bytes for the client come out, and at the end an export
 * is chosen or the connection is to be closed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_EXPORT_NBD_NEGOTIATE_H
#define BLOCK_EXPORT_NBD_NEGOTIATE_H

#include "nbd-export.h"

typedef enum NbdNegotiationState {
    NBD_NEGOTIATION_CLIENT_FLAGS, /* expects the client's flags */
    NBD_NEGOTIATION_OPTION,       /* expects the header of an option */
    NBD_NEGOTIATION_PAYLOAD,      /* expects the data of a known option */
    NBD_NEGOTIATION_SKIP,         /* throws the data of a refused one away */
    NBD_NEGOTIATION_DONE,         /* the export is chosen */
    NBD_NEGOTIATION_CLOSE,        /* send what is in out, and close */
    NBD_NEGOTIATION__MAX,
} NbdNegotiationState;

/* The most data of one option that is looked at; more is refused. */
#define NBD_MAX_OPTION_DATA (16 * 1024)
/* The most data of one option that is worth reading in order to refuse it. */
#define NBD_MAX_OPTION_SKIP NBD_MAX_PAYLOAD

typedef struct NbdNegotiation {
    NbdNegotiationState state;
    GByteArray *out; /* to be sent; the caller removes what it has sent */
    uint32_t client_flags;
    uint32_t option;
    uint32_t option_left; /* bytes of its data still to come */
    uint32_t refusal;     /* the reply after NBD_NEGOTIATION_SKIP */
    NbdExport *exp;       /* chosen, with nbd_export_attach() */
    NbdExportInfo info;   /* what the client was told of it */
} NbdNegotiation;

/* Starts, with the greeting in out.  Any thread, as the others. */
void nbd_negotiation_init(NbdNegotiation *n);
/* Also gives the export back, unless the caller has taken it out of exp. */
void nbd_negotiation_destroy(NbdNegotiation *n);

/*
 * Takes bytes of the client, and returns how many.  It takes no more once it
 * is done, is to be closed, or has a good deal to send.  Bytes that it leaves
 * must be offered again in one piece with what follows them; NBD_MAX_OPTION_DATA
 * bytes are always enough to go on.
 */
size_t nbd_negotiation_feed(NbdNegotiation *n, const uint8_t *data, size_t len);

/* Whether the state is one that takes no bytes any more. */
static inline bool nbd_negotiation_ended(const NbdNegotiation *n)
{
    return n->state == NBD_NEGOTIATION_DONE ||
           n->state == NBD_NEGOTIATION_CLOSE;
}

#endif
