/*
 * Domains and drivers: references, locks and their order, connecting, events.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-domain.h"
#include "client/domain-internal.h"
#include "client/driver.h"
#include "qemu/lockable.h"

/* What handlers noted, for the test to read. */
static QemuMutex lock;
static QemuCond cond;
static GString *notes;

static void note(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
static void note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    QEMU_LOCK_GUARD(&lock);
    g_string_append_vprintf(notes, fmt, ap);
    qemu_cond_broadcast(&cond);
    va_end(ap);
}

static void expect_notes(const char *text)
{
    QEMU_LOCK_GUARD(&lock);
    while (!g_str_equal(notes->str, text)) {
        if (!qemu_cond_timedwait(&cond, &lock, FAKE_DEADLINE_MS)) {
            g_error("the notes are '%s', not '%s'", notes->str, text);
        }
    }
    g_string_truncate(notes, 0);
}

/* @data: what the handler is called. */
static void note_event(YcDomain *dom, const char *name, json_object *event,
                       void *data)
{
    g_auto(YcDomainStatus) status = {0};

    /* No lock is held, so this one may be taken; the state is the new one. */
    yc_domain_get_status(dom, &status);
    note("%s:%s=%s ", (char *)data, name,
         status.run_state ? status.run_state : "?");
}

static void note_state(YcDomain *dom, bool alive, const GError *why, void *data)
{
    note("%s:%s%s ", (char *)data, alive ? "alive" : "dead", why ? "!" : "");
}

static void note_freed(void *data)
{
    note("free-%s ", (char *)data);
}

static void test_events(void)
{
    FakeDomain *fake = fake_domain_new("vm1", 0);
    guint a, b;

    a = yc_domain_add_handler(fake->dom, note_event, note_state, (void *)"a",
                              note_freed);
    b = yc_domain_add_handler(fake->dom, note_event, NULL, (void *)"b",
                              note_freed);
    g_assert_cmpuint(a, !=, 0);
    g_assert_cmpuint(a, !=, b);
    fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n");
    expect_notes("a:STOP=paused b:STOP=paused ");
    yc_domain_remove_handler(fake->dom, b);
    expect_notes("free-b ");
    yc_domain_remove_handler(fake->dom, b);
    /* It does not need any lock of the domain, or job. */
    yc_domain_lock(fake->dom);
    g_assert_true(yc_domain_begin_job(fake->dom, YC_JOB_MODIFY, "x",
                                      YC_WAIT_DEFAULT, NULL));
    yc_domain_unlock(fake->dom);
    fake_domain_emit(fake, "{\"event\": \"RESUME\"}\r\n");
    expect_notes("a:RESUME=running ");
    yc_domain_lock(fake->dom);
    g_assert_true(yc_domain_end_job(fake->dom, NULL));
    yc_domain_unlock(fake->dom);
    fake_domain_die(fake);
    expect_notes("a:dead! ");
    fake_domain_free(fake);
    expect_notes("free-a ");
}

static guint own_id; /* of the handler to be removed */

static void remove_self(YcDomain *dom, const char *name, json_object *event,
                        void *data)
{
    note("once ");
    yc_domain_remove_handler(dom, own_id);
    note("after ");
}

/* Its data is freed after its return, not below its feet. */
static void test_remove_in_handler(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);

    own_id = yc_domain_add_handler(fake->dom, remove_self, NULL, (void *)"self",
                                   note_freed);
    fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n"
                           "{\"event\": \"RESUME\"}\r\n");
    expect_notes("once after free-self ");
}

static void remove_other(YcDomain *dom, const char *name, json_object *event,
                         void *data)
{
    note("first ");
    yc_domain_remove_handler(dom, own_id);
}

/* One that is removed by another is not called any more. */
static void test_remove_other(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);

    yc_domain_add_handler(fake->dom, remove_other, NULL, NULL, NULL);
    own_id = yc_domain_add_handler(fake->dom, note_event, NULL, (void *)"other",
                                   note_freed);
    fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n");
    expect_notes("first free-other ");
}

/* A handler that begins a job and runs a command is slow, but works. */
static void command_in_handler(YcDomain *dom, const char *name,
                               json_object *event, void *data)
{
    yc_domain_lock(dom);
    if (yc_domain_begin_job(dom, YC_JOB_QUERY, "q", YC_WAIT_DEFAULT, NULL)) {
        note("%s ",
             yc_domain_command(dom, "x", NULL, FAKE_DEADLINE_MS, NULL, NULL)
                 ? "done"
                 : "failed");
        yc_domain_end_job(dom, NULL);
    }
    yc_domain_unlock(dom);
}

static void test_command_in_handler(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);

    yc_domain_add_handler(fake->dom, command_in_handler, NULL, NULL, NULL);
    fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n");
    expect_notes("done ");
}

static void expect_status(FakeDomain *fake, const char *event,
                          const char *run_state, const char *migration,
                          bool stalled)
{
    g_auto(YcDomainStatus) before = {0}, status = {0};

    yc_domain_get_status(fake->dom, &before);
    fake_domain_emit(fake, event);
    do {
        yc_domain_status_clear(&status);
        yc_domain_get_status(fake->dom, &status);
        g_thread_yield();
    } while (status.n_events == before.n_events);
    g_assert_true(status.alive);
    g_assert_null(status.reason);
    g_assert_cmpstr(status.run_state, ==, run_state);
    g_assert_cmpstr(status.migration, ==, migration);
    g_assert_true((status.main_loop_stalled_ms >= 0) == stalled);
}

static void test_status(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_auto(YcDomainStatus) status = {0};

    expect_status(fake, "{\"event\": \"UNKNOWN\"}\r\n", NULL, NULL, false);
    expect_status(fake,
                  "{\"event\": \"MIGRATION\", \"data\": {\"status\": "
                  "\"active\"}}\r\n",
                  NULL, "active", false);
    expect_status(fake, "{\"event\": \"MIGRATION\", \"data\": 7}\r\n", NULL,
                  NULL, false);
    expect_status(fake, "{\"event\": \"MAIN_LOOP_STALLED\", \"data\": {}}\r\n",
                  NULL, NULL, true);
    expect_status(fake, "{\"event\": \"GUEST_PANICKED\"}\r\n", "guest-panicked",
                  NULL, true);
    expect_status(fake, "{\"event\": \"MAIN_LOOP_RESUMED\", \"data\": {}}\r\n",
                  "guest-panicked", NULL, false);
    fake_domain_die(fake);
    yc_domain_get_status(fake->dom, &status);
    g_assert_false(status.alive);
    g_assert_nonnull(strstr(status.reason, "closed the connection"));
    g_assert_null(status.run_state);
}

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

/* The first connection is well until the test says so; no other is. */
static void once(FakePeer *peer, void *opaque)
{
    if (fake_peer_connections(peer) == 1) {
        fake_negotiate(peer, FAKE_GREETING);
        fake_wait(peer);
    }
}

/* Attempts that fail are no news. */
static void test_told_once(void)
{
    g_autoptr(FakePeer) peer = fake_peer_new(once, NULL);
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new(fake_peer_address(peer), NULL);
    g_autoptr(YcDomain) dom = NULL;

    yc_qmp_client_set_reconnect(monitor, 1, 1);
    dom = yc_domain_new("vm1", monitor, NULL, NULL);
    yc_domain_add_handler(dom, NULL, note_state, (void *)"a", note_freed);
    g_assert_true(yc_domain_connect(dom, FAKE_DEADLINE_MS, NULL));
    fake_peer_go(peer);
    while (fake_peer_connections(peer) < 5) {
        g_thread_yield();
    }
    g_clear_pointer(&dom, yc_domain_unref);
    expect_notes("a:alive a:dead! free-a ");
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

/* News of a connection that came before the close change nothing. */
static void test_close_before_told(void)
{
    g_autoptr(FakeDomain) other = fake_domain_new("vm2", 0);
    g_autoptr(FakePeer) peer = fake_peer_new(answering, NULL);
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new(fake_peer_address(peer), NULL);
    g_autoptr(YcDomain) dom = yc_domain_new("vm1", monitor, NULL, NULL);
    g_auto(YcDomainStatus) status = {0};

    fake_domain_block_events(other);
    yc_qmp_client_connect_async(monitor, FAKE_DEADLINE_MS, NULL, NULL, NULL);
    while (yc_qmp_client_state(monitor) != YC_QMP_READY) {
        g_thread_yield();
    }
    yc_domain_close(dom, "too late");
    yc_domain_add_handler(other->dom, note_event, NULL, (void *)"other", NULL);
    fake_domain_unblock_events(other);
    /* Behind all that was to be told of the first. */
    fake_domain_emit(other, "{\"event\": \"RESUME\"}\r\n");
    expect_notes("other:RESUME=running ");
    yc_domain_get_status(dom, &status);
    g_assert_false(status.alive);
    g_assert_cmpstr(status.reason, ==, "too late");
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

/*
 * Mistakes with locks, and with their order.
 */
static GError *check_unlocked(FakeDomain *fake)
{
    GError *err = NULL;

    g_assert_false(yc_domain_check_alive(fake->dom, &err));
    return err;
}

static GError *mistake(bool ok, const char *text)
{
    return ok ? NULL
              : g_error_new_literal(YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_MISUSE,
                                    text);
}

static GError *unlock_unlocked(FakeDomain *fake)
{
    return mistake(yc_domain_unlock(fake->dom),
                   "unlocking domain 'vm1', which this thread does not hold");
}

/* For 1: holds the lock; until 2. */
static int hold_phase;

static void hold_lock(void *dom)
{
    yc_domain_lock(dom);
    g_atomic_int_set(&hold_phase, 1);
    while (g_atomic_int_get(&hold_phase) != 2) {
        g_thread_yield();
    }
    g_assert_true(yc_domain_unlock(dom));
}

static GError *unlock_anothers(FakeDomain *fake)
{
    g_autoptr(Actor) owner = actor_new();
    GError *err;

    actor_start(owner, hold_lock, fake->dom);
    while (g_atomic_int_get(&hold_phase) != 1) {
        g_thread_yield();
    }
    err = unlock_unlocked(fake);
    g_atomic_int_set(&hold_phase, 2);
    return err;
}

static GError *lock_two(FakeDomain *fake)
{
    g_autoptr(YcDomain) other = some_domain("vm2");

    yc_domain_lock(fake->dom);
    yc_domain_lock(other);
    yc_domain_unlock(other);
    yc_domain_unlock(fake->dom);
    return NULL;
}

static GError *list_under_domain(FakeDomain *fake)
{
    g_autoptr(YcDriver) driver = yc_driver_new();
    g_autoptr(GPtrArray) list = NULL;

    yc_domain_lock(fake->dom);
    list = yc_driver_list(driver);
    yc_domain_unlock(fake->dom);
    return NULL;
}

static void enter(FakeDomain *fake)
{
    yc_domain_lock(fake->dom);
    g_assert_true(yc_domain_begin_job(fake->dom, YC_JOB_MODIFY, "x",
                                      YC_WAIT_DEFAULT, NULL));
    g_assert_nonnull(yc_domain_enter_monitor(fake->dom, "x", NULL));
}

static void leave(FakeDomain *fake)
{
    g_assert_true(yc_domain_exit_monitor(fake->dom, NULL));
    g_assert_true(yc_domain_end_job(fake->dom, NULL));
    yc_domain_unlock(fake->dom);
}

static GError *lock_in_monitor(FakeDomain *fake)
{
    enter(fake);
    yc_domain_lock(fake->dom);
    yc_domain_unlock(fake->dom);
    leave(fake);
    return NULL;
}

static GError *lock_other_in_monitor(FakeDomain *fake)
{
    g_autoptr(YcDomain) other = some_domain("vm2");

    enter(fake);
    yc_domain_lock(other);
    yc_domain_unlock(other);
    leave(fake);
    return NULL;
}

#ifdef CONFIG_DEBUG_CHECKS
/* What sleeps under a domain's lock, which is a fast one. */
static GError *sleep_under_lock(FakeDomain *fake)
{
    yc_domain_lock(fake->dom);
    yc_domain_oob(fake->dom, "x", NULL, FAKE_DEADLINE_MS, NULL, NULL);
    yc_domain_unlock(fake->dom);
    return NULL;
}

static GError *free_in_job(FakeDomain *fake)
{
    yc_domain_lock(fake->dom);
    yc_domain_begin_job(fake->dom, YC_JOB_MODIFY, "x", YC_WAIT_DEFAULT, NULL);
    yc_domain_unlock(fake->dom);
    yc_domain_unref(fake->dom);
    return NULL;
}
#endif

static void add_misuse_tests(void)
{
    test_add_misuse("/client/domain/misuse/check-unlocked", check_unlocked,
                    "yc_domain_check_alive() of domain 'vm1', which is not "
                    "locked");
    test_add_misuse("/client/domain/misuse/unlock-unlocked", unlock_unlocked,
                    "unlocking domain 'vm1', which this thread does not hold");
    test_add_misuse("/client/domain/misuse/unlock-anothers", unlock_anothers,
                    "unlocking domain 'vm1', which this thread does not hold");
    test_add_misuse("/client/domain/order/two-domains", lock_two,
                    "lock order: taking domain 'vm2' while holding domain "
                    "'vm1'");
    test_add_misuse("/client/domain/order/list-under-domain", list_under_domain,
                    "lock order: taking the list of 'domains' while holding "
                    "domain 'vm1'");
    test_add_misuse("/client/domain/order/domain-in-monitor", lock_in_monitor,
                    "lock order: taking domain 'vm1' while holding the monitor "
                    "of domain 'vm1'");
    test_add_misuse("/client/domain/order/other-in-monitor",
                    lock_other_in_monitor,
                    "lock order: taking domain 'vm2' while holding the monitor "
                    "of domain 'vm1'");
#ifdef CONFIG_DEBUG_CHECKS
    test_add_misuse("/client/domain/order/sleep-under-lock", sleep_under_lock,
                    "may block, called under a fast lock");
    test_add_misuse("/client/domain/misuse/free-in-job", free_in_job,
                    "domain 'vm1' is freed during its job 'x'");
#endif
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    qemu_mutex_init(&lock);
    qemu_cond_init(&cond);
    notes = g_string_new(NULL);
    g_test_add_func("/client/domain/events", test_events);
    g_test_add_func("/client/domain/remove-in-handler", test_remove_in_handler);
    g_test_add_func("/client/domain/remove-other", test_remove_other);
    g_test_add_func("/client/domain/command-in-handler",
                    test_command_in_handler);
    g_test_add_func("/client/domain/status", test_status);
    g_test_add_func("/client/domain/not-connected", test_not_connected);
    g_test_add_func("/client/domain/lane-without-monitor",
                    test_lane_without_monitor);
    g_test_add_func("/client/domain/connect-again", test_connect_again);
    g_test_add_func("/client/domain/told-once", test_told_once);
    g_test_add_func("/client/domain/connect-under-way", test_connect_under_way);
    g_test_add_func("/client/domain/close-before-told", test_close_before_told);
    g_test_add_func("/client/domain/driver", test_driver);
    g_test_add_func("/client/domain/driver-close", test_driver_close);
    g_test_add_func("/client/domain/driver-many", test_driver_many);
    add_misuse_tests();
    failed = g_test_run();
    expect_nothing_left();
    g_string_free(notes, true);
    return failed;
}
