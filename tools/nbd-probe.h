/*
 * NBD probe: does a server answer?
 *
 * Whoever lets QEMU connect to one that does not, hangs it again, and that in
 * a phase which a yank does not end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_NBD_PROBE_H
#define TOOLS_NBD_PROBE_H

#include <stdbool.h>
#include <json-c/json.h>
#include <glib.h>

/*
 * True when the server at the SocketAddress @server (QMP's: unix or inet)
 * greets as an NBD server does, within @timeout_ms.  Blocks up to that; a name
 * that does not resolve in time leaves a thread behind until it does.
 */
bool nbd_probe(json_object *server, int timeout_ms, GError **errp);

#endif
