/*
 * Tests of the shutdown watchdog.  What ends the process runs in a process of
 * its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qmp-event.h"
#include "qemu/shutdown.h"
#include "qemu/thread.h"
#include "qemu/yank.h"

#define INSTANCE CHARDEV_YANK_INSTANCE("c0")

static int yanks;
static int events;

static void count_yank(void *opaque)
{
    g_atomic_int_inc(&yanks);
}

static void count_event(const char *name, const char *data, void *opaque)
{
    if (g_str_equal(name, "SHUTDOWN")) {
        g_atomic_int_inc(&events);
    }
}

static IOThread *set_up(int64_t timeout_ms, void (*last_resort)(void))
{
    IOThread *watchdog = iothread_new("watchdog");

    /* Made before other threads wake it up, which sanitizers want to see. */
    g_main_context_default();
    qmp_event_set_emitter(count_event, NULL);
    yank_register_instance(INSTANCE, &error_abort);
    yank_register_function(INSTANCE, count_yank, NULL);
    shutdown_init(watchdog, last_resort);
    shutdown_set_timeout(timeout_ms);
    return watchdog;
}

static void tear_down(IOThread *watchdog)
{
    iothread_unref(watchdog);
    yank_unregister_function(INSTANCE, count_yank, NULL);
    yank_unregister_instance(INSTANCE);
}

static void *request_from_thread(void *opaque)
{
    shutdown_request(SHUTDOWN_CAUSE_HOST_SIGNAL);
    return NULL;
}

/* The main loop wakes up, the first cause counts; one event, when asked. */
static void test_request(void)
{
    QemuThread thread;
    IOThread *watchdog;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 30 * G_USEC_PER_SEC, 0);
        g_test_trap_assert_passed();
        return;
    }
    watchdog = set_up(3600 * 1000, NULL);
    g_assert_cmpint(shutdown_requested(), ==, SHUTDOWN_CAUSE_NONE);
    qemu_thread_create(&thread, "requester", request_from_thread, NULL, true);
    while (shutdown_requested() == SHUTDOWN_CAUSE_NONE) {
        g_main_context_iteration(NULL, true);
    }
    qemu_thread_join(&thread);
    shutdown_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
    g_assert_cmpint(shutdown_requested(), ==, SHUTDOWN_CAUSE_HOST_SIGNAL);
    g_assert_cmpint(g_atomic_int_get(&events), ==, 0);
    shutdown_send_event();
    shutdown_send_event();
    g_assert_cmpint(g_atomic_int_get(&events), ==, 1);
    g_assert_cmpint(g_atomic_int_get(&yanks), ==, 0);
    tear_down(watchdog);
}

static void request_on_iothread(void *opaque)
{
    shutdown_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
    /* What answers the request comes first. */
    g_assert_cmpint(g_atomic_int_get(&events), ==, 0);
}

/* The event does not wait for the main loop. */
static void test_event(void)
{
    IOThread *watchdog;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 30 * G_USEC_PER_SEC, 0);
        g_test_trap_assert_passed();
        return;
    }
    watchdog = set_up(3600 * 1000, NULL);
    shutdown_send_event();
    g_assert_cmpint(g_atomic_int_get(&events), ==, 0);
    iothread_run(watchdog, request_on_iothread, NULL);
    while (g_atomic_int_get(&events) == 0) {
        g_thread_yield();
    }
    shutdown_send_event();
    g_assert_cmpint(g_atomic_int_get(&events), ==, 1);
    tear_down(watchdog);
}

/* Announced only: no cause yet, but the yank comes, and comes again. */
static void test_announce(void)
{
    IOThread *watchdog;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 30 * G_USEC_PER_SEC, 0);
        g_test_trap_assert_passed();
        return;
    }
    watchdog = set_up(10, NULL);
    shutdown_announce();
    g_assert_cmpint(shutdown_requested(), ==, SHUTDOWN_CAUSE_NONE);
    while (g_atomic_int_get(&yanks) < 2) {
        g_thread_yield();
    }
    g_assert_cmpint(g_atomic_int_get(&events), ==, 0);
    tear_down(watchdog);
}

static void say_last_words(void)
{
    static const char words[] = "last words\n";

    if (write(STDOUT_FILENO, words, strlen(words)) < 0) {
        abort();
    }
}

/* Nothing helps: the process ends all the same, with status 1. */
static void test_hard_way(void)
{
    QemuCond never;
    QemuMutex lock;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 30 * G_USEC_PER_SEC, 0);
        g_test_trap_assert_failed();
        g_test_trap_assert_stdout("*last words*");
        g_test_trap_assert_stderr("*yanking all peers*ending the hard way*");
        return;
    }
    set_up(0, say_last_words);
    qemu_mutex_init_slow(&lock);
    qemu_cond_init(&never);
    shutdown_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
    qemu_mutex_lock(&lock);
    for (;;) {
        qemu_cond_wait(&never, &lock);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/shutdown/request", test_request);
    g_test_add_func("/shutdown/event", test_event);
    g_test_add_func("/shutdown/announce", test_announce);
    g_test_add_func("/shutdown/hard-way", test_hard_way);
    return g_test_run();
}
