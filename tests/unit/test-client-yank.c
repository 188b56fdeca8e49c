/*
 * Yank by the client library: instances, reports, refusals.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <signal.h>
#include <sys/wait.h>
#include "client-fake-domain.h"
#include "client/monitor-chardev.h"
#include "client/ping.h"
#include "client/yank.h"

static void test_names(void)
{
    static const char *const names[] = {"blockdev:nbd0", "chardev:c:0",
                                        "migration"};
    static const char *const typed[] = {
        "{\"type\": \"block-node\", \"node-name\": \"nbd0\"}",
        "{\"type\": \"chardev\", \"id\": \"c:0\"}",
        "{\"type\": \"migration\"}",
    };
    static const char *const bad[] = {
        "", "nbd0", "blockdev:", "chardev:", "migration:", "block-node:x"};
    static const char *const bad_typed[] = {
        "7",
        "{}",
        "{\"type\": 7}",
        "{\"type\": \"disk\"}",
        "{\"type\": \"chardev\"}",
        "{\"type\": \"chardev\", \"id\": 7}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(json_object) object = yc_instance_typed(names[i], NULL);
        g_autofree char *text = json_to_string(object, false);
        g_autofree char *name = yc_instance_name(object, NULL);

        g_assert_cmpstr(text, ==, typed[i]);
        g_assert_cmpstr(name, ==, names[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *err = NULL;

        g_assert_null(yc_instance_typed(bad[i], &err));
        expect_error(err, YC_ERROR_INVALID, "is no yank instance");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad_typed); i++) {
        g_autoptr(json_object) object = json_parse(bad_typed[i], &error_abort);
        GError *err = NULL;

        g_assert_null(yc_instance_name(object, &err));
        expect_error(err, YC_ERROR_PROTOCOL, "of a type unknown here");
    }
}

/* Command lines, and the ids of chardevs with a monitor in them. */
static void test_command_lines(void)
{
    g_assert_true(yc_monitor_chardev_by_name("compat_monitor0"));
    g_assert_true(yc_monitor_chardev_by_name("charmonitor"));
    g_assert_false(yc_monitor_chardev_by_name("charserial0"));
}

static GPtrArray *query(FakeDomain *fake)
{
    GError *err = NULL;
    GPtrArray *all = yc_domain_query_yank(fake->dom, FAKE_DEADLINE_MS, &err);

    g_assert_no_error(err);
    return all;
}

static void test_query_stock(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(GPtrArray) all = NULL;
    YcInstance *instance;

    /* It hangs, and that is when one asks. */
    fake_domain_set_hangs(fake, true);
    all = query(fake);
    g_assert_cmpint(all->len, ==, 3);
    instance = g_ptr_array_index(all, 0);
    g_assert_cmpstr(instance->name, ==, "chardev:charmonitor");
    g_assert_true(instance->monitor);
    g_assert_false(instance->has_status);
    g_assert_cmpint(instance->idle_ms, ==, -1);
    instance = g_ptr_array_index(all, 1);
    g_assert_cmpstr(instance->name, ==, "migration");
    instance = g_ptr_array_index(all, 2);
    g_assert_cmpstr(instance->name, ==, "blockdev:nbd0");
    g_assert_false(instance->monitor);
    g_assert_cmpint(fake->n_in_band, ==, 0);
}

static void test_query_yankd(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_YANKD);
    g_autoptr(GPtrArray) all = query(fake);
    YcInstance *instance;

    g_assert_cmpint(all->len, ==, 1);
    instance = g_ptr_array_index(all, 0);
    g_assert_cmpstr(instance->name, ==, "blockdev:nbd0");
    g_assert_true(instance->has_status && instance->stalled);
    g_assert_cmpint(instance->functions, ==, 1);
    g_assert_cmpint(instance->yanks, ==, 2);
    g_assert_cmpint(instance->in_flight, ==, 8);
    g_assert_cmpint(instance->idle_ms, ==, 12034);
    g_assert_cmpstr(instance->phase, ==, "transmission");
    g_assert_cmpstr(instance->peer, ==, "unix:/nbd");
}

static void test_no_yank(void)
{
    static const char *const names[] = {"blockdev:nbd0", NULL};
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_NO_YANK);
    g_autofree char *text =
        g_strdup_printf("domain 'vm1': %s: the server has no query-yank; QEMU "
                        "has it since 6.0, qemu-storage-daemon never",
                        fake_peer_address(fake->process));
    GError *err = NULL;

    g_assert_null(yc_domain_query_yank(fake->dom, FAKE_DEADLINE_MS, &err));
    expect_domain_error(g_steal_pointer(&err), YC_DOMAIN_ERROR_UNSUPPORTED,
                        text);
    g_assert_false(
        yc_domain_yank(fake->dom, names, 0, FAKE_DEADLINE_MS, NULL, &err));
    g_assert_error(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_UNSUPPORTED);
    g_clear_error(&err);
}

static void test_yank_stock(void)
{
    static const char *const names[] = {"blockdev:nbd0", "chardev:c0",
                                        "migration", NULL};
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autoptr(GPtrArray) yanked = NULL;
    g_autofree char *sent = NULL;
    GError *err = NULL;

    fake_domain_set_hangs(fake, true);
    g_assert_true(yc_domain_yank(fake->dom, names, YC_YANK_FORCE,
                                 FAKE_DEADLINE_MS, &yanked, &err));
    g_assert_no_error(err);
    sent = fake_domain_yanked(fake);
    /* Typed names only: stock knows no others. */
    g_assert_nonnull(strstr(sent, "\"node-name\": \"nbd0\""));
    g_assert_nonnull(strstr(sent, "\"id\": \"c0\""));
    g_assert_nonnull(strstr(sent, "{ \"type\": \"migration\" }"));
    g_assert_cmpint(yanked->len, ==, 3);
    for (int i = 0; i < 3; i++) {
        YcYanked *one = g_ptr_array_index(yanked, i);

        g_assert_cmpstr(one->name, ==, names[i]);
        g_assert_false(one->told);
        g_assert_null(one->cut);
    }
    g_assert_cmpint(fake->n_in_band, ==, 0);
}

static void test_yank_yankd(void)
{
    static const char *const names[] = {"migration", "blockdev:nbd0", NULL};
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_YANKD);
    g_autoptr(GPtrArray) yanked = NULL;
    YcYanked *one;

    g_assert_true(
        yc_domain_yank(fake->dom, names, 0, FAKE_DEADLINE_MS, &yanked, NULL));
    one = g_ptr_array_index(yanked, 0);
    g_assert_cmpstr(one->name, ==, "migration");
    g_assert_false(one->told);
    one = g_ptr_array_index(yanked, 1);
    g_assert_true(one->told);
    g_assert_cmpint(one->functions, ==, 1);
    g_assert_cmpint(g_strv_length(one->cut), ==, 1);
    g_assert_cmpstr(one->cut[0], ==, "connection to unix:/nbd");
}

/* Nothing is sent when one of them is a monitor, or is nothing at all. */
static void test_refused(void)
{
    static const char *const names[] = {"blockdev:nbd0", "chardev:charmonitor",
                                        NULL};
    static const char *const wrong[] = {"blockdev:nbd0", "nbd1", NULL};
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_autofree char *sent = NULL;
    GError *err = NULL;

    g_assert_false(
        yc_domain_yank(fake->dom, names, 0, FAKE_DEADLINE_MS, NULL, &err));
    expect_domain_error(g_steal_pointer(&err), YC_DOMAIN_ERROR_REFUSED,
                        "domain 'vm1': 'chardev:charmonitor' is not yanked: it "
                        "carries a monitor, or may carry one, and its "
                        "manager may end the process when that drops");
    g_assert_false(yc_domain_yank(fake->dom, wrong, YC_YANK_FORCE,
                                  FAKE_DEADLINE_MS, NULL, &err));
    expect_error(g_steal_pointer(&err), YC_ERROR_INVALID, "nbd1");
    sent = fake_domain_yanked(fake);
    g_assert_null(sent);
    g_assert_true(yc_domain_yank(fake->dom, names, YC_YANK_FORCE,
                                 FAKE_DEADLINE_MS, NULL, &err));
    g_assert_no_error(err);
}

/* The command line of this process has no monitor at the address. */
static void test_unknown_monitors(void)
{
    static const char *const names[] = {"chardev:rescue", NULL};
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_auto(GStrv) monitors = NULL;
    GError *err = NULL;

    yc_domain_add_monitor_chardev(fake->dom, "other");
    monitors = yc_domain_monitor_chardevs(fake->dom);
    g_assert_null(monitors);
    g_assert_false(
        yc_domain_yank(fake->dom, names, 0, FAKE_DEADLINE_MS, NULL, &err));
    g_assert_error(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_REFUSED);
    g_clear_error(&err);
    g_assert_true(yc_domain_yank(fake->dom, names, YC_YANK_FORCE,
                                 FAKE_DEADLINE_MS, NULL, &err));
    g_assert_no_error(err);
}

/*
 * Stock QEMU: what carries a monitor is known by its command line.
 */
static GPid start_qemu(const char *dir)
{
    g_autofree char *chardev =
        g_strdup_printf("socket,id=rescue,path=%s/qmp,server=on,wait=off", dir);
    g_autofree char *other = g_strdup_printf(
        "socket,id=other,path=%s/other,server=on,wait=off", dir);
    g_autofree char *qmp =
        g_strdup_printf("unix:%s/compat,server=on,wait=off", dir);
    const char *argv[] = {"qemu-system-x86_64",
                          "-machine",
                          "none",
                          "-nodefaults",
                          "-display",
                          "none",
                          "-chardev",
                          chardev,
                          "-mon",
                          "chardev=rescue,mode=control",
                          "-chardev",
                          other,
                          "-qmp",
                          qmp,
                          NULL};
    GPid pid;

    if (!g_spawn_async(NULL, (char **)argv, NULL,
                       G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL,
                       NULL, &pid, NULL)) {
        return 0;
    }
    return pid;
}

static void check_qemu(const char *dir, GPid pid)
{
    static const char *const monitor[] = {"chardev:rescue", NULL};
    static const char *const other[] = {"chardev:other", NULL};
    g_autofree char *address = g_strdup_printf("unix:%s/qmp", dir);
    g_autoptr(YcQmpClient) client = yc_qmp_client_new(address, NULL);
    g_autoptr(YcDomain) dom = yc_domain_new("vm1", client, NULL, NULL);
    g_autoptr(GPtrArray) all = NULL;
    int64_t deadline = g_get_monotonic_time() + FAKE_DEADLINE_MS * 1000;
    GError *err = NULL;
    gint64 us;

    while (!yc_domain_connect(dom, FAKE_DEADLINE_MS, NULL)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(10000);
    }
    g_assert_cmpint(yc_qmp_client_peer_pid(client), ==, pid);
    all = yc_domain_query_yank(dom, FAKE_DEADLINE_MS, &err);
    g_assert_no_error(err);
    g_assert_cmpint(all->len, ==, 3);
    for (guint i = 0; i < all->len; i++) {
        YcInstance *instance = g_ptr_array_index(all, i);

        g_test_message("%s", instance->name);
        g_assert_true(instance->monitor !=
                      g_str_equal(instance->name, "chardev:other"));
    }
    g_assert_false(
        yc_domain_yank(dom, monitor, 0, FAKE_DEADLINE_MS, NULL, &err));
    g_assert_error(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_REFUSED);
    g_clear_error(&err);
    g_assert_true(yc_domain_yank(dom, other, 0, FAKE_DEADLINE_MS, NULL, &err));
    g_assert_no_error(err);
    g_assert_true(
        yc_domain_ping(dom, YC_PING_OOB, FAKE_DEADLINE_MS, &us, NULL));
    g_assert_true(
        yc_domain_ping(dom, YC_PING_IN_BAND, FAKE_DEADLINE_MS, &us, NULL));
}

static void test_stock_qemu(void)
{
    g_autofree char *dir = g_dir_make_tmp("client-XXXXXX", NULL);
    static const char *const sockets[] = {"qmp", "other", "compat"};
    GPid pid = start_qemu(dir);

    if (pid) {
        check_qemu(dir, pid);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    } else {
        g_test_skip("there is no qemu-system-x86_64");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sockets); i++) {
        g_autofree char *path = g_build_filename(dir, sockets[i], NULL);

        unlink(path);
    }
    g_assert_cmpint(rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/yank/names", test_names);
    g_test_add_func("/client/yank/command-lines", test_command_lines);
    g_test_add_func("/client/yank/query-stock", test_query_stock);
    g_test_add_func("/client/yank/query-yankd", test_query_yankd);
    g_test_add_func("/client/yank/no-yank", test_no_yank);
    g_test_add_func("/client/yank/yank-stock", test_yank_stock);
    g_test_add_func("/client/yank/yank-yankd", test_yank_yankd);
    g_test_add_func("/client/yank/refused", test_refused);
    g_test_add_func("/client/yank/added-monitor", test_unknown_monitors);
    g_test_add_func("/client/yank/stock-qemu", test_stock_qemu);
    failed = g_test_run();
    expect_nothing_left();
    return failed;
}
