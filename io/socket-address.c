/*
 * From the addresses of the system to those of the wire, and to words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "socket-address-internal.h"

char *socket_address_to_string(const SocketAddress *addr)
{
    bool v6;

    switch (addr->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        v6 = strchr(addr->u.inet.host, ':') != NULL;
        return g_strdup_printf("%s%s%s:%s", v6 ? "[" : "", addr->u.inet.host,
                               v6 ? "]" : "", addr->u.inet.port);
    case SOCKET_ADDRESS_TYPE_UNIX:
        return g_strdup_printf("unix:%s", addr->u.q_unix.path);
    case SOCKET_ADDRESS_TYPE_FD:
        return g_strdup_printf("fd:%s", addr->u.fd.str);
    default:
        g_assert_not_reached();
    }
}

SocketAddress *socket_address_flatten(const SocketAddressLegacy *legacy)
{
    SocketAddress *addr = g_new0(SocketAddress, 1);
    g_autofree void *moved = NULL;

    addr->type = legacy->type;
    switch (legacy->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        moved = QAPI_CLONE(InetSocketAddress, legacy->u.inet.data);
        addr->u.inet = *(InetSocketAddress *)moved;
        break;
    case SOCKET_ADDRESS_TYPE_UNIX:
        moved = QAPI_CLONE(UnixSocketAddress, legacy->u.q_unix.data);
        addr->u.q_unix = *(UnixSocketAddress *)moved;
        break;
    case SOCKET_ADDRESS_TYPE_FD:
        moved = QAPI_CLONE(String, legacy->u.fd.data);
        addr->u.fd = *(String *)moved;
        break;
    default:
        g_assert_not_reached();
    }
    return addr;
}

static SocketAddress *address_from_unix(const struct sockaddr_un *un,
                                        socklen_t len)
{
    SocketAddress *addr = g_new0(SocketAddress, 1);
    size_t path_len = len - offsetof(struct sockaddr_un, sun_path);

    addr->type = SOCKET_ADDRESS_TYPE_UNIX;
    if (len <= offsetof(struct sockaddr_un, sun_path)) {
        addr->u.q_unix.path = g_strdup("");
    } else if (!un->sun_path[0]) {
        addr->u.q_unix.has_abstract = addr->u.q_unix.abstract = true;
        addr->u.q_unix.has_tight = addr->u.q_unix.tight = true;
        addr->u.q_unix.path = g_strndup(un->sun_path + 1, path_len - 1);
    } else {
        addr->u.q_unix.path = g_strndup(un->sun_path, path_len);
    }
    return addr;
}

static SocketAddress *address_from_inet(const struct sockaddr *sa,
                                        socklen_t len, Error **errp)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    SocketAddress *addr;
    int ret = getnameinfo(sa, len, host, sizeof(host), port, sizeof(port),
                          NI_NUMERICHOST | NI_NUMERICSERV);

    if (ret) {
        error_setg(errp, "Cannot format socket address: %s", gai_strerror(ret));
        return NULL;
    }
    addr = g_new0(SocketAddress, 1);
    addr->type = SOCKET_ADDRESS_TYPE_INET;
    addr->u.inet.host = g_strdup(host);
    addr->u.inet.port = g_strdup(port);
    return addr;
}

typedef int GetNameFn(int fd, struct sockaddr *addr, socklen_t *len);

static SocketAddress *socket_address(int fd, GetNameFn *get_name, Error **errp)
{
    struct sockaddr_storage storage = {};
    struct sockaddr *sa = (struct sockaddr *)&storage;
    socklen_t len = sizeof(storage);

    if (get_name(fd, sa, &len) < 0) {
        error_setg_errno(errp, errno, "Unable to query the socket's address");
        return NULL;
    }
    switch (sa->sa_family) {
    case AF_UNIX:
        return address_from_unix((struct sockaddr_un *)sa, len);
    case AF_INET:
    case AF_INET6:
        return address_from_inet(sa, len, errp);
    default:
        error_setg(errp, "Unknown socket address family %d", sa->sa_family);
        return NULL;
    }
}

SocketAddress *socket_local_address(int fd, Error **errp)
{
    return socket_address(fd, getsockname, errp);
}

SocketAddress *socket_remote_address(int fd, Error **errp)
{
    return socket_address(fd, getpeername, errp);
}
