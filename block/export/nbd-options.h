/*
 * The options of the NBD handshake that the server knows.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_EXPORT_NBD_OPTIONS_H
#define BLOCK_EXPORT_NBD_OPTIONS_H

#include "nbd-negotiate.h"

/* Handles an option with the @len bytes of its data; returns what is next. */
typedef NbdNegotiationState NbdOptionFn(NbdNegotiation *n, const uint8_t *data,
                                        size_t len);

/* NULL for one that the server does not know. */
NbdOptionFn *nbd_option_find(uint32_t option);

/* Replies to the present option with an error, and expects another one. */
NbdNegotiationState nbd_option_refuse(NbdNegotiation *n, uint32_t error,
                                      const char *why);

void nbd_out_be16(GByteArray *out, uint16_t v);
void nbd_out_be32(GByteArray *out, uint32_t v);
void nbd_out_be64(GByteArray *out, uint64_t v);

#endif
