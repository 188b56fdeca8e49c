/*
 * Locks of the client library: their owners, and their order.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-domain.h"
#include "client/driver.h"

static YcDomain *some_domain(const char *name)
{
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new("unix:/nonexistent/sock", NULL);

    return yc_domain_new(name, monitor, NULL, NULL);
}

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
    test_add_misuse("/client/locks/misuse/check-unlocked", check_unlocked,
                    "yc_domain_check_alive() of domain 'vm1', which is not "
                    "locked");
    test_add_misuse("/client/locks/misuse/unlock-unlocked", unlock_unlocked,
                    "unlocking domain 'vm1', which this thread does not hold");
    test_add_misuse("/client/locks/misuse/unlock-anothers", unlock_anothers,
                    "unlocking domain 'vm1', which this thread does not hold");
    test_add_misuse("/client/locks/order/two-domains", lock_two,
                    "lock order: taking domain 'vm2' while holding domain "
                    "'vm1'");
    test_add_misuse("/client/locks/order/list-under-domain", list_under_domain,
                    "lock order: taking the list of 'domains' while holding "
                    "domain 'vm1'");
    test_add_misuse("/client/locks/order/domain-in-monitor", lock_in_monitor,
                    "lock order: taking domain 'vm1' while holding the monitor "
                    "of domain 'vm1'");
    test_add_misuse("/client/locks/order/other-in-monitor",
                    lock_other_in_monitor,
                    "lock order: taking domain 'vm2' while holding the monitor "
                    "of domain 'vm1'");
#ifdef CONFIG_DEBUG_CHECKS
    test_add_misuse("/client/locks/order/sleep-under-lock", sleep_under_lock,
                    "may block, called under a fast lock");
    test_add_misuse("/client/locks/misuse/free-in-job", free_in_job,
                    "domain 'vm1' is freed during its job 'x'");
#endif
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    add_misuse_tests();
    failed = g_test_run();
    expect_nothing_left();
    return failed;
}
