/*
 * Pings: times, hangs, and that a server that hangs gets one in-band ping.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-domain.h"
#include "client/ping.h"

/* A ping on another thread. */
typedef struct Call {
    FakeDomain *fake;
    YcPing ping;
    int timeout_ms;
    gint64 us;
    bool ok;
    GError *err;
} Call;

static void call_ping(void *opaque)
{
    Call *call = opaque;

    call->ok = yc_domain_ping(call->fake->dom, call->ping, call->timeout_ms,
                              &call->us, &call->err);
    g_assert_true(call->ok == (call->err == NULL));
}

static void expect_pong(FakeDomain *fake, YcPing ping)
{
    Call call = {fake, ping, FAKE_DEADLINE_MS, -1};

    call_ping(&call);
    g_assert_no_error(call.err);
    g_assert_cmpint(call.us, >, 0);
    g_assert_cmpint(call.us, <, FAKE_DEADLINE_MS * 1000);
}

static void test_pong(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);

    expect_pong(fake, YC_PING_OOB);
    expect_pong(fake, YC_PING_IN_BAND);
    expect_pong(fake, YC_PING_AGENT);
    g_assert_cmpint(fake->n_in_band, ==, 1);
    g_assert_cmpstr(yc_ping_name(YC_PING_OOB), ==, "out-of-band");
    g_assert_cmpstr(yc_ping_name(YC_PING_IN_BAND), ==, "in-band");
    g_assert_cmpstr(yc_ping_name(YC_PING_AGENT), ==, "agent");
}

/* A server that knows no yank answers all the same. */
static void test_error_is_pong(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_NO_YANK);

    expect_pong(fake, YC_PING_OOB);
}

static void test_no_agent(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    Call call = {fake, YC_PING_AGENT, FAKE_DEADLINE_MS};

    call_ping(&call);
    expect_domain_error(call.err, YC_DOMAIN_ERROR_UNSUPPORTED,
                        "domain 'vm1' has no guest agent");
}

/* The main loop hangs: one ping is sent, however often one asks, and its time
 * goes on; once the main loop is back, its answer serves who asks. */
static void test_hang(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    g_autoptr(Actor) actor = actor_new();
    Call call = {fake, YC_PING_IN_BAND, 30};
    gint64 last = 0;

    fake_domain_set_hangs(fake, true);
    for (int i = 0; i < 3; i++) {
        call_ping(&call);
        g_assert_nonnull(strstr(call.err->message,
                                ": in-band command query-version has not been "
                                "answered for "));
        expect_error(g_steal_pointer(&call.err), YC_ERROR_TIMEOUT,
                     fake_peer_address(fake->process));
        g_assert_cmpint(call.us, >, last);
        last = call.us;
    }
    expect_pong(fake, YC_PING_OOB);
    expect_pong(fake, YC_PING_AGENT);
    g_assert_cmpint(fake->n_in_band, ==, 1);

    call.timeout_ms = FAKE_DEADLINE_MS;
    actor_start(actor, call_ping, &call);
    g_assert_true(
        yc_domain_oob(fake->dom, "yank", NULL, FAKE_DEADLINE_MS, NULL, NULL));
    actor_wait(actor);
    g_assert_no_error(call.err);
    g_assert_cmpint(fake->n_in_band, <=, 2);
    expect_pong(fake, YC_PING_IN_BAND);
}

/* Who holds the job in this program is named. */
static void test_busy(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    g_autoptr(Actor) actor = actor_new();
    Call call = {fake, YC_PING_IN_BAND, 20};
    g_autofree char *text = g_strdup_printf(
        "Timed out after 20 ms: cannot acquire the job of domain 'vm1' (held "
        "by 'blockdev-del' of thread %d for 0 s)",
        (int)gettid());

    yc_domain_lock(fake->dom);
    g_assert_true(yc_domain_begin_job(fake->dom, YC_JOB_MODIFY, "blockdev-del",
                                      YC_WAIT_DEFAULT, NULL));
    yc_domain_unlock(fake->dom);
    actor_do(actor, call_ping, &call);
    expect_domain_error(g_steal_pointer(&call.err), YC_DOMAIN_ERROR_BUSY, text);
    g_assert_cmpint(call.us, >=, 20000);
    /* The others are asked all the same. */
    call.timeout_ms = FAKE_DEADLINE_MS;
    call.ping = YC_PING_OOB;
    actor_do(actor, call_ping, &call);
    g_assert_no_error(call.err);
    call.ping = YC_PING_AGENT;
    actor_do(actor, call_ping, &call);
    g_assert_no_error(call.err);
    yc_domain_lock(fake->dom);
    g_assert_true(yc_domain_end_job(fake->dom, NULL));
    yc_domain_unlock(fake->dom);
}

static void test_hung_agent(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    Call call = {fake, YC_PING_AGENT, 30};

    fake_domain_set_guest_hangs(fake, true);
    call_ping(&call);
    expect_error(call.err, YC_ERROR_TIMEOUT, "30 ms");
    g_assert_cmpint(call.us, >=, 30000);
    fake_domain_set_guest_hangs(fake, false);
    expect_pong(fake, YC_PING_AGENT);
}

/* The process dies while a ping is on its way. */
static void test_death(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    g_autoptr(Actor) actor = actor_new();
    Call call = {fake, YC_PING_IN_BAND, FAKE_DEADLINE_MS};

    fake_domain_set_hangs(fake, true);
    actor_start(actor, call_ping, &call);
    fake_domain_wait_in_band(fake, 1);
    fake_domain_die(fake);
    actor_wait(actor);
    expect_error(g_steal_pointer(&call.err), YC_ERROR_CLOSED,
                 "closed the connection");
    call_ping(&call);
    g_assert_error(call.err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE);
    g_clear_error(&call.err);
    call.ping = YC_PING_OOB;
    call_ping(&call);
    expect_error(call.err, YC_ERROR_CLOSED, "");
}

/* A ping that was lost with its connection is not waited for in the next. */
static void test_reconnect(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_RECONNECT);
    Call call = {fake, YC_PING_IN_BAND, 20};
    GError *err = NULL;

    fake_domain_set_hangs(fake, true);
    call_ping(&call);
    expect_error(call.err, YC_ERROR_TIMEOUT, "");
    fake_domain_set_hangs(fake, false);
    fake_domain_die(fake);
    do {
        g_clear_error(&err);
        call.err = NULL;
        call.timeout_ms = FAKE_DEADLINE_MS;
        call_ping(&call);
        err = call.err;
    } while (err);
    g_assert_cmpint(fake->n_in_band, ==, 2);
}

static void test_many(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    Call calls[9];
    Actor *actors[9];

    for (int i = 0; i < 9; i++) {
        calls[i] = (Call){fake, (YcPing)(i % 3), FAKE_DEADLINE_MS};
        actors[i] = actor_new();
        actor_start(actors[i], call_ping, &calls[i]);
    }
    for (int i = 0; i < 9; i++) {
        actor_wait(actors[i]);
        actor_free(actors[i]);
        g_assert_no_error(calls[i].err);
    }
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/ping/pong", test_pong);
    g_test_add_func("/client/ping/error-is-pong", test_error_is_pong);
    g_test_add_func("/client/ping/no-agent", test_no_agent);
    g_test_add_func("/client/ping/hang", test_hang);
    g_test_add_func("/client/ping/busy", test_busy);
    g_test_add_func("/client/ping/hung-agent", test_hung_agent);
    g_test_add_func("/client/ping/death", test_death);
    g_test_add_func("/client/ping/reconnect", test_reconnect);
    g_test_add_func("/client/ping/many", test_many);
    failed = g_test_run();
    expect_nothing_left();
    return failed;
}
