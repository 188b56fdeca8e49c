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

/* A number that is no port would be cut down to one. */
static bool check_port(const char *text, const SocketAddress *addr,
                       GError **errp)
{
    const char *port = addr->u.inet.port;
    guint64 number;

    if (port[strspn(port, "0123456789")] ||
        (g_ascii_string_to_unsigned(port, 10, 1, 65535, &number, NULL))) {
        return true;
    }
    g_set_error(errp, YC_ERROR, YC_ERROR_INVALID,
                "Port '%s' in address '%s' is out of range: allowed are 1 to "
                "65535",
                port, text);
    return false;
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
    } else if (addr->type == SOCKET_ADDRESS_TYPE_INET &&
               !check_port(text, addr, errp)) {
        g_clear_pointer(&addr, qapi_free_SocketAddress);
    }
    return addr;
}
