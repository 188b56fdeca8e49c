/*
 * A control socket's connection: JSON values, one a line, both ways.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_CONTROL_SOCKET_H
#define TOOLS_CONTROL_SOCKET_H

#include <json-c/json.h>
#include "options.h"

/* The longest line, in bytes; a longer one ends the connection. */
#define CONTROL_MAX_LINE (64 * 1024 * 1024)

typedef struct ControlSocket ControlSocket;

/*
 * Connects to the service.  NULL with no error when nobody listens at any of
 * the usual places; with an error when nobody does at the --control that was
 * given, or there is something else in the way.
 */
ControlSocket *control_socket_find(const Options *options, GError **errp);
void control_socket_free(ControlSocket *sock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ControlSocket, control_socket_free)

/*
 * The next value, an object; blocks up to @timeout_ms (-1: until one comes).
 * Meanwhile sends the lines that wait.  NULL at the end, which is an error
 * too.  One thread at a time.
 */
json_object *control_socket_read(ControlSocket *sock, int timeout_ms,
                                 GError **errp);
/*
 * Sends @value after those before it.  Does not block: what the service has
 * no room for is sent by the thread in control_socket_read().  An error ends
 * the connection, which that thread finds.  Any thread.
 */
void control_socket_send(ControlSocket *sock, gint64 id, json_object *value);
/*
 * Forgets the value that was sent as @id when no byte of it has gone out yet.
 * Otherwise the rest follows: half a line would spoil all that come after it.
 * Any thread.
 */
void control_socket_withdraw(ControlSocket *sock, gint64 id);
/* Ends it: whoever reads, ends.  Any thread. */
void control_socket_shutdown(ControlSocket *sock);

const char *control_socket_path(const ControlSocket *sock);

#endif
