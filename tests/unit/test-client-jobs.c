/*
 * Jobs: what may run beside what, by the tables of the documentation.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-job-ask.h"

/*
 * The table of docs/devel/client-threads.rst, read from there.
 */
static const char *const columns[] = {"normal", "agent", "asynchronous",
                                      "nested"};
static const YcJobSort column_sorts[] = {YC_SORT_NORMAL, YC_SORT_AGENT,
                                         YC_SORT_ASYNC, YC_SORT_NESTED};

/* The lines between the second and the third "===" behind ".. _LABEL:". */
static char **doc_rows(const char *label)
{
    g_autofree char *text = NULL, *anchor = g_strdup_printf(".. _%s:", label);
    g_auto(GStrv) lines = NULL;
    g_autoptr(GPtrArray) rows = g_ptr_array_new();
    const char *begin;
    int n_rules = 0;

    g_assert_true(g_file_get_contents(CLIENT_THREADS_RST, &text, NULL, NULL));
    begin = strstr(text, anchor);
    g_assert_nonnull(begin);
    lines = g_strsplit(begin, "\n", -1);
    for (int i = 0; lines[i] && n_rules < 3; i++) {
        if (g_str_has_prefix(lines[i], "===")) {
            n_rules++;
        } else if (n_rules == 2) {
            g_ptr_array_add(rows, g_strdup(lines[i]));
        }
    }
    g_assert_cmpint(n_rules, ==, 3);
    g_ptr_array_add(rows, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&rows), false);
}

/* What the table at @label says at @row and @column; g_free() it. */
static char *doc_cell(const char *label, const char *row, int column)
{
    g_auto(GStrv) rows = doc_rows(label);

    for (int i = 0; rows[i]; i++) {
        g_autoptr(GPtrArray) cells = g_ptr_array_new();
        char *rest = rows[i], *cell;

        while ((cell = strtok_r(rest, " ", &rest))) {
            g_ptr_array_add(cells, cell);
        }
        g_assert_cmpint(cells->len, ==, 5);
        if (g_str_equal(g_ptr_array_index(cells, 0), row)) {
            return g_strdup(g_ptr_array_index(cells, column + 1));
        }
    }
    g_error("no row '%s' in the table %s", row, label);
}

/* One holds a job of @row, another thread asks for one of @column. */
static void check_beside(FakeDomain *fake, int row, int column)
{
    g_autofree char *cell = doc_cell("job-table", columns[row], column);
    g_autoptr(Actor) holder = actor_new();
    g_autoptr(Actor) asker = actor_new();
    Ask own = {fake->dom, YC_SORT_ASYNC, .mask = ALL_KINDS, .what = "own"};
    Ask outer = own;
    Ask held = {fake->dom, column_sorts[row], .mask = YC_JOB_MASK_NONE,
                .what = "held"};
    Ask asked = {fake->dom, column_sorts[column], .what = "asked",
                 .wait_ms = YC_WAIT_NONE};

    if (g_str_equal(cell, "\\-")) {
        return; /* nested twice: there is one asynchronous job at most */
    }
    if (asked.sort == YC_SORT_NESTED) {
        actor_do(asker, ask, &own);
    }
    if (held.sort == YC_SORT_NESTED) {
        actor_do(holder, ask, &outer);
    }
    if (held.sort != YC_SORT_ASYNC || asked.sort != YC_SORT_NESTED) {
        actor_do(holder, ask, &held);
        g_assert_no_error(held.err);
    }
    actor_do(asker, ask, &asked);
    g_test_message("%s beside %s: %s", columns[column], columns[row], cell);
    g_assert_true(asked.ok == g_str_equal(cell, "runs"));
    actor_do(asker, end, &asked);
    actor_do(holder, end, &held);
    if (held.sort == YC_SORT_NESTED) {
        actor_do(holder, end, &outer);
    }
    if (asked.sort == YC_SORT_NESTED) {
        actor_do(asker, end, &own);
    }
}

static void test_table(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);

    for (size_t row = 0; row < G_N_ELEMENTS(columns); row++) {
        for (size_t column = 0; column < G_N_ELEMENTS(columns); column++) {
            check_beside(fake, row, column);
        }
    }
}

/* Each kind of normal job beside an asynchronous one of each mask. */
static void test_mask(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(Actor) holder = actor_new();

    for (unsigned mask = 0; mask <= ALL_KINDS; mask++) {
        Ask async = {fake->dom, YC_SORT_ASYNC, .mask = mask, .what = "migrate"};

        actor_do(holder, ask, &async);
        for (YcJob kind = 0; kind < YC_JOB__MAX; kind++) {
            Ask a = {fake->dom, YC_SORT_NORMAL, kind, .what = "x",
                     .wait_ms = YC_WAIT_NONE};

            ask(&a);
            g_assert_true(a.ok == !!(mask & YC_JOB_MASK(kind)));
            end(&a);
        }
        actor_do(holder, end, &async);
    }
}

/*
 * One thread: what it may ask for while it holds something.
 */
static const char *const held_rows[] = {"nothing", "normal", "agent",
                                        "asynchronous", "nested"};

static void hold_row(YcDomain *dom, int row, Ask *outer, Ask *held)
{
    *outer = (Ask){dom, YC_SORT_ASYNC, .mask = ALL_KINDS, .what = "outer"};
    *held = (Ask){dom, .what = "held"};
    if (row == 0) {
        return;
    }
    held->sort = column_sorts[row - 1];
    if (held->sort == YC_SORT_NESTED) {
        ask(outer);
    }
    ask(held);
    g_assert_no_error(held->err);
}

/* Where @name is in @names. */
static int index_of(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (g_str_equal(names[i], name)) {
            return i;
        }
    }
    g_error("there is no '%s'", name);
}

/* As the test's path says: .../HELD/ASKED. */
static GError *ask_by_path(FakeDomain *fake)
{
    g_auto(GStrv) parts = g_strsplit(g_test_get_path(), "/", -1);
    int row = index_of(held_rows, G_N_ELEMENTS(held_rows), parts[4]);
    int column = index_of(columns, G_N_ELEMENTS(columns), parts[5]);
    Ask asked = {fake->dom, column_sorts[column], .what = "asked",
                 .wait_ms = YC_WAIT_NONE};
    Ask outer, held;
    GError *err;

    hold_row(fake->dom, row, &outer, &held);
    ask(&asked);
    err = g_steal_pointer(&asked.err);
    end(&asked);
    end(&held);
    end(&outer);
    return err;
}

static void test_runs(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    GError *err = ask_by_path(fake);

    g_assert_no_error(err);
}

static void add_one_thread_tests(void)
{
    for (size_t row = 0; row < G_N_ELEMENTS(held_rows); row++) {
        for (size_t column = 0; column < G_N_ELEMENTS(columns); column++) {
            g_autofree char *cell =
                doc_cell("job-table-one-thread", held_rows[row], column);
            g_autofree char *path =
                g_strdup_printf("/client/jobs/one-thread/%s/%s", held_rows[row],
                                columns[column]);

            if (g_str_equal(cell, "mistake")) {
                test_add_misuse(path, ask_by_path, " by a thread that ");
            } else {
                g_assert_cmpstr(cell, ==, "runs");
                g_test_add_func(path, test_runs);
            }
        }
    }
}

/*
 * Ends that are mistakes.
 */
static GError *end_without_begin(FakeDomain *fake)
{
    GError *err = NULL;

    yc_domain_lock(fake->dom);
    g_assert_false(yc_domain_end_job(fake->dom, &err));
    yc_domain_unlock(fake->dom);
    return err;
}

static GError *end_of_another_sort(FakeDomain *fake)
{
    Ask a = {fake->dom, YC_SORT_ASYNC, .what = "a"};
    Ask n = {fake->dom, YC_SORT_NESTED, .what = "n"};
    GError *err = NULL;

    ask(&a);
    ask(&n);
    yc_domain_lock(fake->dom);
    g_assert_false(yc_domain_end_job(fake->dom, &err));
    yc_domain_unlock(fake->dom);
    end(&n);
    end(&a);
    return err;
}

static GError *end_by_another(FakeDomain *fake)
{
    g_autoptr(Actor) holder = actor_new();
    Ask a = {fake->dom, YC_SORT_AGENT, .what = "a"};
    GError *err = NULL;

    actor_do(holder, ask, &a);
    yc_domain_lock(fake->dom);
    g_assert_false(yc_domain_end_agent_job(fake->dom, &err));
    yc_domain_unlock(fake->dom);
    actor_do(holder, end, &a);
    return err;
}

static GError *end_around_nested(FakeDomain *fake)
{
    Ask a = {fake->dom, YC_SORT_ASYNC, .what = "a"};
    Ask n = {fake->dom, YC_SORT_NESTED, .what = "n"};
    GError *err = NULL;

    ask(&a);
    ask(&n);
    yc_domain_lock(fake->dom);
    g_assert_false(yc_domain_end_async_job(fake->dom, &err));
    yc_domain_unlock(fake->dom);
    end(&n);
    end(&a);
    return err;
}

static GError *mask_without_job(FakeDomain *fake)
{
    GError *err = NULL;

    yc_domain_lock(fake->dom);
    g_assert_false(yc_domain_set_async_mask(fake->dom, 0, &err));
    yc_domain_unlock(fake->dom);
    return err;
}

static GError *begin_unlocked(FakeDomain *fake)
{
    GError *err = NULL;

    g_assert_false(yc_domain_begin_job(fake->dom, YC_JOB_QUERY, "x",
                                       YC_WAIT_DEFAULT, &err));
    return err;
}

static void add_misuse_tests(void)
{
    test_add_misuse("/client/jobs/misuse/end-without-begin", end_without_begin,
                    "yc_domain_end_job() of domain 'vm1' by a thread that does "
                    "not hold it");
    test_add_misuse("/client/jobs/misuse/end-of-another-sort",
                    end_of_another_sort, "by a thread that does not hold it");
    test_add_misuse("/client/jobs/misuse/end-by-another", end_by_another,
                    "yc_domain_end_agent_job() of domain 'vm1' by a thread "
                    "that does not hold it");
    test_add_misuse("/client/jobs/misuse/end-around-nested", end_around_nested,
                    "yc_domain_end_async_job() of domain 'vm1' before the job "
                    "in it has ended");
    test_add_misuse("/client/jobs/misuse/mask-without-job", mask_without_job,
                    "yc_domain_set_async_mask() of domain 'vm1' by a thread "
                    "that does not hold it");
    test_add_misuse("/client/jobs/misuse/begin-unlocked", begin_unlocked,
                    "yc_domain_begin_job() of domain 'vm1', which is not "
                    "locked");
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/jobs/table", test_table);
    g_test_add_func("/client/jobs/mask", test_mask);
    add_one_thread_tests();
    add_misuse_tests();
    failed = g_test_run();
    expect_nothing_left();
    return failed;
}
