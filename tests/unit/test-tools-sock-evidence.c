/*
 * What the kernel reports about sockets, tested with sockets of this process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "tools/sock-evidence.h"

/* A connection to a listener in this process. */
typedef struct Pair {
    int listener, client, server;
} Pair;

static void pair_open(Pair *pair, struct sockaddr *address, socklen_t len)
{
    int family = address->sa_family;

    pair->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(pair->listener, address, len), ==, 0);
    g_assert_cmpint(listen(pair->listener, 1), ==, 0);
    g_assert_cmpint(getsockname(pair->listener, address, &len), ==, 0);
    pair->client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(pair->client, address, len), ==, 0);
    pair->server = accept(pair->listener, NULL, NULL);
    g_assert_cmpint(pair->server, >=, 0);
}

static void pair_close(Pair *pair)
{
    close(pair->client);
    close(pair->server);
    close(pair->listener);
}

static const SockState *find(GPtrArray *sockets, int fd)
{
    for (guint i = 0; i < sockets->len; i++) {
        const SockState *state = sockets->pdata[i];

        if (state->fd == fd) {
            return state;
        }
    }
    g_assert_not_reached();
}

static GPtrArray *look(void)
{
    g_autoptr(GError) err = NULL;
    GPtrArray *sockets = sock_evidence_sockets(getpid(), &err);

    g_assert_no_error(err);
    return sockets;
}

/* Checks whether the server of @pair has left bytes of the client unread. */
static void check(Pair *pair, const char *peer, bool unread)
{
    g_autoptr(GPtrArray) sockets = look();
    const SockState *client = find(sockets, pair->client);
    const SockState *server = find(sockets, pair->server);
    const SockState *listener = find(sockets, pair->listener);

    g_assert_true(listener->listens && !listener->peer);
    g_assert_cmpstr(listener->local, ==, peer);
    g_assert_false(client->listens || server->listens);
    g_assert_cmpstr(client->peer, ==, peer);
    g_assert_cmpstr(server->local, ==, peer);
    g_assert_cmpuint(client->peer_inode, ==, server->inode);
    g_assert_cmpuint(server->peer_inode, ==, client->inode);
    g_assert_true((client->unread > 0) == unread);
    g_assert_cmpuint(server->unread, ==, 0);
}

/* Bytes are unread until the peer has read the last of them. */
static void check_unread(Pair *pair, const char *peer)
{
    char text[28];

    check(pair, peer, false);
    g_assert_cmpint(write(pair->client, "0123456789", 10), ==, 10);
    check(pair, peer, true);
    g_assert_cmpint(recv(pair->server, text, 4, MSG_WAITALL), ==, 4);
    check(pair, peer, true);
    g_assert_cmpint(recv(pair->server, text, 6, MSG_WAITALL), ==, 6);
    check(pair, peer, false);
}

static void test_unix(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_dir_make_tmp("test-evidence-XXXXXX", &err);
    g_autofree char *path = g_build_filename(dir, "sock", NULL);
    g_autofree char *peer = g_strconcat("unix:", path, NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    Pair pair;

    g_assert_no_error(err);
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    pair_open(&pair, (struct sockaddr *)&address, sizeof(address));
    check_unread(&pair, peer);
    pair_close(&pair);
    g_unlink(path);
    g_rmdir(dir);
}

static void test_inet(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    g_autofree char *peer = NULL;
    Pair pair;

    pair_open(&pair, (struct sockaddr *)&address, sizeof(address));
    peer = g_strdup_printf("127.0.0.1:%u", ntohs(address.sin_port));
    check_unread(&pair, peer);
    pair_close(&pair);
}

/* TCP tells when something was sent last, and when something came. */
static void test_times(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    g_autoptr(GPtrArray) sockets = NULL;
    const SockState *client;
    char byte;
    Pair pair;

    pair_open(&pair, (struct sockaddr *)&address, sizeof(address));
    g_assert_cmpint(write(pair.server, "g", 1), ==, 1);
    g_assert_cmpint(recv(pair.client, &byte, 1, 0), ==, 1);
    /* Longer than a step of the kernel's clock. */
    g_usleep(50000);
    g_assert_cmpint(write(pair.client, "r", 1), ==, 1);
    g_assert_cmpint(recv(pair.server, &byte, 1, 0), ==, 1);
    sockets = look();
    client = find(sockets, pair.client);
    g_assert_cmpint(client->sent_ms, >=, 0);
    g_assert_cmpint(client->received_ms, >, client->sent_ms);
    g_assert_cmpuint(client->unread, ==, 0);
    pair_close(&pair);
}

static void test_nobody(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *what = NULL;
    bool waits;

    g_assert_null(sock_evidence_sockets(G_MAXINT, &err));
    g_assert_nonnull(strstr(err->message, "cannot be seen"));
    g_clear_error(&err);
    g_assert_false(sock_evidence_main_thread(G_MAXINT, &waits, &what, &err));
    g_assert_nonnull(strstr(err->message, "cannot be seen"));
}

/* Until the main thread of @pid is seen to do @words. */
static bool seen(int pid, bool should_wait, const char *words)
{
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    while (g_get_monotonic_time() < end) {
        g_autoptr(GError) err = NULL;
        g_autofree char *what = NULL;
        bool waits = false;

        if (!sock_evidence_main_thread(pid, &waits, &what, &err)) {
            g_test_message("%s", err->message);
            return false;
        }
        if (waits == should_wait && strstr(what, words)) {
            return true;
        }
        g_usleep(1000);
    }
    return false;
}

static int start(const char *first, const char *second)
{
    const char *argv[] = {first, second, NULL};
    g_autoptr(GError) err = NULL;
    int pid;

    g_spawn_async(NULL, (char **)argv, NULL,
                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                  &pid, &err);
    g_assert_no_error(err);
    return pid;
}

static void end(int pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_main_thread(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_dir_make_tmp("test-evidence-XXXXXX", &err);
    g_autofree char *fifo = g_build_filename(dir, "fifo", NULL);
    int pid;

    g_assert_no_error(err);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    pid = start("sleep", "1000");
    g_assert_true(seen(pid, true, "nanosleep"));
    end(pid);
    pid = start("cat", fifo);
    g_assert_true(seen(pid, false, "system call"));
    end(pid);
    g_unlink(fifo);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tools/sock-evidence/unix", test_unix);
    g_test_add_func("/tools/sock-evidence/inet", test_inet);
    g_test_add_func("/tools/sock-evidence/times", test_times);
    g_test_add_func("/tools/sock-evidence/nobody", test_nobody);
    g_test_add_func("/tools/sock-evidence/main-thread", test_main_thread);
    return g_test_run();
}
