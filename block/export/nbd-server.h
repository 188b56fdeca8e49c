/*
 * The NBD server: a listener and its clients.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_EXPORT_NBD_SERVER_H
#define BLOCK_EXPORT_NBD_SERVER_H

#include "block/export.h"

typedef struct NbdServer NbdServer;

/*
 * At most this many clients negotiate at once.  When another one comes, a
 * client has to go: of the peer with the most clients in their handshake, the
 * one that has been silent for longest.
 */
#define NBD_MAX_NEGOTIATING 256
/* The same at max-connections, for clients that have been silent this long. */
#define NBD_SILENT_MS 1000

/* How long a handshake may take when nobody says otherwise. */
#define NBD_HANDSHAKE_MS 10000

/* Main thread. */
bool nbd_server_is_running(void);
/* Whether it may take more than one client at once. */
bool nbd_server_is_multi(void);
/* @handshake_ms: 0 is no limit.  Resolving a name may take 5 s. */
bool nbd_server_start(const SocketAddress *addr, uint32_t max_connections,
                      int64_t handshake_ms, Error **errp);

/*
 * The list of clients in their handshake, the one that has been silent for
 * longest first: touch is for one that has sent something.  I/O thread of the
 * server.
 */
void nbd_server_add_negotiating(NbdServer *server, GList *link);
void nbd_server_touch_negotiating(NbdServer *server, GList *link);
void nbd_server_remove_negotiating(NbdServer *server, GList *link);
/* In milliseconds; 0 is no limit. */
int64_t nbd_server_handshake_ms(NbdServer *server);
/* To put watches and timers in. */
GMainContext *nbd_server_context(NbdServer *server);
/* A client is gone; the server may be, too.  Any thread. */
void nbd_server_client_gone(NbdServer *server);

#endif
