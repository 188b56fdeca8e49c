/*
 * The peer of a yanked NBD connection, by what the kernel tells: sock_diag(7)
 * for unix sockets, /proc/PID/net/tcp for TCP.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "exit-code.h"
#include "json.h"
#include "nbd-peer.h"

#define POLL_US 50000
#define BOTH_ENDS 3 /* sk_shutdown of a socket whose peer is gone */
#define DIAG_LISTEN 10
#define DIAG_TIMEOUT_S 2

typedef enum Answer {
    CLOSED,
    OPEN,
    UNKNOWN,
} Answer;

/* What is looked for among the unix sockets. */
typedef struct UnixSearch {
    const char *path;
    const struct stat *st;
    bool listens; /* somebody does at the path */
    bool open;    /* a connection whose client is gone is not closed */
} UnixSearch;

static bool is_at_path(const UnixSearch *search, const struct rtattr *name,
                       const struct rtattr *vfs)
{
    if (vfs && RTA_PAYLOAD(vfs) >= sizeof(struct unix_diag_vfs)) {
        const struct unix_diag_vfs *file = RTA_DATA(vfs);
        /* The kernel's own encoding of a device. */
        dev_t dev =
            makedev(file->udiag_vfs_dev >> 20, file->udiag_vfs_dev & 0xfffff);

        if (file->udiag_vfs_ino == (uint32_t)search->st->st_ino &&
            dev == search->st->st_dev) {
            return true;
        }
    }
    /* The terminating zero is a part of it, or not. */
    return name &&
           strnlen(RTA_DATA(name), RTA_PAYLOAD(name)) == strlen(search->path) &&
           memcmp(RTA_DATA(name), search->path, strlen(search->path)) == 0;
}

static void note_socket(UnixSearch *search, const struct nlmsghdr *header)
{
    const struct unix_diag_msg *msg = NLMSG_DATA(header);
    const struct rtattr *attrs[UNIX_DIAG_SHUTDOWN + 1] = {0};
    int len = (int)header->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*msg));
    const struct rtattr *attr;

    for (attr = (const struct rtattr *)(msg + 1); RTA_OK(attr, len);
         attr = RTA_NEXT(attr, len)) {
        if (attr->rta_type < G_N_ELEMENTS(attrs)) {
            attrs[attr->rta_type] = attr;
        }
    }
    if (!is_at_path(search, attrs[UNIX_DIAG_NAME], attrs[UNIX_DIAG_VFS])) {
        return;
    }
    if (msg->udiag_state == DIAG_LISTEN) {
        search->listens = true;
    } else if (attrs[UNIX_DIAG_SHUTDOWN] &&
               *(const uint8_t *)RTA_DATA(attrs[UNIX_DIAG_SHUTDOWN]) ==
                   BOTH_ENDS) {
        search->open = true;
    }
}

static bool send_request(int fd)
{
    struct {
        struct nlmsghdr header;
        struct unix_diag_req req;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .req = {.sdiag_family = AF_UNIX,
                .udiag_states = UINT32_MAX,
                .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS},
    };

    return send(fd, &request, sizeof(request), 0) == sizeof(request);
}

/* False when the kernel does not tell. */
static bool read_sockets(int fd, UnixSearch *search)
{
    g_autofree char *buffer = g_malloc(65536);

    for (;;) {
        ssize_t n = recv(fd, buffer, 65536, 0);
        const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;
        int len = n;

        if (n <= 0) {
            return false;
        }
        for (; NLMSG_OK(header, len); header = NLMSG_NEXT(header, len)) {
            if (header->nlmsg_type == NLMSG_DONE) {
                return true;
            }
            if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
                return false;
            }
            note_socket(search, header);
        }
    }
}

static Answer ask_unix(const char *shown, const char *path)
{
    const struct timeval limit = {.tv_sec = DIAG_TIMEOUT_S};
    struct stat st;
    UnixSearch search = {.path = shown, .st = &st};
    bool ok;
    int fd;

    if (stat(path, &st) != 0) {
        return UNKNOWN;
    }
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0) {
        return UNKNOWN;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    ok = send_request(fd) && read_sockets(fd, &search);
    close(fd);
    /* Without the listener, its connections are not to be seen either. */
    if (!ok || !search.listens) {
        return UNKNOWN;
    }
    return search.open ? OPEN : CLOSED;
}

/* Whether @line of /proc/net/tcp is such a connection to @port. */
static bool is_half_closed(const char *line, unsigned port)
{
    unsigned remote, state;

    /* FIN_WAIT1, FIN_WAIT2 and CLOSING */
    return sscanf(line, " %*u: %*[0-9A-Fa-f]:%*x %*[0-9A-Fa-f]:%x %x", &remote,
                  &state) == 2 &&
           remote == port && (state == 4 || state == 5 || state == 11);
}

static Answer ask_file(int pid, const char *name, unsigned port)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/net/%s", pid, name);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return UNKNOWN;
    }
    lines = g_strsplit(text, "\n", -1);
    for (int i = 1; lines[0] && lines[i]; i++) {
        if (is_half_closed(lines[i], port)) {
            return OPEN;
        }
    }
    return CLOSED;
}

static Answer ask_tcp(int pid, const char *port)
{
    guint64 number;
    Answer v4, v6;

    if (pid <= 0 || !port ||
        !g_ascii_string_to_unsigned(port, 10, 1, 65535, &number, NULL)) {
        return UNKNOWN;
    }
    v4 = ask_file(pid, "tcp", number);
    v6 = g_file_test("/proc/net/tcp6", G_FILE_TEST_EXISTS)
             ? ask_file(pid, "tcp6", number)
             : CLOSED;
    return v4 == OPEN || v6 == OPEN       ? OPEN
           : v4 == CLOSED && v6 == CLOSED ? CLOSED
                                          : UNKNOWN;
}

bool nbd_peer_wait_closed(json_object *server, const char *path, int pid,
                          int timeout_ms, GError **errp)
{
    gint64 deadline = g_get_monotonic_time() + timeout_ms * 1000LL;
    Answer answer;

    for (;;) {
        answer = path ? ask_unix(json_get_string(server, "path"), path)
                      : ask_tcp(pid, json_get_string(server, "port"));
        if (answer != OPEN || g_get_monotonic_time() >= deadline) {
            break;
        }
        g_usleep(POLL_US);
    }
    if (answer != CLOSED) {
        g_set_error(
            errp, EXIT_ERROR, EXIT_REFUSED,
            answer == OPEN
                ? "the NBD server at %s has not closed a connection that its "
                  "client has left, and may still carry out old writes; with "
                  "--force it is connected to all the same, at the risk that "
                  "an old write replaces a newer one"
                : "whether the NBD server at %s has closed the old connection "
                  "cannot be told, and it may still carry out old writes; with "
                  "--force it is connected to all the same, at the risk that "
                  "an old write replaces a newer one",
            json_object_to_json_string_ext(server,
                                           JSON_C_TO_STRING_PLAIN |
                                               JSON_C_TO_STRING_NOSLASHESCAPE));
        return false;
    }
    return true;
}
