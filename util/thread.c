/*
 * Mutexes, conditions and named threads on pthreads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include "qemu/oob.h"
#include "qemu/thread.h"

#define THREAD_NAME_SIZE 16 /* the kernel's, with its NUL */
#define GIVE_WAY_NICE 10

static void thread_check(int err, const char *call)
{
    if (G_UNLIKELY(err)) {
        fprintf(stderr, "%s: %s\n", call, g_strerror(err));
        abort();
    }
}

#ifdef CONFIG_DEBUG_CHECKS
/*
 * @owner is stored before @owned is released, so whoever sees @owned set
 * sees its setter's @owner or a later one: never an old value of its own.
 */
static void mutex_set_owner(QemuMutex *mutex)
{
    __atomic_store_n(&mutex->owner, pthread_self(), __ATOMIC_RELAXED);
    __atomic_store_n(&mutex->owned, 1, __ATOMIC_RELEASE);
    if (!mutex->slow) {
        oob_fast_lock_taken();
    }
}

static void mutex_clear_owner(QemuMutex *mutex)
{
    if (!qemu_mutex_is_mine(mutex)) {
        fprintf(stderr, "mutex %p is not held by this thread\n", mutex);
        abort();
    }
    if (!mutex->slow) {
        oob_fast_lock_released();
    }
    __atomic_store_n(&mutex->owned, 0, __ATOMIC_RELEASE);
}

static void mutex_check_lockable(QemuMutex *mutex)
{
    if (qemu_mutex_is_mine(mutex)) {
        fprintf(stderr, "mutex %p is taken twice by this thread\n", mutex);
        abort();
    }
    if (mutex->slow) {
        oob_assert_may_block("qemu_mutex_lock of a slow mutex");
    }
}

bool qemu_mutex_is_mine(QemuMutex *mutex)
{
    return __atomic_load_n(&mutex->owned, __ATOMIC_ACQUIRE) &&
           pthread_equal(__atomic_load_n(&mutex->owner, __ATOMIC_RELAXED),
                         pthread_self());
}
#else
static void mutex_set_owner(QemuMutex *mutex)
{
}

static void mutex_clear_owner(QemuMutex *mutex)
{
}

static void mutex_check_lockable(QemuMutex *mutex)
{
}

bool qemu_mutex_is_mine(QemuMutex *mutex)
{
    return true;
}
#endif

void qemu_mutex_init(QemuMutex *mutex)
{
    memset(mutex, 0, sizeof(*mutex));
    thread_check(pthread_mutex_init(&mutex->lock, NULL), "pthread_mutex_init");
}

void qemu_mutex_init_slow(QemuMutex *mutex)
{
    qemu_mutex_init(mutex);
    mutex->slow = true;
}

void qemu_mutex_destroy(QemuMutex *mutex)
{
    thread_check(pthread_mutex_destroy(&mutex->lock), "pthread_mutex_destroy");
}

void qemu_mutex_lock(QemuMutex *mutex)
{
    mutex_check_lockable(mutex);
    thread_check(pthread_mutex_lock(&mutex->lock), "pthread_mutex_lock");
    mutex_set_owner(mutex);
}

void qemu_mutex_unlock(QemuMutex *mutex)
{
    mutex_clear_owner(mutex);
    thread_check(pthread_mutex_unlock(&mutex->lock), "pthread_mutex_unlock");
}

void qemu_cond_init(QemuCond *cond)
{
    pthread_condattr_t attr;

    thread_check(pthread_condattr_init(&attr), "pthread_condattr_init");
    thread_check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC),
                 "pthread_condattr_setclock");
    thread_check(pthread_cond_init(&cond->cond, &attr), "pthread_cond_init");
    pthread_condattr_destroy(&attr);
}

void qemu_cond_destroy(QemuCond *cond)
{
    thread_check(pthread_cond_destroy(&cond->cond), "pthread_cond_destroy");
}

void qemu_cond_signal(QemuCond *cond)
{
    thread_check(pthread_cond_signal(&cond->cond), "pthread_cond_signal");
}

void qemu_cond_broadcast(QemuCond *cond)
{
    thread_check(pthread_cond_broadcast(&cond->cond), "pthread_cond_broadcast");
}

/* @mutex is released while waiting, so its own mark must not count. */
void qemu_cond_wait(QemuCond *cond, QemuMutex *mutex)
{
    mutex_clear_owner(mutex);
    oob_assert_may_block("qemu_cond_wait");
    oob_assert_wait_ends("qemu_cond_wait");
    thread_check(pthread_cond_wait(&cond->cond, &mutex->lock),
                 "pthread_cond_wait");
    mutex_set_owner(mutex);
}

static struct timespec deadline_after_ms(int ms)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += (long)(ms % 1000) * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    return ts;
}

bool qemu_cond_timedwait(QemuCond *cond, QemuMutex *mutex, int ms)
{
    struct timespec deadline = deadline_after_ms(MAX(ms, 0));
    int err;

    mutex_clear_owner(mutex);
    oob_assert_may_block("qemu_cond_timedwait");
    err = pthread_cond_timedwait(&cond->cond, &mutex->lock, &deadline);
    mutex_set_owner(mutex);
    if (err != ETIMEDOUT) {
        thread_check(err, "pthread_cond_timedwait");
    }
    return err == 0;
}

typedef struct ThreadStart {
    void *(*fn)(void *);
    void *arg;
    char name[THREAD_NAME_SIZE];
} ThreadStart;

static void *thread_main(void *opaque)
{
    ThreadStart start = *(ThreadStart *)opaque;

    g_free(opaque);
    /* Fails for no name that fits; a nameless thread works as well. */
    pthread_setname_np(pthread_self(), start.name);
    return start.fn(start.arg);
}

/*
 * All but the signals that a faulty instruction raises: blocked, those would
 * end the process without a word from a debugger or sanitizer.
 */
static void block_signals(sigset_t *old)
{
    sigset_t all;

    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    thread_check(pthread_sigmask(SIG_SETMASK, &all, old), "pthread_sigmask");
}

/* Returns 0, or the positive errno of pthread_create(). */
static int thread_start(QemuThread *thread, const char *name,
                        void *(*fn)(void *), void *arg, bool joinable)
{
    ThreadStart *start = g_new(ThreadStart, 1);
    pthread_attr_t attr;
    sigset_t old;
    int err;

    start->fn = fn;
    start->arg = arg;
    g_strlcpy(start->name, name, sizeof(start->name));

    thread_check(pthread_attr_init(&attr), "pthread_attr_init");
    if (!joinable) {
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    }
    block_signals(&old);
    err = pthread_create(&thread->thread, &attr, thread_main, start);
    thread_check(pthread_sigmask(SIG_SETMASK, &old, NULL), "pthread_sigmask");
    pthread_attr_destroy(&attr);
    if (err) {
        g_free(start);
    }
    return err;
}

bool qemu_thread_try_create(QemuThread *thread, const char *name,
                            void *(*fn)(void *), void *arg, bool joinable,
                            Error **errp)
{
    int err = thread_start(thread, name, fn, arg, joinable);

    if (err) {
        error_setg_errno(errp, err, "Unable to start the thread '%s'", name);
    }
    return !err;
}

void qemu_thread_create(QemuThread *thread, const char *name,
                        void *(*fn)(void *), void *arg, bool joinable)
{
    thread_check(thread_start(thread, name, fn, arg, joinable),
                 "pthread_create");
}

void *qemu_thread_join(QemuThread *thread)
{
    void *result;

    oob_assert_may_block("qemu_thread_join");
    oob_assert_wait_ends("qemu_thread_join");
    thread_check(pthread_join(thread->thread, &result), "pthread_join");
    return result;
}

void qemu_thread_give_way(void)
{
    /* Linux has one for each thread.  Where it cannot be, all goes on as is. */
    (void)setpriority(PRIO_PROCESS, gettid(), GIVE_WAY_NICE);
}
