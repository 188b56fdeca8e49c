/*
 * Activities: counters, clock, names and concurrency.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/activity.h"
#include "qemu/oob.h"
#include "qemu/thread.h"

#define N_THREADS 4
#define N_ROUNDS 5000

static ActivitySnapshot snapshot(const char *name)
{
    ActivitySnapshot snap;

    g_assert_true(activity_snapshot(name, &snap));
    return snap;
}

static void test_fields(void)
{
    Activity *a = activity_new("blockdev:a");
    g_autofree char *long_peer = g_strnfill(500, 'x');
    ActivityRequest one, two;

    g_assert_cmpuint(snapshot("blockdev:a").in_flight, ==, 0);
    g_assert_cmpstr(snapshot("blockdev:a").phase, ==, "");
    g_assert_cmpstr(snapshot("blockdev:a").peer, ==, "");

    activity_set_phase(a, "connecting");
    activity_set_peer(a, "127.0.0.1:10809");
    activity_begin(a, &one);
    activity_begin(a, &two);
    activity_end(a, &one);
    g_assert_cmpuint(snapshot("blockdev:a").in_flight, ==, 1);
    g_assert_cmpstr(snapshot("blockdev:a").phase, ==, "connecting");
    g_assert_cmpstr(snapshot("blockdev:a").peer, ==, "127.0.0.1:10809");

    activity_set_peer(a, long_peer);
    g_assert_cmpuint(strlen(snapshot("blockdev:a").peer), ==, 159);
    activity_set_peer(a, NULL);
    g_assert_cmpstr(snapshot("blockdev:a").peer, ==, "");
    activity_end(a, &two);
    activity_free(a);
    activity_free(NULL);
}

static void test_names(void)
{
    ActivitySnapshot snap;
    Activity *older = activity_new("n");
    Activity *newer = activity_new("n");
    Activity *oldest;
    ActivityRequest request;

    activity_begin(newer, &request);
    g_assert_cmpuint(snapshot("n").in_flight, ==, 1);
    activity_free(older);
    g_assert_cmpuint(snapshot("n").in_flight, ==, 1);
    activity_end(newer, &request);
    activity_free(newer);
    g_assert_false(activity_snapshot("n", &snap));

    /* What the newest hid is there again. */
    oldest = activity_new("n");
    older = activity_new("n");
    newer = activity_new("n");
    activity_begin(oldest, &request);
    activity_free(older);
    g_assert_cmpuint(snapshot("n").in_flight, ==, 0);
    activity_free(newer);
    g_assert_cmpuint(snapshot("n").in_flight, ==, 1);
    activity_end(oldest, &request);
    activity_free(oldest);
    g_assert_false(activity_snapshot("n", &snap));
}

/* Waits until @name has been idle for at least @us. */
static void grow_idle(const char *name, int64_t us)
{
    while (snapshot(name).idle_us < us) {
        g_usleep(1000);
    }
}

static void test_clock(void)
{
    Activity *a = activity_new("clock");
    ActivityRequest one, two;

    grow_idle("clock", 50000);
    /* The pause before a request is no stall of it. */
    activity_begin(a, &one);
    g_assert_cmpint(snapshot("clock").idle_us, <, 50000);
    grow_idle("clock", 50000);
    /* Another request is no progress of the first. */
    activity_begin(a, &two);
    g_assert_cmpint(snapshot("clock").idle_us, >=, 50000);
    activity_progress(a);
    g_assert_cmpint(snapshot("clock").idle_us, <, 50000);
    grow_idle("clock", 50000);
    activity_end(a, &one);
    g_assert_cmpint(snapshot("clock").idle_us, <, 50000);
    grow_idle("clock", 50000);
    activity_set_phase(a, "next");
    g_assert_cmpint(snapshot("clock").idle_us, <, 50000);
    activity_end(a, &two);
    activity_free(a);
}

/* Neither progress nor requests that come and go make the oldest younger. */
static void test_oldest(void)
{
    Activity *a = activity_new("oldest");
    ActivityRequest lost, between, last;

    g_assert_cmpint(snapshot("oldest").oldest_us, ==, 0);
    activity_begin(a, &lost);
    activity_begin(a, &between);
    grow_idle("oldest", 50000);
    activity_progress(a);
    activity_begin(a, &last);
    activity_end(a, &between);
    g_assert_cmpint(snapshot("oldest").oldest_us, >=, 50000);
    activity_end(a, &lost);
    g_assert_cmpint(snapshot("oldest").oldest_us, <, 50000);
    grow_idle("oldest", 50000);
    g_assert_cmpint(snapshot("oldest").oldest_us, >=, 50000);
    activity_end(a, &last);
    g_assert_cmpint(snapshot("oldest").oldest_us, ==, 0);
    activity_free(a);
}

static void test_session(void)
{
    Activity *a = activity_new("session");
    ActivityRequest request;

    activity_begin_session(a);
    grow_idle("session", 50000);
    g_assert_cmpuint(snapshot("session").in_flight, ==, 1);
    g_assert_cmpint(snapshot("session").oldest_us, >=, 50000);
    activity_begin(a, &request);
    activity_progress(a);
    g_assert_cmpint(snapshot("session").oldest_us, <, 50000);
    activity_end_session(a);
    g_assert_cmpuint(snapshot("session").in_flight, ==, 1);
    activity_end(a, &request);
    activity_free(a);
}

static void count_stalled(const char *name, void *opaque)
{
    g_assert_cmpstr(name, ==, "stalled");
    ++*(int *)opaque;
}

static void test_stalled(void)
{
    Activity *stalled = activity_new("stalled"), *fine = activity_new("fine");
    ActivityRequest old, young, other;
    int n = 0;

    activity_begin(stalled, &old);
    activity_begin(stalled, &young);
    activity_begin(fine, &other);
    activity_foreach_stalled(count_stalled, &n);
    g_assert_cmpint(n, ==, 0);
    old.start_us -= ACTIVITY_STALL_US;
    activity_foreach_stalled(count_stalled, &n);
    g_assert_cmpint(n, ==, 1);
    activity_end(stalled, &old);
    activity_foreach_stalled(count_stalled, &n);
    g_assert_cmpint(n, ==, 1);
    activity_end(stalled, &young);
    activity_end(fine, &other);
    activity_free(stalled);
    activity_free(fine);
}

static void *work(void *opaque)
{
    Activity *a = opaque;
    ActivityRequest request;

    for (int i = 0; i < N_ROUNDS; i++) {
        activity_begin(a, &request);
        activity_set_peer(a, i % 2 ? "one" : "two");
        activity_set_phase(a, i % 2 ? "odd" : "even");
        activity_end(a, &request);
    }
    return NULL;
}

static void test_threads(void)
{
    Activity *a = activity_new("busy");
    QemuThread threads[N_THREADS];

    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_create(&threads[i], "worker", work, a, true);
    }
    oob_section_enter("query");
    for (int i = 0; i < N_ROUNDS; i++) {
        ActivitySnapshot snap = snapshot("busy");

        g_assert_cmpuint(snap.in_flight, <=, N_THREADS);
        g_assert_true(!snap.peer[0] || !strcmp(snap.peer, "one") ||
                      !strcmp(snap.peer, "two"));
    }
    oob_section_leave();
    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_join(&threads[i]);
    }
    g_assert_cmpuint(snapshot("busy").in_flight, ==, 0);
    activity_free(a);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/activity/fields", test_fields);
    g_test_add_func("/activity/names", test_names);
    g_test_add_func("/activity/clock", test_clock);
    g_test_add_func("/activity/oldest", test_oldest);
    g_test_add_func("/activity/session", test_session);
    g_test_add_func("/activity/stalled", test_stalled);
    g_test_add_func("/activity/threads", test_threads);
    return g_test_run();
}
