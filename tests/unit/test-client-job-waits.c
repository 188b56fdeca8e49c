/*
 * Waits for jobs: their order, their ends, and what is said of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-job-ask.h"

static const YcJobSort sorts[] = {YC_SORT_NORMAL, YC_SORT_AGENT, YC_SORT_ASYNC,
                                  YC_SORT_NESTED};

static void ask_mask(void *opaque)
{
    Ask *a = opaque;
    GError *err = NULL;

    yc_domain_lock(a->dom);
    yc_domain_set_async_mask(a->dom, a->mask, &err);
    yc_domain_unlock(a->dom);
    g_assert_no_error(err);
}

/* A mask that widens lets in who waits. */
static void test_set_mask(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) holder = actor_new();
    g_autoptr(Actor) asker = actor_new();
    Ask async = {fake->dom, YC_SORT_ASYNC, .mask = YC_JOB_MASK_DEFAULT,
                 .what = "migrate"};
    Ask a = {fake->dom, YC_SORT_NORMAL, YC_JOB_MODIFY, .what = "x"};

    actor_do(holder, ask, &async);
    actor_start(asker, ask, &a);
    fake_domain_wait_waiters(fake, 1);
    async.mask = YC_JOB_MASK(YC_JOB_MODIFY);
    actor_do(holder, ask_mask, &async);
    actor_wait(asker);
    g_assert_no_error(a.err);
    actor_do(asker, end, &a);
    actor_do(holder, end, &async);
}

/*
 * Errors, word for word.
 */
static int64_t fake_now; /* set while nobody waits */

static int64_t fake_clock(void)
{
    return fake_now;
}

/* What somebody who asks like @a is told; ends nothing. */
static void expect_told(Ask a, YcDomainError code, const char *fmt, int thread)
{
    g_autofree char *text = g_strdup_printf(fmt, thread);

    ask(&a);
    expect_domain_error(a.err, code, text);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void test_texts(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) holder = actor_new();
    Ask held = {fake->dom, YC_SORT_NORMAL, YC_JOB_MODIFY,
                .what = "blockdev-del"};
    Ask agent = {fake->dom, YC_SORT_AGENT, .what = "guest-fsfreeze-freeze"};
    Ask async = {fake->dom, YC_SORT_ASYNC, .mask = YC_JOB_MASK_DEFAULT,
                 .what = "migrate"};
    Ask nested = {fake->dom, YC_SORT_NESTED, .what = "query-migrate"};
    Ask a = {fake->dom, YC_SORT_NORMAL, YC_JOB_MODIFY, .what = "x",
             .wait_ms = 10};
    int id = actor_id(holder);

    yc_age_clock = fake_clock;
    fake_now = 0;
    actor_do(holder, ask, &held);
    fake_now = INT64_C(42999999);
    expect_told(a, YC_DOMAIN_ERROR_BUSY,
                "Timed out after 10 ms: cannot acquire the job of domain "
                "'vm1' (held by 'blockdev-del' of thread %d for 42 s)",
                id);
    a.wait_ms = YC_WAIT_NONE;
    expect_told(a, YC_DOMAIN_ERROR_BUSY,
                "Cannot acquire the job of domain 'vm1' (held by "
                "'blockdev-del' of thread %d for 42 s)",
                id);
    a.sort = YC_SORT_ASYNC;
    expect_told(a, YC_DOMAIN_ERROR_BUSY,
                "Cannot acquire the asynchronous job of domain 'vm1' (held by "
                "'blockdev-del' of thread %d for 42 s)",
                id);
    actor_do(holder, end, &held);

    actor_do(holder, ask, &agent);
    a.sort = YC_SORT_AGENT;
    a.wait_ms = 1000;
    fake_now += INT64_C(7000000);
    expect_told(a, YC_DOMAIN_ERROR_BUSY,
                "Timed out after 1 s: cannot acquire the agent job of domain "
                "'vm1' (held by 'guest-fsfreeze-freeze' of thread %d for 7 s)",
                id);
    actor_do(holder, end, &agent);

    actor_do(holder, ask, &async);
    a.sort = YC_SORT_NORMAL;
    a.wait_ms = 5;
    expect_told(a, YC_DOMAIN_ERROR_BUSY,
                "Timed out after 5 ms: cannot acquire the job of domain 'vm1' "
                "(held by asynchronous 'migrate' of thread %d for 0 s, which "
                "lets no modify job in)",
                id);
    a.sort = YC_SORT_ASYNC;
    expect_told(a, YC_DOMAIN_ERROR_BUSY,
                "Timed out after 5 ms: cannot acquire the asynchronous job of "
                "domain 'vm1' (held by asynchronous 'migrate' of thread %d for "
                "0 s)",
                id);
    actor_do(holder, ask, &nested);
    a.sort = YC_SORT_NORMAL;
    a.kind = YC_JOB_QUERY;
    expect_told(a, YC_DOMAIN_ERROR_BUSY,
                "Timed out after 5 ms: cannot acquire the job of domain 'vm1' "
                "(held by nested 'query-migrate' of thread %d for 0 s)",
                id);
    actor_do(holder, end, &nested);
    actor_do(holder, end, &async);
    yc_age_clock = g_get_monotonic_time;
}
#pragma GCC diagnostic pop

static void go_remote(void *opaque)
{
    Ask *a = opaque;

    yc_domain_lock(a->dom);
    g_assert_true(yc_domain_enter_remote(a->dom, "drive-mirror", NULL));
}

static void come_back(void *opaque)
{
    Ask *a = opaque;

    g_assert_true(yc_domain_exit_remote(a->dom, NULL));
    yc_domain_unlock(a->dom);
}

/* A job that is at one thing of several names that, too. */
static void test_text_of_command(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) holder = actor_new();
    g_auto(YcJobInfo) info = {0};
    Ask held = {fake->dom, YC_SORT_NORMAL, YC_JOB_MODIFY, .what = "repair"};
    Ask a = {fake->dom, YC_SORT_NORMAL, YC_JOB_QUERY, .what = "x",
             .wait_ms = YC_WAIT_NONE};
    g_autofree char *text = g_strdup_printf(
        "Cannot acquire the job of domain 'vm1' (held by 'repair' of thread %d "
        "for 42 s, in 'drive-mirror' for 40 s)",
        (int)actor_id(holder));

    yc_age_clock = fake_clock;
    fake_now = 0;
    actor_do(holder, ask, &held);
    fake_now = 2000000;
    actor_do(holder, go_remote, &held);
    fake_now = 42000000;
    ask(&a);
    expect_domain_error(a.err, YC_DOMAIN_ERROR_BUSY, text);

    yc_domain_lock(fake->dom);
    yc_domain_get_job_info(fake->dom, YC_SLOT_NORMAL, &info);
    yc_domain_unlock(fake->dom);
    g_assert_true(info.held && !info.nested);
    g_assert_cmpstr(info.what, ==, "repair");
    g_assert_cmpstr(info.command, ==, "drive-mirror");
    g_assert_cmpint(info.thread, ==, actor_id(holder));
    g_assert_cmpint(info.age_ms, ==, 42000);
    g_assert_cmpint(info.command_ms, ==, 40000);

    actor_do(holder, come_back, &held);
    actor_do(holder, end, &held);
    yc_age_clock = g_get_monotonic_time;
    yc_domain_lock(fake->dom);
    yc_job_info_clear(&info);
    yc_domain_get_job_info(fake->dom, YC_SLOT_NORMAL, &info);
    yc_domain_unlock(fake->dom);
    g_assert_false(info.held);
}

/* The domain's own limit, and that the default is libvirt's. */
static void test_default_limit(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) holder = actor_new();
    Ask held = {fake->dom, YC_SORT_NORMAL, .what = "held"};
    Ask a = {fake->dom, YC_SORT_NORMAL, .what = "x",
             .wait_ms = YC_WAIT_DEFAULT};
    int64_t start;

    g_assert_cmpint(fake->dom->wait_limit_ms, ==, 30000);
    yc_domain_set_wait_limit(fake->dom, 50);
    actor_do(holder, ask, &held);
    start = g_get_monotonic_time();
    ask(&a);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 50000);
    g_assert_nonnull(a.err);
    g_assert_true(g_str_has_prefix(a.err->message, "Timed out after 50 ms: "));
    end(&a);
    actor_do(holder, end, &held);
}

static void test_max_waiters(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) holder = actor_new(), first = actor_new(),
                     owner = actor_new(), second = actor_new();
    Ask async = {fake->dom, YC_SORT_ASYNC, .mask = ALL_KINDS, .what = "dump"};
    Ask nested = {fake->dom, YC_SORT_NESTED, .what = "n"};
    Ask held = {fake->dom, YC_SORT_NORMAL, .what = "held"};
    Ask a = {fake->dom, YC_SORT_NORMAL, .what = "a"};
    Ask b = {fake->dom, YC_SORT_NORMAL, .what = "b"};
    g_autofree char *text = g_strdup_printf(
        "Cannot wait for the job of domain 'vm1': as many as may (1) wait "
        "already (held by 'held' of thread %d for 0 s)",
        (int)actor_id(holder));

    yc_domain_set_max_waiters(fake->dom, 1);
    actor_do(owner, ask, &async);
    actor_do(holder, ask, &held);
    actor_start(first, ask, &a);
    fake_domain_wait_waiters(fake, 1);
    actor_do(second, ask, &b);
    expect_domain_error(b.err, YC_DOMAIN_ERROR_QUEUE_FULL, text);
    /* A job that runs already is not kept from its end. */
    actor_start(owner, ask, &nested);
    fake_domain_wait_waiters(fake, 2);
    actor_do(holder, end, &held);
    actor_wait(first);
    actor_do(first, end, &a);
    actor_wait(owner);
    actor_do(owner, end, &nested);
    actor_do(owner, end, &async);
}

/* Who comes first is served first. */
static void test_order(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) holder = actor_new();
    Ask held = {fake->dom, YC_SORT_NORMAL, .what = "held"};
    Actor *actors[8];
    Ask asks[8];

    actor_do(holder, ask, &held);
    for (int i = 0; i < 8; i++) {
        actors[i] = actor_new();
        /* The asynchronous one keeps none of those behind it out. */
        asks[i] = (Ask){fake->dom, i == 3 ? YC_SORT_ASYNC : YC_SORT_NORMAL,
                        .mask = ALL_KINDS, .what = "asked"};
        actor_start(actors[i], ask, &asks[i]);
        fake_domain_wait_waiters(fake, i + 1);
    }
    actor_do(holder, end, &held);
    for (int i = 0; i < 8; i++) {
        actor_wait(actors[i]);
        g_assert_no_error(asks[i].err);
        /* With the asynchronous one, the next normal one starts, too. */
        fake_domain_wait_waiters(fake, i == 3 ? 3 : i < 3 ? 7 - i : 7 - i);
        if (i != 3) {
            actor_do(actors[i], end, &asks[i]);
        }
    }
    actor_do(actors[3], end, &asks[3]);
    for (int i = 0; i < 8; i++) {
        actor_free(actors[i]);
    }
}

/* A waiter that cannot run keeps nobody from running who can. */
static void test_no_jam(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) holder = actor_new(), stuck = actor_new();
    Ask async = {fake->dom, YC_SORT_ASYNC, .mask = YC_JOB_MASK_DEFAULT,
                 .what = "migrate"};
    Ask modify = {fake->dom, YC_SORT_NORMAL, YC_JOB_MODIFY, .what = "m"};
    Ask query = {fake->dom, YC_SORT_NORMAL, YC_JOB_QUERY, .what = "q",
                 .wait_ms = YC_WAIT_NONE};

    actor_do(holder, ask, &async);
    actor_start(stuck, ask, &modify);
    fake_domain_wait_waiters(fake, 1);
    ask(&query);
    g_assert_no_error(query.err);
    end(&query);
    actor_do(holder, end, &async);
    actor_wait(stuck);
    g_assert_no_error(modify.err);
    actor_do(stuck, end, &modify);
}

/* The domain dies while each sort of job is waited for. */
static void test_death_ends_waits(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sorts); i++) {
        g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
        g_autoptr(Actor) holder = actor_new(), asker = actor_new();
        YcJobSort sort = sorts[i];
        Ask outer = {fake->dom, YC_SORT_ASYNC, .mask = ALL_KINDS, .what = "o"};
        Ask held = {fake->dom, sort == YC_SORT_NESTED ? YC_SORT_NORMAL : sort,
                    .what = "held"};
        Ask asked = {fake->dom, sort, .what = "asked"};
        g_autofree char *text = g_strdup_printf(
            "domain 'vm1' is gone: %s: the peer closed the connection",
            fake_peer_address(fake->process));

        if (sort == YC_SORT_NESTED) {
            actor_do(asker, ask, &outer);
        }
        actor_do(holder, ask, &held);
        actor_start(asker, ask, &asked);
        fake_domain_wait_waiters(fake, 1);
        fake_domain_die(fake);
        actor_wait(asker);
        expect_domain_error(g_steal_pointer(&asked.err), YC_DOMAIN_ERROR_GONE,
                            text);
        /* What was held is ended as ever, and nothing new begins. */
        actor_do(holder, end, &held);
        actor_do(holder, ask, &held);
        expect_domain_error(g_steal_pointer(&held.err), YC_DOMAIN_ERROR_GONE,
                            text);
        actor_do(asker, end, &outer);
    }
}

static void test_close_ends_waits(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) holder = actor_new(), asker = actor_new();
    Ask held = {fake->dom, YC_SORT_NORMAL, .what = "held"};
    Ask asked = {fake->dom, YC_SORT_NORMAL, .what = "asked"};

    actor_do(holder, ask, &held);
    actor_start(asker, ask, &asked);
    fake_domain_wait_waiters(fake, 1);
    yc_domain_close(fake->dom, "the operator said so");
    actor_wait(asker);
    expect_domain_error(g_steal_pointer(&asked.err), YC_DOMAIN_ERROR_GONE,
                        "domain 'vm1' is gone: the operator said so");
    actor_do(holder, end, &held);
}

/*
 * Many threads, all sorts of jobs: at no time two that exclude each other.
 */
#define N_THREADS 16
#define N_ROUNDS 200

typedef struct Crowd {
    YcDomain *dom;
    int n_done; /* atomic */
    /* Under the domain's lock. */
    int n_normal;
    int n_agent;
    int n_async;
    int n_modify;
} Crowd;

static void be_in(Crowd *crowd, int *n, int change)
{
    *n += change;
    g_assert_cmpint(crowd->n_normal, <=, 1);
    g_assert_cmpint(crowd->n_agent, <=, 1);
    g_assert_cmpint(crowd->n_async, <=, 1);
    /* The mask of asynchronous jobs lets no modify job in. */
    g_assert_cmpint(crowd->n_modify * crowd->n_async, ==, 0);
}

/* Holds the job for a while in which others may take the lock. */
static void stay(Crowd *crowd, int *n)
{
    be_in(crowd, n, 1);
    yc_domain_unlock(crowd->dom);
    g_thread_yield();
    yc_domain_lock(crowd->dom);
    be_in(crowd, n, -1);
}

static void *one_of_crowd(void *opaque)
{
    Crowd *crowd = opaque;
    Ask a = {crowd->dom, .what = "crowd", .wait_ms = FAKE_DEADLINE_MS};
    g_autoptr(GRand) rand = g_rand_new_with_seed(gettid());

    for (int i = 0; i < N_ROUNDS; i++) {
        a.sort = sorts[g_rand_int_range(rand, 0, 3)];
        a.kind = g_rand_boolean(rand) ? YC_JOB_QUERY : YC_JOB_MODIFY;
        a.mask = YC_JOB_MASK_DEFAULT;
        yc_domain_lock(crowd->dom);
        ask_locked(&a);
        g_assert_no_error(a.err);
        if (a.sort == YC_SORT_AGENT) {
            stay(crowd, &crowd->n_agent);
        } else if (a.sort == YC_SORT_ASYNC) {
            be_in(crowd, &crowd->n_async, 1);
            a.sort = YC_SORT_NESTED;
            ask_locked(&a);
            g_assert_no_error(a.err);
            stay(crowd, &crowd->n_normal);
            end_locked(crowd->dom, a.sort, NULL);
            be_in(crowd, &crowd->n_async, -1);
            a.sort = YC_SORT_ASYNC;
        } else {
            int modify = a.kind == YC_JOB_MODIFY;

            be_in(crowd, &crowd->n_modify, modify);
            stay(crowd, &crowd->n_normal);
            be_in(crowd, &crowd->n_modify, -modify);
        }
        g_assert_true(end_locked(crowd->dom, a.sort, NULL));
        yc_domain_unlock(crowd->dom);
    }
    g_atomic_int_inc(&crowd->n_done);
    return NULL;
}

static void test_crowd(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    Crowd crowd = {.dom = fake->dom};
    QemuThread threads[N_THREADS];

    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_create(&threads[i], "crowd", one_of_crowd, &crowd,
                           QEMU_THREAD_JOINABLE);
    }
    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_join(&threads[i]);
    }
    g_assert_cmpint(crowd.n_done, ==, N_THREADS);
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/job-waits/set-mask", test_set_mask);
    g_test_add_func("/client/job-waits/texts", test_texts);
    g_test_add_func("/client/job-waits/text-of-command", test_text_of_command);
    g_test_add_func("/client/job-waits/default-limit", test_default_limit);
    g_test_add_func("/client/job-waits/max-waiters", test_max_waiters);
    g_test_add_func("/client/job-waits/order", test_order);
    g_test_add_func("/client/job-waits/no-jam", test_no_jam);
    g_test_add_func("/client/job-waits/death", test_death_ends_waits);
    g_test_add_func("/client/job-waits/close", test_close_ends_waits);
    g_test_add_func("/client/job-waits/crowd", test_crowd);
    failed = g_test_run();
    expect_nothing_left();
    return failed;
}
