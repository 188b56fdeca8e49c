/*
 * QMP commands of block exports and of the NBD server.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "export-internal.h"
#include "nbd-server.h"
#include "qapi/qapi-commands-block-export.h"

static int64_t handshake_ms(bool has_seconds, uint32_t seconds)
{
    return has_seconds ? seconds * INT64_C(1000) : NBD_HANDSHAKE_MS;
}

bool nbd_server_start_options(NbdServerOptions *options, Error **errp)
{
    return nbd_server_start(options->addr, options->max_connections,
                            handshake_ms(options->has_handshake_max_seconds,
                                         options->handshake_max_seconds),
                            errp);
}

/* The strings stay those of @addr. */
static SocketAddress flatten(const SocketAddressLegacy *addr)
{
    SocketAddress flat = {.type = addr->type};

    switch (addr->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        flat.u.inet = *addr->u.inet.data;
        break;
    case SOCKET_ADDRESS_TYPE_UNIX:
        flat.u.q_unix = *addr->u.q_unix.data;
        break;
    case SOCKET_ADDRESS_TYPE_FD:
        flat.u.fd = *addr->u.fd.data;
        break;
    default:
        g_assert_not_reached();
    }
    return flat;
}

void qmp_nbd_server_start(SocketAddressLegacy *addr, bool has_max_connections,
                          uint32_t max_connections,
                          bool has_handshake_max_seconds,
                          uint32_t handshake_max_seconds, Error **errp)
{
    SocketAddress flat = flatten(addr);

    nbd_server_start(
        &flat, max_connections,
        handshake_ms(has_handshake_max_seconds, handshake_max_seconds), errp);
}

void qmp_nbd_server_stop(Error **errp)
{
    if (!nbd_server_is_running()) {
        error_setg(errp, "NBD server not running");
        return;
    }
    nbd_server_stop_try(errp);
}

void qmp_block_export_add(BlockExportOptions *arg, Error **errp)
{
    block_export_add(arg, errp);
}

void qmp_block_export_del(const char *id, bool has_mode,
                          BlockExportRemoveMode mode, Error **errp)
{
    bool hard = mode == BLOCK_EXPORT_REMOVE_MODE_HARD;

    block_export_del(id, hard, errp);
}

BlockExportInfoList *qmp_query_block_exports(Error **errp)
{
    return block_export_query();
}
