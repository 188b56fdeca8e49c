/*
 * Sockets that the service listens on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "tools/exit-code.h"
#include "socket.h"

#define BACKLOG 64

struct WatchSocket {
    char *path; /* NULL for TCP */
    int lock_fd;
    int fd;
    bool bound; /* so what is at the path is ours */
};

static bool fail(GError **errp, ExitCode code, const char *path,
                 const char *what, int error)
{
    g_set_error(errp, EXIT_ERROR, code, "%s: %s%s%s", path, what,
                error ? ": " : "", error ? g_strerror(error) : "");
    return false;
}

/* Who may write to the folder could put a socket of his own in its place. */
static bool check_folder(const char *path, GError **errp)
{
    g_autofree char *dir = g_path_get_dirname(path);
    struct stat st;

    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        return fail(errp, EXIT_FAILED, dir, "the folder cannot be made", errno);
    }
    if (lstat(dir, &st) < 0) {
        return fail(errp, EXIT_FAILED, dir, "no folder", errno);
    }
    if (!S_ISDIR(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) ||
        (st.st_mode & (S_IWGRP | S_IWOTH))) {
        return fail(errp, EXIT_REFUSED, dir,
                    "must be a folder of this user or root that nobody else "
                    "may write to",
                    0);
    }
    return true;
}

/* Held for as long as we live, and gone with us however we end. */
static bool take_lock(WatchSocket *sock, GError **errp)
{
    g_autofree char *path = g_strconcat(sock->path, ".lock", NULL);

    sock->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (sock->lock_fd < 0) {
        return fail(errp, EXIT_FAILED, path, "cannot be opened", errno);
    }
    if (flock(sock->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        return fail(errp, EXIT_REFUSED, sock->path,
                    "another service has this control socket", 0);
    }
    return true;
}

/* What a dead service left; anything but a socket is somebody's file. */
static bool remove_old(const char *path, GError **errp)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        return true;
    }
    if (!S_ISSOCK(st.st_mode)) {
        return fail(errp, EXIT_REFUSED, path, "is there, and is no socket", 0);
    }
    if (unlink(path) < 0) {
        return fail(errp, EXIT_FAILED, path, "cannot be removed", errno);
    }
    return true;
}

static bool bind_unix(WatchSocket *sock, GError **errp)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int error;

    if (g_strlcpy(address.sun_path, sock->path, sizeof(address.sun_path)) >=
        sizeof(address.sun_path)) {
        return fail(errp, EXIT_USAGE, sock->path,
                    "is too long for a socket: allowed are 107 bytes", 0);
    }
    sock->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mask = umask(0177);
    error = bind(sock->fd, (struct sockaddr *)&address, sizeof(address)) < 0
                ? errno
                : 0;
    umask(mask);
    sock->bound = !error;
    return !error ||
           fail(errp, EXIT_FAILED, sock->path, "cannot be made", error);
}

WatchSocket *watch_socket_new(const char *path, GError **errp)
{
    g_autoptr(WatchSocket) sock = g_new0(WatchSocket, 1);

    sock->lock_fd = sock->fd = -1;
    sock->path = g_canonicalize_filename(path, NULL);
    if (!check_folder(sock->path, errp) || !take_lock(sock, errp) ||
        !remove_old(sock->path, errp) || !bind_unix(sock, errp)) {
        return NULL;
    }
    return g_steal_pointer(&sock);
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;

        return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(
               &((const struct sockaddr_in6 *)address)->sin6_addr);
}

static bool bind_tcp(WatchSocket *sock, const struct addrinfo *info)
{
    const int on = 1;

    sock->fd =
        socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(sock->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    return bind(sock->fd, info->ai_addr, info->ai_addrlen) == 0;
}

/* "HOST:PORT", "[HOST]:PORT" */
static bool split(const char *address, char **host, char **port)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? colon - address : 0;

    if (len == 0 || !colon[1]) {
        return false;
    }
    if (address[0] == '[' && address[len - 1] == ']' && len > 2) {
        *host = g_strndup(address + 1, len - 2);
    } else {
        *host = g_strndup(address, len);
    }
    *port = g_strdup(colon + 1);
    return true;
}

static WatchSocket *new_tcp(const char *address, GError **errp)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICHOST |
                                               AI_NUMERICSERV};
    g_autoptr(WatchSocket) sock = g_new0(WatchSocket, 1);
    g_autofree char *host = NULL;
    g_autofree char *port = NULL;
    struct addrinfo *info = NULL;
    guint64 number;
    bool ok;

    sock->lock_fd = sock->fd = -1;
    if (!split(address, &host, &port) ||
        !g_ascii_string_to_unsigned(port, 10, 1, 65535, &number, NULL) ||
        getaddrinfo(host, port, &hints, &info) != 0 ||
        !is_loopback(info->ai_addr)) {
        fail(errp, EXIT_USAGE, address,
             "is wrong: allowed are 127.0.0.1:PORT, [::1]:PORT and unix:PATH",
             0);
        ok = false;
    } else {
        ok = bind_tcp(sock, info) ||
             fail(errp, EXIT_FAILED, address, "cannot be bound", errno);
    }
    if (info) {
        freeaddrinfo(info);
    }
    return ok ? g_steal_pointer(&sock) : NULL;
}

WatchSocket *watch_socket_new_address(const char *address, GError **errp)
{
    if (g_str_has_prefix(address, "unix:")) {
        return watch_socket_new(address + strlen("unix:"), errp);
    }
    return strchr(address, '/') ? watch_socket_new(address, errp)
                                : new_tcp(address, errp);
}

bool watch_socket_listen(WatchSocket *sock, GError **errp)
{
    return listen(sock->fd, BACKLOG) == 0 ||
           fail(errp, EXIT_FAILED, sock->path ? sock->path : "TCP",
                "cannot listen", errno);
}

int watch_socket_fd(const WatchSocket *sock)
{
    return sock->fd;
}

void watch_socket_disown_fd(WatchSocket *sock)
{
    sock->fd = -1;
}

void watch_socket_free(WatchSocket *sock)
{
    if (!sock) {
        return;
    }
    if (sock->bound) {
        unlink(sock->path);
    }
    if (sock->fd >= 0) {
        close(sock->fd);
    }
    if (sock->lock_fd >= 0) {
        close(sock->lock_fd);
    }
    g_free(sock->path);
    g_free(sock);
}

bool watch_socket_check_peer(int fd, unsigned *uid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        *uid = -1;
        return false;
    }
    *uid = peer.uid;
    return peer.uid == 0 || peer.uid == geteuid();
}
