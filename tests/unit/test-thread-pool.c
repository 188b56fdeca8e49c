/*
 * Thread pool: results, threads, order and bounds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/thread-pool.h"

#define MAX_WORKERS 16
#define N_WORKS 500

/* Guards what follows. */
static QemuMutex lock;
static QemuCond cond;
static int n_done;
static int n_running;
static int peak_running;
static bool gate_open;

static IOThread *iothread;

static void done(int ret, void *opaque)
{
    g_assert_true(iothread_current() == iothread);
    g_assert_cmpint(ret, ==, GPOINTER_TO_INT(opaque));
    QEMU_LOCK_GUARD(&lock);
    n_done++;
    qemu_cond_broadcast(&cond);
}

static int echo(void *opaque)
{
    g_assert_null(iothread_current());
    return GPOINTER_TO_INT(opaque);
}

static int wait_at_gate(void *opaque)
{
    QEMU_LOCK_GUARD(&lock);
    n_running++;
    peak_running = MAX(peak_running, n_running);
    qemu_cond_broadcast(&cond);
    while (!gate_open) {
        qemu_cond_wait(&cond, &lock);
    }
    n_running--;
    return GPOINTER_TO_INT(opaque);
}

static void wait_for(int *what, int value)
{
    QEMU_LOCK_GUARD(&lock);
    while (*what != value) {
        g_assert_true(qemu_cond_timedwait(&cond, &lock, 60000));
    }
}

static void set_up(void)
{
    n_done = n_running = peak_running = 0;
    gate_open = false;
    iothread = iothread_new("pool-user");
}

static void tear_down(void)
{
    thread_pool_cleanup();
    iothread_unref(iothread);
}

static void test_results(void)
{
    set_up();
    for (int i = 0; i < N_WORKS; i++) {
        thread_pool_submit(iothread, echo, done, GINT_TO_POINTER(i - 5));
    }
    wait_for(&n_done, N_WORKS);
    tear_down();
}

/* As many at a time as promised, the rest waits. */
static void test_bound(void)
{
    set_up();
    for (int i = 0; i < 3 * MAX_WORKERS; i++) {
        thread_pool_submit(iothread, wait_at_gate, done, NULL);
    }
    wait_for(&n_running, MAX_WORKERS);
    WITH_QEMU_LOCK_GUARD(&lock) {
        gate_open = true;
        qemu_cond_broadcast(&cond);
    }
    wait_for(&n_done, 3 * MAX_WORKERS);
    g_assert_cmpint(peak_running, ==, MAX_WORKERS);
    tear_down();
}

/* A blocked worker keeps nobody else's work from being done. */
static void test_blocked_worker(void)
{
    set_up();
    thread_pool_submit(iothread, wait_at_gate, done, NULL);
    wait_for(&n_running, 1);
    thread_pool_submit(iothread, echo, done, NULL);
    wait_for(&n_done, 1);
    WITH_QEMU_LOCK_GUARD(&lock) {
        gate_open = true;
        qemu_cond_broadcast(&cond);
    }
    wait_for(&n_done, 2);
    tear_down();
}

static void test_cleanup_completes(void)
{
    set_up();
    for (int i = 0; i < N_WORKS; i++) {
        thread_pool_submit(iothread, echo, done, GINT_TO_POINTER(i));
    }
    thread_pool_cleanup();
    iothread_unref(iothread);
    g_assert_cmpint(n_done, ==, N_WORKS);
    thread_pool_cleanup();
}

static void *submit_many(void *unused)
{
    for (int i = 0; i < N_WORKS; i++) {
        thread_pool_submit(iothread, echo, done, GINT_TO_POINTER(i));
    }
    return NULL;
}

static void test_many_submitters(void)
{
    QemuThread threads[4];

    set_up();
    for (int i = 0; i < 4; i++) {
        qemu_thread_create(&threads[i], "submitter", submit_many, NULL, true);
    }
    for (int i = 0; i < 4; i++) {
        qemu_thread_join(&threads[i]);
    }
    wait_for(&n_done, 4 * N_WORKS);
    tear_down();
}

int main(int argc, char **argv)
{
    qemu_mutex_init(&lock);
    qemu_cond_init(&cond);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/thread-pool/results", test_results);
    g_test_add_func("/thread-pool/bound", test_bound);
    g_test_add_func("/thread-pool/blocked-worker", test_blocked_worker);
    g_test_add_func("/thread-pool/cleanup-completes", test_cleanup_completes);
    g_test_add_func("/thread-pool/many-submitters", test_many_submitters);
    return g_test_run();
}
