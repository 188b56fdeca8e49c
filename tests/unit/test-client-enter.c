/*
 * Entering monitor, agent and remote: hangs, deaths, and mistakes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-domain.h"
#include "client/domain-internal.h"
#include "client/yank.h"

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

static void call_in_async_job(void *opaque)
{
    Call *call = opaque;
    YcDomain *dom = call->fake->dom;

    yc_domain_lock(dom);
    g_assert_true(yc_domain_begin_async_job(dom, "migrate", YC_JOB_MASK_DEFAULT,
                                            YC_WAIT_DEFAULT, NULL));
    call->ok = yc_domain_command(dom, call->command, NULL, call->timeout_ms,
                                 NULL, &call->err);
    g_assert_true(yc_domain_end_async_job(dom, NULL));
    yc_domain_unlock(dom);
}

static void call_agent(void *opaque)
{
    Call *call = opaque;
    YcDomain *dom = call->fake->dom;

    yc_domain_lock(dom);
    g_assert_true(
        yc_domain_begin_agent_job(dom, "freeze", YC_WAIT_DEFAULT, NULL));
    call->ok = yc_domain_agent_command(dom, call->command, NULL,
                                       call->timeout_ms, NULL, &call->err);
    g_assert_true(yc_domain_end_agent_job(dom, NULL));
    yc_domain_unlock(dom);
}

/* The lock is free, and says that somebody is in @slot with @command. */
static void wait_until_away(FakeDomain *fake, YcJobSlot slot,
                            const char *command)
{
    bool away = false;

    while (!away) {
        g_auto(YcJobInfo) info = {0};

        yc_domain_lock(fake->dom);
        yc_domain_get_job_info(fake->dom, slot, &info);
        yc_domain_unlock(fake->dom);
        away = g_strcmp0(info.command, command) == 0;
        g_thread_yield();
    }
}

static void test_command(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(json_object) arguments = json_parse("{'a': 1}", &error_abort);
    json_object *result = NULL;
    YcQmpClient *monitor;
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_QUERY);
    g_assert_true(yc_domain_command(fake->dom, "x", arguments, FAKE_DEADLINE_MS,
                                    &result, &err));
    g_assert_no_error(err);
    g_assert_cmpstr(fake_member(result, "a"), ==, "1");
    json_object_put(result);
    monitor = yc_domain_enter_monitor(fake->dom, "x", &err);
    g_assert_no_error(err);
    /* The lock is free for others. */
    g_assert_false(yc_lock_is_mine(&fake->dom->lock));
    g_assert_true(yc_qmp_client_execute(monitor, YC_QMP_IN_BAND, "x", NULL,
                                        FAKE_DEADLINE_MS, NULL, NULL));
    g_assert_true(yc_domain_exit_monitor(fake->dom, &err));
    g_assert_true(yc_lock_is_mine(&fake->dom->lock));
    fake_domain_end(fake);
}

static void test_agent_command(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    Call call = {fake, "guest-ping", FAKE_DEADLINE_MS};

    call_agent(&call);
    g_assert_no_error(call.err);
    g_assert_true(call.ok);
}

static void test_no_agent(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    Call call = {fake, "guest-ping", FAKE_DEADLINE_MS};

    g_assert_false(yc_domain_has_agent(fake->dom));
    call_agent(&call);
    expect_domain_error(call.err, YC_DOMAIN_ERROR_UNSUPPORTED,
                        "domain 'vm1' has no guest agent");
}

/* The monitor hangs: others wait in vain, out-of-band is answered, and a yank
 * lets the job come to its end. */
static void hung_monitor(ActorFn *fn, const char *holder)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) stuck = actor_new();
    Call call = {fake, "blockdev-del", FAKE_DEADLINE_MS};
    const char *const names[] = {"blockdev:nbd0", NULL};
    g_autofree char *text = g_strdup_printf(
        "Timed out after 50 ms: cannot acquire the job of domain 'vm1' "
        "(held by %s of thread %d for 0 s%s)",
        holder, (int)actor_id(stuck),
        strstr(holder, "test") ? ", in 'blockdev-del' for 0 s" : "");
    GError *err = NULL;

    fake_domain_set_hangs(fake, true);
    actor_start(stuck, fn, &call);
    fake_domain_wait_in_band(fake, 1);

    yc_domain_lock(fake->dom);
    g_assert_false(yc_domain_begin_job(fake->dom, YC_JOB_QUERY, "q", 50, &err));
    yc_domain_unlock(fake->dom);
    expect_domain_error(err, YC_DOMAIN_ERROR_BUSY, text);
    err = NULL;
    g_assert_true(yc_domain_oob(fake->dom, "query-x", NULL, FAKE_DEADLINE_MS,
                                NULL, &err));
    g_assert_no_error(err);
    g_assert_true(
        yc_domain_yank(fake->dom, names, 0, FAKE_DEADLINE_MS, NULL, &err));
    g_assert_no_error(err);
    actor_wait(stuck);
    g_assert_no_error(call.err);
    g_assert_true(call.ok);
}

static void test_hung_monitor(void)
{
    hung_monitor(call_in_job, "'test'");
}

static void test_hung_nested(void)
{
    hung_monitor(call_in_async_job, "nested 'blockdev-del'");
}

/* A command has a deadline of its own; the job ends and the next may try. */
static void test_command_times_out(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    Call call = {fake, "blockdev-del", 20};

    fake_domain_set_hangs(fake, true);
    for (int i = 0; i < 2; i++) {
        call_in_job(&call);
        expect_error(g_steal_pointer(&call.err), YC_ERROR_TIMEOUT,
                     "blockdev-del");
    }
}

/* A guest that says nothing holds up those who want the guest, only. */
static void test_hung_agent(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    g_autoptr(Actor) stuck = actor_new();
    Call call = {fake, "guest-fsfreeze-freeze", 300};
    Call other = {fake, "query-x", FAKE_DEADLINE_MS};
    g_autofree char *text = g_strdup_printf(
        "Timed out after 20 ms: cannot acquire the agent job of domain 'vm1' "
        "(held by 'freeze' of thread %d for 0 s, in 'guest-fsfreeze-freeze' "
        "for 0 s)",
        (int)actor_id(stuck));
    GError *err = NULL;

    fake_domain_set_guest_hangs(fake, true);
    actor_start(stuck, call_agent, &call);
    wait_until_away(fake, YC_SLOT_AGENT, "guest-fsfreeze-freeze");
    call_in_job(&other);
    g_assert_no_error(other.err);
    yc_domain_lock(fake->dom);
    g_assert_false(yc_domain_begin_agent_job(fake->dom, "ping", 20, &err));
    yc_domain_unlock(fake->dom);
    expect_domain_error(err, YC_DOMAIN_ERROR_BUSY, text);
    actor_wait(stuck);
    expect_error(call.err, YC_ERROR_TIMEOUT, "guest-fsfreeze-freeze");
}

/* Many threads in many jobs; the monitor never has two of them. */
#define N_THREADS 8
#define N_ROUNDS 50

static void *worker(void *opaque)
{
    FakeDomain *fake = opaque;

    for (int i = 0; i < N_ROUNDS; i++) {
        Call call = {fake, "x", FAKE_DEADLINE_MS};
        ActorFn *const fns[] = {call_in_job, call_in_async_job, call_agent};

        fns[i % G_N_ELEMENTS(fns)](&call);
        g_assert_no_error(call.err);
    }
    return NULL;
}

static void test_many(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    QemuThread threads[N_THREADS];

    yc_domain_set_wait_limit(fake->dom, FAKE_DEADLINE_MS);
    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_create(&threads[i], "worker", worker, fake,
                           QEMU_THREAD_JOINABLE);
    }
    for (int i = 0; i < N_THREADS; i++) {
        fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n");
    }
    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_join(&threads[i]);
    }
}

/*
 * Mistakes.
 */
static GError *enter_without_job(FakeDomain *fake)
{
    GError *err = NULL;

    yc_domain_lock(fake->dom);
    g_assert_null(yc_domain_enter_monitor(fake->dom, "x", &err));
    yc_domain_unlock(fake->dom);
    return err;
}

static GError *enter_unlocked(FakeDomain *fake)
{
    GError *err = NULL;

    g_assert_null(yc_domain_enter_monitor(fake->dom, "x", &err));
    return err;
}

/* An asynchronous job alone is no job for the monitor. */
static GError *enter_in_async_job(FakeDomain *fake)
{
    GError *err = NULL;

    yc_domain_lock(fake->dom);
    yc_domain_begin_async_job(fake->dom, "a", 0, YC_WAIT_DEFAULT, NULL);
    g_assert_null(yc_domain_enter_monitor(fake->dom, "x", &err));
    yc_domain_end_async_job(fake->dom, NULL);
    yc_domain_unlock(fake->dom);
    return err;
}

static GError *enter_agent_in_normal_job(FakeDomain *fake)
{
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_MODIFY);
    g_assert_null(yc_domain_enter_agent(fake->dom, "x", &err));
    fake_domain_end(fake);
    return err;
}

static GError *enter_with_anothers_job(FakeDomain *fake)
{
    YcJobState *job = &fake->dom->jobs.slots[YC_SLOT_NORMAL];
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_MODIFY);
    job->thread++;
    g_assert_null(yc_domain_enter_monitor(fake->dom, "x", &err));
    job->thread--;
    fake_domain_end(fake);
    return err;
}

static GError *exit_without_enter(FakeDomain *fake)
{
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_MODIFY);
    yc_domain_unlock(fake->dom);
    g_assert_false(yc_domain_exit_monitor(fake->dom, &err));
    yc_domain_lock(fake->dom);
    fake_domain_end(fake);
    return err;
}

static GError *exit_remote_without_enter(FakeDomain *fake)
{
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_MODIFY);
    yc_domain_unlock(fake->dom);
    g_assert_false(yc_domain_exit_remote(fake->dom, &err));
    yc_domain_lock(fake->dom);
    fake_domain_end(fake);
    return err;
}

static GError *exit_locked(FakeDomain *fake)
{
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_MODIFY);
    g_assert_false(yc_domain_exit_monitor(fake->dom, &err));
    fake_domain_end(fake);
    return err;
}

static GError *end_while_remote(FakeDomain *fake)
{
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_MODIFY);
    g_assert_true(yc_domain_enter_remote(fake->dom, "other host", NULL));
    yc_domain_lock(fake->dom);
    g_assert_false(yc_domain_end_job(fake->dom, &err));
    yc_domain_unlock(fake->dom);
    g_assert_true(yc_domain_exit_remote(fake->dom, NULL));
    fake_domain_end(fake);
    return err;
}

static GError *enter_while_remote(FakeDomain *fake)
{
    GError *err = NULL;

    fake_domain_begin(fake, YC_JOB_MODIFY);
    g_assert_true(yc_domain_enter_remote(fake->dom, "other host", NULL));
    yc_domain_lock(fake->dom);
    g_assert_null(yc_domain_enter_monitor(fake->dom, "x", &err));
    yc_domain_unlock(fake->dom);
    g_assert_true(yc_domain_exit_remote(fake->dom, NULL));
    fake_domain_end(fake);
    return err;
}

static GError *command_unlocked(FakeDomain *fake)
{
    GError *err = NULL;

    g_assert_false(yc_domain_command(fake->dom, "x", NULL, 1, NULL, &err));
    return err;
}

static void add_misuse_tests(void)
{
    test_add_misuse("/client/enter/misuse/without-job", enter_without_job,
                    "yc_domain_enter_monitor() of domain 'vm1' without a job "
                    "for it");
    test_add_misuse("/client/enter/misuse/unlocked", enter_unlocked,
                    "yc_domain_enter_monitor() of domain 'vm1', which is not "
                    "locked");
    test_add_misuse("/client/enter/misuse/in-async-job", enter_in_async_job,
                    "without a job for it");
    test_add_misuse("/client/enter/misuse/agent-in-normal-job",
                    enter_agent_in_normal_job,
                    "yc_domain_enter_agent() of domain 'vm1' without a job for "
                    "it");
    test_add_misuse("/client/enter/misuse/anothers-job",
                    enter_with_anothers_job, "without a job for it");
    test_add_misuse("/client/enter/misuse/exit-without-enter",
                    exit_without_enter,
                    "yc_domain_exit_monitor() of domain 'vm1' by a thread that "
                    "has not entered");
    test_add_misuse("/client/enter/misuse/exit-remote-without-enter",
                    exit_remote_without_enter,
                    "yc_domain_exit_remote() of domain 'vm1' by a thread that "
                    "has not entered");
    test_add_misuse("/client/enter/misuse/exit-locked", exit_locked,
                    "yc_domain_exit_monitor() of domain 'vm1', which is "
                    "locked");
    test_add_misuse("/client/enter/misuse/end-while-remote", end_while_remote,
                    "yc_domain_end_job() of domain 'vm1' by a thread that is "
                    "still in 'other host'");
    test_add_misuse("/client/enter/misuse/enter-while-remote",
                    enter_while_remote,
                    "yc_domain_enter_monitor() of domain 'vm1' by a thread "
                    "that is in 'other host'");
    test_add_misuse("/client/enter/misuse/command-unlocked", command_unlocked,
                    "yc_domain_command() of domain 'vm1', which is not "
                    "locked");
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/enter/command", test_command);
    g_test_add_func("/client/enter/agent-command", test_agent_command);
    g_test_add_func("/client/enter/no-agent", test_no_agent);
    g_test_add_func("/client/enter/hung-monitor", test_hung_monitor);
    g_test_add_func("/client/enter/hung-nested", test_hung_nested);
    g_test_add_func("/client/enter/command-times-out", test_command_times_out);
    g_test_add_func("/client/enter/hung-agent", test_hung_agent);
    g_test_add_func("/client/enter/many", test_many);
    add_misuse_tests();
    failed = g_test_run();
    expect_nothing_left();
    return failed;
}
