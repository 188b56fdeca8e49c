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
 * So many clients may negotiate at once; others wait in the listener's
 * backlog.
 */
#define NBD_MAX_NEGOTIATING 256

/* Main thread. */
bool nbd_server_is_running(void);
bool nbd_server_start(const SocketAddress *addr, uint32_t max_connections,
                      Error **errp);

/* The list of clients in their handshake.  I/O thread of the server. */
void nbd_server_add_negotiating(NbdServer *server, GList *link);
void nbd_server_remove_negotiating(NbdServer *server, GList *link);
/* To put watches and timers in. */
GMainContext *nbd_server_context(NbdServer *server);
/* A client is gone; the server may be, too.  Any thread. */
void nbd_server_client_gone(NbdServer *server);

#endif
