/*
 * QMP client: coming back after failures, with pauses that grow.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-peer.h"
#include "client/client-internal.h"
#include "qemu/lockable.h"

/* Far longer than a test: a pause that is to be seen, not waited for. */
#define LONG_MS 1000000
/* One that can be waited for, and is not over at once. */
#define PAUSE_MS 50

/* States as they came.  Any thread. */
typedef struct States {
    QemuMutex lock;
    QemuCond cond;
    int counts[YC_QMP_WAITING + 1];
} States;

static States states;

static void count_state(YcQmpState state, const GError *why, void *data)
{
    g_assert_true((why != NULL) ==
                  (state == YC_QMP_DISCONNECTED || state == YC_QMP_WAITING));
    QEMU_LOCK_GUARD(&states.lock);
    states.counts[state]++;
    qemu_cond_broadcast(&states.cond);
}

static void wait_state(YcQmpState state, int n)
{
    QEMU_LOCK_GUARD(&states.lock);
    while (states.counts[state] < n) {
        g_assert_true(
            qemu_cond_timedwait(&states.cond, &states.lock, FAKE_DEADLINE_MS));
    }
}

static YcQmpClient *client_new(const char *address, int first_ms, int max_ms)
{
    YcQmpClient *client = yc_qmp_client_new(address, NULL);

    memset(states.counts, 0, sizeof(states.counts));
    yc_qmp_client_set_state_fn(client, count_state, NULL, NULL);
    yc_qmp_client_set_reconnect(client, first_ms, max_ms);
    return client;
}

static void end(FakePeer *peer, YcQmpClient *client)
{
    yc_qmp_client_unref(client);
    expect_nothing_left();
    fake_peer_free(peer);
}

/* Lost once told to go. */
static void play_lost(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, FAKE_GREETING);
    fake_wait(peer);
}

static void test_comes_back(void)
{
    FakePeer *peer = fake_peer_new(play_lost, NULL);
    YcQmpClient *client = client_new(fake_peer_address(peer), 1, 10);

    g_assert_true(yc_qmp_client_connect(client, 0, NULL));
    for (int i = 2; i < 5; i++) {
        fake_peer_go(peer);
        wait_state(YC_QMP_READY, i);
        wait_state(YC_QMP_WAITING, i - 1);
        g_assert_cmpint(fake_peer_connections(peer), ==, i);
    }
    end(peer, client);
}

static void test_off_by_default(void)
{
    FakePeer *peer = fake_peer_new(play_lost, NULL);
    YcQmpClient *client = yc_qmp_client_new(fake_peer_address(peer), NULL);

    memset(states.counts, 0, sizeof(states.counts));
    yc_qmp_client_set_state_fn(client, count_state, NULL, NULL);
    g_assert_true(yc_qmp_client_connect(client, 0, NULL));
    fake_peer_go(peer);
    wait_state(YC_QMP_DISCONNECTED, 1);
    g_assert_cmpint(states.counts[YC_QMP_WAITING], ==, 0);
    end(peer, client);
}

/* A first attempt that fails is told, and tried again. */
static void test_first_fails(void)
{
    YcQmpClient *client = client_new("/none/x", 1, 10);
    GError *err = NULL;

    g_assert_false(yc_qmp_client_connect(client, 0, &err));
    expect_error(err, YC_ERROR_CONNECT, "/none/x");
    wait_state(YC_QMP_WAITING, 4);
    yc_qmp_client_disconnect(client);
    wait_state(YC_QMP_DISCONNECTED, 1);
    yc_qmp_client_unref(client);
    expect_nothing_left();
}

/* The pauses: 20, 40, 50, 50 ms and so on. */
static void test_pauses(void)
{
    YcQmpClient *client = client_new("/none/x", 20, 50);
    int64_t start = g_get_monotonic_time();

    g_assert_false(yc_qmp_client_connect(client, 0, NULL));
    wait_state(YC_QMP_CONNECTING, 6);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 210 * 1000);
    yc_qmp_client_unref(client);
    expect_nothing_left();
}

static void test_connect_while_waiting(void)
{
    FakePeer *peer = fake_peer_new(play_lost, NULL);
    YcQmpClient *client = client_new(fake_peer_address(peer), LONG_MS, LONG_MS);
    GError *err = NULL;

    g_assert_true(yc_qmp_client_connect(client, 0, NULL));
    fake_peer_go(peer);
    wait_state(YC_QMP_WAITING, 1);
    g_assert_false(
        yc_qmp_client_execute(client, YC_QMP_OOB, "x", NULL, 0, NULL, &err));
    expect_error(err, YC_ERROR_CLOSED, "the client is waiting: unix:");
    g_assert_true(yc_qmp_client_connect(client, 0, NULL));
    g_assert_cmpint(yc_qmp_client_state(client), ==, YC_QMP_READY);
    end(peer, client);
}

/* No attempt follows, though one was near. */
static void test_disconnect_while_waiting(void)
{
    FakePeer *peer = fake_peer_new(play_lost, NULL);
    YcQmpClient *client =
        client_new(fake_peer_address(peer), PAUSE_MS, PAUSE_MS);

    g_assert_true(yc_qmp_client_connect(client, 0, NULL));
    fake_peer_go(peer);
    wait_state(YC_QMP_WAITING, 1);
    yc_qmp_client_disconnect(client);
    wait_state(YC_QMP_DISCONNECTED, 1);
    g_usleep(PAUSE_MS * 3 * 1000);
    g_assert_cmpint(yc_qmp_client_state(client), ==, YC_QMP_DISCONNECTED);
    g_assert_cmpint(fake_peer_connections(peer), ==, 1);
    end(peer, client);
}

/* On the I/O thread: the end of the pause and the wish are there at once. */
static void disconnect_when_due(void *client)
{
    int64_t due = g_get_monotonic_time() + PAUSE_MS * 1000;

    while (g_get_monotonic_time() <= due) {
    }
    yc_qmp_client_disconnect(client);
}

static void nothing(void *unused)
{
}

static void test_disconnect_when_due(void)
{
    FakePeer *peer = fake_peer_new(play_lost, NULL);
    YcQmpClient *client =
        client_new(fake_peer_address(peer), PAUSE_MS, PAUSE_MS);

    g_assert_true(yc_qmp_client_connect(client, 0, NULL));
    fake_peer_go(peer);
    wait_state(YC_QMP_WAITING, 1);
    iothread_post(yc_io_thread(), disconnect_when_due, client);
    wait_state(YC_QMP_DISCONNECTED, 1);
    /* Behind whatever else was due with it. */
    iothread_run(yc_io_thread(), nothing, NULL);
    iothread_run(yc_event_thread(), nothing, NULL);
    g_assert_cmpint(states.counts[YC_QMP_CONNECTING], ==, 1);
    g_assert_cmpint(yc_qmp_client_state(client), ==, YC_QMP_DISCONNECTED);
    end(peer, client);
}

/* Let go in every state, at any moment. */
static void test_unref_any_time(void)
{
    FakePeer *peer = fake_peer_new(play_lost, NULL);

    for (int i = 0; i < 50; i++) {
        YcQmpClient *client = client_new(fake_peer_address(peer), 1, 1);

        fake_peer_go(peer);
        yc_qmp_client_connect_async(client, 0, NULL, NULL, NULL);
        wait_state(i % (YC_QMP_WAITING + 1) ?: YC_QMP_CONNECTING, 1);
        fake_peer_go(peer);
        yc_qmp_client_unref(client);
    }
    expect_nothing_left();
    fake_peer_free(peer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_mutex_init(&states.lock);
    qemu_cond_init(&states.cond);
    g_test_add_func("/client/reconnect/comes-back", test_comes_back);
    g_test_add_func("/client/reconnect/off-by-default", test_off_by_default);
    g_test_add_func("/client/reconnect/first-fails", test_first_fails);
    g_test_add_func("/client/reconnect/pauses", test_pauses);
    g_test_add_func("/client/reconnect/connect-while-waiting",
                    test_connect_while_waiting);
    g_test_add_func("/client/reconnect/disconnect-while-waiting",
                    test_disconnect_while_waiting);
    g_test_add_func("/client/reconnect/disconnect-when-due",
                    test_disconnect_when_due);
    g_test_add_func("/client/reconnect/unref-any-time", test_unref_any_time);
    return g_test_run();
}
