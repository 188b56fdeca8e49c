/*
 * Yank of an NBD node in every phase of its connection, and its revival.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "nbd-client-test.h"

static char buf[FAKE_SIZE];

static const char yanked_error[] = "The connection to 'unix:PATH' was yanked";

static int do_read(BlockNode *node)
{
    return block_request_sync(node, BLOCK_OP_READ, 4096, 4096, buf, 0);
}

static bool reconnect(BlockNode *node, Error **errp)
{
    return node->driver->reconnect(node, 10, false, errp);
}

/* ---- While the node is opened. ---- */

static void add_hangs(FakeMode mode, const char *more, const char *phase,
                      const char *cut)
{
    Rescuer rescuer;

    server_start(mode);
    if (g_str_equal(phase, "reconnect-wait")) {
        fake_server_stop(server);
    }
    rescuer_start(&rescuer, phase, cut);
    nbd_add_fails(more, yanked_error);
    rescuer_check(&rescuer);
    server_end();
}

static void test_open_handshake(void)
{
    add_hangs(FAKE_SILENT, "", "handshake", "handshake with unix:PATH");
}

static void test_open_go(void)
{
    add_hangs(FAKE_SILENT_GO, "", "handshake", "handshake with unix:PATH");
}

static void test_open_wait(void)
{
    add_hangs(FAKE_OK, ", 'open-timeout': 60", "reconnect-wait",
              "wait to reconnect to unix:PATH");
}

/* A full backlog lets nobody in, and turns nobody away. */
static void test_open_connect(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    Rescuer rescuer;

    g_strlcpy(addr.sun_path, test_socket, sizeof(addr.sun_path));
    g_assert_cmpint(bind(listener, (void *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(listener, 0), ==, 0);
    g_assert_cmpint(connect(client, (void *)&addr, sizeof(addr)), ==, 0);
    rescuer_start(&rescuer, "connect", "connection attempt to unix:PATH");
    nbd_add_fails("", yanked_error);
    rescuer_check(&rescuer);
    close(client);
    close(listener);
    unlink(test_socket);
    test_finish();
}

/* ---- Name resolution that hangs: libc's, replaced for this program. ---- */

static QemuMutex resolver_lock;
static QemuCond resolver_cond;
static bool resolver_hangs;
static unsigned resolver_calls;

int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **res)
{
    if (hints->ai_flags & AI_NUMERICHOST) {
        return EAI_NONAME;
    }
    QEMU_LOCK_GUARD(&resolver_lock);
    resolver_calls++;
    while (resolver_hangs) {
        qemu_cond_wait(&resolver_cond, &resolver_lock);
    }
    resolver_calls--;
    qemu_cond_broadcast(&resolver_cond);
    return EAI_AGAIN;
}

static void resolver_release(void)
{
    QEMU_LOCK_GUARD(&resolver_lock);
    resolver_hangs = false;
    qemu_cond_broadcast(&resolver_cond);
    while (resolver_calls) {
        qemu_cond_wait(&resolver_cond, &resolver_lock);
    }
}

static void test_open_resolve(void)
{
    Rescuer rescuer;

    resolver_hangs = true;
    rescuer_start(&rescuer, "resolve",
                  "name resolution for a connection to example.invalid:10809");
    test_add_fails("{'driver': 'nbd', 'node-name': 'n', 'server':"
                   " {'type': 'inet', 'host': 'example.invalid',"
                   " 'port': '10809'}}",
                   "The connection to 'example.invalid:10809' was yanked");
    rescuer_check(&rescuer);
    resolver_release();
    test_finish();
}

/* ---- While there are requests. ---- */

static void test_requests(void)
{
    BlockNode *node;
    TestReq *reqs[16];

    server_start(FAKE_FROZEN);
    node = nbd_add(", 'reconnect-delay': 60");
    for (int i = 0; i < 16; i++) {
        reqs[i] = test_start(node, i % 2 ? BLOCK_OP_READ : BLOCK_OP_WRITE,
                             i * 512, 512, buf + i * 512);
    }
    fake_server_wait(server, FAKE_REQUESTS, 16);
    nbd_yank_cuts("connection to unix:PATH");
    for (int i = 0; i < 16; i++) {
        g_assert_cmpint(test_wait(reqs[i]), ==, -EIO);
    }
    g_assert_true(nbd_phase_is("yanked"));
    g_assert_cmpint(do_read(node), ==, -EIO);
    nbd_yank_cuts("");

    fake_server_set(server, FAKE_OK);
    g_assert_cmpuint(fake_server_count(server, FAKE_CONNECTIONS), ==, 1);
    g_assert_true(reconnect(node, &error_abort));
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    server_end();
}

/* Requests that did not even fit into the socket. */
static void test_unsent(void)
{
    enum {
        N = 32
    };
    BlockNode *node;
    TestReq *reqs[N];

    server_start(FAKE_DEAF);
    node = nbd_add("");
    for (int i = 0; i < N; i++) {
        reqs[i] = test_start(node, BLOCK_OP_WRITE, 0, FAKE_SIZE, buf);
    }
    test_settle(node);
    nbd_yank_cuts("connection to unix:PATH");
    for (int i = 0; i < N; i++) {
        g_assert_cmpint(test_wait(reqs[i]), ==, -EIO);
    }
    nbd_del();
    server_end();
}

/* A reply that stopped in the middle. */
static void test_half_reply(void)
{
    BlockNode *node;
    TestReq *req;

    server_start(FAKE_HALF_REPLY);
    node = nbd_add("");
    req = test_start(node, BLOCK_OP_READ, 0, FAKE_SIZE, buf);
    fake_server_wait(server, FAKE_REQUESTS, 1);
    nbd_yank_cuts("connection to unix:PATH");
    g_assert_cmpint(test_wait(req), ==, -EIO);
    nbd_del();
    server_end();
}

/* Requests that wait for a server that is gone. */
static void test_reconnect_wait(void)
{
    BlockNode *node;
    TestReq *req;
    int64_t start;

    server_start(FAKE_FROZEN);
    node = nbd_add(", 'reconnect-delay': 60");
    req = test_start(node, BLOCK_OP_READ, 0, 512, buf);
    fake_server_wait(server, FAKE_REQUESTS, 1);
    fake_server_stop(server);
    nbd_wait_phase("reconnect-wait");
    g_assert_false(test_is_done(req));
    start = g_get_monotonic_time();
    nbd_yank_cuts("wait to reconnect to unix:PATH");
    g_assert_cmpint(test_wait(req), ==, -EIO);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 2000000);
    nbd_del();
    server_end();
}

static void take_and_release(void *opaque)
{
    qemu_mutex_lock(opaque);
    qemu_mutex_unlock(opaque);
}

/* The thread that yanks cuts the connection itself. */
static void test_busy_iothread(void)
{
    QemuMutex busy;
    BlockNode *node;

    qemu_mutex_init_slow(&busy);
    server_start(FAKE_OK);
    node = nbd_add("");
    qemu_mutex_lock(&busy);
    iothread_post(block_node_iothread(node), take_and_release, &busy);
    nbd_yank_cuts("connection to unix:PATH");
    fake_server_wait(server, FAKE_ENDS, 1);
    qemu_mutex_unlock(&busy);
    nbd_del();
    server_end();
    qemu_mutex_destroy(&busy);
}

/* ---- While the main thread waits for requests. ---- */

static void test_drain(void)
{
    Rescuer rescuer;
    BlockNode *node;
    TestReq *req;

    server_start(FAKE_FROZEN);
    node = nbd_add("");
    req = test_start(node, BLOCK_OP_READ, 0, 512, buf);
    rescuer_start(&rescuer, "transmission", "connection to unix:PATH");
    block_drained_begin(node);
    rescuer_check(&rescuer);
    block_drained_end(node);
    g_assert_cmpint(test_wait(req), ==, -EIO);
    nbd_del();
    server_end();
}

static void test_del(void)
{
    Rescuer rescuer;

    server_start(FAKE_FROZEN);
    nbd_add("");
    rescuer_start(&rescuer, "transmission", "connection to unix:PATH");
    nbd_del();
    rescuer_check(&rescuer);
    server_end();
}

/* ---- Revival. ---- */

static void test_reconnect_fails(void)
{
    g_autoptr(Error) err = NULL;
    BlockNode *node;

    server_start(FAKE_OK);
    node = nbd_add("");
    nbd_yank_cuts("connection to unix:PATH");
    fake_server_stop(server);
    g_assert_false(reconnect(node, &err));
    g_assert_true(nbd_phase_is("yanked"));
    fake_server_listen(server);
    g_assert_cmpint(do_read(node), ==, -EIO);
    g_assert_true(reconnect(node, &error_abort));
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    server_end();
}

static void test_reconnect_hangs(void)
{
    g_autoptr(Error) err = NULL;
    g_autofree char *message = NULL;
    Rescuer rescuer;
    BlockNode *node;

    server_start(FAKE_OK);
    node = nbd_add("");
    nbd_yank_cuts("connection to unix:PATH");
    fake_server_set(server, FAKE_SILENT);
    rescuer_start(&rescuer, "handshake", "handshake with unix:PATH");
    g_assert_false(reconnect(node, &err));
    rescuer_check(&rescuer);
    message =
        g_strdup_printf("The connection to 'unix:%s' was yanked", test_socket);
    g_assert_cmpstr(error_get_pretty(err), ==, message);
    g_assert_true(nbd_phase_is("yanked"));
    nbd_del();
    server_end();
}

/* ---- At any moment. ---- */

typedef struct Sniper {
    QemuThread thread;
    unsigned delay_us;
    int hit; /* atomic: the yank has returned */
} Sniper;

static void *sniper_main(void *opaque)
{
    Sniper *s = opaque;
    int64_t until = g_get_monotonic_time() + s->delay_us;
    g_autofree char *cut = NULL;

    while (g_get_monotonic_time() < until) {
    }
    cut = nbd_yank();
    g_atomic_int_set(&s->hit, cut != NULL);
    return NULL;
}

/* Whenever it comes: once it has returned, nothing connects any more. */
static void test_any_moment(void)
{
    for (unsigned i = 0; i < 300; i++) {
        Sniper sniper = {.delay_us = g_random_int_range(0, 1000)};
        BlockNode *node;
        g_autofree char *json = nbd_json(", 'reconnect-delay': 60");
        TestReq *req;

        server_start(FAKE_OK);
        qemu_thread_create(&sniper.thread, "sniper", sniper_main, &sniper,
                           QEMU_THREAD_JOINABLE);
        node = test_add_err(json, NULL);
        req = node ? test_start(node, BLOCK_OP_READ, 0, 512, buf) : NULL;
        qemu_thread_join(&sniper.thread);
        if (!node) {
            g_assert_true(g_atomic_int_get(&sniper.hit));
        } else {
            test_wait(req);
            g_assert_cmpint(do_read(node), ==, sniper.hit ? -EIO : 0);
            test_settle(node);
            g_assert_true(nbd_phase_is(sniper.hit ? "yanked" : "transmission"));
            nbd_del();
        }
        server_end();
    }
}

/* The same while the main thread revives it, over and over. */
static void test_any_moment_revived(void)
{
    BlockNode *node;

    server_start(FAKE_OK);
    node = nbd_add("");
    for (unsigned i = 0; i < 300; i++) {
        Sniper sniper = {.delay_us = g_random_int_range(0, 500)};

        qemu_thread_create(&sniper.thread, "sniper", sniper_main, &sniper,
                           QEMU_THREAD_JOINABLE);
        reconnect(node, NULL);
        do_read(node);
        qemu_thread_join(&sniper.thread);
        g_assert_true(reconnect(node, &error_abort));
        g_assert_cmpint(do_read(node), ==, 0);
    }
    nbd_del();
    server_end();
}

/* While the node moves to another I/O thread. */
static void test_any_moment_moved(void)
{
    IOThread *threads[2] = {iothread_new("io1"), iothread_new("io2")};
    BlockNode *node;

    server_start(FAKE_OK);
    node = nbd_add(", 'reconnect-delay': 60");
    for (unsigned i = 0; i < 300; i++) {
        Sniper sniper = {.delay_us = g_random_int_range(0, 200)};

        qemu_thread_create(&sniper.thread, "sniper", sniper_main, &sniper,
                           QEMU_THREAD_JOINABLE);
        block_node_set_iothread(node, threads[i % 2], &error_abort);
        qemu_thread_join(&sniper.thread);
        test_settle(node);
        g_assert_true(nbd_phase_is("yanked"));
        g_assert_cmpint(do_read(node), ==, -EIO);
        g_assert_true(reconnect(node, &error_abort));
    }
    nbd_del();
    server_end();
    iothread_unref(threads[0]);
    iothread_unref(threads[1]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_mutex_init(&resolver_lock);
    qemu_cond_init(&resolver_cond);
    nbd_test_begin();
    g_test_add_func("/block/nbd-yank/open-resolve", test_open_resolve);
    g_test_add_func("/block/nbd-yank/open-connect", test_open_connect);
    g_test_add_func("/block/nbd-yank/open-handshake", test_open_handshake);
    g_test_add_func("/block/nbd-yank/open-go", test_open_go);
    g_test_add_func("/block/nbd-yank/open-wait", test_open_wait);
    g_test_add_func("/block/nbd-yank/requests", test_requests);
    g_test_add_func("/block/nbd-yank/unsent", test_unsent);
    g_test_add_func("/block/nbd-yank/half-reply", test_half_reply);
    g_test_add_func("/block/nbd-yank/reconnect-wait", test_reconnect_wait);
    g_test_add_func("/block/nbd-yank/busy-iothread", test_busy_iothread);
    g_test_add_func("/block/nbd-yank/drain", test_drain);
    g_test_add_func("/block/nbd-yank/del", test_del);
    g_test_add_func("/block/nbd-yank/reconnect-fails", test_reconnect_fails);
    g_test_add_func("/block/nbd-yank/reconnect-hangs", test_reconnect_hangs);
    g_test_add_func("/block/nbd-yank/any-moment", test_any_moment);
    g_test_add_func("/block/nbd-yank/any-moment-revived",
                    test_any_moment_revived);
    g_test_add_func("/block/nbd-yank/any-moment-moved", test_any_moment_moved);
    return nbd_test_end(g_test_run());
}
