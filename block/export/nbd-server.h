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
 * At most this many clients may be in their handshake.  When another one
 * connects, one is disconnected: of the peer with the most clients in their
 * handshake, the one that has been silent for the longest time.
 */
#define NBD_MAX_NEGOTIATING 256
/*
 * When max-connections clients are connected, a handshake that has been silent
 * for this long is ended the same way, in milliseconds.
 */
#define NBD_SILENT_MS 1000

/* Default time limit of a handshake, in milliseconds. */
#define NBD_HANDSHAKE_MS 10000

/* Main thread. */
bool nbd_server_is_running(void);
/* Returns true if the server may take more than one client at a time. */
bool nbd_server_is_multi(void);
/*
 * Starts the server.  @handshake_ms: time limit of a handshake, 0 for no limit.
 * Returns false with errp set on failure.  Main thread; may block for 5 s to
 * resolve a name.
 */
bool nbd_server_start(const SocketAddress *addr, uint32_t max_connections,
                      int64_t handshake_ms, Error **errp);

/*
 * The list of clients in their handshake, the longest silent one first.
 * "touch" moves a client that has sent data to the end.  I/O thread of the
 * server.
 */
void nbd_server_add_negotiating(NbdServer *server, GList *link);
void nbd_server_touch_negotiating(NbdServer *server, GList *link);
void nbd_server_remove_negotiating(NbdServer *server, GList *link);
/* Time limit of a handshake in milliseconds; 0: no limit. */
int64_t nbd_server_handshake_ms(NbdServer *server);
/* To put watches and timers in. */
GMainContext *nbd_server_context(NbdServer *server);
/* A client is gone; the server may be, too.  Any thread. */
void nbd_server_client_gone(NbdServer *server);

#endif
