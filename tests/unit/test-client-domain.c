/*
 * Domains and drivers: references, connecting, lists.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-domain.h"
#include "client/domain-internal.h"
#include "client/driver.h"

/*
 * Connecting.
 */
static void test_not_connected(void)
{
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new("unix:/nonexistent/sock", NULL);
    g_autoptr(YcDomain) dom = yc_domain_new("vm1", monitor, NULL, NULL);
    g_auto(YcDomainStatus) status = {0};
    GError *err = NULL;

    yc_domain_get_status(dom, &status);
    g_assert_cmpstr(status.reason, ==, "not connected");
    yc_domain_lock(dom);
    g_assert_false(yc_domain_begin_job(dom, YC_JOB_QUERY, "q", 1, &err));
    yc_domain_unlock(dom);
    expect_domain_error(err, YC_DOMAIN_ERROR_GONE,
                        "domain 'vm1' is not connected");
    err = NULL;
    g_assert_false(yc_domain_connect(dom, FAKE_DEADLINE_MS, &err));
    expect_error(err, YC_ERROR_CONNECT, "/nonexistent/sock");
    err = NULL;
    g_assert_false(yc_domain_oob(dom, "x", NULL, FAKE_DEADLINE_MS, NULL, &err));
    expect_error(err, YC_ERROR_CLOSED, "/nonexistent/sock");
    yc_domain_close(dom, "given up");
    err = NULL;
    g_assert_false(yc_domain_connect(dom, FAKE_DEADLINE_MS, &err));
    expect_domain_error(err, YC_DOMAIN_ERROR_GONE,
                        "domain 'vm1' is gone: given up");
}

static void mute(FakePeer *peer, void *opaque)
{
    fake_until_closed(peer);
}

static void answering(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, FAKE_GREETING);
    fake_echo(peer);
}

/* The lane is there although the monitor is not: that is when it counts. */
static void test_lane_without_monitor(void)
{
    g_autoptr(FakePeer) hung = fake_peer_new(mute, NULL);
    g_autoptr(FakePeer) holder = fake_peer_new(answering, NULL);
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new(fake_peer_address(hung), NULL);
    g_autoptr(YcQmpClient) lane =
        yc_qmp_client_new(fake_peer_address(holder), NULL);
    g_autoptr(YcDomain) dom = yc_domain_new("vm1", monitor, lane, NULL);
    GError *err = NULL;

    g_assert_true(yc_domain_lane(dom) == lane);
    g_assert_false(yc_domain_connect(dom, 100, &err));
    expect_error(err, YC_ERROR_NO_GREETING, fake_peer_address(hung));
    err = NULL;
    g_assert_true(yc_domain_oob(dom, "x", NULL, FAKE_DEADLINE_MS, NULL, &err));
    g_assert_no_error(err);
}

/* Connecting again what is connected only takes care of the rest. */
static void test_connect_again(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    GError *err = NULL;

    yc_agent_client_disconnect(fake->dom->agent);
    while (yc_agent_client_is_connected(fake->dom->agent)) {
        g_thread_yield();
    }
    g_assert_true(yc_domain_connect(fake->dom, FAKE_DEADLINE_MS, &err));
    g_assert_no_error(err);
    g_assert_true(yc_agent_client_is_connected(fake->dom->agent));
    g_assert_cmpint(fake->dom->life, ==, 1);
    fake_domain_die(fake);
    g_assert_true(yc_domain_connect(fake->dom, FAKE_DEADLINE_MS, &err));
    g_assert_no_error(err);
    g_assert_cmpint(fake->dom->life, ==, 2);
}

static void when_told(FakePeer *peer, void *opaque)
{
    fake_tell(peer);
    fake_wait(peer);
    fake_negotiate(peer, FAKE_GREETING);
    fake_until_closed(peer);
}

static void go(void *peer)
{
    fake_peer_go(peer);
}

typedef struct Connect {
    YcDomain *dom;
    bool returned; /* atomic */
    GError *err;
} Connect;

static void connect_domain(void *opaque)
{
    Connect *connect = opaque;

    g_assert_false(
        yc_domain_connect(connect->dom, FAKE_DEADLINE_MS, &connect->err));
    __atomic_store_n(&connect->returned, true, __ATOMIC_RELEASE);
}

/* That the monitor failed already is no reason not to wait for the lane. */
static void test_slow_lane(void)
{
    g_autoptr(FakePeer) peer = fake_peer_new(when_told, NULL);
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new("unix:/nonexistent/sock", NULL);
    g_autoptr(YcQmpClient) lane =
        yc_qmp_client_new(fake_peer_address(peer), NULL);
    g_autoptr(YcDomain) dom = yc_domain_new("vm1", monitor, lane, NULL);
    g_autoptr(Actor) actor = actor_new();
    g_auto(YcDomainStatus) status = {0};
    Connect connect = {.dom = dom};

    actor_start(actor, connect_domain, &connect);
    fake_peer_hear(peer);
    do {
        yc_domain_status_clear(&status);
        yc_domain_get_status(dom, &status);
        g_thread_yield();
    } while (g_str_equal(status.reason, "not connected"));
    /* Time enough to return in, were it wrong. */
    g_usleep(20000);
    g_assert_false(__atomic_load_n(&connect.returned, __ATOMIC_ACQUIRE));
    fake_peer_go(peer);
    actor_wait(actor);
    expect_error(connect.err, YC_ERROR_CONNECT, "/nonexistent/sock");
    g_assert_cmpint(yc_qmp_client_state(lane), ==, YC_QMP_READY);
}

/* An attempt that is under way is waited for. */
static void test_connect_under_way(void)
{
    g_autoptr(FakePeer) peer = fake_peer_new(when_told, NULL);
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new(fake_peer_address(peer), NULL);
    g_autoptr(YcDomain) dom = yc_domain_new("vm1", monitor, NULL, NULL);
    g_autoptr(Actor) actor = actor_new();
    GError *err = NULL;

    yc_qmp_client_connect_async(monitor, FAKE_DEADLINE_MS, NULL, NULL, NULL);
    fake_peer_hear(peer);
    actor_start(actor, go, peer);
    g_assert_true(yc_domain_connect(dom, FAKE_DEADLINE_MS, &err));
    g_assert_no_error(err);
}

static void gone_when_told(FakePeer *peer, void *opaque)
{
    if (fake_peer_connections(peer) == 1) {
        fake_tell(peer);
        fake_wait(peer);
    }
}

static void connect_dom(void *opaque)
{
    int64_t start = g_get_monotonic_time();
    GError *err = NULL;

    g_assert_false(yc_domain_connect(opaque, FAKE_DEADLINE_MS, &err));
    g_assert_nonnull(strstr(err->message, "before its greeting"));
    g_error_free(err);
    /* Not at the deadline. */
    g_assert_cmpint(g_get_monotonic_time() - start, <,
                    FAKE_DEADLINE_MS / 2 * 1000);
}

/* And so is its failure. */
static void test_connect_under_way_fails(void)
{
    g_autoptr(FakePeer) peer = fake_peer_new(gone_when_told, NULL);
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new(fake_peer_address(peer), NULL);
    g_autoptr(YcDomain) dom = yc_domain_new("vm1", monitor, NULL, NULL);
    g_autoptr(Actor) actor = actor_new();
    int refs = g_atomic_int_get(&dom->memory_refs);

    yc_qmp_client_connect_async(monitor, FAKE_DEADLINE_MS, NULL, NULL, NULL);
    fake_peer_hear(peer);
    actor_start(actor, connect_dom, dom);
    while (g_atomic_int_get(&dom->memory_refs) == refs) {
        g_thread_yield();
    }
    /* For the attempt to be joined; one of its own fails in the same way. */
    g_usleep(10000);
    fake_peer_go(peer);
    actor_wait(actor);
}

/*
 * The driver.
 */
static YcDomain *some_domain(const char *name)
{
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new("unix:/nonexistent/sock", NULL);

    return yc_domain_new(name, monitor, NULL, NULL);
}

static void test_driver(void)
{
    g_autoptr(YcDriver) driver = yc_driver_new();
    g_autoptr(YcDomain) one = some_domain("one");
    g_autoptr(YcDomain) two = some_domain("two");
    g_autoptr(YcDomain) another_two = some_domain("two");
    g_autoptr(GPtrArray) list = NULL;
    YcDomain *found;
    GError *err = NULL;

    yc_driver_set_wait_limit(driver, 1234);
    yc_driver_set_max_waiters(driver, 5);
    g_assert_null(yc_driver_lookup(driver, "one", &err));
    expect_domain_error(g_steal_pointer(&err), YC_DOMAIN_ERROR_NOT_FOUND,
                        "there is no domain 'one' (there are: none)");
    g_assert_true(yc_driver_add(driver, two, &err));
    g_assert_true(yc_driver_add(driver, one, &err));
    g_assert_no_error(err);
    g_assert_cmpint(one->wait_limit_ms, ==, 1234);
    g_assert_cmpint(one->max_waiters, ==, 5);
    g_assert_false(yc_driver_add(driver, another_two, &err));
    expect_domain_error(g_steal_pointer(&err), YC_DOMAIN_ERROR_EXISTS,
                        "there is a domain 'two' already");
    found = yc_driver_lookup(driver, "one", &err);
    g_assert_true(found == one);
    g_assert_cmpint(one->refs, ==, 3);
    g_assert_true(yc_lock_is_mine(&one->lock));
    yc_domain_release(&found);
    g_assert_null(found);
    g_assert_null(yc_driver_lookup(driver, "three", &err));
    expect_domain_error(g_steal_pointer(&err), YC_DOMAIN_ERROR_NOT_FOUND,
                        "there is no domain 'three' (there are: two, one)");
    list = yc_driver_list(driver);
    g_assert_cmpint(list->len, ==, 2);
    g_assert_true(g_ptr_array_index(list, 0) == two);
    g_assert_true(g_ptr_array_index(list, 1) == one);

    g_assert_true(yc_driver_remove(driver, two, "not wanted"));
    g_assert_false(yc_driver_remove(driver, two, "not wanted"));
    yc_domain_lock(two);
    g_assert_false(yc_domain_check_alive(two, &err));
    yc_domain_unlock(two);
    expect_domain_error(g_steal_pointer(&err), YC_DOMAIN_ERROR_GONE,
                        "domain 'two' is gone: not wanted");
    yc_driver_close(driver);
    g_assert_true(one->closed);
    g_assert_false(yc_driver_add(driver, another_two, &err));
    expect_domain_error(g_steal_pointer(&err), YC_DOMAIN_ERROR_GONE,
                        "no domain 'two' can be added: the driver is closed");
}

static void begin_job(void *opaque)
{
    FakeDomain *fake = opaque;
    GError *err = NULL;

    yc_domain_lock(fake->dom);
    g_assert_false(yc_domain_begin_job(fake->dom, YC_JOB_QUERY, "q",
                                       YC_WAIT_DEFAULT, &err));
    yc_domain_unlock(fake->dom);
    expect_domain_error(err, YC_DOMAIN_ERROR_GONE,
                        "domain 'vm1' is gone: the driver is closed");
}

/* Closing the driver keeps nobody waiting. */
static void test_driver_close(void)
{
    g_autoptr(YcDriver) driver = yc_driver_new();
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) actor = actor_new();

    g_assert_true(yc_driver_add(driver, fake->dom, NULL));
    yc_domain_lock(fake->dom);
    g_assert_true(yc_domain_begin_job(fake->dom, YC_JOB_MODIFY, "x",
                                      YC_WAIT_DEFAULT, NULL));
    yc_domain_unlock(fake->dom);
    actor_start(actor, begin_job, fake);
    fake_domain_wait_waiters(fake, 1);
    yc_driver_close(driver);
    actor_wait(actor);
    yc_domain_lock(fake->dom);
    g_assert_true(yc_domain_end_job(fake->dom, NULL));
    yc_domain_unlock(fake->dom);
}

#define N_THREADS 8
#define N_ROUNDS 200

static void *come_and_go(void *opaque)
{
    YcDriver *driver = opaque;
    g_autofree char *name = g_strdup_printf("vm%d", (int)gettid() % 3);

    for (int i = 0; i < N_ROUNDS; i++) {
        g_autoptr(YcDomain) dom = some_domain(name);
        g_autoptr(GPtrArray) list = NULL;
        YcDomain *found;

        yc_driver_add(driver, dom, NULL);
        found = yc_driver_lookup(driver, name, NULL);
        if (found) {
            g_assert_cmpstr(yc_domain_name(found), ==, name);
            yc_domain_release(&found);
        }
        list = yc_driver_list(driver);
        yc_driver_remove(driver, dom, "done");
    }
    return NULL;
}

static void test_driver_many(void)
{
    g_autoptr(YcDriver) driver = yc_driver_new();
    g_autoptr(GPtrArray) list = NULL;
    QemuThread threads[N_THREADS];

    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_create(&threads[i], "driver", come_and_go, driver,
                           QEMU_THREAD_JOINABLE);
    }
    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_join(&threads[i]);
    }
    list = yc_driver_list(driver);
    g_assert_cmpint(list->len, ==, 0);
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/domain/not-connected", test_not_connected);
    g_test_add_func("/client/domain/lane-without-monitor",
                    test_lane_without_monitor);
    g_test_add_func("/client/domain/connect-again", test_connect_again);
    g_test_add_func("/client/domain/slow-lane", test_slow_lane);
    g_test_add_func("/client/domain/connect-under-way", test_connect_under_way);
    g_test_add_func("/client/domain/connect-under-way-fails",
                    test_connect_under_way_fails);
    g_test_add_func("/client/domain/driver", test_driver);
    g_test_add_func("/client/domain/driver-close", test_driver_close);
    g_test_add_func("/client/domain/driver-many", test_driver_many);
    failed = g_test_run();
    expect_nothing_left();
    return failed;
}
