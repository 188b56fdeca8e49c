/*
 * The yank registry: names, all or nothing, and many threads at once.
 *
 * Uses only what every QEMU tree offers: an Error is freed by hand, and
 * threads are GLib's, since qemu_thread_create() is not the same in all.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sched.h>
#include "qapi/error.h"
#include "qapi/qapi-commands-yank.h"
#include "qapi/qapi-visit-yank.h"
#include "qapi/clone-visitor.h"
#include "qemu/yank.h"

#define ROUNDS 2000

static int get_flag(int *flag)
{
    return g_atomic_int_get(flag);
}

static void set_flag(int *flag)
{
    g_atomic_int_set(flag, 1);
}

static void wait_flag(int *flag)
{
    while (!get_flag(flag)) {
        sched_yield();
    }
}

static void count_yank(void *opaque)
{
    g_atomic_int_inc((int *)opaque);
}

static YankInstanceRefList *append_ref(YankInstanceRefList *list,
                                       YankInstanceRef *ref)
{
    YankInstanceRefList **tail = &list;

    while (*tail) {
        tail = &(*tail)->next;
    }
    QAPI_LIST_APPEND(tail, ref);
    return list;
}

/* Adds the string form @name to @list. */
static YankInstanceRefList *by_name(YankInstanceRefList *list, const char *name)
{
    YankInstanceRef *ref = g_new0(YankInstanceRef, 1);

    ref->type = QTYPE_QSTRING;
    ref->u.name = g_strdup(name);
    return append_ref(list, ref);
}

/* Adds the typed form of @instance to @list. */
static YankInstanceRefList *by_type(YankInstanceRefList *list,
                                    const YankInstance *instance)
{
    YankInstanceRef *ref = g_new0(YankInstanceRef, 1);
    g_autoptr(YankInstance) copy = QAPI_CLONE(YankInstance, instance);

    ref->type = QTYPE_QDICT;
    ref->u.instance = *copy;
    memset(copy, 0, sizeof(*copy)); /* its strings moved */
    return append_ref(list, ref);
}

/* Yanks @refs and frees them. */
static YankResult *yank(YankInstanceRefList *refs, Error **errp)
{
    YankResult *result = qmp_yank(refs, errp);

    qapi_free_YankInstanceRefList(refs);
    return result;
}

static size_t count_instances(void)
{
    YankInstanceList *list = qmp_query_yank(&error_abort);
    size_t n = 0;

    for (YankInstanceList *l = list; l; l = l->next) {
        n++;
    }
    qapi_free_YankInstanceList(list);
    return n;
}

static void test_register(void)
{
    YankInstance *nbd0 = BLOCKDEV_YANK_INSTANCE("nbd0");
    Error *err = NULL;

    g_assert_true(yank_register_instance(nbd0, &error_abort));
    g_assert_cmpuint(count_instances(), ==, 1);

    g_assert_false(yank_register_instance(nbd0, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "duplicate yank instance blockdev:nbd0");
    error_free(err);
    g_assert_false(yank_register_instance(nbd0, NULL));
    g_assert_cmpuint(count_instances(), ==, 1);

    yank_unregister_instance(nbd0);
    g_assert_cmpuint(count_instances(), ==, 0);
    g_assert_true(yank_register_instance(nbd0, &error_abort));
    yank_unregister_instance(nbd0);
}

static void test_register_with(void)
{
    YankInstance *nbd0 = BLOCKDEV_YANK_INSTANCE("nbd0");
    int yanks = 0;

    g_assert_true(
        yank_register_instance_with(nbd0, count_yank, &yanks, &error_abort));
    g_assert_false(yank_register_instance_with(nbd0, count_yank, NULL, NULL));
    qapi_free_YankResult(yank(by_type(NULL, nbd0), &error_abort));
    g_assert_cmpint(yanks, ==, 1);
    yank_unregister_function(nbd0, count_yank, &yanks);
    yank_unregister_instance(nbd0);
}

static void test_same_name_other_type(void)
{
    YankInstance *node = BLOCKDEV_YANK_INSTANCE("x");
    YankInstance *chardev = CHARDEV_YANK_INSTANCE("x");

    yank_register_instance(node, &error_abort);
    yank_register_instance(chardev, &error_abort);
    yank_register_instance(MIGRATION_YANK_INSTANCE, &error_abort);
    g_assert_cmpuint(count_instances(), ==, 3);
    yank_unregister_instance(MIGRATION_YANK_INSTANCE);
    yank_unregister_instance(chardev);
    yank_unregister_instance(node);
    g_assert_cmpuint(count_instances(), ==, 0);
}

static void test_query_order(void)
{
    static const char *const ids[] = {"c", "a", "b"};
    YankInstanceList *list, *l;

    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        yank_register_instance(CHARDEV_YANK_INSTANCE(ids[i]), &error_abort);
    }
    l = list = qmp_query_yank(&error_abort);
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++, l = l->next) {
        g_assert_cmpint(l->value->type, ==, YANK_INSTANCE_TYPE_CHARDEV);
        g_assert_cmpstr(l->value->u.chardev.id, ==, ids[i]);
        yank_unregister_instance(CHARDEV_YANK_INSTANCE(ids[i]));
    }
    g_assert_null(l);
    qapi_free_YankInstanceList(list);
}

static void test_both_forms(void)
{
    static const char *const names[] = {"blockdev:x", "chardev:x", "migration"};
    YankInstance *const instances[] = {BLOCKDEV_YANK_INSTANCE("x"),
                                       CHARDEV_YANK_INSTANCE("x"),
                                       MIGRATION_YANK_INSTANCE};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *name = yank_instance_name(instances[i]);
        int yanks = 0;

        g_assert_cmpstr(name, ==, names[i]);
        yank_register_instance(instances[i], &error_abort);
        yank_register_function(instances[i], count_yank, &yanks);
        qapi_free_YankResult(yank(by_name(NULL, names[i]), &error_abort));
        g_assert_cmpint(yanks, ==, 1);
        qapi_free_YankResult(yank(by_type(NULL, instances[i]), &error_abort));
        g_assert_cmpint(yanks, ==, 2);
        yank_unregister_function(instances[i], count_yank, &yanks);
        yank_unregister_instance(instances[i]);
    }
}

static void test_empty_list(void)
{
    g_autoptr(YankResult) result = qmp_yank(NULL, &error_abort);

    g_assert_nonnull(result);
    g_assert_null(result->yanked);
}

static void test_all_or_nothing(void)
{
    YankInstance *known = BLOCKDEV_YANK_INSTANCE("known");
    int yanks = 0;

    yank_register_instance(known, &error_abort);
    yank_register_function(known, count_yank, &yanks);
    for (int unknown_first = 0; unknown_first < 2; unknown_first++) {
        Error *err = NULL;
        YankInstanceRefList *refs = NULL;

        refs = unknown_first ? by_name(refs, "blockdev:unknown") : refs;
        refs = by_type(refs, known);
        refs = unknown_first ? refs : by_name(refs, "blockdev:unknown");
        g_assert_null(yank(refs, &err));
        g_assert_cmpint(error_get_class(err), ==, ERROR_CLASS_DEVICE_NOT_FOUND);
        g_assert_cmpstr(error_get_pretty(err), ==,
                        "Instance not found: blockdev:unknown");
        error_free(err);
    }
    g_assert_cmpint(yanks, ==, 0);
    yank_unregister_function(known, count_yank, &yanks);
    yank_unregister_instance(known);
}

static void cut_two(void *opaque)
{
    yank_report_cut("first");
    yank_report_cut(opaque);
}

static void test_result(void)
{
    YankInstance *a = BLOCKDEV_YANK_INSTANCE("a");
    YankInstance *b = CHARDEV_YANK_INSTANCE("b");
    g_autoptr(YankResult) result = NULL;
    YankedInstance *yanked;
    int yanks = 0;

    yank_report_cut("outside of a yank it does nothing");
    yank_register_instance(a, &error_abort);
    yank_register_instance(b, &error_abort);
    yank_register_function(b, cut_two, (void *)"second");
    yank_register_function(b, count_yank, &yanks);
    yank_register_function(b, count_yank, &yanks);

    /* b is named twice, but yanked once. */
    result =
        yank(by_name(by_type(by_type(NULL, b), a), "chardev:b"), &error_abort);
    yanked = result->yanked->value;
    g_assert_cmpstr(yanked->name, ==, "chardev:b");
    g_assert_cmpstr(yanked->instance->u.chardev.id, ==, "b");
    g_assert_cmpint(yanked->functions, ==, 3);
    g_assert_cmpstr(yanked->cut->value, ==, "first");
    g_assert_cmpstr(yanked->cut->next->value, ==, "second");
    g_assert_null(yanked->cut->next->next);
    g_assert_cmpint(yanks, ==, 2);

    yanked = result->yanked->next->value;
    g_assert_cmpstr(yanked->name, ==, "blockdev:a");
    g_assert_cmpint(yanked->functions, ==, 0);
    g_assert_null(yanked->cut);
    g_assert_null(result->yanked->next->next);

    /* One of two equal functions goes, the other stays. */
    yank_unregister_function(b, count_yank, &yanks);
    yank_unregister_function(b, cut_two, (void *)"second");
    yank_all_instances();
    g_assert_cmpint(yanks, ==, 3);
    yank_unregister_function(b, count_yank, &yanks);
    yank_unregister_instance(a);
    yank_unregister_instance(b);
}

static void expect_warning(const char *pattern)
{
    g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, pattern);
}

static void reenter(void *opaque)
{
    yank_unregister_function(BLOCKDEV_YANK_INSTANCE("a"), reenter, opaque);
}

/* Wrong bookkeeping warns, and everything goes on. */
static void test_mistakes(void)
{
    YankInstance *a = BLOCKDEV_YANK_INSTANCE("a");

    expect_warning("*there is no instance blockdev:a*");
    yank_register_function(a, count_yank, NULL);
    expect_warning("*there is no instance blockdev:a*");
    yank_unregister_function(a, count_yank, NULL);
    expect_warning("*there is no instance blockdev:a*");
    yank_unregister_instance(a);

    yank_register_instance(a, &error_abort);
    expect_warning("*blockdev:a has no such function*");
    yank_unregister_function(a, count_yank, NULL);

    yank_register_function(a, reenter, NULL);
    expect_warning("*within a yank function*");
    qapi_free_YankResult(yank(by_type(NULL, a), &error_abort));

    expect_warning("*blockdev:a is unregistered with 1 functions left*");
    yank_unregister_instance(a);
    g_test_assert_expected_messages();
    g_assert_cmpuint(count_instances(), ==, 0);
}

static void collect_stats(const YankInstance *instance,
                          const YankInstanceStats *stats, void *opaque)
{
    *(YankInstanceStats *)opaque = *stats;
}

static void test_stats(void)
{
    YankInstanceStats stats;
    int yanks = 0;

    yank_register_instance(MIGRATION_YANK_INSTANCE, &error_abort);
    yank_register_function(MIGRATION_YANK_INSTANCE, count_yank, &yanks);
    yank_all_instances();
    yank_all_instances();
    yank_foreach_instance(collect_stats, &stats);
    g_assert_cmpuint(stats.functions, ==, 1);
    g_assert_cmpuint(stats.yanks, ==, 2);
    yank_unregister_function(MIGRATION_YANK_INSTANCE, count_yank, &yanks);
    yank_unregister_instance(MIGRATION_YANK_INSTANCE);
}

/* A yank function that runs until it is let go. */
typedef struct SlowYank {
    int entered, let_go, finished;
    int unregistered_early;
} SlowYank;

static void slow_yank(void *opaque)
{
    SlowYank *slow = opaque;

    set_flag(&slow->entered);
    wait_flag(&slow->let_go);
    set_flag(&slow->finished);
}

static void *yank_slow_thread(void *opaque)
{
    qapi_free_YankResult(yank(by_name(NULL, "blockdev:slow"), &error_abort));
    return NULL;
}

static void *unregister_slow_thread(void *opaque)
{
    SlowYank *slow = opaque;

    yank_unregister_function(BLOCKDEV_YANK_INSTANCE("slow"), slow_yank, slow);
    if (!get_flag(&slow->finished)) {
        set_flag(&slow->unregistered_early);
    }
    return NULL;
}

static void test_unregister_waits(void)
{
    YankInstance *instance = BLOCKDEV_YANK_INSTANCE("slow");
    gint64 window = 50 * G_TIME_SPAN_MILLISECOND, start;
    SlowYank slow = {};
    GThread *yanker, *unregisterer;

    yank_register_instance(instance, &error_abort);
    yank_register_function(instance, slow_yank, &slow);
    yanker = g_thread_new("yanker", yank_slow_thread, NULL);
    wait_flag(&slow.entered);
    unregisterer = g_thread_new("unregisterer", unregister_slow_thread, &slow);
    /* The window in which a wrong unregister would return too early. */
    start = g_get_monotonic_time();
    while (g_get_monotonic_time() - start < window) {
        sched_yield();
    }
    set_flag(&slow.let_go);
    g_thread_join(unregisterer);
    g_thread_join(yanker);
    g_assert_false(slow.unregistered_early);
    yank_unregister_instance(instance);
}

/* While a function of one instance runs, all others can be worked with. */
static void test_yank_delays_no_other(void)
{
    YankInstance *instance = BLOCKDEV_YANK_INSTANCE("slow");
    YankInstance *other = BLOCKDEV_YANK_INSTANCE("other");
    SlowYank slow = {};
    GThread *yanker;
    int yanks = 0;

    yank_register_instance(instance, &error_abort);
    yank_register_function(instance, slow_yank, &slow);
    yanker = g_thread_new("yanker", yank_slow_thread, NULL);
    wait_flag(&slow.entered);

    yank_register_instance(other, &error_abort);
    yank_register_function(other, count_yank, &yanks);
    g_assert_cmpuint(count_instances(), ==, 2);
    qapi_free_YankResult(yank(by_type(NULL, other), &error_abort));
    g_assert_cmpint(yanks, ==, 1);
    yank_unregister_function(other, count_yank, &yanks);
    yank_unregister_instance(other);

    set_flag(&slow.let_go);
    g_thread_join(yanker);
    yank_unregister_function(instance, slow_yank, &slow);
    yank_unregister_instance(instance);
}

/* Registers, is yanked, unregisters; what it was yanked with is then gone. */
static void *register_thread(void *opaque)
{
    g_autofree char *id = g_strdup_printf("c%d", GPOINTER_TO_INT(opaque));
    YankInstance *instance = CHARDEV_YANK_INSTANCE(id);

    for (int i = 0; i < ROUNDS; i++) {
        int *yanks = g_new0(int, 1);

        yank_register_instance(instance, &error_abort);
        yank_register_function(instance, count_yank, yanks);
        if (i % 2) {
            YankResult *result = yank(by_type(NULL, instance), &error_abort);

            qapi_free_YankResult(result);
            g_assert_cmpint(g_atomic_int_get(yanks), >=, 1);
        }
        yank_unregister_function(instance, count_yank, yanks);
        g_free(yanks);
        yank_unregister_instance(instance);
    }
    return NULL;
}

/* Yanks whatever is there, and queries, until it is told to stop. */
static void *yank_thread(void *opaque)
{
    while (!get_flag(opaque)) {
        YankResult *result;

        yank_all_instances();
        count_instances();
        result = yank(by_name(by_name(NULL, "chardev:c0"), "chardev:c1"), NULL);
        qapi_free_YankResult(result);
    }
    return NULL;
}

static void test_many_threads(void)
{
    GThread *registerers[4], *yankers[2];
    int stop = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(yankers); i++) {
        yankers[i] = g_thread_new("yanker", yank_thread, &stop);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(registerers); i++) {
        registerers[i] = g_thread_new("registerer", register_thread,
                                      GINT_TO_POINTER((int)i));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(registerers); i++) {
        g_thread_join(registerers[i]);
    }
    set_flag(&stop);
    for (size_t i = 0; i < G_N_ELEMENTS(yankers); i++) {
        g_thread_join(yankers[i]);
    }
    g_assert_cmpuint(count_instances(), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/yank/register", test_register);
    g_test_add_func("/yank/register-with", test_register_with);
    g_test_add_func("/yank/same-name-other-type", test_same_name_other_type);
    g_test_add_func("/yank/query-order", test_query_order);
    g_test_add_func("/yank/both-forms", test_both_forms);
    g_test_add_func("/yank/empty-list", test_empty_list);
    g_test_add_func("/yank/all-or-nothing", test_all_or_nothing);
    g_test_add_func("/yank/result", test_result);
    g_test_add_func("/yank/mistakes", test_mistakes);
    g_test_add_func("/yank/stats", test_stats);
    g_test_add_func("/yank/unregister-waits", test_unregister_waits);
    g_test_add_func("/yank/yank-delays-no-other", test_yank_delays_no_other);
    g_test_add_func("/yank/many-threads", test_many_threads);
    return g_test_run();
}
