/*
 * Binding and listening.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include "io/inherited-fd.h"
#include "net-listen.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/aside.h"
#include "qemu/iothread.h"
#include "qemu/oob.h"
#include "socket-address-internal.h"

/*
 * How long the caller waits for the removal of a file.  It may go on without.
 */
#define REMOVE_TIMEOUT_MS 2000

/* How long an attempt to listen at a path may still succeed after a cancel. */
#define CANCEL_GRACE_MS 100

/*
 * ---- The file of a unix socket.  Side threads: its file system may hang. ----
 */

static void listen_sockets_destroy(void *opaque)
{
    ListenSockets *sockets = opaque;

    for (guint i = 0; i < sockets->fds->len; i++) {
        close(g_array_index(sockets->fds, int, i));
    }
    g_free(sockets->unlink_path);
    qapi_free_SocketAddress(sockets->addr);
    g_array_unref(sockets->fds);
    g_free(sockets);
}

/*
 * Compares inode numbers.  The number of a file that still exists, or whose
 * socket is open, cannot belong to another file.
 */
static bool is_at_path(const char *path, const struct stat *file)
{
    struct stat st;

    return !lstat(path, &st) && st.st_ino == file->st_ino &&
           st.st_dev == file->st_dev;
}

/*
 * The sockets are still open here, so no other file can have the inode number.
 */
static void remove_run(void *opaque)
{
    ListenSockets *sockets = opaque;

    if (is_at_path(sockets->unlink_path, &sockets->unlink_stat)) {
        unlink(sockets->unlink_path);
    }
}

void listen_sockets_free(ListenSockets *sockets)
{
    g_autoptr(AsideCall) call = NULL;
    g_autofree char *what = NULL;

    if (!sockets) {
        return;
    }
    if (!sockets->unlink_path || sockets->unlink_pid != getpid()) {
        listen_sockets_destroy(sockets);
        return;
    }
    /* Refuses clients from now on, as if the sockets were closed. */
    for (guint i = 0; i < sockets->fds->len; i++) {
        shutdown(g_array_index(sockets->fds, int, i), SHUT_RDWR);
    }
    what = g_strdup_printf("removing the socket '%s'", sockets->unlink_path);
    call = aside_start(what, remove_run, sockets, listen_sockets_destroy, NULL);
    if (call && !iothread_current()) {
        aside_wait(call, REMOVE_TIMEOUT_MS, NULL);
    }
}

typedef struct PathCheck {
    char *path;
    struct stat file;
    bool is_there;
} PathCheck;

static void path_check_run(void *opaque)
{
    PathCheck *check = opaque;

    check->is_there = is_at_path(check->path, &check->file);
}

static void path_check_free(void *opaque)
{
    PathCheck *check = opaque;

    g_free(check->path);
    g_free(check);
}

bool listen_sockets_are_at_path(const ListenSockets *sockets)
{
    g_autoptr(AsideCall) call = NULL;
    g_autofree char *what = NULL;
    PathCheck *check;

    if (!sockets->unlink_path) {
        return true;
    }
    what = g_strdup_printf("looking at the socket '%s'", sockets->unlink_path);
    check = g_new0(PathCheck, 1);
    check->path = g_strdup(sockets->unlink_path);
    check->file = sockets->unlink_stat;
    call = aside_start(what, path_check_run, check, path_check_free, NULL);
    return call && aside_wait(call, REMOVE_TIMEOUT_MS, NULL) && check->is_there;
}

/*
 * Checks that no process listens at @target, a path, by a connection that is
 * closed at once: the kernel refuses a connection to a socket that is not open
 * in any process.
 */
static bool check_not_taken(const SocketTarget *target, const char *path,
                            Error **errp)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int err = 0;

    if (fd < 0) {
        error_setg_errno(errp, errno, "Failed to create a socket");
        return false;
    }
    if (connect(fd, (const struct sockaddr *)&target->addr, target->len) < 0) {
        err = errno;
    }
    close(fd);
    if (err == ECONNREFUSED || err == ENOENT) {
        return true;
    }
    if (err == EACCES || err == EPERM) {
        error_setg_errno(errp, err,
                         "Failed to bind socket to %s: a socket exists there, "
                         "and cannot be checked for a listening process",
                         path);
    } else {
        error_setg(errp,
                   "Failed to bind socket to %s: Address already in use: "
                   "a process listens there",
                   path);
    }
    return false;
}

/* Removes the file that a process which has ended left behind. */
static bool remove_stale(const SocketTarget *target, const char *path,
                         Error **errp)
{
    struct stat st;

    if (lstat(path, &st) || !S_ISSOCK(st.st_mode)) {
        return true;
    }
    if (!check_not_taken(target, path, errp)) {
        return false;
    }
    /* Does not remove a file that has taken its place meanwhile. */
    if (is_at_path(path, &st)) {
        unlink(path);
    }
    return true;
}

/* ---- Listening. ---- */

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

/* A socket that is bound to @target, or -1 and errno. */
static int bind_at(const SocketTarget *target)
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
    if (!bind(fd, (const struct sockaddr *)&target->addr, target->len)) {
        return fd;
    }
    err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* Makes @fd listen: true; closes it and leaves errno set: false. */
static bool listen_on(int fd, int backlog)
{
    int err;

    if (!listen(fd, backlog)) {
        return true;
    }
    err = errno;
    close(fd);
    errno = err;
    return false;
}

/* A socket that listens at @target, or -1 and errno. */
static int listen_at(const SocketTarget *target, int backlog)
{
    int fd = bind_at(target);

    return fd >= 0 && listen_on(fd, backlog) ? fd : -1;
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
 * Sets keep-alive, which @fd passes on to the connections that it accepts.
 * Otherwise a client whose host has disappeared would stay for ever.
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
                        int backlog, Error **errp)
{
    g_autoptr(GArray) targets =
        socket_resolve_inet(inet, SOCKET_RESOLVE_PASSIVE, errp);
    uint16_t to = inet->has_to ? inet->to : 0;
    int err = 0;

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
    SocketTarget *target;
    int fd;

    if (!targets) {
        return false;
    }
    target = &g_array_index(targets, SocketTarget, 0);
    if (!abstract && !remove_stale(target, addr->path, errp)) {
        return false;
    }
    fd = bind_at(target);
    /*
     * The file is identified before anybody sees that the socket listens, and
     * may put another file in its place.
     */
    if (fd >= 0 && !abstract && !lstat(addr->path, &sockets->unlink_stat)) {
        /* Absolute: a daemon changes its folder. */
        sockets->unlink_path = g_canonicalize_filename(addr->path, NULL);
        sockets->unlink_pid = getpid();
    }
    if (fd < 0 || !listen_on(fd, backlog)) {
        error_setg_errno(errp, errno, "Failed to bind socket to %s",
                         addr->path);
        return false;
    }
    g_array_append_val(sockets->fds, fd);
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

/* May resolve a name and access the file system. */
static ListenSockets *listen_any(const SocketAddress *addr, int backlog,
                                 Error **errp)
{
    g_autoptr(ListenSockets) sockets = g_new0(ListenSockets, 1);
    bool ok = false;

    sockets->fds = g_array_new(FALSE, FALSE, sizeof(int));
    switch (addr->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        ok = listen_inet(sockets, &addr->u.inet, backlog, errp);
        break;
    case SOCKET_ADDRESS_TYPE_UNIX:
        ok = listen_unix(sockets, &addr->u.q_unix, backlog, errp);
        break;
    case SOCKET_ADDRESS_TYPE_FD:
        ok = listen_fd(sockets, addr, errp);
        break;
    default:
        g_assert_not_reached();
    }
    if (ok) {
        sockets->addr =
            socket_local_address(g_array_index(sockets->fds, int, 0), errp);
    }
    return sockets->addr ? g_steal_pointer(&sockets) : NULL;
}

/* ---- Calls that may take long, on a side thread. ---- */

typedef struct ListenCall {
    SocketAddress *addr;
    int backlog;
    int done_fd; /* an eventfd, written when the call is done */
    ListenSockets *sockets;
    Error *err;
} ListenCall;

static void listen_run(void *opaque)
{
    ListenCall *lc = opaque;

    lc->sockets = listen_any(lc->addr, lc->backlog, &lc->err);
    eventfd_write(lc->done_fd, 1);
}

static void listen_call_free(void *opaque)
{
    ListenCall *lc = opaque;

    listen_sockets_free(lc->sockets);
    error_free(lc->err);
    qapi_free_SocketAddress(lc->addr);
    close(lc->done_fd);
    g_free(lc);
}

/*
 * Returns false with errp set if @cancel_fd is readable, or the time is over,
 * before the call is done.
 */
static bool listen_await(AsideCall *call, const ListenCall *lc, int cancel_fd,
                         Error **errp)
{
    bool is_inet = lc->addr->type == SOCKET_ADDRESS_TYPE_INET;
    int timeout_ms = is_inet ? -1 : ASIDE_TIMEOUT_MS;
    g_autofree char *text = socket_address_to_string(lc->addr);
    struct pollfd pfds[] = {
        {lc->done_fd, POLLIN, 0},
        {cancel_fd, POLLIN, 0},
    };
    int n;

    do {
        n = poll(pfds, G_N_ELEMENTS(pfds), timeout_ms);
    } while (n < 0 && errno == EINTR);
    if (n > 0 && !pfds[0].revents && !is_inet) {
        /*
         * The call probably succeeds at once if the file system answers.
         * Prefer that to an error.
         */
        poll(pfds, 1, CANCEL_GRACE_MS);
    }
    if (pfds[0].revents) {
        OOB_WAIT_BOUND("the call has written done_fd and is about to return");
        return aside_wait(call, -1, errp);
    }
    if (n == 0) {
        error_setg(errp, "Cannot listen at '%s' within %d s", text,
                   ASIDE_TIMEOUT_MS / 1000);
    } else if (is_inet) {
        error_setg(errp, "address resolution was cancelled for %s", text);
    } else {
        error_setg(errp, "listening at '%s' was cancelled", text);
    }
    return false;
}

static ListenSockets *listen_aside(const SocketAddress *addr, int backlog,
                                   int cancel_fd, Error **errp)
{
    g_autofree char *text = socket_address_to_string(addr);
    g_autofree char *what = g_strdup_printf("listening at '%s'", text);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_autoptr(AsideCall) call = NULL;
    ListenCall *lc;

    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to create an eventfd");
        return NULL;
    }
    lc = g_new0(ListenCall, 1);
    lc->addr = QAPI_CLONE(SocketAddress, addr);
    lc->backlog = backlog;
    lc->done_fd = fd;
    call = aside_start(what, listen_run, lc, listen_call_free, errp);
    if (!call || !listen_await(call, lc, cancel_fd, errp)) {
        return NULL;
    }
    error_propagate(errp, g_steal_pointer(&lc->err));
    return g_steal_pointer(&lc->sockets);
}

ListenSockets *listen_sockets_new(const SocketAddress *addr, int backlog,
                                  int cancel_fd, Error **errp)
{
    const UnixSocketAddress *un = &addr->u.q_unix;
    bool is_path = addr->type == SOCKET_ADDRESS_TYPE_UNIX &&
                   !(un->has_abstract && un->abstract);

    oob_assert_may_block("listen_sockets_new");
    return is_path || !socket_address_is_numeric(addr)
               ? listen_aside(addr, backlog, cancel_fd, errp)
               : listen_any(addr, backlog, errp);
}
