/*
 * Links of a migration: whatever hangs on one ends when it is cut, with the
 * first reason.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "io-fixture.h"
#include "migration/link.h"
#include "qemu/oob.h"

/* A channel, and the other end of its socket in *@peer. */
static QIOChannel *new_channel(int *peer)
{
    g_autoptr(SocketAddress) address = NULL;
    QIOChannel *ioc;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==,
                    0);
    *peer = fds[1];
    address = io_fixture_fd(fds[0]);
    ioc = qio_connect_sync(address, NULL, NULL, &error_abort);
    g_assert_true(qio_channel_set_blocking(ioc, true, &error_abort));
    return ioc;
}

/* Whether the end of the stream is there; does not wait. */
static bool is_shut(int peer)
{
    char c;

    return recv(peer, &c, 1, MSG_DONTWAIT) == 0;
}

static void expect_reason(Link *link, const char *reason)
{
    g_autofree char *got = link_reason(link);
    g_autoptr(Error) err = NULL;

    g_assert_cmpstr(got, ==, reason);
    link_error(link, &err);
    g_assert_cmpstr(error_get_pretty(err), ==,
                    reason ? reason : "The migration was ended");
}

/* ---- Channels. ---- */

static void test_cut(void)
{
    g_autoptr(Link) link = link_new();
    g_autoptr(QIOChannel) one = NULL, two = NULL, late = NULL;
    g_autoptr(Error) err = NULL;
    int peers[3];

    io_fixture_start();
    one = new_channel(&peers[0]);
    two = new_channel(&peers[1]);
    late = new_channel(&peers[2]);
    g_assert_true(link_add_channel(link, one, &error_abort));
    g_assert_true(link_add_channel(link, two, &error_abort));
    g_assert_false(link_is_cut(link));
    expect_reason(link, NULL);
    g_assert_false(is_shut(peers[0]));

    oob_section_enter("test");
    g_assert_true(link_cut(link, "Reason %d", 1));
    g_assert_false(link_cut(link, "Reason %d", 2));
    oob_section_leave();
    g_assert_true(link_is_cut(link));
    expect_reason(link, "Reason 1");
    g_assert_true(is_shut(peers[0]));
    g_assert_true(is_shut(peers[1]));

    /* Who comes late meets the same end. */
    g_assert_false(is_shut(peers[2]));
    g_assert_false(link_add_channel(link, late, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "Reason 1");
    g_assert_true(is_shut(peers[2]));

    for (int i = 0; i < 3; i++) {
        close(peers[i]);
    }
    g_clear_pointer(&link, link_unref);
    g_clear_pointer(&one, qio_channel_unref);
    g_clear_pointer(&two, qio_channel_unref);
    g_clear_pointer(&late, qio_channel_unref);
    io_fixture_finish();
}

static void test_cut_error(void)
{
    g_autoptr(Link) link = link_new();
    g_autoptr(Error) err = NULL;

    error_setg(&err, "100 %%s of it");
    g_assert_true(link_cut_error(link, err));
    expect_reason(link, "100 %s of it");
}

static void test_remove(void)
{
    g_autoptr(Link) link = link_new();
    QIOChannel *ioc;
    int peer;

    io_fixture_start();
    ioc = new_channel(&peer);
    g_assert_true(link_add_channel(link, ioc, &error_abort));
    link_remove_channel(link, ioc);
    g_assert_true(link_cut(link, "Reason"));
    g_assert_false(is_shut(peer));
    link_remove_channel(link, ioc); /* it is not there any more */
    qio_channel_unref(ioc);
    close(peer);
    io_fixture_finish();
}

/* The link keeps what it may have to cut. */
static void test_reference(void)
{
    Link *link = link_new();
    QIOChannel *ioc;
    int peer;

    io_fixture_start();
    ioc = new_channel(&peer);
    g_assert_true(link_add_channel(link, ioc, &error_abort));
    qio_channel_unref(ioc);
    g_assert_false(is_shut(peer));
    link_unref(link_ref(link));
    g_assert_false(is_shut(peer));
    link_unref(link);
    g_assert_true(is_shut(peer));
    close(peer);
    io_fixture_finish();
    link_unref(NULL);
}

/* ---- Threads that wait. ---- */

typedef struct Reader {
    Link *link;
    QIOChannel *ioc;
} Reader;

static void *read_thread(void *opaque)
{
    Reader *r = opaque;
    char c;

    g_assert_cmpint(qio_channel_read_all(r->ioc, &c, 1, NULL), <=, 0);
    g_assert_true(link_is_cut(r->link));
    return NULL;
}

static void test_reader(void)
{
    g_autoptr(Link) link = link_new();
    Reader r = {.link = link};
    QemuThread thread;
    int peer;

    io_fixture_start();
    r.ioc = new_channel(&peer);
    g_assert_true(link_add_channel(link, r.ioc, &error_abort));
    qemu_thread_create(&thread, "reader", read_thread, &r,
                       QEMU_THREAD_JOINABLE);
    g_assert_true(link_cut(link, "Reason"));
    qemu_thread_join(&thread);
    g_clear_pointer(&link, link_unref);
    qio_channel_unref(r.ioc);
    close(peer);
    io_fixture_finish();
}

static void *wait_thread(void *opaque)
{
    link_wait_cut(opaque, FIXTURE_DEADLINE_S * 1000);
    g_assert_true(link_is_cut(opaque));
    return NULL;
}

static void test_wait_cut(void)
{
    g_autoptr(Link) link = link_new();
    QemuThread threads[4];

    link_wait_cut(link, 1);
    g_assert_false(link_is_cut(link));
    for (int i = 0; i < 4; i++) {
        qemu_thread_create(&threads[i], "waiter", wait_thread, link,
                           QEMU_THREAD_JOINABLE);
    }
    g_assert_true(link_cut(link, "Reason"));
    for (int i = 0; i < 4; i++) {
        qemu_thread_join(&threads[i]);
    }
    link_wait_cut(link, FIXTURE_DEADLINE_S * 1000);
}

/* ---- Connecting. ---- */

typedef struct Connect {
    Link *link;
    SocketAddress *address;
} Connect;

static void *connect_thread(void *opaque)
{
    Connect *c = opaque;
    g_autoptr(Error) err = NULL;

    g_assert_null(qio_connect_sync(c->address, link_set_task, c->link, &err));
    g_assert_nonnull(err);
    g_assert_true(link_is_cut(c->link));
    return NULL;
}

/* To an address where the queue of connections is full. */
static void connect_and_cut(bool cut_first)
{
    g_autoptr(Link) link = link_new();
    Connect c = {.link = link};
    g_autofree char *path = NULL;
    GArray *fillers;
    QemuThread thread;
    int listener;

    io_fixture_start();
    path = io_fixture_path("full");
    listener = io_fixture_listen_unix(path, 0);
    fillers = io_fixture_fill_backlog(path);
    c.address = io_fixture_unix(path);
    if (cut_first) {
        g_assert_true(link_cut(link, "Reason"));
    }
    qemu_thread_create(&thread, "connect", connect_thread, &c,
                       QEMU_THREAD_JOINABLE);
    if (!cut_first) {
        g_assert_true(link_cut(link, "Reason"));
    }
    qemu_thread_join(&thread);
    qapi_free_SocketAddress(c.address);
    g_clear_pointer(&link, link_unref);
    io_fixture_close_all(fillers);
    close(listener);
    unlink(path);
    io_fixture_finish();
}

static void test_connect(void)
{
    for (int i = 0; i < 20; i++) {
        connect_and_cut(false);
    }
}

static void test_connect_late(void)
{
    connect_and_cut(true);
}

/* ---- Many cut at once, and channels come meanwhile. ---- */

#define CUTTERS 4
#define CHANNELS 16

static unsigned n_first; /* atomic: cuts that were the first */

static void *cut_thread(void *opaque)
{
    if (link_cut(opaque, "Reason")) {
        __atomic_fetch_add(&n_first, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void race(void)
{
    g_autoptr(Link) link = link_new();
    QemuThread threads[CUTTERS];
    QIOChannel *channels[CHANNELS];
    int peers[CHANNELS];

    n_first = 0;
    for (int i = 0; i < CHANNELS; i++) {
        channels[i] = new_channel(&peers[i]);
    }
    for (int i = 0; i < CUTTERS; i++) {
        qemu_thread_create(&threads[i], "cutter", cut_thread, link,
                           QEMU_THREAD_JOINABLE);
    }
    for (int i = 0; i < CHANNELS; i++) {
        link_add_channel(link, channels[i], NULL);
    }
    for (int i = 0; i < CUTTERS; i++) {
        qemu_thread_join(&threads[i]);
    }
    g_assert_cmpuint(n_first, ==, 1);
    for (int i = 0; i < CHANNELS; i++) {
        g_assert_true(is_shut(peers[i]));
        qio_channel_unref(channels[i]);
        close(peers[i]);
    }
}

static void test_race(void)
{
    io_fixture_start();
    for (int i = 0; i < 50; i++) {
        race();
    }
    io_fixture_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/migration/link/cut", test_cut);
    g_test_add_func("/migration/link/cut-error", test_cut_error);
    g_test_add_func("/migration/link/remove", test_remove);
    g_test_add_func("/migration/link/reference", test_reference);
    g_test_add_func("/migration/link/reader", test_reader);
    g_test_add_func("/migration/link/wait-cut", test_wait_cut);
    g_test_add_func("/migration/link/connect", test_connect);
    g_test_add_func("/migration/link/connect-late", test_connect_late);
    g_test_add_func("/migration/link/race", test_race);
    return g_test_run();
}
