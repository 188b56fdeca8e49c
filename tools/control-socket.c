/*
 * A control socket's connection: JSON values, one a line, both ways.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "control-path.h"
#include "control-socket.h"
#include "exit-code.h"
#include "json.h"

#define WRITE_SECONDS 2

struct ControlSocket {
    int fd;
    char *path;
    GByteArray *input; /* read, and not yet taken */
    guint scanned;     /* so much of it has no line end */
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

/* The limits of waiting are those of the socket: also while it connects. */
static bool connect_to(int fd, const char *path, bool must, GError **errp)
{
    const struct timeval limit = {.tv_sec = WRITE_SECONDS};
    struct sockaddr_un address = {0};

    if (!set_path(&address, path, errp)) {
        return false;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        return true;
    }
    if (must || !nobody_there(errno)) {
        g_set_error(errp, EXIT_ERROR, EXIT_UNREACHABLE,
                    "cannot reach the service at %s: %s", path,
                    g_strerror(errno == EAGAIN ? ETIMEDOUT : errno));
    }
    return false;
}

static ControlSocket *socket_new(int fd, const char *path)
{
    ControlSocket *sock = g_new0(ControlSocket, 1);

    sock->fd = fd;
    sock->path = g_strdup(path);
    sock->input = g_byte_array_new();
    return sock;
}

ControlSocket *control_socket_find(const Options *options, GError **errp)
{
    g_auto(GStrv) paths = control_paths(options);
    GError *err = NULL;

    for (int i = 0; paths[i] && !err; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (connect_to(fd, paths[i], options->control != NULL, &err)) {
            return socket_new(fd, paths[i]);
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
        g_byte_array_unref(sock->input);
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

/* Reads some more, by @deadline (-1: whenever). */
static bool read_more(ControlSocket *sock, gint64 deadline, GError **errp)
{
    struct pollfd pfd = {.fd = sock->fd, .events = POLLIN};
    gint64 left = (deadline - g_get_monotonic_time()) / 1000;
    guint8 buffer[16384];
    ssize_t n;

    if (poll(&pfd, 1, deadline < 0 ? -1 : (int)MAX(left, 0)) == 0) {
        g_set_error(errp, EXIT_ERROR, EXIT_TIMEOUT,
                    "%s: the service does not answer", sock->path);
        return false;
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

bool control_socket_write(ControlSocket *sock, json_object *value,
                          GError **errp)
{
    g_autofree char *line = g_strconcat(
        json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN), "\n",
        NULL);
    size_t len = strlen(line);

    for (size_t done = 0; done < len;) {
        ssize_t n = send(sock->fd, line + done, len - done, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            g_set_error(errp, EXIT_ERROR, EXIT_UNREACHABLE,
                        "%s: the service does not take requests: %s",
                        sock->path, g_strerror(errno));
            return false;
        }
        done += n;
    }
    return true;
}

void control_socket_shutdown(ControlSocket *sock)
{
    shutdown(sock->fd, SHUT_RDWR);
}

const char *control_socket_path(const ControlSocket *sock)
{
    return sock->path;
}
