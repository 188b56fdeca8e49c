/*
 * A control socket's connection: JSON values, one a line, both ways.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "control-path.h"
#include "control-socket.h"
#include "exit-code.h"
#include "json.h"

#define CONNECT_SECONDS 2

/* A line that waits to be sent. */
typedef struct Line {
    gint64 id;
    char *text; /* with the line end */
    size_t len;
    size_t sent; /* the first bytes of it that the kernel has taken */
} Line;

struct ControlSocket {
    int fd;
    char *path;
    GByteArray *input; /* read, and not yet taken */
    guint scanned;     /* so much of it has no line end */

    int wakeup; /* an eventfd: says to the reader that lines wait */
    /* Guards @output; innermost.  Nothing blocks under it. */
    GMutex lock;
    GQueue output; /* of Line, the first may be sent in part */
};

static bool set_path(struct sockaddr_un *address, const char *path,
                     GError **errp)
{
    if (strlen(path) >= sizeof(address->sun_path)) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "%s: the path of a socket has at most %zu bytes", path,
                    sizeof(address->sun_path) - 1);
        return false;
    }
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, path);
    return true;
}

static bool nobody_there(int error)
{
    return error == ENOENT || error == ECONNREFUSED || error == EACCES ||
           error == ENOTDIR;
}

/*
 * The service does what its clients say and tells them what to believe, so
 * only one of this user or of root is asked.
 */
static bool check_owner(int fd, const char *path, bool must, GError **errp)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
        (peer.uid == 0 || peer.uid == geteuid())) {
        return true;
    }
    if (must) {
        g_set_error(errp, EXIT_ERROR, EXIT_REFUSED,
                    "the service at %s is that of user %u: allowed are "
                    "services of root and of user %u",
                    path, (unsigned)peer.uid, (unsigned)geteuid());
    }
    return false;
}

/* The limits of waiting are those of the socket: also while it connects. */
static bool connect_to(int fd, const char *path, bool must, GError **errp)
{
    const struct timeval limit = {.tv_sec = CONNECT_SECONDS};
    struct sockaddr_un address = {0};

    if (!set_path(&address, path, errp)) {
        return false;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        return check_owner(fd, path, must, errp);
    }
    if (must || !nobody_there(errno)) {
        g_set_error(errp, EXIT_ERROR,
                    errno == EAGAIN ? EXIT_TIMEOUT : EXIT_UNREACHABLE,
                    "cannot reach the service at %s: %s", path,
                    g_strerror(errno == EAGAIN ? ETIMEDOUT : errno));
    }
    return false;
}

/* Takes @fd, which is connected. */
static ControlSocket *socket_new(int fd, const char *path, GError **errp)
{
    int wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ControlSocket *sock;

    if (wakeup < 0) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                    "cannot use the service at %s: %s", path,
                    g_strerror(errno));
        close(fd);
        return NULL;
    }
    sock = g_new0(ControlSocket, 1);

    sock->fd = fd;
    sock->path = g_strdup(path);
    sock->input = g_byte_array_new();
    sock->wakeup = wakeup;
    g_mutex_init(&sock->lock);
    g_queue_init(&sock->output);
    return sock;
}

static void line_free(void *opaque)
{
    Line *line = opaque;

    g_free(line->text);
    g_free(line);
}

ControlSocket *control_socket_find(const Options *options, GError **errp)
{
    g_auto(GStrv) paths = control_paths(options);
    GError *err = NULL;

    for (int i = 0; paths[i] && !err; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (connect_to(fd, paths[i], options->control != NULL, &err)) {
            return socket_new(fd, paths[i], errp);
        }
        close(fd);
    }
    if (err) {
        g_propagate_error(errp, err);
    }
    return NULL;
}

void control_socket_free(ControlSocket *sock)
{
    if (sock) {
        close(sock->fd);
        close(sock->wakeup);
        g_byte_array_unref(sock->input);
        g_queue_clear_full(&sock->output, line_free);
        g_mutex_clear(&sock->lock);
        g_free(sock->path);
        g_free(sock);
    }
}

/* Takes the first line out of the input; NULL while it has none. */
static char *take_line(ControlSocket *sock)
{
    guint n_new = sock->input->len - sock->scanned;
    guint8 *end = NULL;
    char *line;
    guint len;

    if (n_new > 0) {
        end = memchr(sock->input->data + sock->scanned, '\n', n_new);
    }
    if (!end) {
        sock->scanned = sock->input->len;
        return NULL;
    }
    len = end - sock->input->data;
    line = g_strndup((char *)sock->input->data, len);
    g_byte_array_remove_range(sock->input, 0, len + 1);
    sock->scanned = 0;
    return line;
}

/* Locked.  Sends what there is room for. */
static void flush(ControlSocket *sock)
{
    Line *line;

    while ((line = g_queue_peek_head(&sock->output))) {
        ssize_t n = send(sock->fd, line->text + line->sent,
                         line->len - line->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            if (errno != EAGAIN) {
                /* The reader finds the end of the connection. */
                g_queue_clear_full(&sock->output, line_free);
                control_socket_shutdown(sock);
            }
            return;
        }
        line->sent += n;
        if (line->sent == line->len) {
            line_free(g_queue_pop_head(&sock->output));
        }
    }
}

/* Sends what there is room for; returns whether more waits. */
static bool write_more(ControlSocket *sock)
{
    bool waits;

    g_mutex_lock(&sock->lock);
    flush(sock);
    waits = !g_queue_is_empty(&sock->output);
    g_mutex_unlock(&sock->lock);
    return waits;
}

/* Reads some more, by @deadline (-1: whenever). */
static bool read_more(ControlSocket *sock, gint64 deadline, GError **errp)
{
    struct pollfd pfds[] = {
        {.fd = sock->fd, .events = POLLIN | (write_more(sock) ? POLLOUT : 0)},
        {.fd = sock->wakeup, .events = POLLIN},
    };
    gint64 left = (deadline - g_get_monotonic_time()) / 1000;
    guint8 buffer[16384];
    eventfd_t count;
    ssize_t n;

    if (poll(pfds, 2, deadline < 0 ? -1 : (int)MAX(left, 0)) == 0) {
        g_set_error(errp, EXIT_ERROR, EXIT_TIMEOUT,
                    "%s: the service does not answer", sock->path);
        return false;
    }
    if (pfds[1].revents) {
        /* Empties it; what waits is sent before the next poll(). */
        eventfd_read(sock->wakeup, &count);
    }
    n = recv(sock->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return true;
    }
    if (n <= 0 || sock->input->len + n > CONTROL_MAX_LINE) {
        g_set_error(errp, EXIT_ERROR, EXIT_UNREACHABLE, "%s: %s", sock->path,
                    n < 0    ? g_strerror(errno)
                    : n == 0 ? "the service closed the connection"
                             : "the service sent a line that is too long");
        return false;
    }
    g_byte_array_append(sock->input, buffer, n);
    return true;
}

json_object *control_socket_read(ControlSocket *sock, int timeout_ms,
                                 GError **errp)
{
    gint64 deadline =
        timeout_ms < 0 ? -1 : g_get_monotonic_time() + timeout_ms * 1000LL;
    g_autofree char *line = NULL;
    json_object *value;

    while (!(line = take_line(sock))) {
        if (!read_more(sock, deadline, errp)) {
            return NULL;
        }
    }
    value = json_parse(line, sock->path, NULL);
    if (!value) {
        g_set_error(errp, EXIT_ERROR, EXIT_UNREACHABLE,
                    "%s: what is there is no yankctl service", sock->path);
    }
    return value;
}

void control_socket_send(ControlSocket *sock, gint64 id, json_object *value)
{
    Line *line = g_new0(Line, 1);
    bool waits;

    line->id = id;
    line->text = g_strconcat(
        json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN), "\n",
        NULL);
    line->len = strlen(line->text);
    g_mutex_lock(&sock->lock);
    g_queue_push_tail(&sock->output, line);
    flush(sock);
    waits = !g_queue_is_empty(&sock->output);
    g_mutex_unlock(&sock->lock);
    if (waits) {
        eventfd_write(sock->wakeup, 1);
    }
}

void control_socket_withdraw(ControlSocket *sock, gint64 id)
{
    g_mutex_lock(&sock->lock);
    for (GList *item = sock->output.head; item; item = item->next) {
        Line *line = item->data;

        if (line->id == id && line->sent == 0) {
            g_queue_delete_link(&sock->output, item);
            line_free(line);
            break;
        }
    }
    g_mutex_unlock(&sock->lock);
}

void control_socket_shutdown(ControlSocket *sock)
{
    shutdown(sock->fd, SHUT_RDWR);
}

const char *control_socket_path(const ControlSocket *sock)
{
    return sock->path;
}
