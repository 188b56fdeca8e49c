/*
 * Mutexes, conditions and threads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include <signal.h>
#include "qemu/lockable.h"
#include "qemu/thread.h"

#define N_THREADS 4
#define N_ROUNDS 5000

static QemuMutex lock;
static QemuCond cond;
static unsigned counter; /* under lock */

static void *add_up(void *unused)
{
    for (int i = 0; i < N_ROUNDS; i++) {
        QEMU_LOCK_GUARD(&lock);
        counter++;
    }
    return NULL;
}

static void test_mutex(void)
{
    QemuThread threads[N_THREADS];

    counter = 0;
    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_create(&threads[i], "adder", add_up, NULL, true);
    }
    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_join(&threads[i]);
    }
    g_assert_cmpuint(counter, ==, N_THREADS * N_ROUNDS);
}

static void test_guards(void)
{
    WITH_QEMU_LOCK_GUARD(&lock) {
        g_assert_true(qemu_mutex_is_mine(&lock));
    }
    for (int i = 0; i < 2; i++) {
        WITH_QEMU_LOCK_GUARD(&lock) {
            if (i == 0) {
                break;
            }
            counter = 77;
        }
    }
    qemu_mutex_lock(&lock);
    g_assert_cmpuint(counter, ==, 77);
    qemu_mutex_unlock(&lock);
}

static void *take_turns(void *opaque)
{
    unsigned odd = GPOINTER_TO_UINT(opaque);

    for (int i = 0; i < N_ROUNDS; i++) {
        QEMU_LOCK_GUARD(&lock);
        while (counter % 2 != odd) {
            qemu_cond_wait(&cond, &lock);
        }
        counter++;
        qemu_cond_broadcast(&cond);
    }
    return NULL;
}

static void test_cond(void)
{
    QemuThread even, odd;

    counter = 0;
    qemu_thread_create(&even, "even", take_turns, GUINT_TO_POINTER(0), true);
    qemu_thread_create(&odd, "odd", take_turns, GUINT_TO_POINTER(1), true);
    qemu_thread_join(&even);
    qemu_thread_join(&odd);
    g_assert_cmpuint(counter, ==, 2 * N_ROUNDS);
}

static void *say_done(void *unused)
{
    QEMU_LOCK_GUARD(&lock);
    counter = 1;
    qemu_cond_signal(&cond);
    return NULL;
}

static void test_timedwait(void)
{
    int64_t start = g_get_monotonic_time();
    QemuThread thread;

    QEMU_LOCK_GUARD(&lock);
    while (qemu_cond_timedwait(&cond, &lock, 20)) {
        /* Woken for nothing: allowed, and not what is tested. */
    }
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 20000);

    counter = 0;
    qemu_thread_create(&thread, "signaller", say_done, NULL, true);
    while (!counter) {
        g_assert_true(qemu_cond_timedwait(&cond, &lock, 60000));
    }
    qemu_mutex_unlock(&lock);
    qemu_thread_join(&thread);
    qemu_mutex_lock(&lock);
}

typedef struct ThreadFacts {
    char name[16];
    sigset_t blocked;
} ThreadFacts;

static void *gather_facts(void *opaque)
{
    ThreadFacts *facts = opaque;

    pthread_getname_np(pthread_self(), facts->name, sizeof(facts->name));
    pthread_sigmask(SIG_SETMASK, NULL, &facts->blocked);
    return facts;
}

static void test_name_and_signals(void)
{
    ThreadFacts facts;
    QemuThread thread;
    sigset_t mine;

    qemu_thread_create(&thread, "a-name-that-is-too-long", gather_facts, &facts,
                       true);
    g_assert_true(qemu_thread_join(&thread) == &facts);
    g_assert_cmpstr(facts.name, ==, "a-name-that-is-");
    g_assert_true(sigismember(&facts.blocked, SIGTERM));
    g_assert_true(sigismember(&facts.blocked, SIGINT));
    g_assert_false(sigismember(&facts.blocked, SIGSEGV));

    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    g_assert_false(sigismember(&mine, SIGTERM));
}

static void test_detached(void)
{
    QemuThread thread;

    QEMU_LOCK_GUARD(&lock);
    counter = 0;
    qemu_thread_create(&thread, "detached", say_done, NULL, false);
    while (!counter) {
        g_assert_true(qemu_cond_timedwait(&cond, &lock, 60000));
    }
}

#ifdef CONFIG_DEBUG_CHECKS
static void test_taken_twice(void)
{
    if (g_test_subprocess()) {
        qemu_mutex_lock(&lock);
        qemu_mutex_lock(&lock);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*taken twice*");
}

static void test_not_held(void)
{
    if (g_test_subprocess()) {
        qemu_mutex_unlock(&lock);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*not held by this thread*");
}

static void *hold(void *unused)
{
    qemu_mutex_lock(&lock);
    return NULL;
}

static void test_not_mine(void)
{
    QemuThread thread;

    if (g_test_subprocess()) {
        qemu_thread_create(&thread, "holder", hold, NULL, true);
        qemu_thread_join(&thread);
        g_assert_false(qemu_mutex_is_mine(&lock));
        qemu_mutex_unlock(&lock);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*not held by this thread*");
}
#endif

static void *give_way(void *opaque)
{
    int *nice = opaque;

    qemu_thread_give_way();
    *nice = getpriority(PRIO_PROCESS, gettid());
    return NULL;
}

static void test_give_way(void)
{
    int before = getpriority(PRIO_PROCESS, gettid()), nice = 0;
    QemuThread thread;

    qemu_thread_create(&thread, "modest", give_way, &nice,
                       QEMU_THREAD_JOINABLE);
    qemu_thread_join(&thread);
    g_assert_cmpint(nice, >, before);
    g_assert_cmpint(getpriority(PRIO_PROCESS, gettid()), ==, before);
}

int main(int argc, char **argv)
{
    int ret;

    qemu_mutex_init(&lock);
    qemu_cond_init(&cond);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/thread/mutex", test_mutex);
    g_test_add_func("/thread/guards", test_guards);
    g_test_add_func("/thread/cond", test_cond);
    g_test_add_func("/thread/timedwait", test_timedwait);
    g_test_add_func("/thread/name-and-signals", test_name_and_signals);
    g_test_add_func("/thread/detached", test_detached);
    g_test_add_func("/thread/give-way", test_give_way);
#ifdef CONFIG_DEBUG_CHECKS
    g_test_add_func("/thread/taken-twice", test_taken_twice);
    g_test_add_func("/thread/not-held", test_not_held);
    g_test_add_func("/thread/not-mine", test_not_mine);
#endif
    ret = g_test_run();
    qemu_cond_destroy(&cond);
    qemu_mutex_destroy(&lock);
    return ret;
}
