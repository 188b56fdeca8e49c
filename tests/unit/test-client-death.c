/*
 * The process dies while somebody is in its monitor, its agent, or remote.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-domain.h"
#include "client/domain-internal.h"

/* A command on another thread. */
typedef struct Call {
    FakeDomain *fake;
    const char *command;
    int timeout_ms;
    bool ok;
    GError *err;
} Call;

static void call_in_job(void *opaque)
{
    Call *call = opaque;

    fake_domain_begin(call->fake, YC_JOB_MODIFY);
    call->ok = yc_domain_command(call->fake->dom, call->command, NULL,
                                 call->timeout_ms, NULL, &call->err);
    fake_domain_end(call->fake);
}

static void expect_lost_and_over(FakeDomain *fake, YcQmpClient *entered,
                                 GError *err)
{
    g_autofree char *text =
        g_strdup_printf("domain 'vm1' is gone: %s: the peer closed the "
                        "connection",
                        fake_peer_address(fake->process));

    g_assert_null(entered);
    expect_domain_error(err, YC_DOMAIN_ERROR_GONE, text);
}

static void test_death_in_monitor(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    YcQmpClient *monitor;
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_MODIFY);
    monitor = yc_domain_enter_monitor(fake->dom, "x", NULL);
    /* The command ends with the connection, before the event thread told. */
    g_assert_false(yc_qmp_client_execute(monitor, YC_QMP_IN_BAND, "die", NULL,
                                         FAKE_DEADLINE_MS, NULL, &err));
    expect_error(g_steal_pointer(&err), YC_ERROR_CLOSED, "closed");
    g_assert_false(yc_domain_exit_monitor(fake->dom, &err));
    g_assert_error(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE);
    g_clear_error(&err);
    /* The job is over: no way in any more. */
    g_assert_null(yc_domain_enter_monitor(fake->dom, "x", &err));
    g_assert_error(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE);
    g_clear_error(&err);
    fake_domain_end(fake);
}

static void test_death_in_hung_command(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) stuck = actor_new();
    Call call = {fake, "blockdev-del", FAKE_DEADLINE_MS};
    YcQmpClient *entered;
    GError *err = NULL;

    fake_domain_set_hangs(fake, true);
    actor_start(stuck, call_in_job, &call);
    fake_domain_wait_in_band(fake, 1);
    fake_domain_die(fake);
    actor_wait(stuck);
    g_assert_false(call.ok);
    expect_error(call.err, YC_ERROR_CLOSED, "closed the connection");
    yc_domain_lock(fake->dom);
    entered = yc_domain_begin_job(fake->dom, YC_JOB_QUERY, "q", 1, &err)
                  ? fake->dom->monitor
                  : NULL;
    yc_domain_unlock(fake->dom);
    expect_lost_and_over(fake, entered, err);
}

static void die(void *fake)
{
    fake_domain_die(fake);
}

/* The agent's answer counts for nothing once the process is gone. */
static void test_death_in_agent(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    g_autoptr(Actor) actor = actor_new();
    YcAgentClient *agent;
    GError *err = NULL;

    yc_domain_lock(fake->dom);
    g_assert_true(
        yc_domain_begin_agent_job(fake->dom, "x", YC_WAIT_DEFAULT, NULL));
    agent = yc_domain_enter_agent(fake->dom, "guest-ping", NULL);
    g_assert_true(yc_agent_client_ping(agent, FAKE_DEADLINE_MS, NULL));
    actor_do(actor, die, fake);
    g_assert_false(yc_domain_exit_agent(fake->dom, &err));
    expect_lost_and_over(fake, NULL, err);
    g_assert_true(yc_domain_end_agent_job(fake->dom, NULL));
    yc_domain_unlock(fake->dom);
}

static void test_death_in_remote(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_MODIFY);
    g_assert_true(yc_domain_enter_remote(fake->dom, "other host", NULL));
    fake_domain_die(fake);
    g_assert_false(yc_domain_exit_remote(fake->dom, &err));
    expect_lost_and_over(fake, NULL, err);
    fake_domain_end(fake);
}

/* Everybody else lets go of the domain while somebody is remote. */
static void test_remote_keeps(void)
{
    FakeDomain *fake = fake_domain_new("vm1", 0);
    YcDomain *dom = fake->dom;
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_MODIFY);
    g_assert_true(yc_domain_enter_remote(dom, "other host", NULL));
    g_assert_cmpint(g_atomic_int_get(&dom->refs), >=, 2);
    yc_domain_close(dom, "removed");
    g_assert_false(yc_domain_exit_remote(dom, &err));
    expect_domain_error(err, YC_DOMAIN_ERROR_GONE,
                        "domain 'vm1' is gone: removed");
    fake_domain_end(fake);
    fake_domain_free(fake);
}

/* An answer is not handed out when the process has gone meanwhile. */
static void test_answer_of_the_dead(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    json_object *result = NULL;
    GError *err = NULL;

    yc_domain_lock(fake->dom);
    g_assert_true(
        yc_domain_begin_agent_job(fake->dom, "x", YC_WAIT_DEFAULT, NULL));
    g_assert_false(yc_domain_agent_command(fake->dom, "guest-outlive", NULL,
                                           FAKE_DEADLINE_MS, &result, &err));
    expect_lost_and_over(fake, NULL, err);
    g_assert_null(result);
    g_assert_true(yc_domain_end_agent_job(fake->dom, NULL));
    yc_domain_unlock(fake->dom);
}

/* The exit knows of the end although the event thread has not told yet. */
static void test_death_before_told(void)
{
    g_autoptr(FakeDomain) other = fake_domain_new("vm2", 0);
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autofree char *text =
        g_strdup_printf("domain 'vm1' is gone: %s: the connection was lost",
                        fake_peer_address(fake->process));
    YcQmpClient *monitor;
    GError *err = NULL;

    fake_domain_block_events(other);
    fake_domain_begin(fake, YC_JOB_MODIFY);
    monitor = yc_domain_enter_monitor(fake->dom, "x", NULL);
    g_assert_false(yc_qmp_client_execute(monitor, YC_QMP_IN_BAND, "die", NULL,
                                         FAKE_DEADLINE_MS, NULL, NULL));
    g_assert_false(yc_domain_exit_monitor(fake->dom, &err));
    expect_domain_error(err, YC_DOMAIN_ERROR_GONE, text);
    fake_domain_end(fake);
    fake_domain_unblock_events(other);
}

static bool is_alive(FakeDomain *fake, unsigned life)
{
    bool alive;

    yc_domain_lock(fake->dom);
    alive = fake->dom->alive && fake->dom->life == life;
    yc_domain_unlock(fake->dom);
    return alive;
}

/* A process that comes back is another one for the job that began before. */
static void test_new_life(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_RECONNECT);
    Call call = {fake, "x", FAKE_DEADLINE_MS};
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_MODIFY);
    g_assert_true(yc_domain_enter_remote(fake->dom, "other host", NULL));
    fake_domain_die(fake);
    while (!is_alive(fake, 2)) {
        g_thread_yield();
    }
    g_assert_false(yc_domain_exit_remote(fake->dom, &err));
    expect_domain_error(err, YC_DOMAIN_ERROR_GONE,
                        "domain 'vm1' was lost and has come back during "
                        "'test'");
    err = NULL;
    g_assert_null(yc_domain_enter_monitor(fake->dom, "x", &err));
    g_assert_error(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE);
    g_clear_error(&err);
    fake_domain_end(fake);
    call_in_job(&call);
    g_assert_no_error(call.err);
}

/* The process has come back before the event thread told of the end. */
static void test_new_life_before_told(void)
{
    g_autoptr(FakeDomain) other = fake_domain_new("vm2", 0);
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_RECONNECT);
    YcQmpClient *monitor;
    GError *err = NULL;

    fake_domain_block_events(other);
    fake_domain_begin(fake, YC_JOB_MODIFY);
    monitor = yc_domain_enter_monitor(fake->dom, "x", NULL);
    g_assert_false(yc_qmp_client_execute(monitor, YC_QMP_IN_BAND, "die", NULL,
                                         FAKE_DEADLINE_MS, NULL, NULL));
    while (fake_peer_connections(fake->process) < 2 ||
           yc_qmp_client_state(monitor) != YC_QMP_READY) {
        g_thread_yield();
    }
    g_assert_false(yc_domain_exit_monitor(fake->dom, &err));
    g_assert_error(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE);
    g_clear_error(&err);
    fake_domain_end(fake);
    fake_domain_unblock_events(other);
    while (!is_alive(fake, 2)) {
        g_thread_yield();
    }
    fake_domain_begin(fake, YC_JOB_MODIFY);
    fake_domain_end(fake);
}

/* Nor may a job enter what is no longer the process it was begun for. */
static void test_enter_before_told(void)
{
    g_autoptr(FakeDomain) other = fake_domain_new("vm2", 0);
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_RECONNECT);
    GError *err = NULL;

    fake_domain_block_events(other);
    fake_domain_begin(fake, YC_JOB_MODIFY);
    yc_domain_unlock(fake->dom);
    fake_domain_die(fake);
    while (fake_peer_connections(fake->process) < 2 ||
           yc_qmp_client_state(fake->dom->monitor) != YC_QMP_READY) {
        g_thread_yield();
    }
    yc_domain_lock(fake->dom);
    g_assert_null(yc_domain_enter_monitor(fake->dom, "x", &err));
    g_assert_error(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE);
    g_clear_error(&err);
    fake_domain_end(fake);
    fake_domain_unblock_events(other);
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/death/in-monitor", test_death_in_monitor);
    g_test_add_func("/client/death/in-hung-command",
                    test_death_in_hung_command);
    g_test_add_func("/client/death/in-agent", test_death_in_agent);
    g_test_add_func("/client/death/in-remote", test_death_in_remote);
    g_test_add_func("/client/death/remote-keeps", test_remote_keeps);
    g_test_add_func("/client/death/answer-of-the-dead",
                    test_answer_of_the_dead);
    g_test_add_func("/client/death/before-told", test_death_before_told);
    g_test_add_func("/client/death/new-life", test_new_life);
    g_test_add_func("/client/death/new-life-before-told",
                    test_new_life_before_told);
    g_test_add_func("/client/death/enter-before-told", test_enter_before_told);
    failed = g_test_run();
    expect_nothing_left();
    return failed;
}
