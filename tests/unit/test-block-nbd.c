/*
 * The NBD client: data, limits, lost connections, servers that misbehave.
 *
 * Longer than most files, as every rule has a case of its own here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-client-test.h"

static char buf[FAKE_SIZE];

static int do_read(BlockNode *node)
{
    return block_request_sync(node, BLOCK_OP_READ, 4096, 4096, buf, 0);
}

static bool reconnect(BlockNode *node, Error **errp)
{
    return node->driver->reconnect(node, 10, false, errp);
}

static void reconnect_fails(BlockNode *node, const char *format)
{
    g_autoptr(Error) err = NULL;
    g_autoptr(GString) message = g_string_new(format);

    g_string_replace(message, "PATH", test_socket, 0);
    g_assert_false(reconnect(node, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, message->str);
}

/* ---- Data. ---- */

static void test_data(void)
{
    BlockNode *node;

    server_start(FAKE_OK);
    node = nbd_add(", 'discard': 'unmap'");
    g_assert_cmpuint(block_node_size(node), ==, FAKE_SIZE);
    for (size_t i = 0; i < sizeof(buf); i++) {
        buf[i] = g_random_int();
    }
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_WRITE, 0, FAKE_SIZE, buf, 0), ==, 0);
    g_assert_cmpmem(fake_server_data(server), FAKE_SIZE, buf, FAKE_SIZE);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_WRITE, 1, 3, "abc", BLOCK_REQ_FUA),
        ==, 0);
    g_assert_cmpmem(fake_server_data(server) + 1, 3, "abc", 3);
    g_assert_cmpuint(fake_server_count(server, FAKE_FUAS), ==, 1);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 512, 512,
                                       NULL, BLOCK_REQ_NO_FALLBACK),
                    ==, 0);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_DISCARD, 2048, 100, NULL, 0), ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_FLUSH, 0, 0, NULL, 0), ==,
                    0);
    g_assert_cmpint(fake_server_data(server)[600], ==, 0);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_READ, 0, FAKE_SIZE, buf, 0), ==, 0);
    g_assert_cmpmem(fake_server_data(server), FAKE_SIZE, buf, FAKE_SIZE);
    nbd_del();
    fake_server_wait(server, FAKE_GOODBYES, 1);
    g_assert_cmpuint(fake_server_count(server, FAKE_TRIMS), ==, 1);
    g_assert_cmpuint(fake_server_count(server, FAKE_ZEROES), ==, 1);
    g_assert_cmpuint(fake_server_count(server, FAKE_FLUSHES), ==, 2);
    server_end();
}

/* Far more in flight than a socket holds, both ways. */
static void test_many(void)
{
    enum {
        N = 128,
        BYTES = 64 * 1024
    };
    g_autofree char *buffers = g_malloc0(N * BYTES);
    TestReq *reqs[N];
    BlockNode *node;

    server_start(FAKE_OK);
    node = nbd_add("");
    for (int i = 0; i < N; i++) {
        reqs[i] = test_start(node, i % 2 ? BLOCK_OP_READ : BLOCK_OP_WRITE,
                             i % 16 * BYTES, BYTES, buffers + i * BYTES);
    }
    for (int i = 0; i < N; i++) {
        g_assert_cmpint(test_wait(reqs[i]), ==, 0);
    }
    nbd_del();
    server_end();
}

/*
 * Abilities that the server lacks are emulated with those it has.  Without a
 * flush command, each write counts as stable.
 */
static void test_bare(void)
{
    BlockNode *node;

    server_start(FAKE_BARE);
    memset(fake_server_data(server), 1, FAKE_SIZE);
    node = nbd_add(", 'discard': 'unmap'");
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 1000, 5000,
                                       NULL, BLOCK_REQ_FUA),
                    ==, 0);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_WRITE, 8192, 3, "abc", BLOCK_REQ_FUA),
        ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 0, 512,
                                       NULL, BLOCK_REQ_NO_FALLBACK),
                    ==, -ENOTSUP);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_DISCARD, 0, 512, NULL, 0),
                    ==, 0);
    g_assert_cmpint(fake_server_data(server)[999], ==, 1);
    g_assert_cmpint(fake_server_data(server)[1000], ==, 0);
    g_assert_cmpint(fake_server_data(server)[5999], ==, 0);
    g_assert_cmpint(fake_server_data(server)[6000], ==, 1);
    nbd_del();
    g_assert_cmpuint(fake_server_count(server, FAKE_WRITES), ==, 2);
    g_assert_cmpuint(fake_server_count(server, FAKE_TRIMS), ==, 0);
    g_assert_cmpuint(fake_server_count(server, FAKE_FUAS), ==, 0);
    g_assert_cmpuint(fake_server_count(server, FAKE_FLUSHES), ==, 0);
    server_end();
}

/* A stable write is a write and a flush. */
static void test_no_fua(void)
{
    BlockNode *node;

    server_start(FAKE_NO_FUA);
    node = nbd_add("");
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_WRITE, 0, 3, "abc", BLOCK_REQ_FUA),
        ==, 0);
    g_assert_cmpuint(fake_server_count(server, FAKE_WRITES), ==, 1);
    g_assert_cmpuint(fake_server_count(server, FAKE_FUAS), ==, 0);
    g_assert_cmpuint(fake_server_count(server, FAKE_FLUSHES), ==, 1);
    nbd_del();
    server_end();
}

static void test_limits(void)
{
    BlockNode *node;

    server_start(FAKE_LIMITS);
    node = nbd_add("");
    memset(buf, 9, sizeof(buf));
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, 4096,
                                       FAKE_SIZE - 4096, buf, BLOCK_REQ_FUA),
                    ==, 0);
    g_assert_cmpuint(fake_server_count(server, FAKE_LARGEST), ==, 65536);
    g_assert_cmpuint(fake_server_count(server, FAKE_WRITES), ==, 16);
    g_assert_cmpuint(fake_server_count(server, FAKE_FUAS), ==, 16);
    g_assert_cmpint(fake_server_data(server)[4095], ==, 0);
    g_assert_cmpint(fake_server_data(server)[FAKE_SIZE - 1], ==, 9);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 512, 512, buf, 0),
                    ==, -EINVAL);
    nbd_del();
    server_end();
}

/* Servers that QEMU accepts and libnbd refuses. */
static void test_no_flags(void)
{
    BlockNode *node;

    server_start(FAKE_NO_FLAGS);
    node = nbd_add(", 'reconnect-delay': 60");
    g_assert_cmpuint(block_node_size(node), ==, FAKE_SIZE);
    g_assert_false(block_node_is_read_only(node));
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, 4096, 3, "abc",
                                           BLOCK_REQ_FUA),
                        ==, 0);
        g_assert_cmpint(do_read(node), ==, 0);
        g_assert_cmpmem(buf, 3, "abc", 3);
        g_assert_cmpint(block_request_sync(node, BLOCK_OP_FLUSH, 0, 0, NULL, 0),
                        ==, 0);
        fake_server_stop(server);
        fake_server_listen(server);
    }
    nbd_del();
    g_assert_cmpuint(fake_server_count(server, FAKE_FLUSHES), ==, 0);
    g_assert_cmpuint(fake_server_count(server, FAKE_FUAS), ==, 0);
    server_end();
}

static void test_read_only(void)
{
    BlockNode *node;

    server_start(FAKE_READ_ONLY);
    g_autofree char *message =
        g_strdup_printf("Could not open image: Permission denied: the server "
                        "at 'unix:%s' exports '' read-only",
                        test_socket);

    nbd_add_fails("", message);
    node = nbd_add(", 'auto-read-only': true");
    g_assert_true(block_node_is_read_only(node));
    nbd_del();
    nbd_add(", 'read-only': true");
    nbd_del();
    server_end();
}

static void test_resize(void)
{
    g_autoptr(Error) err = NULL;
    BlockNode *node;

    server_start(FAKE_OK);
    node = nbd_add("");
    g_assert_true(block_node_resize(node, FAKE_SIZE, &error_abort));
    g_assert_false(block_node_resize(node, FAKE_SIZE * 2, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "Cannot grow NBD nodes");
    nbd_del();
    server_end();
}

/* ---- Handshakes that fail. ---- */

static void test_handshake_errors(void)
{
    static const struct {
        FakeMode mode;
        const char *message;
    } cases[] = {
        {FAKE_CLOSE, "Failed to read initial magic: Unexpected end-of-file "
                     "before all data were read"},
        {FAKE_BAD_MAGIC, "Failed to negotiate with 'unix:PATH': handshake: "
                         "server did not send expected NBD magic"},
        {FAKE_NO_EXPORT, "Requested export not available"},
        {FAKE_POLICY, "Failed to open export '' at 'unix:PATH': handshake: "
                      "server policy prevents NBD_OPT_GO"},
        {FAKE_BAD_OPTION, "Failed to negotiate with 'unix:PATH': handshake: "
                          "invalid option reply magic or option"},
        {FAKE_HUGE, "The export '' at 'unix:PATH' is too large, at most "
                    "9223372036854775807 bytes are possible"},
    };

    server_start(FAKE_OK);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        fake_server_set(server, cases[i].mode);
        nbd_add_fails("", cases[i].message);
    }
    server_end();
}

static void test_no_server(void)
{
    g_autofree char *name = g_strnfill(5000, 'x');
    g_autofree char *more = g_strdup_printf(", 'export': '%s'", name);

    nbd_add_fails("", "Failed to connect to 'PATH': No such file or directory");
    nbd_add_fails(more, "export name too long to send to server");
    test_finish();
}

/* It goes on trying for so long, and no longer. */
static void test_open_timeout(void)
{
    int64_t start = g_get_monotonic_time();

    nbd_add_fails(", 'open-timeout': 1",
                  "Failed to connect to 'PATH': No such file or directory");
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 1000000);

    server_start(FAKE_SILENT);
    nbd_add_fails(", 'open-timeout': 1",
                  "Failed to connect to 'unix:PATH': Connection timed out");
    server_end();
}

static void *start_later(void *opaque)
{
    nbd_wait_phase("reconnect-wait");
    fake_server_listen(server);
    return NULL;
}

static void test_open_retry(void)
{
    QemuThread thread;

    server_start(FAKE_OK);
    fake_server_stop(server);
    qemu_thread_create(&thread, "later", start_later, NULL,
                       QEMU_THREAD_JOINABLE);
    nbd_add(", 'open-timeout': 30");
    qemu_thread_join(&thread);
    nbd_del();
    server_end();
}

/* ---- Connections that are lost. ---- */

/* Without a delay, requests fail at once; the connection comes back. */
static void test_lost(void)
{
    BlockNode *node;
    TestReq *req;

    server_start(FAKE_FROZEN);
    node = nbd_add("");
    req = test_start(node, BLOCK_OP_READ, 0, 512, buf);
    fake_server_wait(server, FAKE_REQUESTS, 1);
    fake_server_stop(server);
    g_assert_cmpint(test_wait(req), ==, -EIO);
    g_assert_cmpint(do_read(node), ==, -EIO);
    fake_server_set(server, FAKE_OK);
    fake_server_listen(server);
    nbd_wait_phase("transmission");
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    server_end();
}

/* With a delay, they wait, those in flight and new ones, and succeed. */
static void test_delay(void)
{
    BlockNode *node;
    TestReq *reads[3];
    char data[3][512];

    server_start(FAKE_FROZEN);
    memset(fake_server_data(server), 'x', FAKE_SIZE);
    node = nbd_add(", 'reconnect-delay': 60");
    reads[0] = test_start(node, BLOCK_OP_READ, 0, 512, data[0]);
    reads[1] = test_start(node, BLOCK_OP_READ, 512, 512, data[1]);
    fake_server_wait(server, FAKE_REQUESTS, 2);
    fake_server_stop(server);
    nbd_wait_phase("reconnect-wait");
    reads[2] = test_start(node, BLOCK_OP_READ, 512, 512, data[2]);
    g_assert_false(test_is_done(reads[0]) || test_is_done(reads[1]) ||
                   test_is_done(reads[2]));
    fake_server_set(server, FAKE_OK);
    fake_server_listen(server);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(test_wait(reads[i]), ==, 0);
        g_assert_cmpint(data[i][511], ==, 'x');
    }
    nbd_del();
    server_end();
}

typedef struct Burst {
    QemuMutex busy;
    TestReq *reqs[3];
} Burst;

static void burst_submit(void *opaque)
{
    Burst *burst = opaque;

    QEMU_LOCK_GUARD(&burst->busy);
    for (int i = 0; i < 3; i++) {
        test_req_submit(burst->reqs[i]);
    }
}

/* The first request finds out, and those right behind it wait with it. */
static void test_lost_by_sending(void)
{
    Burst burst;
    BlockNode *node;

    qemu_mutex_init_slow(&burst.busy);
    server_start(FAKE_OK);
    node = nbd_add(", 'reconnect-delay': 60");
    g_assert_cmpint(do_read(node), ==, 0);
    for (int i = 0; i < 3; i++) {
        burst.reqs[i] = test_req_new(node, BLOCK_OP_WRITE, 0, 512, buf);
    }
    qemu_mutex_lock(&burst.busy);
    iothread_post(block_node_iothread(node), burst_submit, &burst);
    fake_server_stop(server);
    fake_server_wait(server, FAKE_ENDS, 1);
    fake_server_listen(server);
    qemu_mutex_unlock(&burst.busy);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(test_wait(burst.reqs[i]), ==, 0);
    }
    g_assert_cmpuint(fake_server_count(server, FAKE_WRITES), ==, 3);
    nbd_del();
    server_end();
    qemu_mutex_destroy(&burst.busy);
}

static void test_delay_expires(void)
{
    BlockNode *node;
    int64_t start;
    TestReq *req;

    server_start(FAKE_FROZEN);
    node = nbd_add(", 'reconnect-delay': 1");
    req = test_start(node, BLOCK_OP_READ, 0, 512, buf);
    fake_server_wait(server, FAKE_REQUESTS, 1);
    start = g_get_monotonic_time();
    fake_server_stop(server);
    g_assert_cmpint(test_wait(req), ==, -EIO);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 900000);
    g_assert_cmpint(do_read(node), ==, -EIO);
    nbd_wait_phase("reconnect-wait");
    nbd_del();
    server_end();
}

static void test_reconnect_now(void)
{
    BlockNode *node;

    server_start(FAKE_OK);
    node = nbd_add("");
    g_assert_true(reconnect(node, &error_abort)); /* it is connected */
    fake_server_stop(server);
    nbd_wait_phase("reconnect-wait");
    reconnect_fails(node,
                    "Failed to connect to 'PATH': No such file or directory");
    g_assert_true(nbd_phase_is("reconnect-wait"));
    fake_server_listen(server);
    g_assert_true(reconnect(node, &error_abort));
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    server_end();
}

/* Another export than before is not this node's any more. */
static void test_changed(void)
{
    BlockNode *node;

    server_start(FAKE_OK);
    node = nbd_add("");
    fake_server_stop(server);
    nbd_wait_phase("reconnect-wait");
    fake_server_set(server, FAKE_SMALLER);
    fake_server_listen(server);
    reconnect_fails(node,
                    "The export has 524288 bytes now, and had 1048576 before");
    fake_server_set(server, FAKE_READ_ONLY);
    reconnect_fails(node, "The export is read-only now, and was not before");
    fake_server_set(server, FAKE_BARE);
    reconnect_fails(node, "The export lacks a command that it had before");
    fake_server_set(server, FAKE_LIMITS);
    reconnect_fails(node, "The export's limits on the size of requests are "
                          "tighter than before");
    g_assert_cmpint(do_read(node), ==, -EIO);
    fake_server_set(server, FAKE_OK);
    g_assert_true(reconnect(node, &error_abort));
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    server_end();
}

/* ---- Replies that are wrong. ---- */

static void test_hostile(void)
{
    static const FakeMode modes[] = {
        FAKE_DIE,
        FAKE_BAD_REPLY,
        FAKE_BAD_COOKIE,
        FAKE_STRUCTURED,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        BlockNode *node;

        server_start(modes[i]);
        node = nbd_add("");
        g_assert_cmpint(do_read(node), ==, -EIO);
        fake_server_set(server, FAKE_OK);
        g_assert_true(reconnect(node, &error_abort));
        g_assert_cmpint(do_read(node), ==, 0);
        nbd_del();
        server_end();
    }
}

static void test_errors(void)
{
    BlockNode *node;

    server_start(FAKE_EIO);
    node = nbd_add("");
    g_assert_cmpint(do_read(node), ==, -EIO);
    fake_server_set(server, FAKE_WEIRD_ERROR);
    g_assert_cmpint(do_read(node), ==, -EINVAL);
    fake_server_set(server, FAKE_OK);
    g_assert_cmpint(do_read(node), ==, 0);
    g_assert_cmpuint(fake_server_count(server, FAKE_CONNECTIONS), ==, 1);
    nbd_del();
    server_end();
}

/* ---- Another I/O thread. ---- */

static void test_iothread(void)
{
    IOThread *other = iothread_new("other");
    BlockNode *node;

    server_start(FAKE_OK);
    node = nbd_add("");
    g_assert_true(block_node_set_iothread(node, other, &error_abort));
    g_assert_cmpint(do_read(node), ==, 0);
    fake_server_stop(server);
    nbd_wait_phase("reconnect-wait");
    g_assert_true(
        block_node_set_iothread(node, iothread_default(), &error_abort));
    fake_server_listen(server);
    nbd_wait_phase("transmission"); /* its timer moved, too */
    fake_server_stop(server);
    nbd_wait_phase("reconnect-wait");
    fake_server_set(server, FAKE_SILENT);
    fake_server_listen(server);
    nbd_wait_phase("handshake");
    g_assert_true(block_node_set_iothread(node, other, &error_abort));
    fake_server_set(server, FAKE_OK);
    fake_server_stop(server);
    fake_server_listen(server);
    nbd_wait_phase("transmission");
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    iothread_unref(other);
    server_end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    nbd_test_begin();
    g_test_add_func("/block/nbd/data", test_data);
    g_test_add_func("/block/nbd/many", test_many);
    g_test_add_func("/block/nbd/bare", test_bare);
    g_test_add_func("/block/nbd/no-fua", test_no_fua);
    g_test_add_func("/block/nbd/limits", test_limits);
    g_test_add_func("/block/nbd/no-flags", test_no_flags);
    g_test_add_func("/block/nbd/read-only", test_read_only);
    g_test_add_func("/block/nbd/resize", test_resize);
    g_test_add_func("/block/nbd/handshake-errors", test_handshake_errors);
    g_test_add_func("/block/nbd/no-server", test_no_server);
    g_test_add_func("/block/nbd/open-timeout", test_open_timeout);
    g_test_add_func("/block/nbd/open-retry", test_open_retry);
    g_test_add_func("/block/nbd/lost", test_lost);
    g_test_add_func("/block/nbd/delay", test_delay);
    g_test_add_func("/block/nbd/lost-by-sending", test_lost_by_sending);
    g_test_add_func("/block/nbd/delay-expires", test_delay_expires);
    g_test_add_func("/block/nbd/reconnect-now", test_reconnect_now);
    g_test_add_func("/block/nbd/changed", test_changed);
    g_test_add_func("/block/nbd/hostile", test_hostile);
    g_test_add_func("/block/nbd/errors", test_errors);
    g_test_add_func("/block/nbd/iothread", test_iothread);
    return nbd_test_end(g_test_run());
}
