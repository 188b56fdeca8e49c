/*
 * What the kernel tells of another process: sock_diag(7) and /proc.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include "exit-code.h"
#include "sock-evidence.h"

/* States of sockets of all kinds, as the kernel numbers them. */
#define STATE_ESTABLISHED 1
#define STATE_LISTEN 10
#define ALL_STATES 0xfffU

/* What is known of every socket of this host, by its inode. */
typedef struct Sockets {
    GHashTable *by_inode;   /* guint64 -> SockState, whose fd is -1 */
    GHashTable *inet_ends;  /* "LOCAL PEER" -> the same, of TCP */
    GHashTable *inet_queue; /* SockState -> bytes in its receive queue */
} Sockets;

void sock_state_free(SockState *state)
{
    if (state) {
        g_free(state->local);
        g_free(state->peer);
        g_free(state);
    }
}

static void state_free(void *state)
{
    sock_state_free(state);
}

static bool fail(GError **errp, int pid, const char *what, int error)
{
    g_set_error(errp, EXIT_ERROR, EXIT_FAILED, "process %d: %s: %s", pid, what,
                g_strerror(error));
    return false;
}

static SockState *add_state(Sockets *all, guint64 inode)
{
    SockState *state = g_new0(SockState, 1);

    state->fd = -1;
    state->inode = inode;
    state->sent_ms = -1;
    state->received_ms = -1;
    g_hash_table_replace(all->by_inode, &state->inode, state);
    return state;
}

/* "unix:PATH"; a name in the abstract namespace has "@" for each NUL. */
static char *unix_name(const struct nlattr *attribute)
{
    const char *name = attribute ? mnl_attr_get_payload(attribute) : "";
    size_t len = attribute ? mnl_attr_get_payload_len(attribute) : 0;
    GString *text = g_string_new("unix:");

    /* A path has a NUL at its end. */
    if (len > 0 && name[0] != '\0') {
        len = strnlen(name, len);
    }
    for (size_t i = 0; i < len; i++) {
        g_string_append_c(text, name[i] ? name[i] : '@');
    }
    return g_string_free(text, false);
}

static int take_unix(const struct nlmsghdr *header, void *opaque)
{
    const struct unix_diag_msg *message = mnl_nlmsg_get_payload(header);
    const struct nlattr *attribute;
    const struct nlattr *name = NULL;
    SockState *state;

    if (mnl_nlmsg_get_payload_len(header) < sizeof(*message) ||
        message->udiag_type != SOCK_STREAM) {
        return MNL_CB_OK;
    }
    state = add_state(opaque, message->udiag_ino);
    state->listens = message->udiag_state == STATE_LISTEN;
    mnl_attr_for_each(attribute, header, sizeof(*message))
    {
        uint16_t len = mnl_attr_get_payload_len(attribute);

        switch (mnl_attr_get_type(attribute)) {
        case UNIX_DIAG_NAME:
            name = attribute;
            break;
        case UNIX_DIAG_PEER:
            state->peer_inode = mnl_attr_get_u32(attribute);
            break;
        case UNIX_DIAG_RQLEN:
            if (len >= sizeof(struct unix_diag_rqlen) && !state->listens) {
                const struct unix_diag_rqlen *queues =
                    mnl_attr_get_payload(attribute);

                state->unread = queues->udiag_wqueue;
            }
            break;
        }
    }
    state->local = unix_name(name);
    return MNL_CB_OK;
}

static char *inet_name(int family, const void *address, unsigned port)
{
    char text[INET6_ADDRSTRLEN] = "";

    inet_ntop(family, address, text, sizeof(text));
    /* A socket for both families names an IPv4 peer in this way. */
    if (family == AF_INET6 && g_str_has_prefix(text, "::ffff:") &&
        strchr(text, '.')) {
        return g_strdup_printf("%s:%u", text + strlen("::ffff:"), port);
    }
    return g_strdup_printf(family == AF_INET6 ? "[%s]:%u" : "%s:%u", text,
                           port);
}

static int take_inet(const struct nlmsghdr *header, void *opaque)
{
    Sockets *all = opaque;
    const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
    const struct inet_diag_sockid *id = &message->id;
    const struct nlattr *attribute;
    struct tcp_info info = {0};
    SockState *state;

    /* Without an inode it is no process's any more. */
    if (mnl_nlmsg_get_payload_len(header) < sizeof(*message) ||
        message->idiag_inode == 0) {
        return MNL_CB_OK;
    }
    state = add_state(all, message->idiag_inode);
    state->listens = message->idiag_state == STATE_LISTEN;
    state->local =
        inet_name(message->idiag_family, id->idiag_src, ntohs(id->idiag_sport));
    if (state->listens) {
        return MNL_CB_OK;
    }
    state->peer =
        inet_name(message->idiag_family, id->idiag_dst, ntohs(id->idiag_dport));
    state->unread = message->idiag_wqueue;
    mnl_attr_for_each(attribute, header, sizeof(*message))
    {
        if (mnl_attr_get_type(attribute) == INET_DIAG_INFO &&
            message->idiag_state == STATE_ESTABLISHED) {
            memcpy(&info, mnl_attr_get_payload(attribute),
                   MIN(sizeof(info), mnl_attr_get_payload_len(attribute)));
            state->sent_ms = info.tcpi_last_data_sent;
            state->received_ms = info.tcpi_last_data_recv;
        }
    }
    g_hash_table_insert(all->inet_queue, state,
                        GUINT_TO_POINTER(message->idiag_rqueue));
    g_hash_table_insert(all->inet_ends,
                        g_strdup_printf("%s %s", state->local, state->peer),
                        state);
    return MNL_CB_OK;
}

/* Runs the request in @buffer, whose answers go to @take. */
static bool dump(struct mnl_socket *netlink, void *buffer, size_t size,
                 mnl_cb_t take, Sockets *all)
{
    struct nlmsghdr *header = buffer;
    unsigned seq = header->nlmsg_seq;
    int status = 1;

    if (mnl_socket_sendto(netlink, header, header->nlmsg_len) < 0) {
        return false;
    }
    while (status > 0) {
        ssize_t n = mnl_socket_recvfrom(netlink, buffer, size);

        status = n < 0 ? -1
                       : mnl_cb_run(buffer, n, seq,
                                    mnl_socket_get_portid(netlink), take, all);
    }
    return status == 0;
}

static struct nlmsghdr *start_request(void *buffer, unsigned seq)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);

    header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = seq;
    return header;
}

static bool dump_unix(struct mnl_socket *netlink, void *buffer, size_t size,
                      Sockets *all)
{
    struct nlmsghdr *header = start_request(buffer, 1);
    struct unix_diag_req *request =
        mnl_nlmsg_put_extra_header(header, sizeof(*request));

    request->sdiag_family = AF_UNIX;
    request->udiag_states = ALL_STATES;
    request->udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN;
    return dump(netlink, buffer, size, take_unix, all);
}

static bool dump_inet(struct mnl_socket *netlink, void *buffer, size_t size,
                      int family, Sockets *all)
{
    struct nlmsghdr *header = start_request(buffer, family);
    struct inet_diag_req_v2 *request =
        mnl_nlmsg_put_extra_header(header, sizeof(*request));

    request->sdiag_family = family;
    request->sdiag_protocol = IPPROTO_TCP;
    request->idiag_ext = 1 << (INET_DIAG_INFO - 1);
    request->idiag_states = ALL_STATES;
    return dump(netlink, buffer, size, take_inet, all);
}

/* A host without IPv6 has no answer for it, which is none to miss. */
static bool dump_all(Sockets *all)
{
    size_t size = MNL_SOCKET_BUFFER_SIZE;
    g_autofree void *buffer = g_malloc0(size);
    const struct timeval limit = {.tv_sec = 1};
    struct mnl_socket *netlink =
        mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    bool ok;
    int error;

    if (!netlink) {
        return false;
    }
    setsockopt(mnl_socket_get_fd(netlink), SOL_SOCKET, SO_RCVTIMEO, &limit,
               sizeof(limit));
    ok = mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) == 0 &&
         dump_unix(netlink, buffer, size, all) &&
         dump_inet(netlink, buffer, size, AF_INET, all);
    error = errno;
    if (ok) {
        dump_inet(netlink, buffer, size, AF_INET6, all);
    }
    mnl_socket_close(netlink);
    errno = error;
    return ok;
}

/* Completes @state by what the other end of its connection has. */
static void add_peer(Sockets *all, SockState *state)
{
    g_autofree char *ends = NULL;
    SockState *other;

    if (g_str_has_prefix(state->local, "unix:")) {
        other = g_hash_table_lookup(all->by_inode, &state->peer_inode);
        if (state->peer_inode && other) {
            state->peer = g_strdup(other->local);
        }
    } else if (state->peer) {
        ends = g_strdup_printf("%s %s", state->peer, state->local);
        other = g_hash_table_lookup(all->inet_ends, ends);
        if (other) {
            state->peer_inode = other->inode;
            state->unread +=
                GPOINTER_TO_UINT(g_hash_table_lookup(all->inet_queue, other));
        }
    }
}

/* The inode of the socket that @link, as /proc/PID/fd has it, leads to; 0. */
static guint64 link_inode(const char *link)
{
    guint64 inode = 0;

    if (g_str_has_prefix(link, "socket:[")) {
        inode = g_ascii_strtoull(link + strlen("socket:["), NULL, 10);
    }
    return inode;
}

/* Does what /proc/@pid/ns/net and ours lead to differ? */
static bool other_namespace(int pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/ns/net", pid);
    g_autofree char *theirs = g_file_read_link(path, NULL);
    g_autofree char *ours = g_file_read_link("/proc/self/ns/net", NULL);

    return theirs && ours && !g_str_equal(theirs, ours);
}

/* Moves the sockets of @pid, whose descriptors are in @dir, out of @all. */
static GPtrArray *take_own(Sockets *all, GDir *dir, const char *path)
{
    GPtrArray *own = g_ptr_array_new();
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_autofree char *link = g_file_read_link(file, NULL);
        guint64 inode = link ? link_inode(link) : 0;
        SockState *state =
            inode ? g_hash_table_lookup(all->by_inode, &inode) : NULL;

        /* One that has several descriptors is told once. */
        if (state && state->fd < 0) {
            state->fd = atoi(name);
            g_ptr_array_add(own, state);
        }
    }
    for (guint i = 0; i < own->len; i++) {
        add_peer(all, own->pdata[i]);
    }
    for (guint i = 0; i < own->len; i++) {
        g_hash_table_steal(all->by_inode, &((SockState *)own->pdata[i])->inode);
    }
    g_ptr_array_set_free_func(own, state_free);
    return own;
}

GPtrArray *sock_evidence_sockets(int pid, GError **errp)
{
    Sockets all = {0};
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", pid);
    g_autoptr(GError) err = NULL;
    GDir *dir = g_dir_open(path, 0, &err);
    GPtrArray *own = NULL;

    if (!dir) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                    "process %d: its sockets cannot be seen: %s", pid,
                    err->message);
        return NULL;
    }
    if (other_namespace(pid)) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                    "process %d: its sockets cannot be seen: it is in another "
                    "network namespace",
                    pid);
        g_dir_close(dir);
        return NULL;
    }
    all.by_inode =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, state_free);
    all.inet_ends =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    all.inet_queue = g_hash_table_new(NULL, NULL);
    if (dump_all(&all)) {
        own = take_own(&all, dir, path);
    } else {
        fail(errp, pid, "its sockets cannot be seen: sock_diag", errno);
    }
    g_hash_table_unref(all.inet_queue);
    g_hash_table_unref(all.inet_ends);
    g_hash_table_unref(all.by_inode);
    g_dir_close(dir);
    return own;
}

/* System calls in which a thread waits until something happens. */
static const struct {
    long number;
    const char *name;
} waits_in[] = {
#ifdef SYS_poll
    {SYS_poll, "poll"},
#endif
#ifdef SYS_ppoll
    {SYS_ppoll, "ppoll"},
#endif
#ifdef SYS_select
    {SYS_select, "select"},
#endif
#ifdef SYS_pselect6
    {SYS_pselect6, "pselect6"},
#endif
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, "epoll_wait"},
#endif
#ifdef SYS_epoll_pwait
    {SYS_epoll_pwait, "epoll_pwait"},
#endif
#ifdef SYS_epoll_pwait2
    {SYS_epoll_pwait2, "epoll_pwait2"},
#endif
#ifdef SYS_io_uring_enter
    {SYS_io_uring_enter, "io_uring_enter"},
#endif
#ifdef SYS_futex
    {SYS_futex, "futex"},
#endif
#ifdef SYS_nanosleep
    {SYS_nanosleep, "nanosleep"},
#endif
#ifdef SYS_clock_nanosleep
    {SYS_clock_nanosleep, "clock_nanosleep"},
#endif
};

bool sock_evidence_main_thread(int pid, bool *waits, char **what, GError **errp)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/syscall", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[256];
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    int error = errno;
    long number;

    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        return fail(errp, pid, "what its main thread does cannot be seen",
                    n < 0 ? error : ESRCH);
    }
    text[n] = '\0';
    *waits = false;
    if (!g_ascii_isdigit(text[0])) {
        *what = g_strdup("runs");
        return true;
    }
    number = strtol(text, NULL, 10);
    for (size_t i = 0; i < G_N_ELEMENTS(waits_in); i++) {
        if (waits_in[i].number == number) {
            *waits = true;
            *what = g_strdup_printf("waits in %s()", waits_in[i].name);
            return true;
        }
    }
    *what = g_strdup_printf("is in system call %ld", number);
    return true;
}
