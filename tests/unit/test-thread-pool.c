/*
 * Thread pools: results, threads, order and bounds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <dlfcn.h>
#include "qemu/lockable.h"
#include "qemu/thread-pool.h"

#define N_WORKS 500

/* Guards what follows. */
static QemuMutex lock;
static QemuCond cond;
static int n_done;
static int n_running;
static int peak_running;
static bool gate_open;

static IOThread *iothread;
static ThreadPool *pool;

typedef struct Work {
    ThreadPoolItem item;
    int ret;
} Work;

static void done(ThreadPoolItem *item, int ret)
{
    Work *w = container_of(item, Work, item);

    g_assert_true(iothread_current() == iothread);
    g_assert_cmpint(ret, ==, w->ret);
    g_free(w);
    QEMU_LOCK_GUARD(&lock);
    n_done++;
    qemu_cond_broadcast(&cond);
}

static int echo(ThreadPoolItem *item)
{
    g_assert_null(iothread_current());
    return container_of(item, Work, item)->ret;
}

static int wait_at_gate(ThreadPoolItem *item)
{
    QEMU_LOCK_GUARD(&lock);
    n_running++;
    peak_running = MAX(peak_running, n_running);
    qemu_cond_broadcast(&cond);
    while (!gate_open) {
        qemu_cond_wait(&cond, &lock);
    }
    n_running--;
    return container_of(item, Work, item)->ret;
}

static void submit(ThreadPool *to, ThreadPoolWork *fn, int ret)
{
    Work *w = g_new0(Work, 1);

    w->item.work = fn;
    w->item.done = done;
    w->item.iothread = iothread;
    w->ret = ret;
    thread_pool_submit(to, &w->item);
}

static void wait_for(int *what, int value)
{
    QEMU_LOCK_GUARD(&lock);
    while (*what != value) {
        g_assert_true(qemu_cond_timedwait(&cond, &lock, 60000));
    }
}

static void open_gate(void)
{
    QEMU_LOCK_GUARD(&lock);
    gate_open = true;
    qemu_cond_broadcast(&cond);
}

static void set_up(void)
{
    n_done = n_running = peak_running = 0;
    gate_open = false;
    iothread = iothread_new("pool-user");
    pool = thread_pool_new(&error_abort);
}

static void tear_down(void)
{
    thread_pool_free(pool);
    iothread_unref(iothread);
}

static void test_results(void)
{
    set_up();
    for (int i = 0; i < N_WORKS; i++) {
        submit(pool, echo, i - 5);
    }
    wait_for(&n_done, N_WORKS);
    tear_down();
}

/* As many at a time as promised, the rest waits. */
static void test_bound(void)
{
    set_up();
    for (int i = 0; i < 3 * THREAD_POOL_MAX_WORKERS; i++) {
        submit(pool, wait_at_gate, 0);
    }
    wait_for(&n_running, THREAD_POOL_MAX_WORKERS);
    open_gate();
    wait_for(&n_done, 3 * THREAD_POOL_MAX_WORKERS);
    g_assert_cmpint(peak_running, ==, THREAD_POOL_MAX_WORKERS);
    tear_down();
}

/* A blocked worker does not delay other work. */
static void test_blocked_worker(void)
{
    set_up();
    submit(pool, wait_at_gate, 0);
    wait_for(&n_running, 1);
    submit(pool, echo, 0);
    wait_for(&n_done, 1);
    open_gate();
    wait_for(&n_done, 2);
    tear_down();
}

/* A pool whose workers all hang does not delay another pool. */
static void test_hung_pool(void)
{
    ThreadPool *other;

    set_up();
    other = thread_pool_new(&error_abort);
    for (int i = 0; i < 2 * THREAD_POOL_MAX_WORKERS; i++) {
        submit(pool, wait_at_gate, 0);
    }
    wait_for(&n_running, THREAD_POOL_MAX_WORKERS);
    submit(other, echo, 1);
    wait_for(&n_done, 1);
    open_gate();
    wait_for(&n_done, 2 * THREAD_POOL_MAX_WORKERS + 1);
    thread_pool_free(other);
    tear_down();
}

static void *submit_many(void *unused)
{
    for (int i = 0; i < N_WORKS; i++) {
        submit(pool, echo, i);
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

/* ---- The system refuses threads. ---- */

typedef int PthreadCreate(pthread_t *, const pthread_attr_t *,
                          void *(*)(void *), void *);

static bool refuse_threads;

/* Replaces libc's function. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                   void *(*fn)(void *), void *arg)
{
    PthreadCreate *real = (PthreadCreate *)dlsym(RTLD_NEXT, "pthread_create");

    return refuse_threads ? EAGAIN : real(thread, attr, fn, arg);
}

/* A pool goes on with its first worker; making a new pool fails. */
static void test_no_more_threads(void)
{
    g_autoptr(Error) err = NULL;

    set_up();
    refuse_threads = true;
    for (int i = 0; i < N_WORKS; i++) {
        submit(pool, echo, i);
    }
    wait_for(&n_done, N_WORKS);
    g_assert_null(thread_pool_new(&err));
    g_assert_nonnull(err);
    refuse_threads = false;
    submit(pool, echo, 1);
    wait_for(&n_done, N_WORKS + 1);
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
    g_test_add_func("/thread-pool/hung-pool", test_hung_pool);
    g_test_add_func("/thread-pool/many-submitters", test_many_submitters);
    g_test_add_func("/thread-pool/no-more-threads", test_no_more_threads);
    return g_test_run();
}
