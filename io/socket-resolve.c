/*
 * From the addresses of the wire to those of the system.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/un.h>
#include "io/inherited-fd.h"
#include "socket-address-internal.h"

/* The family that the ipv4 and ipv6 members ask for; -1 for none at all. */
static int inet_family(const InetSocketAddress *inet)
{
    bool want4 = inet->has_ipv4 ? inet->ipv4 : !inet->has_ipv6 || !inet->ipv6;
    bool want6 = inet->has_ipv6 ? inet->ipv6 : !inet->has_ipv4 || !inet->ipv4;

    if (want4 && want6) {
        return AF_UNSPEC;
    }
    return want4 ? AF_INET : want6 ? AF_INET6 : -1;
}

static GArray *targets_new(void)
{
    return g_array_new(FALSE, TRUE, sizeof(SocketTarget));
}

/* Refuses ports above 65535, which getaddrinfo() would truncate. */
static bool check_port(const char *port, Error **errp)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(port, &end, 10);
    if (end == port || *end || (!errno && number >= 0 && number <= 65535)) {
        return true; /* the name of a service, or a valid port */
    }
    error_setg(errp, "Port '%s' is out of range: allowed are 0 to 65535", port);
    return false;
}

GArray *socket_resolve_inet(const InetSocketAddress *inet, unsigned flags,
                            Error **errp)
{
    bool passive = flags & SOCKET_RESOLVE_PASSIVE;
    bool numeric = (flags & SOCKET_RESOLVE_NUMERIC) || inet->numeric;
    struct addrinfo hints = {
        .ai_family = inet_family(inet),
        .ai_socktype = SOCK_STREAM,
        .ai_flags = (passive ? AI_PASSIVE : 0) |
                    (numeric ? AI_NUMERICHOST | AI_NUMERICSERV : 0),
    };
    const char *host = inet->host[0] || !passive ? inet->host : NULL;
    struct addrinfo *list;
    GArray *targets;
    int ret;

    if (hints.ai_family < 0) {
        error_setg(errp, "Cannot disable IPv4 and IPv6 at same time");
        return NULL;
    }
    if (!check_port(inet->port, errp)) {
        return NULL;
    }
    ret = getaddrinfo(host, inet->port, &hints, &list);
    if (ret) {
        error_setg(errp, "address resolution failed for %s:%s: %s", inet->host,
                   inet->port, gai_strerror(ret));
        return NULL;
    }
    targets = targets_new();
    for (struct addrinfo *ai = list; ai; ai = ai->ai_next) {
        SocketTarget target = {.len = ai->ai_addrlen};

        memcpy(&target.addr, ai->ai_addr, ai->ai_addrlen);
        g_array_append_val(targets, target);
    }
    freeaddrinfo(list);
    return targets;
}

/* Does not call getaddrinfo(), which may read files. */
bool socket_address_is_numeric(const SocketAddress *addr)
{
    const InetSocketAddress *inet = &addr->u.inet;
    g_auto(GStrv) parts = NULL; /* address and scope */
    struct in6_addr bytes;

    if (addr->type != SOCKET_ADDRESS_TYPE_INET || inet->numeric) {
        return true;
    }
    if (strspn(inet->port, "0123456789") != strlen(inet->port)) {
        return false;
    }
    parts = g_strsplit(inet->host, "%", 2);
    return !parts[0] || inet_pton(AF_INET, inet->host, &bytes) == 1 ||
           inet_pton(AF_INET6, parts[0], &bytes) == 1;
}

GArray *socket_resolve_unix(const UnixSocketAddress *addr, Error **errp)
{
    SocketTarget target = {};
    struct sockaddr_un *un = (struct sockaddr_un *)&target.addr;
    bool abstract = addr->has_abstract && addr->abstract;
    bool tight = !addr->has_tight || addr->tight;
    size_t len = strlen(addr->path), max = sizeof(un->sun_path) - abstract;
    GArray *targets;

    if (len > max || (!abstract && len == max)) {
        error_setg(errp,
                   "UNIX socket path '%s' is too long: "
                   "Path must be less than %zu bytes",
                   addr->path, sizeof(un->sun_path));
        return NULL;
    }
    if (!len && !abstract) {
        error_setg(errp, "UNIX socket path must not be empty");
        return NULL;
    }
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path + abstract, addr->path, len);
    target.len = abstract && tight
                     ? offsetof(struct sockaddr_un, sun_path) + 1 + len
                     : sizeof(*un);
    targets = targets_new();
    g_array_append_val(targets, target);
    return targets;
}

int socket_address_take_fd(const SocketAddress *addr, Error **errp)
{
    const char *text = addr->u.fd.str;
    socklen_t len = sizeof(int);
    guint64 fd;
    int type;

    if (!g_ascii_string_to_unsigned(text, 10, 0, INT_MAX, &fd, NULL)) {
        error_setg(errp,
                   "Invalid file descriptor '%s': expected the number of an "
                   "open socket",
                   text);
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        error_setg(errp, "File descriptor '%s' is not a socket", text);
        return -1;
    }
    return inherited_fd_take(fd, errp) ? (int)fd : -1;
}

bool socket_is_listening(int fd)
{
    socklen_t len = sizeof(int);
    int listening;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 &&
           listening;
}
