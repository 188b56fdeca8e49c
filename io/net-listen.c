/*
 * Binding and listening.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <netinet/in.h>
#include <sys/un.h>
#include "io/inherited-fd.h"
#include "net-listen.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "socket-address-internal.h"

bool listen_sockets_are_at_path(const ListenSockets *sockets)
{
    struct stat st;

    return !sockets->unlink_path || (!lstat(sockets->unlink_path, &st) &&
                                     st.st_ino == sockets->unlink_stat.st_ino &&
                                     st.st_dev == sockets->unlink_stat.st_dev);
}

void listen_sockets_free(ListenSockets *sockets)
{
    if (!sockets) {
        return;
    }
    for (guint i = 0; i < sockets->fds->len; i++) {
        close(g_array_index(sockets->fds, int, i));
    }
    /* Only what we made, not what somebody put in its place. */
    if (sockets->unlink_path && sockets->unlink_pid == getpid() &&
        listen_sockets_are_at_path(sockets)) {
        unlink(sockets->unlink_path);
    }
    g_free(sockets->unlink_path);
    qapi_free_SocketAddress(sockets->addr);
    g_array_unref(sockets->fds);
    g_free(sockets);
}

static void target_set_port(SocketTarget *target, uint16_t port)
{
    if (target->addr.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)&target->addr)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)&target->addr)->sin_port = htons(port);
    }
}

static uint16_t target_port(const SocketTarget *target)
{
    return ntohs(target->addr.ss_family == AF_INET6
                     ? ((struct sockaddr_in6 *)&target->addr)->sin6_port
                     : ((struct sockaddr_in *)&target->addr)->sin_port);
}

/* A socket that listens at @target, or -1 and errno. */
static int listen_at(const SocketTarget *target, int backlog)
{
    int family = target->addr.ss_family, on = 1, err;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    if (family != AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    if (!bind(fd, (const struct sockaddr *)&target->addr, target->len) &&
        !listen(fd, backlog)) {
        return fd;
    }
    err = errno;
    close(fd);
    errno = err;
    return -1;
}

/*
 * Listens at @target, or with a port range at its first free port.  -1 and
 * errno when there is none.
 */
static int listen_in_range(SocketTarget *target, uint16_t to, int backlog)
{
    uint32_t port = target_port(target);
    int fd;

    do {
        target_set_port(target, port);
        fd = listen_at(target, backlog);
    } while (fd < 0 && errno == EADDRINUSE && port++ < to);
    return fd;
}

/* The port that @fd, which is bound, got. */
static uint16_t bound_port(int fd)
{
    SocketTarget target = {.len = sizeof(target.addr)};

    getsockname(fd, (struct sockaddr *)&target.addr, &target.len);
    return target_port(&target);
}

/*
 * For the connections that @fd accepts: a client whose host is gone would stay
 * for ever.
 */
static void set_keep_alive(int fd)
{
    int on = 1;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

/*
 * All addresses of a name are listened at, on one port: the one that the
 * first of them got.
 */
static bool listen_inet(ListenSockets *sockets, const InetSocketAddress *inet,
                        int backlog, int cancel_fd, Error **errp)
{
    g_autoptr(GArray) targets = NULL;
    uint16_t to = inet->has_to ? inet->to : 0;
    int err = 0;

    targets =
        socket_resolve_inet_wait(inet, SOCKET_RESOLVE_PASSIVE, cancel_fd, errp);
    if (!targets) {
        return false;
    }
    for (guint i = 0; i < targets->len; i++) {
        SocketTarget *target = &g_array_index(targets, SocketTarget, i);
        int fd;

        if (sockets->fds->len) {
            to = bound_port(g_array_index(sockets->fds, int, 0));
            target_set_port(target, to);
        }
        fd = listen_in_range(target, to, backlog);
        if (fd < 0) {
            err = errno;
        } else {
            if (!inet->has_keep_alive || inet->keep_alive) {
                set_keep_alive(fd);
            }
            g_array_append_val(sockets->fds, fd);
        }
    }
    if (!sockets->fds->len) {
        error_setg_errno(errp, err,
                         err == EADDRINUSE ? "Failed to find an available port"
                                           : "Failed to bind socket");
        return false;
    }
    return true;
}

static bool listen_unix(ListenSockets *sockets, const UnixSocketAddress *addr,
                        int backlog, Error **errp)
{
    g_autoptr(GArray) targets = socket_resolve_unix(addr, errp);
    bool abstract = addr->has_abstract && addr->abstract;
    struct stat st;
    int fd;

    if (!targets) {
        return false;
    }
    if (!abstract && !lstat(addr->path, &st) && S_ISSOCK(st.st_mode)) {
        unlink(addr->path);
    }
    fd = listen_at(&g_array_index(targets, SocketTarget, 0), backlog);
    if (fd < 0) {
        error_setg_errno(errp, errno, "Failed to bind socket to %s",
                         addr->path);
        return false;
    }
    g_array_append_val(sockets->fds, fd);
    if (!abstract && !lstat(addr->path, &sockets->unlink_stat)) {
        /* Absolute: a daemon changes its folder. */
        sockets->unlink_path = g_canonicalize_filename(addr->path, NULL);
        sockets->unlink_pid = getpid();
    }
    return true;
}

static bool listen_fd(ListenSockets *sockets, const SocketAddress *addr,
                      Error **errp)
{
    int fd = socket_address_take_fd(addr, errp);

    if (fd < 0) {
        return false;
    }
    if (!socket_is_listening(fd)) {
        inherited_fd_add(fd);
        error_setg(errp, "File descriptor '%d' is not a listening socket", fd);
        return false;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    set_keep_alive(fd);
    g_array_append_val(sockets->fds, fd);
    return true;
}

static bool listen_any(ListenSockets *sockets, const SocketAddress *addr,
                       int backlog, int cancel_fd, Error **errp)
{
    switch (addr->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        return listen_inet(sockets, &addr->u.inet, backlog, cancel_fd, errp);
    case SOCKET_ADDRESS_TYPE_UNIX:
        return listen_unix(sockets, &addr->u.q_unix, backlog, errp);
    case SOCKET_ADDRESS_TYPE_FD:
        return listen_fd(sockets, addr, errp);
    default:
        g_assert_not_reached();
    }
}

ListenSockets *listen_sockets_new(const SocketAddress *addr, int backlog,
                                  int cancel_fd, Error **errp)
{
    g_autoptr(ListenSockets) sockets = g_new0(ListenSockets, 1);

    sockets->fds = g_array_new(FALSE, FALSE, sizeof(int));
    if (!listen_any(sockets, addr, backlog, cancel_fd, errp)) {
        return NULL;
    }
    sockets->addr =
        socket_local_address(g_array_index(sockets->fds, int, 0), errp);
    return sockets->addr ? g_steal_pointer(&sockets) : NULL;
}
