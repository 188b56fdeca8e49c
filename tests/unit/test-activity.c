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

    g_assert_cmpuint(snapshot("blockdev:a").in_flight, ==, 0);
    g_assert_cmpstr(snapshot("blockdev:a").phase, ==, "");
    g_assert_cmpstr(snapshot("blockdev:a").peer, ==, "");

    activity_set_phase(a, "connecting");
    activity_set_peer(a, "127.0.0.1:10809");
    activity_begin(a);
    activity_begin(a);
    activity_end(a);
    g_assert_cmpuint(snapshot("blockdev:a").in_flight, ==, 1);
    g_assert_cmpstr(snapshot("blockdev:a").phase, ==, "connecting");
    g_assert_cmpstr(snapshot("blockdev:a").peer, ==, "127.0.0.1:10809");

    activity_set_peer(a, long_peer);
    g_assert_cmpuint(strlen(snapshot("blockdev:a").peer), ==, 159);
    activity_set_peer(a, NULL);
    g_assert_cmpstr(snapshot("blockdev:a").peer, ==, "");
    activity_free(a);
    activity_free(NULL);
}

static void test_names(void)
{
    ActivitySnapshot snap;
    Activity *older = activity_new("n");
    Activity *newer = activity_new("n");
    Activity *oldest;

    activity_begin(newer);
    g_assert_cmpuint(snapshot("n").in_flight, ==, 1);
    activity_free(older);
    g_assert_cmpuint(snapshot("n").in_flight, ==, 1);
    activity_free(newer);
    g_assert_false(activity_snapshot("n", &snap));

    /* What the newest hid is there again. */
    oldest = activity_new("n");
    older = activity_new("n");
    newer = activity_new("n");
    activity_begin(oldest);
    activity_free(older);
    g_assert_cmpuint(snapshot("n").in_flight, ==, 0);
    activity_free(newer);
    g_assert_cmpuint(snapshot("n").in_flight, ==, 1);
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

    grow_idle("clock", 50000);
    /* The pause before a request is no stall of it. */
    activity_begin(a);
    g_assert_cmpint(snapshot("clock").idle_us, <, 50000);
    grow_idle("clock", 50000);
    /* Another request is no progress of the first. */
    activity_begin(a);
    g_assert_cmpint(snapshot("clock").idle_us, >=, 50000);
    activity_progress(a);
    g_assert_cmpint(snapshot("clock").idle_us, <, 50000);
    grow_idle("clock", 50000);
    activity_end(a);
    g_assert_cmpint(snapshot("clock").idle_us, <, 50000);
    grow_idle("clock", 50000);
    activity_set_phase(a, "next");
    g_assert_cmpint(snapshot("clock").idle_us, <, 50000);
    activity_free(a);
}

static void *work(void *opaque)
{
    Activity *a = opaque;

    for (int i = 0; i < N_ROUNDS; i++) {
        activity_begin(a);
        activity_set_peer(a, i % 2 ? "one" : "two");
        activity_set_phase(a, i % 2 ? "odd" : "even");
        activity_end(a);
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
    g_test_add_func("/activity/threads", test_threads);
    return g_test_run();
}
