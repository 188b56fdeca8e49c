/*
 * Capabilities and parameters of migrations: their values at first, what may
 * change when, and readers on other threads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/options.h"
#include "migration/state.h"
#include "qapi/qapi-commands-migration.h"
#include "qemu/oob.h"
#include "qemu/thread.h"

static void set_capability(MigrationCapability capability, bool on,
                           Error **errp)
{
    MigrationCapabilityStatus status = {capability, on};
    MigrationCapabilityStatusList list = {NULL, &status};

    qmp_migrate_set_capabilities(&list, errp);
}

static void set_parameters(MigrateSetParameters params, const char *message)
{
    g_autoptr(Error) err = NULL;

    qmp_migrate_set_parameters(&params, &err);
    g_assert_cmpstr(err ? error_get_pretty(err) : NULL, ==, message);
}

/* What @expected has; compared with both ways to ask. */
static void check_parameters(const MigrationParameters *expected)
{
    g_autoptr(MigrationParameters) ours = migration_parameters();
    g_autoptr(MigrationParameters) qmp =
        qmp_query_migrate_parameters(&error_abort);
    const MigrationParameters *both[] = {ours, qmp};

    for (int i = 0; i < 2; i++) {
        const MigrationParameters *p = both[i];

        g_assert_cmpuint(p->max_bandwidth, ==, expected->max_bandwidth);
        g_assert_cmpuint(p->downtime_limit, ==, expected->downtime_limit);
        g_assert_cmpint(p->multifd_channels, ==, expected->multifd_channels);
        g_assert_cmpint(p->multifd_compression, ==,
                        expected->multifd_compression);
        g_assert_cmpstr(p->tls_creds, ==, expected->tls_creds);
        g_assert_cmpstr(p->tls_hostname, ==, expected->tls_hostname);
        g_assert_cmpuint(p->max_postcopy_bandwidth, ==,
                         expected->max_postcopy_bandwidth);
    }
    g_assert_cmpuint(migration_max_bandwidth(), ==, expected->max_bandwidth);
    g_assert_cmpuint(migration_downtime_limit(), ==, expected->downtime_limit);
    g_assert_cmpuint(migration_max_postcopy_bandwidth(), ==,
                     expected->max_postcopy_bandwidth);
}

static const MigrationParameters defaults = {
    .downtime_limit = 300,
    .multifd_channels = 2,
    .multifd_compression = MULTI_FD_COMPRESSION_NONE,
    .tls_creds = (char *)"",
    .tls_hostname = (char *)"",
};

static void set_defaults(void)
{
    set_parameters(
        (MigrateSetParameters){
            .has_max_bandwidth = true,
            .has_downtime_limit = true,
            .downtime_limit = 300,
            .has_multifd_channels = true,
            .multifd_channels = 2,
            .has_multifd_compression = true,
            .tls_creds = (char *)"",
            .tls_hostname = (char *)"",
            .has_max_postcopy_bandwidth = true,
        },
        NULL);
    check_parameters(&defaults);
}

static void test_parameters(void)
{
    MigrationParameters now = defaults;

    check_parameters(&now);
    set_parameters((MigrateSetParameters){}, NULL);
    check_parameters(&now);
    set_parameters((MigrateSetParameters){.has_max_bandwidth = true,
                                          .max_bandwidth = UINT64_MAX},
                   NULL);
    now.max_bandwidth = UINT64_MAX;
    check_parameters(&now);
    set_parameters((MigrateSetParameters){.has_downtime_limit = true,
                                          .downtime_limit = 2000000,
                                          .has_multifd_channels = true,
                                          .multifd_channels = 255},
                   NULL);
    now.downtime_limit = 2000000;
    now.multifd_channels = 255;
    check_parameters(&now);
    set_parameters(
        (MigrateSetParameters){
            .has_multifd_compression = true,
            .multifd_compression = MULTI_FD_COMPRESSION_ZSTD,
            .tls_creds = (char *)"tls0",
            .tls_hostname = (char *)"host.example",
            .has_max_postcopy_bandwidth = true,
            .max_postcopy_bandwidth = 1,
        },
        NULL);
    now.multifd_compression = MULTI_FD_COMPRESSION_ZSTD;
    now.tls_creds = (char *)"tls0";
    now.tls_hostname = (char *)"host.example";
    now.max_postcopy_bandwidth = 1;
    check_parameters(&now);
    set_defaults();
}

static void test_parameters_bad(void)
{
    set_parameters((MigrateSetParameters){.has_downtime_limit = true,
                                          .downtime_limit = 2000001},
                   "Parameter 'downtime_limit' expects an integer in the range "
                   "of 0 to (2000 * 1000) ms");
    set_parameters((MigrateSetParameters){.has_max_bandwidth = true,
                                          .max_bandwidth = 5,
                                          .tls_creds = (char *)"x",
                                          .has_multifd_channels = true},
                   "Parameter 'multifd_channels' expects a value between 1 and "
                   "255");
    check_parameters(&defaults);
}

static void test_capabilities(void)
{
    for (int i = 0; i < MIGRATION_CAPABILITY__MAX; i++) {
        g_assert_false(migration_capability(i));
        set_capability(i, true, &error_abort);
        for (int j = 0; j < MIGRATION_CAPABILITY__MAX; j++) {
            g_assert_cmpint(migration_capability(j), ==, i == j);
        }
        set_capability(i, false, &error_abort);
        g_assert_false(migration_capability(i));
    }
    qmp_migrate_set_capabilities(NULL, &error_abort);
}

static void test_query_capabilities(void)
{
    g_autoptr(MigrationCapabilityStatusList) list = NULL;
    MigrationCapabilityStatusList *at;
    int i = 0;

    set_capability(MIGRATION_CAPABILITY_EVENTS, true, &error_abort);
    list = qmp_query_migrate_capabilities(&error_abort);
    for (at = list; at; at = at->next, i++) {
        g_assert_cmpint(at->value->capability, ==, i);
        g_assert_cmpint(at->value->state, ==, i == MIGRATION_CAPABILITY_EVENTS);
    }
    g_assert_cmpint(i, ==, MIGRATION_CAPABILITY__MAX);
    set_capability(MIGRATION_CAPABILITY_EVENTS, false, &error_abort);
}

static void check_running(void)
{
    g_autoptr(Error) err = NULL;

    set_capability(MIGRATION_CAPABILITY_MULTIFD, true, &err);
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "There's a migration process in progress");
    g_assert_false(migration_capability(MIGRATION_CAPABILITY_MULTIFD));

    set_parameters((MigrateSetParameters){.has_multifd_channels = true,
                                          .multifd_channels = 3,
                                          .has_max_bandwidth = true},
                   "Parameter 'multifd_channels' cannot be changed: There's a "
                   "migration process in progress");
    set_parameters((MigrateSetParameters){.has_multifd_compression = true},
                   "Parameter 'multifd_compression' cannot be changed: "
                   "There's a migration process in progress");
    set_parameters((MigrateSetParameters){.tls_creds = (char *)"x"},
                   "Parameter 'tls_creds' cannot be changed: There's a "
                   "migration process in progress");
    set_parameters((MigrateSetParameters){.tls_hostname = (char *)""},
                   "Parameter 'tls_hostname' cannot be changed: There's a "
                   "migration process in progress");
    check_parameters(&defaults);

    set_parameters(
        (MigrateSetParameters){
            .has_max_bandwidth = true,
            .max_bandwidth = 1000,
            .has_downtime_limit = true,
            .downtime_limit = 5,
            .has_max_postcopy_bandwidth = true,
            .max_postcopy_bandwidth = 2000,
        },
        NULL);
    g_assert_cmpuint(migration_max_bandwidth(), ==, 1000);
    g_assert_cmpuint(migration_downtime_limit(), ==, 5);
    g_assert_cmpuint(migration_max_postcopy_bandwidth(), ==, 2000);
    set_parameters(
        (MigrateSetParameters){
            .has_max_bandwidth = true,
            .has_downtime_limit = true,
            .downtime_limit = 300,
            .has_max_postcopy_bandwidth = true,
        },
        NULL);
}

static void go(MigrationStatus to)
{
    g_assert_true(migration_set_state(migration_state(), to));
}

static void test_running(void)
{
    go(MIGRATION_STATUS_SETUP);
    check_running();
    go(MIGRATION_STATUS_ACTIVE);
    check_running();
    go(MIGRATION_STATUS_DEVICE);
    check_running();
    go(MIGRATION_STATUS_POSTCOPY_ACTIVE);
    check_running();
    go(MIGRATION_STATUS_POSTCOPY_PAUSED);
    check_running();
    go(MIGRATION_STATUS_POSTCOPY_RECOVER);
    check_running();
    go(MIGRATION_STATUS_COMPLETED);
    set_defaults();
    set_capability(MIGRATION_CAPABILITY_MULTIFD, false, &error_abort);
    go(MIGRATION_STATUS_SETUP);
    go(MIGRATION_STATUS_CANCELLING);
    check_running();
    go(MIGRATION_STATUS_CANCELLED);
    set_defaults();
    go(MIGRATION_STATUS_SETUP);
    go(MIGRATION_STATUS_FAILED);
    set_defaults();
}

static void *read_all(void *opaque)
{
    bool *stop = opaque;
    uint64_t reads = 0;

#ifdef CONFIG_DEBUG_CHECKS
    oob_section_enter("test");
#endif
    while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
        g_autoptr(MigrationParameters) params = migration_parameters();

        /* Changed together, so seen together. */
        g_assert_cmpint(params->tls_creds[0] == 'a', ==,
                        params->tls_hostname[0] == 'a');
        g_assert_cmpuint(migration_max_bandwidth() % 7, ==, 0);
        migration_downtime_limit();
        migration_max_postcopy_bandwidth();
        migration_capability(MIGRATION_CAPABILITY_EVENTS);
        reads++;
    }
#ifdef CONFIG_DEBUG_CHECKS
    oob_section_leave();
#endif
    return GSIZE_TO_POINTER(reads);
}

static void test_threads(void)
{
    QemuThread threads[2];
    bool stop = false;

    for (int i = 0; i < 2; i++) {
        qemu_thread_create(&threads[i], "reader", read_all, &stop,
                           QEMU_THREAD_JOINABLE);
    }
    for (int i = 0; i < 2000; i++) {
        char *text = (char *)(i % 2 ? "a longer text" : "b");

        set_parameters((MigrateSetParameters){.tls_creds = text,
                                              .tls_hostname = text,
                                              .has_max_bandwidth = true,
                                              .max_bandwidth = i * 7},
                       NULL);
        set_capability(MIGRATION_CAPABILITY_EVENTS, i % 2, &error_abort);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        qemu_thread_join(&threads[i]);
    }
    set_capability(MIGRATION_CAPABILITY_EVENTS, false, &error_abort);
    set_defaults();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/parameters", test_parameters);
    g_test_add_func("/options/parameters/bad", test_parameters_bad);
    g_test_add_func("/options/capabilities", test_capabilities);
    g_test_add_func("/options/capabilities/query", test_query_capabilities);
    g_test_add_func("/options/running", test_running);
    g_test_add_func("/options/threads", test_threads);
    return g_test_run();
}
