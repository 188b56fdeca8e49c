/*
 * An NBD node that loses its server: attempts to connect, requests that wait,
 * writes that may be lost or late, servers that come back changed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-client-test.h"
#include "qapi/qmp-event.h"

static char buf[FAKE_SIZE];

static int do_read(BlockNode *node)
{
    return block_request_sync(node, BLOCK_OP_READ, 4096, 4096, buf, 0);
}

static int do_write(BlockNode *node, unsigned flags)
{
    return block_request_sync(node, BLOCK_OP_WRITE, 0, 512, buf, flags);
}

static int do_flush(BlockNode *node)
{
    return block_request_sync(node, BLOCK_OP_FLUSH, 0, 0, NULL, 0);
}

static bool reconnect(BlockNode *node, uint32_t close_timeout, bool force,
                      Error **errp)
{
    return node->driver->reconnect(node, close_timeout, force, errp);
}

static ActivitySnapshot status(void)
{
    ActivitySnapshot snapshot;

    g_assert_true(activity_snapshot("blockdev:n", &snapshot));
    return snapshot;
}

/* ---- Events that were sent since the last check. ---- */

static QemuMutex events_lock; /* guards events; fast, innermost */
static GString *events;

static void add_event(const char *name, const char *text, void *opaque)
{
    g_autoptr(json_object) data = NULL;
    json_object *reason, *lost;

    if (!g_str_has_prefix(name, "BLOCK_CONNECTION_")) {
        return;
    }
    data = json_parse(text, &error_abort);
    QEMU_LOCK_GUARD(&events_lock);
    g_string_append(events, name + strlen("BLOCK_CONNECTION_"));
    if (json_object_object_get_ex(data, "reason", &reason)) {
        g_string_append_printf(events, ": %s", json_object_get_string(reason));
    }
    if (json_object_object_get_ex(data, "writes-lost", &lost) &&
        json_object_get_boolean(lost)) {
        g_string_append(events, ", writes lost");
    }
    g_string_append(events, "\n");
}

static void expect_events(const char *format)
{
    g_autoptr(GString) expect = g_string_new(format);

    g_string_replace(expect, "PATH", test_socket, 0);
    QEMU_LOCK_GUARD(&events_lock);
    g_assert_cmpstr(events->str, ==, expect->str);
    g_string_truncate(events, 0);
}

static void forget_events(void)
{
    QEMU_LOCK_GUARD(&events_lock);
    g_string_truncate(events, 0);
}

static void begin(FakeMode mode)
{
    forget_events();
    server_start(mode);
}

/* ---- Attempts. ---- */

/* The server ends, and starts again in @mode. */
static void server_returns(FakeMode mode)
{
    fake_server_stop(server);
    fake_server_set(server, mode);
    fake_server_listen(server);
}

/* An attempt at a server that accepts and sends nothing has a time limit. */
static void test_silent_handshake(void)
{
    BlockNode *node;
    ActivitySnapshot now;

    begin(FAKE_OK);
    node = nbd_add(", 'open-timeout': 1");
    server_returns(FAKE_SILENT);
    nbd_wait_phase("handshake");
    now = status();
    /* No request waits, and the attempt is shown nevertheless. */
    g_assert_true(now.in_flight == 1 || !nbd_phase_is("handshake"));
    fake_server_wait(server, FAKE_CONNECTIONS, 3);
    fake_server_set(server, FAKE_OK);
    nbd_wait_phase("transmission");
    g_assert_cmpint(do_read(node), ==, 0);
    g_assert_cmpuint(status().in_flight, ==, 0);
    nbd_del();
    server_end();
}

static void test_silent_reconnect(void)
{
    g_autoptr(Error) err = NULL;
    g_autofree char *message =
        g_strdup_printf("Failed to negotiate with 'unix:%s': no answer within "
                        "1 s",
                        test_socket);
    BlockNode *node;

    begin(FAKE_OK);
    node = nbd_add(", 'open-timeout': 1");
    nbd_yank_cuts("connection to unix:PATH");
    fake_server_set(server, FAKE_SILENT);
    g_assert_false(reconnect(node, 10, false, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, message);
    g_assert_cmpstr(status().reason, ==, message);
    g_assert_true(nbd_phase_is("yanked"));
    nbd_del();
    server_end();
}

/* Without a delay a request waits for one attempt, which it starts. */
static void test_request_connects(void)
{
    BlockNode *node;

    begin(FAKE_OK);
    node = nbd_add("");
    fake_server_stop(server);
    for (int i = 0; i < 4; i++) { /* the pause would be 16 s then */
        nbd_wait_phase("reconnect-wait");
        g_assert_cmpint(do_read(node), ==, -EIO);
    }
    fake_server_listen(server);
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    server_end();
}

/* However many requests come, at most ten attempts a second are made. */
static void test_request_pause(void)
{
    enum {
        N = 5
    };
    unsigned before;
    int64_t start;
    BlockNode *node;

    begin(FAKE_OK);
    node = nbd_add("");
    server_returns(FAKE_CLOSE);
    nbd_wait_phase("reconnect-wait");
    before = fake_server_count(server, FAKE_CONNECTIONS);
    start = g_get_monotonic_time();
    for (int i = 0; i < N; i++) {
        g_assert_cmpint(do_read(node), ==, -EIO);
    }
    g_assert_cmpint(g_get_monotonic_time() - start, >=, (N - 1) * 100000);
    g_assert_cmpuint(fake_server_count(server, FAKE_CONNECTIONS) - before, >=,
                     N);
    nbd_del();
    server_end();
}

/* While requests wait, the pause does not grow to 2, 4, 8 s. */
static void test_held_pause(void)
{
    BlockNode *node;
    TestReq *req;
    int64_t start;
    unsigned before;

    begin(FAKE_FROZEN);
    node = nbd_add(", 'reconnect-delay': 60");
    req = test_start(node, BLOCK_OP_READ, 0, 512, buf);
    fake_server_wait(server, FAKE_REQUESTS, 1);
    start = g_get_monotonic_time();
    before = fake_server_count(server, FAKE_CONNECTIONS);
    server_returns(FAKE_CLOSE);
    fake_server_wait(server, FAKE_CONNECTIONS, before + 4);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 12 * G_USEC_PER_SEC);
    g_assert_false(test_is_done(req));
    fake_server_set(server, FAKE_OK);
    g_assert_cmpint(test_wait(req), ==, 0);
    nbd_del();
    server_end();
}

/* The time starts with the first request, not with the loss. */
static void test_patience(void)
{
    BlockNode *node;
    TestReq *req;
    int64_t start;

    begin(FAKE_OK);
    node = nbd_add(", 'reconnect-delay': 1");
    fake_server_stop(server);
    nbd_wait_phase("reconnect-wait");
    g_usleep(1200000);
    start = g_get_monotonic_time();
    req = test_start(node, BLOCK_OP_READ, 0, 512, buf);
    g_assert_cmpint(test_wait(req), ==, -EIO);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 1000000);
    /* The time is over now. */
    fake_server_listen(server);
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    server_end();
}

/* A server that accepts requests and dies does not restart the time. */
static void test_poison(void)
{
    BlockNode *node;

    begin(FAKE_DIE);
    node = nbd_add(", 'reconnect-delay': 1");
    g_assert_cmpint(do_read(node), ==, -EIO);
    nbd_del();
    server_end();
}

/* ---- Writes that are acknowledged, and lost. ---- */

static void flush_fails_once(BlockNode *node)
{
    g_assert_cmpint(do_read(node), ==, 0);
    g_assert_true(g_str_has_suffix(status().reason, "the next flush fails"));
    /* The flush that makes another write stable does not fail. */
    g_assert_cmpint(do_write(node, BLOCK_REQ_FUA), ==, 0);
    g_assert_cmpint(do_flush(node), ==, -EIO);
    g_assert_cmpstr(status().reason, ==, "");
    g_assert_cmpint(do_flush(node), ==, 0);
}

static void test_unflushed(gconstpointer mode)
{
    BlockNode *node;

    begin(GPOINTER_TO_INT(mode));
    node = nbd_add(", 'reconnect-delay': 60");
    g_assert_cmpint(do_write(node, 0), ==, 0);
    g_assert_cmpint(do_flush(node), ==, 0);
    g_assert_cmpint(do_write(node, 0), ==, 0);
    server_returns(GPOINTER_TO_INT(mode));
    flush_fails_once(node);
    expect_events("LOST: Lost the connection to 'unix:PATH': the server "
                  "closed it\nREGAINED, writes lost\n");

    g_assert_cmpint(do_write(node, 0), ==, 0);
    nbd_yank_cuts("connection to unix:PATH");
    g_assert_true(reconnect(node, 10, false, &error_abort));
    flush_fails_once(node);
    expect_events("LOST: The connection was yanked\nREGAINED, writes lost\n");
    nbd_del();
    server_end();
}

/* No write is lost: all were flushed, stable, or not acknowledged. */
static void test_flushed(void)
{
    BlockNode *node;

    begin(FAKE_OK);
    node = nbd_add(", 'reconnect-delay': 60");
    g_assert_cmpint(do_write(node, 0), ==, 0);
    g_assert_cmpint(do_flush(node), ==, 0);
    g_assert_cmpint(do_write(node, BLOCK_REQ_FUA), ==, 0);
    server_returns(FAKE_OK);
    g_assert_cmpint(do_read(node), ==, 0);
    g_assert_cmpint(do_flush(node), ==, 0);
    expect_events("LOST: Lost the connection to 'unix:PATH': the server "
                  "closed it\nREGAINED\n");
    nbd_del();
    server_end();
}

/* Every flush that waits when writes are lost fails. */
static void test_unflushed_waiting(void)
{
    BlockNode *node;
    TestReq *flushes[2], *read;

    begin(FAKE_OK);
    node = nbd_add(", 'reconnect-delay': 60");
    g_assert_cmpint(do_write(node, 0), ==, 0);
    fake_server_set(server, FAKE_FROZEN);
    flushes[0] = test_start(node, BLOCK_OP_FLUSH, 0, 0, NULL);
    read = test_start(node, BLOCK_OP_READ, 0, 512, buf);
    fake_server_wait(server, FAKE_REQUESTS, 3);
    fake_server_stop(server);
    flushes[1] = test_start(node, BLOCK_OP_FLUSH, 0, 0, NULL);
    fake_server_set(server, FAKE_OK);
    fake_server_listen(server);
    g_assert_cmpint(test_wait(read), ==, 0);
    g_assert_cmpint(test_wait(flushes[0]), ==, -EIO);
    g_assert_cmpint(test_wait(flushes[1]), ==, -EIO);
    g_assert_cmpint(do_flush(node), ==, 0);
    nbd_del();
    server_end();
}

/* A flush covers only writes acknowledged before it was sent. */
static void test_flush_overtaken(void)
{
    BlockNode *node;
    TestReq *flush, *write;

    begin(FAKE_ASLEEP);
    node = nbd_add(", 'reconnect-delay': 60");
    flush = test_start(node, BLOCK_OP_FLUSH, 0, 0, NULL);
    write = test_start(node, BLOCK_OP_WRITE, 0, 512, buf);
    fake_server_set(server, FAKE_OK);
    g_assert_cmpint(test_wait(flush), ==, 0);
    g_assert_cmpint(test_wait(write), ==, 0);
    server_returns(FAKE_OK);
    flush_fails_once(node);
    nbd_del();
    server_end();
}

/*
 * A stable write to a server without FUA is repeated when the connection is
 * lost between the write and its flush, since the old server may have lost the
 * acknowledged write.  Then no data is lost, and no other flush fails.
 */
static void test_stable_again(gconstpointer below_filter)
{
    enum {
        SIZE = 2 * 65536 /* two requests of the server's maximum size */
    };
    BlockNode *node, *top;
    TestReq *req;

    begin(FAKE_FLUSHLESS);
    node = nbd_add(", 'reconnect-delay': 60");
    top = below_filter ? test_add("{'driver': 'blkdebug', 'node-name': 'f',"
                                  " 'image': 'n'}")
                       : node;
    memset(buf, 'x', SIZE);
    req = test_start_flags(top, BLOCK_OP_WRITE, 0, SIZE, buf, BLOCK_REQ_FUA);
    fake_server_wait(server, FAKE_FLUSHES, 1);
    fake_server_stop(server);
    memset(fake_server_data(server), 0, SIZE);
    fake_server_set(server, FAKE_NO_FUA);
    fake_server_listen(server);
    g_assert_cmpint(test_wait(req), ==, 0);
    /* The filter cuts it in two stable writes, and was at the first. */
    g_assert_cmpuint(fake_server_count(server, FAKE_WRITES), ==,
                     below_filter ? 3 : 4);
    g_assert_cmpuint(fake_server_count(server, FAKE_FLUSHES), ==,
                     below_filter ? 3 : 2);
    g_assert_cmpmem(fake_server_data(server), SIZE, buf, SIZE);
    g_assert_cmpint(do_flush(node), ==, 0);
    expect_events("LOST: Lost the connection to 'unix:PATH': the server "
                  "closed it\nREGAINED\n");
    if (below_filter) {
        g_assert_true(block_node_del("f", &error_abort));
    }
    nbd_del();
    server_end();
}

/* ---- Yanked writes that the server carries out late. ---- */

/* A node whose write hangs in the server, and is yanked. */
static BlockNode *add_with_late_write(const char *more)
{
    BlockNode *node;
    TestReq *req;

    begin(FAKE_ASLEEP);
    node = nbd_add(more);
    req = test_start(node, BLOCK_OP_WRITE, 0, 512, buf);
    fake_server_wait(server, FAKE_REQUESTS, 1);
    nbd_yank_cuts("connection to unix:PATH");
    g_assert_cmpint(test_wait(req), ==, -EIO);
    return node;
}

static void late_write_is_refused(BlockNode *node)
{
    g_autoptr(Error) err = NULL;

    g_assert_false(reconnect(node, 0, false, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "has not closed"));
    g_assert_nonnull(strstr(error_get_pretty(err), "fencing"));
    g_assert_true(nbd_phase_is("yanked"));
    g_assert_cmpint(do_read(node), ==, -EIO);
}

static void test_late_refused(void)
{
    BlockNode *node = add_with_late_write("");

    late_write_is_refused(node);
    late_write_is_refused(node);
    g_assert_cmpuint(fake_server_count(server, FAKE_CONNECTIONS), ==, 1);
    fake_server_set(server, FAKE_OK);
    g_assert_true(reconnect(node, 60, false, &error_abort));
    g_assert_cmpuint(fake_server_count(server, FAKE_ENDS), ==, 1);
    g_assert_cmpint(do_write(node, 0), ==, 0);
    nbd_del();
    server_end();
}

typedef struct Waker {
    QemuThread thread;
    const char *phase;
} Waker;

static void *waker_main(void *opaque)
{
    nbd_wait_phase(((Waker *)opaque)->phase);
    fake_server_set(server, FAKE_OK);
    return NULL;
}

static void waker_start(Waker *w, const char *phase)
{
    w->phase = phase;
    qemu_thread_create(&w->thread, "waker", waker_main, w,
                       QEMU_THREAD_JOINABLE);
}

static void test_late_waits(void)
{
    BlockNode *node = add_with_late_write("");
    Waker waker;

    waker_start(&waker, "close-wait");
    g_assert_true(reconnect(node, 60, false, &error_abort));
    qemu_thread_join(&waker.thread);
    g_assert_cmpuint(fake_server_count(server, FAKE_ENDS), ==, 1);
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    server_end();
}

static void test_late_forced(void)
{
    BlockNode *node = add_with_late_write("");
    Waker waker;

    /* This server has a thread for one connection only. */
    waker_start(&waker, "handshake");
    g_assert_true(reconnect(node, 0, true, &error_abort));
    qemu_thread_join(&waker.thread);
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    server_end();
}

static void test_late_yanked(void)
{
    BlockNode *node = add_with_late_write("");
    g_autoptr(Error) err = NULL;
    g_autofree char *message =
        g_strdup_printf("The connection to 'unix:%s' was yanked", test_socket);
    Rescuer rescuer;

    rescuer_start(&rescuer, "close-wait",
                  "wait for the end of the connection to unix:PATH");
    g_assert_false(reconnect(node, 60, false, &err));
    rescuer_check(&rescuer);
    g_assert_cmpstr(error_get_pretty(err), ==, message);
    late_write_is_refused(node);
    fake_server_set(server, FAKE_OK);
    nbd_del();
    server_end();
}

static void test_late_moved(void)
{
    IOThread *other = iothread_new("other");
    BlockNode *node = add_with_late_write("");
    Waker waker;

    g_assert_true(block_node_set_iothread(node, other, &error_abort));
    late_write_is_refused(node);
    waker_start(&waker, "close-wait");
    g_assert_true(reconnect(node, 60, false, &error_abort));
    qemu_thread_join(&waker.thread);
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    server_end();
    iothread_unref(other);
}

/* ---- Servers that differ after a reconnection. ---- */

static void test_grown(void)
{
    g_autoptr(Error) err = NULL;
    BlockNode *node;

    begin(FAKE_OK);
    node = nbd_add(", 'reconnect-delay': 60");
    server_returns(FAKE_LARGER);
    g_assert_cmpint(do_read(node), ==, 0);
    g_assert_cmpuint(block_node_size(node), ==, FAKE_SIZE);
    g_assert_false(block_node_resize(node, FAKE_SIZE * 2 + 1, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "Cannot grow NBD nodes");
    g_assert_true(block_node_resize(node, FAKE_SIZE * 2, &error_abort));
    g_assert_cmpuint(block_node_size(node), ==, FAKE_SIZE * 2);
    g_assert_cmpint(do_read(node), ==, 0);
    nbd_del();
    server_end();
}

/* The size of the node is rounded up, and larger than the server. */
static void test_odd(void)
{
    BlockNode *node;

    begin(FAKE_ODD);
    node = nbd_add(", 'reconnect-delay': 60");
    g_assert_cmpuint(block_node_size(node), ==, FAKE_SIZE);
    server_returns(FAKE_ODD);
    g_assert_cmpint(do_read(node), ==, 0);
    expect_events("LOST: Lost the connection to 'unix:PATH': the server "
                  "closed it\nREGAINED\n");
    nbd_del();
    server_end();
}

static void test_shrunk(void)
{
    static const char reason[] =
        "The export has 524288 bytes now, and had 1048576 before";
    BlockNode *node;

    begin(FAKE_OK);
    node = nbd_add("");
    fake_server_stop(server);
    nbd_wait_phase("reconnect-wait");
    fake_server_set(server, FAKE_SMALLER);
    fake_server_listen(server);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(do_read(node), ==, -EIO);
    }
    g_assert_cmpstr(status().reason, ==, reason);
    expect_events(
        "LOST: Lost the connection to 'unix:PATH': the server "
        "closed it\nREFUSED: The export has 524288 bytes now, and had 1048576 "
        "before\n");
    fake_server_set(server, FAKE_OK);
    g_assert_cmpint(do_read(node), ==, 0);
    g_assert_cmpstr(status().reason, ==, "");
    expect_events("REGAINED\n");
    nbd_del();
    server_end();
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    qemu_mutex_init(&events_lock);
    events = g_string_new(NULL);
    qmp_event_set_emitter(add_event, NULL);
    nbd_test_begin();
    g_test_add_func("/block/nbd-lost/silent-handshake", test_silent_handshake);
    g_test_add_func("/block/nbd-lost/silent-reconnect", test_silent_reconnect);
    g_test_add_func("/block/nbd-lost/request-connects", test_request_connects);
    g_test_add_func("/block/nbd-lost/request-pause", test_request_pause);
    g_test_add_func("/block/nbd-lost/held-pause", test_held_pause);
    g_test_add_func("/block/nbd-lost/patience", test_patience);
    g_test_add_func("/block/nbd-lost/poison", test_poison);
    g_test_add_data_func("/block/nbd-lost/unflushed", GINT_TO_POINTER(FAKE_OK),
                         test_unflushed);
    g_test_add_data_func("/block/nbd-lost/unflushed-no-fua",
                         GINT_TO_POINTER(FAKE_NO_FUA), test_unflushed);
    g_test_add_func("/block/nbd-lost/flushed", test_flushed);
    g_test_add_func("/block/nbd-lost/unflushed-waiting",
                    test_unflushed_waiting);
    g_test_add_func("/block/nbd-lost/flush-overtaken", test_flush_overtaken);
    g_test_add_data_func("/block/nbd-lost/stable-again", NULL,
                         test_stable_again);
    g_test_add_data_func("/block/nbd-lost/stable-again-filter",
                         GINT_TO_POINTER(1), test_stable_again);
    g_test_add_func("/block/nbd-lost/late-refused", test_late_refused);
    g_test_add_func("/block/nbd-lost/late-waits", test_late_waits);
    g_test_add_func("/block/nbd-lost/late-forced", test_late_forced);
    g_test_add_func("/block/nbd-lost/late-yanked", test_late_yanked);
    g_test_add_func("/block/nbd-lost/late-moved", test_late_moved);
    g_test_add_func("/block/nbd-lost/grown", test_grown);
    g_test_add_func("/block/nbd-lost/odd", test_odd);
    g_test_add_func("/block/nbd-lost/shrunk", test_shrunk);
    ret = nbd_test_end(g_test_run());
    qmp_event_set_emitter(NULL, NULL);
    g_string_free(events, TRUE);
    qemu_mutex_destroy(&events_lock);
    return ret;
}
