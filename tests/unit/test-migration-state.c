/*
 * States of a migration: each pair of them, and threads that compete.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include <sys/stat.h>
#include "migration/state.h"
#include "qapi/util.h"
#include "qemu/thread.h"

/* What may follow what, as docs/devel/migration.rst and QEMU have it. */
static const char *const allowed[MIGRATION_STATUS__MAX] = {
    [MIGRATION_STATUS_NONE] = "setup",
    [MIGRATION_STATUS_SETUP] = "active failed cancelling",
    [MIGRATION_STATUS_ACTIVE] = "pre-switchover device failed cancelling",
    [MIGRATION_STATUS_PRE_SWITCHOVER] = "device failed cancelling",
    [MIGRATION_STATUS_DEVICE] =
        "completed failed cancelling postcopy-active postcopy-paused",
    [MIGRATION_STATUS_COMPLETED] = "setup",
    [MIGRATION_STATUS_FAILED] = "setup",
    [MIGRATION_STATUS_CANCELLING] = "cancelled",
    [MIGRATION_STATUS_CANCELLED] = "setup",
    [MIGRATION_STATUS_POSTCOPY_ACTIVE] = "completed postcopy-paused",
    [MIGRATION_STATUS_POSTCOPY_PAUSED] =
        "postcopy-recover completed failed setup",
    [MIGRATION_STATUS_POSTCOPY_RECOVER] =
        "postcopy-active completed postcopy-paused",
};

static bool is_allowed(MigrationStatus from, MigrationStatus to)
{
    g_auto(GStrv) list = g_strsplit(allowed[from], " ", -1);

    return g_strv_contains((const char *const *)list, MigrationStatus_str(to));
}

/* ---- Warnings, which go to stderr. ---- */

static int warnings = -1;
static int real_stderr = -1;

static void catch_warnings(void)
{
    g_autofree char *path = NULL;

    warnings = g_file_open_tmp("migration-state-XXXXXX", &path, NULL);
    g_assert_cmpint(warnings, >=, 0);
    unlink(path);
    real_stderr = dup(STDERR_FILENO);
    dup2(warnings, STDERR_FILENO);
}

static void let_warnings_go(void)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(warnings);
}

/* Whether there was one since the last look. */
static bool was_warned(void)
{
    struct stat st;

    g_assert_cmpint(fstat(warnings, &st), ==, 0);
    g_assert_cmpint(ftruncate(warnings, 0), ==, 0);
    lseek(warnings, 0, SEEK_SET);
    return st.st_size > 0;
}

/* The way from @from to @to, backwards in @before; false: there is none. */
static bool find_way(MigrationStatus from, MigrationStatus to,
                     int before[MIGRATION_STATUS__MAX])
{
    MigrationStatus queue[MIGRATION_STATUS__MAX] = {from};
    int n = 1;

    for (int i = 0; i < MIGRATION_STATUS__MAX; i++) {
        before[i] = -1;
    }
    for (int i = 0; i < n; i++) {
        for (int next = 0; next < MIGRATION_STATUS__MAX; next++) {
            if (before[next] < 0 && is_allowed(queue[i], next)) {
                before[next] = queue[i];
                queue[n++] = next;
            }
        }
    }
    return before[to] >= 0;
}

static void go(MigrationStatus to)
{
    int before[MIGRATION_STATUS__MAX];
    MigrationStatus from = migration_state();

    if (from == to) {
        return;
    }
    g_assert_true(find_way(from, to, before));
    go(before[to]);
    g_assert_true(migration_set_state(before[to], to));
}

/* By steps that are allowed, but for the first state, which has none. */
static void force(MigrationStatus status)
{
    if (status == MIGRATION_STATUS_NONE) {
        migration_set_state(migration_state(), status);
    } else {
        go(status);
    }
    was_warned();
}

/* In the checked build a step that is not allowed aborts. */
static bool can_try(MigrationStatus from, MigrationStatus to)
{
#ifdef CONFIG_DEBUG_CHECKS
    return from != MIGRATION_STATUS_NONE && is_allowed(from, to);
#else
    return true;
#endif
}

/* ---- Tests. ---- */

static void test_first(void)
{
    g_assert_cmpint(MIGRATION_STATUS_NONE, ==, 0);
    g_assert_cmpint(migration_state(), ==, MIGRATION_STATUS_NONE);
}

static void test_pairs(void)
{
    catch_warnings();
    for (int from = 0; from < MIGRATION_STATUS__MAX; from++) {
        for (int to = 0; to < MIGRATION_STATUS__MAX; to++) {
            bool warned;

            if (!can_try(from, to)) {
                continue;
            }
            force(from);
            g_assert_true(migration_set_state(from, to));
            g_assert_cmpint(migration_state(), ==, to);
            warned = was_warned();
            if (warned == is_allowed(from, to)) {
                let_warnings_go();
                g_error("from %s to %s: %s", MigrationStatus_str(from),
                        MigrationStatus_str(to),
                        warned ? "a warning" : "no warning");
            }
        }
    }
    let_warnings_go();
}

static void test_other_state(void)
{
    catch_warnings();
    for (int now = 1; now < MIGRATION_STATUS__MAX; now++) {
        force(now);
        for (int from = 0; from < MIGRATION_STATUS__MAX; from++) {
            if (from != now) {
                g_assert_false(
                    migration_set_state(from, MIGRATION_STATUS_SETUP));
                g_assert_cmpint(migration_state(), ==, now);
            }
        }
        g_assert_false(was_warned());
    }
    let_warnings_go();
}

static void test_running(void)
{
    for (int status = 0; status < MIGRATION_STATUS__MAX; status++) {
        bool over = status == MIGRATION_STATUS_NONE ||
                    status == MIGRATION_STATUS_COMPLETED ||
                    status == MIGRATION_STATUS_FAILED ||
                    status == MIGRATION_STATUS_CANCELLED;

        g_assert_cmpint(migration_state_is_running(status), ==, !over);
    }
}

static void expect_end(MigrationStatus from, void (*fn)(void),
                       MigrationStatus to)
{
    force(from);
    fn();
    g_assert_cmpint(migration_state(), ==, to);
    g_assert_false(was_warned());
}

static void test_ends(void)
{
    catch_warnings();
    expect_end(MIGRATION_STATUS_DEVICE, migration_enter_paused,
               MIGRATION_STATUS_POSTCOPY_PAUSED);
    expect_end(MIGRATION_STATUS_POSTCOPY_ACTIVE, migration_enter_paused,
               MIGRATION_STATUS_POSTCOPY_PAUSED);
    expect_end(MIGRATION_STATUS_POSTCOPY_RECOVER, migration_enter_paused,
               MIGRATION_STATUS_POSTCOPY_PAUSED);
    expect_end(MIGRATION_STATUS_SETUP, migration_enter_failed,
               MIGRATION_STATUS_FAILED);
    expect_end(MIGRATION_STATUS_ACTIVE, migration_enter_failed,
               MIGRATION_STATUS_FAILED);
    expect_end(MIGRATION_STATUS_DEVICE, migration_enter_failed,
               MIGRATION_STATUS_FAILED);
    expect_end(MIGRATION_STATUS_CANCELLING, migration_enter_failed,
               MIGRATION_STATUS_CANCELLED);
    let_warnings_go();
}

/* ---- Of two that compete, one wins. ---- */

#define ROUNDS 2000

static unsigned n_cancels, n_failures; /* atomic */

static void *cancel_thread(void *opaque)
{
    while (__atomic_load_n(&n_failures, __ATOMIC_RELAXED) +
               __atomic_load_n(&n_cancels, __ATOMIC_RELAXED) <
           ROUNDS) {
        if (migration_set_state(MIGRATION_STATUS_ACTIVE,
                                MIGRATION_STATUS_CANCELLING)) {
            __atomic_fetch_add(&n_cancels, 1, __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

/* It always gets out of "active", one way or the other. */
static void one_round(void)
{
    go(MIGRATION_STATUS_SETUP);
    g_assert_true(
        migration_set_state(MIGRATION_STATUS_SETUP, MIGRATION_STATUS_ACTIVE));
    migration_enter_failed();
    if (migration_state() == MIGRATION_STATUS_FAILED) {
        __atomic_fetch_add(&n_failures, 1, __ATOMIC_RELAXED);
    } else {
        g_assert_cmpint(migration_state(), ==, MIGRATION_STATUS_CANCELLED);
    }
}

static void test_threads(void)
{
    QemuThread thread;

    go(MIGRATION_STATUS_SETUP);
    qemu_thread_create(&thread, "cancel", cancel_thread, NULL,
                       QEMU_THREAD_JOINABLE);
    for (int i = 0; i < ROUNDS; i++) {
        one_round();
    }
    qemu_thread_join(&thread);
    /* Each round had one outcome. */
    g_assert_cmpuint(n_failures + n_cancels, ==, ROUNDS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/migration/state/first", test_first);
    g_test_add_func("/migration/state/running", test_running);
    g_test_add_func("/migration/state/pairs", test_pairs);
    g_test_add_func("/migration/state/other", test_other_state);
    g_test_add_func("/migration/state/ends", test_ends);
    g_test_add_func("/migration/state/threads", test_threads);
    return g_test_run();
}
