/*
 * Addresses as users write them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-internal.h"

static SocketAddress *address_unix(const char *path)
{
    SocketAddress *addr = g_new0(SocketAddress, 1);

    addr->type = SOCKET_ADDRESS_TYPE_UNIX;
    addr->u.q_unix.path = g_strdup(path);
    return addr;
}

/* "HOST:PORT"; a HOST with colons in it stands in brackets. */
static SocketAddress *address_inet(const char *text)
{
    const char *host = text, *colon = strrchr(text, ':');
    size_t len = colon ? colon - text : 0;
    SocketAddress *addr;

    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (len && memchr(text, ':', len)) {
        return NULL;
    }
    if (!len || !colon[1]) {
        return NULL;
    }
    addr = g_new0(SocketAddress, 1);
    addr->type = SOCKET_ADDRESS_TYPE_INET;
    addr->u.inet.host = g_strndup(host, len);
    addr->u.inet.port = g_strdup(colon + 1);
    return addr;
}

SocketAddress *yc_address_parse(const char *text, GError **errp)
{
    SocketAddress *addr = NULL;

    if (g_str_has_prefix(text, "unix:") && text[5]) {
        addr = address_unix(text + 5);
    } else if (g_str_has_prefix(text, "tcp:")) {
        addr = address_inet(text + 4);
    } else if (strchr(text, '/') && !g_str_has_prefix(text, "unix:")) {
        addr = address_unix(text);
    } else if (!g_str_has_prefix(text, "unix:")) {
        addr = address_inet(text);
    }
    if (!addr) {
        g_set_error(errp, YC_ERROR, YC_ERROR_INVALID,
                    "Address '%s' is none of unix:PATH, PATH (with a slash), "
                    "tcp:HOST:PORT, HOST:PORT",
                    text);
    }
    return addr;
}
