/*
 * The limiter: never faster than the rate, and no wait that cannot be ended.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/limiter.h"
#include "qemu/thread.h"

/* What a thread that was late may make good for, and some. */
#define BURST_US 25000

static uint64_t current_rate; /* atomic */

static uint64_t get_rate(void)
{
    return __atomic_load_n(&current_rate, __ATOMIC_RELAXED);
}

static void set_rate(uint64_t rate)
{
    __atomic_store_n(&current_rate, rate, __ATOMIC_RELAXED);
}

static void test_no_limit(void)
{
    g_autoptr(Link) link = link_new();
    Limiter limiter = {};

    set_rate(0);
    for (int i = 0; i < 1000; i++) {
        g_assert_false(limiter_must_wait(&limiter, 0));
        limiter_charge(&limiter, GiB, 0);
        limiter_wait(&limiter, link, get_rate, NULL);
    }
}

/* What was not used up to now is not saved for later. */
static void test_rate(void)
{
    g_autoptr(Link) link = link_new();
    Limiter limiter = {};
    int64_t begin;

    set_rate(1000000);
    g_assert_false(limiter_must_wait(&limiter, get_rate()));
    limiter_wait(&limiter, link, get_rate, NULL);
    g_usleep(BURST_US * 2);
    begin = g_get_monotonic_time();
    for (int i = 0; i < 4; i++) {
        limiter_wait(&limiter, link, get_rate, NULL);
        limiter_charge(&limiter, 50000, get_rate());
    }
    g_assert_true(limiter_must_wait(&limiter, get_rate()));
    limiter_wait(&limiter, link, get_rate, NULL);
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 200000 - BURST_US);
    g_assert_false(limiter_must_wait(&limiter, get_rate()));
}

/* What was charged for and did not go out is not waited for. */
static void test_settle(void)
{
    g_autoptr(Link) link = link_new();
    Limiter limiter = {};
    int64_t begin = g_get_monotonic_time();

    set_rate(1000000);
    limiter_charge(&limiter, 100 * GiB, get_rate());
    g_assert_true(limiter_must_wait(&limiter, get_rate()));
    limiter_settle(&limiter, 100 * GiB, 50000, get_rate());
    g_assert_true(limiter_must_wait(&limiter, get_rate()));
    limiter_settle(&limiter, 50000, 100000, get_rate());
    limiter_wait(&limiter, link, get_rate, NULL);
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 100000);
    /* Nor is it saved for later. */
    limiter_settle(&limiter, 100 * GiB, 0, get_rate());
    limiter_charge(&limiter, 50000, get_rate());
    g_assert_true(limiter_must_wait(&limiter, get_rate()));
    limiter_settle(&limiter, 0, GiB, 0);
    limiter_wait(&limiter, link, get_rate, NULL);
}

/* ---- Waits that end early. ---- */

typedef struct Waiter {
    Limiter limiter;
    Link *link;
    bool stop;    /* migration_lock */
    bool started; /* migration_lock */
    QemuThread thread;
} Waiter;

static void *wait_thread(void *opaque)
{
    Waiter *w = opaque;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        w->started = true;
        qemu_cond_broadcast(&migration_cond);
    }
    limiter_wait(&w->limiter, w->link, get_rate, &w->stop);
    return NULL;
}

/* It has to wait for eleven days. */
static void start_waiter(Waiter *w)
{
    *w = (Waiter){.link = link_new()};
    set_rate(1);
    limiter_charge(&w->limiter, 1000000, 1);
    qemu_thread_create(&w->thread, "waiter", wait_thread, w,
                       QEMU_THREAD_JOINABLE);
    QEMU_LOCK_GUARD(&migration_lock);
    while (!w->started) {
        qemu_cond_wait(&migration_cond, &migration_lock);
    }
}

static void end_waiter(Waiter *w)
{
    qemu_thread_join(&w->thread);
    link_unref(w->link);
}

static void test_cut(void)
{
    Waiter w;

    start_waiter(&w);
    g_assert_true(link_cut(w.link, "Reason"));
    end_waiter(&w);
}

static void test_stop(void)
{
    Waiter w;

    start_waiter(&w);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        w.stop = true;
        qemu_cond_broadcast(&migration_cond);
    }
    end_waiter(&w);
}

static void test_lifted(void)
{
    Waiter w;

    start_waiter(&w);
    set_rate(0);
    end_waiter(&w);
}

static void test_settled(void)
{
    Waiter w;

    start_waiter(&w);
    limiter_settle(&w.limiter, 1000000, 0, 1);
    end_waiter(&w);
}

static void test_raised(void)
{
    Waiter w;

    start_waiter(&w);
    set_rate(1000000);
    end_waiter(&w);
}

/* ---- Several threads share the rate. ---- */

#define THREADS 4
#define PIECE 10000
#define PIECES 10

static void *send_thread(void *opaque)
{
    Waiter *w = opaque;

    for (int i = 0; i < PIECES; i++) {
        limiter_wait(&w->limiter, w->link, get_rate, NULL);
        limiter_charge(&w->limiter, PIECE, get_rate());
    }
    return NULL;
}

static void test_threads(void)
{
    Waiter w = {.link = link_new()};
    QemuThread threads[THREADS];
    int64_t begin = g_get_monotonic_time();

    set_rate(2000000);
    for (int i = 0; i < THREADS; i++) {
        qemu_thread_create(&threads[i], "sender", send_thread, &w,
                           QEMU_THREAD_JOINABLE);
    }
    for (int i = 0; i < THREADS; i++) {
        qemu_thread_join(&threads[i]);
    }
    limiter_wait(&w.limiter, w.link, get_rate, NULL);
    /* 400,000 bytes. */
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 200000 - BURST_US);
    link_unref(w.link);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/migration/limiter/no-limit", test_no_limit);
    g_test_add_func("/migration/limiter/rate", test_rate);
    g_test_add_func("/migration/limiter/settle", test_settle);
    g_test_add_func("/migration/limiter/cut", test_cut);
    g_test_add_func("/migration/limiter/stop", test_stop);
    g_test_add_func("/migration/limiter/lifted", test_lifted);
    g_test_add_func("/migration/limiter/settled", test_settled);
    g_test_add_func("/migration/limiter/raised", test_raised);
    g_test_add_func("/migration/limiter/threads", test_threads);
    return g_test_run();
}
