/*
 * URIs of migration: "tcp:HOST:PORT", "unix:PATH", "fd:NUMBER".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_URI_H
#define MIGRATION_URI_H

#include "qapi/error.h"
#include "qapi/qapi-types-sockets.h"

/*
 * The address that @uri names, or NULL with errp set; qapi_free_SocketAddress()
 * it.  IPv6 addresses are in brackets; an empty host means all addresses (for
 * listening) or this host.  Does not resolve or touch anything.  Any thread,
 * OOB-safe.
 */
SocketAddress *migration_uri_parse(const char *uri, Error **errp);

#endif
