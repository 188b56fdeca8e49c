/*
 * A peer of the client library that does what a test tells it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "client-fake-peer.h"
#include "qemu/lockable.h"

#define QUIET_MS 100

struct FakePeer {
    FakePeerFn *fn;
    void *opaque;
    char *dir;
    char *path;
    char *address;
    int listen_fd;
    int end_fd; /* an eventfd, readable once the test is over */
    QemuThread thread;

    /* Guards what follows. */
    QemuMutex lock;
    QemuCond cond;
    int n_go;
    int n_told;
    int n_connections;
    bool ended;

    /* The thread's own. */
    int fd;
    GString *in;
};

/* False once the test is over, or when @ms have passed. */
static bool wait_fd(FakePeer *peer, int fd, short events, int ms)
{
    struct pollfd fds[] = {{fd, events, 0}, {peer->end_fd, POLLIN, 0}};
    int n;

    do {
        n = poll(fds, G_N_ELEMENTS(fds), ms);
    } while (n < 0 && errno == EINTR);
    return n > 0 && !fds[1].revents;
}

static void serve(FakePeer *peer)
{
    WITH_QEMU_LOCK_GUARD(&peer->lock) {
        peer->n_connections++;
    }
    g_string_truncate(peer->in, 0);
    peer->fn(peer, peer->opaque);
    close(peer->fd);
}

static void *peer_thread(void *opaque)
{
    FakePeer *peer = opaque;

    while (wait_fd(peer, peer->listen_fd, POLLIN, -1)) {
        peer->fd =
            accept4(peer->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (peer->fd >= 0) {
            serve(peer);
        }
    }
    return NULL;
}

static void peer_listen(FakePeer *peer)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    g_strlcpy(addr.sun_path, peer->path, sizeof(addr.sun_path));
    peer->listen_fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    g_assert_cmpint(peer->listen_fd, >=, 0);
    g_assert_cmpint(
        bind(peer->listen_fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(peer->listen_fd, 16), ==, 0);
}

FakePeer *fake_peer_new(FakePeerFn *fn, void *opaque)
{
    FakePeer *peer = g_new0(FakePeer, 1);

    peer->fn = fn;
    peer->opaque = opaque;
    peer->in = g_string_new(NULL);
    peer->dir = g_dir_make_tmp("client-XXXXXX", NULL);
    g_assert_nonnull(peer->dir);
    peer->path = g_build_filename(peer->dir, "sock", NULL);
    peer->address = g_strdup_printf("unix:%s", peer->path);
    peer->end_fd = eventfd(0, EFD_CLOEXEC);
    qemu_mutex_init(&peer->lock);
    qemu_cond_init(&peer->cond);
    peer_listen(peer);
    qemu_thread_create(&peer->thread, "fake-peer", peer_thread, peer,
                       QEMU_THREAD_JOINABLE);
    return peer;
}

void fake_peer_free(FakePeer *peer)
{
    uint64_t one = 1;

    if (!peer) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&peer->lock) {
        peer->ended = true;
        qemu_cond_broadcast(&peer->cond);
    }
    g_assert_cmpint(write(peer->end_fd, &one, sizeof(one)), ==, sizeof(one));
    qemu_thread_join(&peer->thread);
    close(peer->listen_fd);
    close(peer->end_fd);
    unlink(peer->path);
    rmdir(peer->dir);
    qemu_cond_destroy(&peer->cond);
    qemu_mutex_destroy(&peer->lock);
    g_string_free(peer->in, TRUE);
    g_free(peer->address);
    g_free(peer->path);
    g_free(peer->dir);
    g_free(peer);
}

const char *fake_peer_address(FakePeer *peer)
{
    return peer->address;
}

int fake_peer_connections(FakePeer *peer)
{
    QEMU_LOCK_GUARD(&peer->lock);
    return peer->n_connections;
}

static void count_up(FakePeer *peer, int *count)
{
    QEMU_LOCK_GUARD(&peer->lock);
    (*count)++;
    qemu_cond_broadcast(&peer->cond);
}

/* False when the test is over instead. */
static bool count_down(FakePeer *peer, int *count)
{
    QEMU_LOCK_GUARD(&peer->lock);
    while (!*count && !peer->ended) {
        g_assert_true(
            qemu_cond_timedwait(&peer->cond, &peer->lock, FAKE_DEADLINE_MS));
    }
    if (!*count) {
        return false;
    }
    (*count)--;
    return true;
}

void fake_peer_go(FakePeer *peer)
{
    count_up(peer, &peer->n_go);
}

void fake_wait(FakePeer *peer)
{
    count_down(peer, &peer->n_go);
}

int fake_fd(FakePeer *peer)
{
    return peer->fd;
}

void fake_tell(FakePeer *peer)
{
    count_up(peer, &peer->n_told);
}

void fake_peer_hear(FakePeer *peer)
{
    g_assert_true(count_down(peer, &peer->n_told));
}

void fake_send_len(FakePeer *peer, const char *text, size_t len)
{
    while (len && wait_fd(peer, peer->fd, POLLOUT, FAKE_DEADLINE_MS)) {
        ssize_t n = send(peer->fd, text, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN) {
            return;
        }
        text += MAX(n, 0);
        len -= MAX(n, 0);
    }
}

void fake_send(FakePeer *peer, const char *text)
{
    fake_send_len(peer, text, strlen(text));
}

bool fake_try_send(FakePeer *peer, const char *text, size_t len)
{
    return wait_fd(peer, peer->fd, POLLOUT, FAKE_DEADLINE_MS) &&
           send(peer->fd, text, len, MSG_NOSIGNAL) > 0;
}

static bool receive(FakePeer *peer)
{
    char buf[4096];
    ssize_t n;

    if (!wait_fd(peer, peer->fd, POLLIN, FAKE_DEADLINE_MS)) {
        return false;
    }
    n = recv(peer->fd, buf, sizeof(buf), 0);
    if (n > 0) {
        g_string_append_len(peer->in, buf, n);
    }
    return n > 0;
}

char *fake_line(FakePeer *peer)
{
    const char *end;
    char *line;

    while (!(end = memchr(peer->in->str, '\n', peer->in->len))) {
        if (!receive(peer)) {
            return NULL;
        }
    }
    line = g_strndup(peer->in->str, end - peer->in->str);
    g_string_erase(peer->in, 0, end - peer->in->str + 1);
    return line;
}

json_object *fake_request(FakePeer *peer)
{
    g_autofree char *line = fake_line(peer);

    return line ? json_parse(line, &error_abort) : NULL;
}

void fake_until_closed(FakePeer *peer)
{
    while (receive(peer)) {
        g_string_truncate(peer->in, 0);
    }
}

bool fake_is_quiet(FakePeer *peer)
{
    return !peer->in->len && !wait_fd(peer, peer->fd, POLLIN, QUIET_MS);
}

void fake_negotiate(FakePeer *peer, const char *greeting)
{
    g_autoptr(json_object) req = NULL;

    fake_send(peer, greeting);
    req = fake_request(peer);
    if (req) {
        g_assert_cmpstr(fake_member(req, "execute"), ==, "qmp_capabilities");
        fake_answer(peer, req, "{}");
    }
}

static char *id_text(json_object *req)
{
    json_object *id;

    return json_object_object_get_ex(req, "id", &id) ? json_to_string(id, false)
                                                     : NULL;
}

void fake_answer(FakePeer *peer, json_object *req, const char *result)
{
    g_autofree char *id = id_text(req);
    g_autofree char *text =
        g_strdup_printf("{\"return\": %s%s%s}\r\n", result,
                        id ? ", \"id\": " : "", id ? id : "");

    fake_send(peer, text);
}

void fake_answer_error(FakePeer *peer, json_object *req, const char *cls,
                       const char *desc)
{
    g_autofree char *id = id_text(req);
    g_autofree char *text = g_strdup_printf(
        "{%s%s%s\"error\": {\"class\": \"%s\", \"desc\": \"%s\"}}\r\n",
        id ? "\"id\": " : "", id ? id : "", id ? ", " : "", cls, desc);

    fake_send(peer, text);
}

const char *fake_member(json_object *req, const char *name)
{
    json_object *value;

    return json_object_object_get_ex(req, name, &value)
               ? json_object_get_string(value)
               : "";
}

void fake_echo(FakePeer *peer)
{
    json_object *req, *arguments;

    while ((req = fake_request(peer)) != NULL) {
        g_autofree char *text =
            json_object_object_get_ex(req, "arguments", &arguments)
                ? json_to_string(arguments, false)
                : g_strdup("{}");

        fake_answer(peer, req, text);
        json_object_put(req);
    }
}

void expect_error(GError *err, YcError code, const char *words)
{
    g_assert_nonnull(err);
    g_test_message("%s", err->message);
    g_assert_error(err, YC_ERROR, (int)code);
    g_assert_nonnull(strstr(err->message, words));
    g_error_free(err);
}

void expect_nothing_left(void)
{
    g_assert_true(yc_cleanup(FAKE_DEADLINE_MS));
}
