/*
 * URIs of migration: from the words of a user to an address.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "uri.h"

/* True when @text is digits and nothing else, up to @max. */
static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
    return g_ascii_string_to_unsigned(text, 10, 0, max, out, NULL);
}

/* @value: what follows the name, NULL for nothing, which means on. */
static bool parse_flag(const char *name, const char *value, bool *has,
                       bool *flag, Error **errp)
{
    if (value && strcmp(value, "on") && strcmp(value, "off")) {
        error_setg(errp, "error parsing '%s' flag '=%s'", name, value);
        return false;
    }
    *has = true;
    *flag = !value || !strcmp(value, "on");
    return true;
}

static bool parse_to(const char *value, InetSocketAddress *inet, Error **errp)
{
    uint64_t to;

    if (!value || !parse_number(value, UINT16_MAX, &to)) {
        error_setg(errp, "error parsing to= argument");
        return false;
    }
    inet->has_to = true;
    inet->to = to;
    return true;
}

static bool parse_option(char *option, InetSocketAddress *inet, Error **errp)
{
    char *value = strchr(option, '=');

    if (value) {
        *value++ = '\0';
    }
    if (!strcmp(option, "to")) {
        return parse_to(value, inet, errp);
    }
    if (!strcmp(option, "ipv4")) {
        return parse_flag(option, value, &inet->has_ipv4, &inet->ipv4, errp);
    }
    if (!strcmp(option, "ipv6")) {
        return parse_flag(option, value, &inet->has_ipv6, &inet->ipv6, errp);
    }
    if (!strcmp(option, "keep-alive")) {
        return parse_flag(option, value, &inet->has_keep_alive,
                          &inet->keep_alive, errp);
    }
    error_setg(errp,
               "unknown option '%s' of an address; allowed are to, ipv4, ipv6 "
               "and keep-alive",
               option);
    return false;
}

/*
 * Where the host ends in "HOST:PORT" or "[HOST]:PORT": NULL when it is
 * neither; @what says then what was looked for.
 */
static const char *find_host_end(const char *addr, const char **what)
{
    const char *end;
    const char *port;

    *what = *addr == '[' ? "IPv6 address" : "address";
    if (*addr == '[') {
        end = strchr(addr, ']');
        if (!end || end == addr + 1 || end[1] != ':') {
            return NULL;
        }
        port = end + 2;
    } else {
        end = strchr(addr, ':');
        if (!end) {
            return NULL;
        }
        port = end + 1;
        if (end == addr && !*port) {
            *what = "port in address";
        }
    }
    return *port && !strchr(port, ':') ? end : NULL;
}

static bool parse_host_port(const char *addr, InetSocketAddress *inet,
                            Error **errp)
{
    const char *what;
    const char *end = find_host_end(addr, &what);
    const char *host = *addr == '[' ? addr + 1 : addr;

    if (!end) {
        error_setg(errp, "error parsing %s '%s'", what, addr);
        return false;
    }
    inet->host = g_strndup(host, end - host);
    inet->port = g_strdup(strrchr(addr, ':') + 1);
    return true;
}

static bool parse_inet(const char *text, InetSocketAddress *inet, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    if (!parse_host_port(parts[0] ?: "", inet, errp)) {
        return false;
    }
    for (char **option = parts + 1; parts[0] && *option; option++) {
        if (!parse_option(*option, inet, errp)) {
            return false;
        }
    }
    return true;
}

static bool parse_unix(const char *path, UnixSocketAddress *un, Error **errp)
{
    if (!*path) {
        error_setg(errp, "invalid Unix socket address");
        return false;
    }
    un->path = g_strdup(path);
    return true;
}

static bool parse_fd(const char *number, String *fd, Error **errp)
{
    uint64_t ignored;

    if (!parse_number(number, INT_MAX, &ignored)) {
        error_setg(errp, "File descriptor named '%s' has not been found",
                   number);
        return false;
    }
    fd->str = g_strdup(number);
    return true;
}

SocketAddress *migration_uri_parse(const char *uri, Error **errp)
{
    g_autoptr(SocketAddress) addr = g_new0(SocketAddress, 1);
    const char *rest;
    bool ok;

    if (g_str_has_prefix(uri, "tcp:")) {
        rest = uri + strlen("tcp:");
        addr->type = SOCKET_ADDRESS_TYPE_INET;
        ok = parse_inet(rest, &addr->u.inet, errp);
    } else if (g_str_has_prefix(uri, "unix:")) {
        rest = uri + strlen("unix:");
        addr->type = SOCKET_ADDRESS_TYPE_UNIX;
        ok = parse_unix(rest, &addr->u.q_unix, errp);
    } else if (g_str_has_prefix(uri, "fd:")) {
        rest = uri + strlen("fd:");
        addr->type = SOCKET_ADDRESS_TYPE_FD;
        ok = parse_fd(rest, &addr->u.fd, errp);
    } else {
        error_setg(errp, "Parameter 'uri' expects a valid migration protocol");
        ok = false;
    }
    return ok ? g_steal_pointer(&addr) : NULL;
}
