/*
 * Calls on side threads: waits with a bound, waits that are cancelled,
 * completion on an event loop, and calls that are abandoned.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <dlfcn.h>
#include "qemu/aside.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"
#include "qemu/thread.h"

static QemuMutex lock; /* guards the fields of Gate */
static QemuCond cond;
static bool threads_refused; /* atomic */

/* Replaces libc's function. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                   void *(*fn)(void *), void *arg)
{
    __typeof__(&pthread_create) real = dlsym(RTLD_NEXT, "pthread_create");

    if (__atomic_load_n(&threads_refused, __ATOMIC_SEQ_CST)) {
        return EAGAIN;
    }
    return real(thread, attr, fn, arg);
}

/* A call that returns when the test opens it. */
typedef struct Gate {
    bool open;
    bool passed;
    bool freed;
    int done; /* how often the completion ran; test's thread */
} Gate;

static void pass(void *opaque)
{
    Gate *gate = opaque;

    QEMU_LOCK_GUARD(&lock);
    while (!gate->open) {
        qemu_cond_wait(&cond, &lock);
    }
    gate->passed = true;
}

static void gate_free(void *opaque)
{
    Gate *gate = opaque;

    QEMU_LOCK_GUARD(&lock);
    g_assert_false(gate->freed);
    gate->freed = true;
    qemu_cond_broadcast(&cond);
}

static void gate_open(Gate *gate)
{
    QEMU_LOCK_GUARD(&lock);
    gate->open = true;
    qemu_cond_broadcast(&cond);
}

static bool gate_is_free(Gate *gate)
{
    QEMU_LOCK_GUARD(&lock);
    return gate->freed;
}

static void wait_freed(Gate *gate)
{
    QEMU_LOCK_GUARD(&lock);
    while (!gate->freed) {
        qemu_cond_wait(&cond, &lock);
    }
}

static void count_abandoned(const char *what, int64_t age_us, void *opaque)
{
    g_assert_true(g_str_has_prefix(what, "passing "));
    g_assert_cmpint(age_us, >=, 0);
    (*(unsigned *)opaque)++;
}

static unsigned n_abandoned(void)
{
    unsigned n = 0;

    oob_section_enter("query");
    aside_foreach_abandoned(count_abandoned, &n);
    oob_section_leave();
    return n;
}

static AsideCall *start(Gate *gate)
{
    return aside_start("passing the gate", pass, gate, gate_free, &error_abort);
}

static void expect_error(Error *err, const char *text)
{
    g_assert_cmpstr(error_get_pretty(err), ==, text);
    error_free(err);
}

static void test_returns(void)
{
    Gate gate = {.open = true};
    AsideCall *call = start(&gate);

    g_assert_true(aside_wait(call, -1, &error_abort));
    g_assert_true(gate.passed);
    g_assert_true(aside_wait(call, 0, &error_abort));
    g_assert_false(aside_cancel(call));
    aside_unref(call);
    wait_freed(&gate);
    g_assert_cmpuint(n_abandoned(), ==, 0);
}

static void test_bound(void)
{
    Gate gate = {};
    AsideCall *call = start(&gate);
    Error *err = NULL;

    g_assert_false(aside_wait(call, 10, &err));
    expect_error(err, "passing the gate did not end within 10 ms and was "
                      "abandoned");
    g_assert_cmpuint(n_abandoned(), ==, 0); /* the call has an owner */
    aside_unref(call);
    g_assert_cmpuint(n_abandoned(), ==, 1);
    g_assert_false(gate_is_free(&gate));
    gate_open(&gate);
    wait_freed(&gate);
    g_assert_cmpuint(n_abandoned(), ==, 0);
}

static void *cancel(void *opaque)
{
    oob_section_enter("yank");
    g_assert_true(aside_cancel(opaque));
    g_assert_false(aside_cancel(opaque));
    oob_section_leave();
    aside_unref(opaque);
    return NULL;
}

static void test_cancel(void)
{
    Gate gate = {};
    AsideCall *call = start(&gate);
    QemuThread thread;
    Error *err = NULL;

    qemu_thread_create(&thread, "yank", cancel, aside_ref(call),
                       QEMU_THREAD_JOINABLE);
    g_assert_false(aside_wait(call, -1, &err));
    expect_error(err, "passing the gate was cancelled");
    qemu_thread_join(&thread);
    aside_unref(call);
    gate_open(&gate);
    wait_freed(&gate);
}

static void done(void *opaque)
{
    ((Gate *)opaque)->done++;
}

static AsideCall *start_async(Gate *gate, GMainContext *context)
{
    return aside_start_async("passing the gate", pass, gate, gate_free, context,
                             done, &error_abort);
}

static void test_async(void)
{
    Gate gate = {};
    AsideCall *call = start_async(&gate, g_main_context_default());

    gate_open(&gate);
    while (!gate.done) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_true(gate.passed);
    g_assert_false(gate_is_free(&gate));
    aside_unref(call);
    wait_freed(&gate);
    g_assert_cmpint(gate.done, ==, 1);
}

/*
 * The owner drops the call and frees the context at any moment: before, while
 * and after the side thread posts the completion.
 */
static void test_async_abandoned(void)
{
    for (int i = 0; i < 2000; i++) {
        g_autoptr(GMainContext) context = g_main_context_new();
        Gate gate = {.open = i % 2};
        AsideCall *call = start_async(&gate, context);

        for (int round = 0; round < i % 7; round++) {
            g_main_context_iteration(context, FALSE);
        }
        aside_unref(call);
        g_clear_pointer(&context, g_main_context_unref);
        gate_open(&gate);
        wait_freed(&gate);
        g_assert_cmpint(gate.done, <=, i % 2);
    }
    g_assert_cmpuint(n_abandoned(), ==, 0);
}

/* Of two gates, the second one. */
static void pass_and_free(void *opaque)
{
    Gate *gates = opaque;

    pass(&gates[1]);
    gate_free(&gates[1]);
}

/* The end of the process waits until the data of the calls is freed. */
static void test_abandoned_until_freed(void)
{
    Gate gates[2] = {};

    aside_unref(aside_start("passing two gates", pass, gates, pass_and_free,
                            &error_abort));
    gate_open(&gates[0]);
    g_assert_false(aside_wait_abandoned(100));
    gate_open(&gates[1]);
    g_assert_true(aside_wait_abandoned(60000));
    g_assert_true(gates[1].freed);
}

static void test_limit(void)
{
    Gate gates[ASIDE_MAX_ABANDONED] = {}, refused = {};
    Error *err = NULL;

    for (int i = 0; i < ASIDE_MAX_ABANDONED; i++) {
        g_autofree char *what = g_strdup_printf("passing gate %d", i);

        aside_unref(
            aside_start(what, pass, &gates[i], gate_free, &error_abort));
    }
    g_assert_cmpuint(n_abandoned(), ==, ASIDE_MAX_ABANDONED);
    g_assert_null(aside_start("one more", pass, &refused, gate_free, &err));
    expect_error(err, "256 calls were abandoned and have not returned, the "
                      "oldest is passing gate 0; no more than that are "
                      "allowed");
    g_assert_true(refused.freed);
    g_assert_false(aside_wait_abandoned(1));
    for (int i = 0; i < ASIDE_MAX_ABANDONED; i++) {
        gate_open(&gates[i]);
    }
    g_assert_true(aside_wait_abandoned(60000));
    for (int i = 0; i < ASIDE_MAX_ABANDONED; i++) {
        wait_freed(&gates[i]);
    }
    g_assert_cmpuint(n_abandoned(), ==, 0);
}

/* Attempts at one dead path leave room for calls that concern others. */
static void test_limit_same(void)
{
    Gate gates[ASIDE_MAX_ABANDONED_SAME] = {}, refused = {}, other = {},
         again = {};
    AsideCall *last;
    Error *err = NULL;

    for (int i = 1; i < ASIDE_MAX_ABANDONED_SAME; i++) {
        aside_unref(start(&gates[i]));
    }
    /* When this wait ends, all of them have lasted long enough to count. */
    last = start(&gates[0]);
    g_assert_false(aside_wait(last, ASIDE_STUCK_MS + 1, NULL));
    aside_unref(last);
    g_assert_null(
        aside_start("passing the gate", pass, &refused, gate_free, &err));
    expect_error(err, "passing the gate was abandoned 8 times and has not "
                      "returned; no more attempts than that are allowed");
    g_assert_true(refused.freed);
    aside_unref(
        aside_start("passing another", pass, &other, gate_free, &error_abort));
    gate_open(&other);
    wait_freed(&other);

    for (int i = 0; i < ASIDE_MAX_ABANDONED_SAME; i++) {
        gate_open(&gates[i]);
    }
    g_assert_true(aside_wait_abandoned(60000));
    aside_unref(start(&again));
    gate_open(&again);
    g_assert_true(aside_wait_abandoned(60000));
}

static void test_no_thread(void)
{
    Gate gate = {};
    Error *err = NULL;

    __atomic_store_n(&threads_refused, true, __ATOMIC_SEQ_CST);
    g_assert_null(
        aside_start("passing the gate", pass, &gate, gate_free, &err));
    __atomic_store_n(&threads_refused, false, __ATOMIC_SEQ_CST);
    expect_error(err, "Unable to start the thread 'aside': Resource "
                      "temporarily unavailable");
    g_assert_true(gate.freed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_mutex_init(&lock);
    qemu_cond_init(&cond);
    g_test_add_func("/aside/returns", test_returns);
    g_test_add_func("/aside/bound", test_bound);
    g_test_add_func("/aside/cancel", test_cancel);
    g_test_add_func("/aside/async", test_async);
    g_test_add_func("/aside/async-abandoned", test_async_abandoned);
    g_test_add_func("/aside/abandoned-until-freed", test_abandoned_until_freed);
    g_test_add_func("/aside/limit", test_limit);
    g_test_add_func("/aside/limit-same", test_limit_same);
    g_test_add_func("/aside/no-thread", test_no_thread);
    return g_test_run();
}
