/*
 * Capabilities and parameters of migrations, as QMP sets them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "options.h"
#include "migration-internal.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"
#include "qapi/qapi-visit-migration.h"
#include "qapi/util.h"
#include "qemu/lockable.h"
#include "state.h"

#define MAX_DOWNTIME_LIMIT 2000000 /* ms */

/* Atomic; each by itself. */
static bool capabilities[MIGRATION_CAPABILITY__MAX];

/* Guards parameters.  Fast; nothing is taken under it. */
static QemuMutex parameters_lock;
/*
 * Changed under the lock only; the limits are changed by atomic stores, so
 * that who needs just them reads them without it.
 */
static MigrationParameters parameters;

static void __attribute__((constructor)) options_init(void)
{
    qemu_mutex_init(&parameters_lock);
    parameters = (MigrationParameters){
        .downtime_limit = 300,
        .multifd_channels = 2,
        .tls_creds = g_strdup(""),
        .tls_hostname = g_strdup(""),
    };
}

bool migration_capability(MigrationCapability capability)
{
    return __atomic_load_n(&capabilities[capability], __ATOMIC_RELAXED);
}

MigrationParameters *migration_parameters(void)
{
    QEMU_LOCK_GUARD(&parameters_lock);

    return QAPI_CLONE(MigrationParameters, &parameters);
}

uint64_t migration_max_bandwidth(void)
{
    return __atomic_load_n(&parameters.max_bandwidth, __ATOMIC_RELAXED);
}

uint64_t migration_max_postcopy_bandwidth(void)
{
    return __atomic_load_n(&parameters.max_postcopy_bandwidth,
                           __ATOMIC_RELAXED);
}

uint64_t migration_downtime_limit(void)
{
    return __atomic_load_n(&parameters.downtime_limit, __ATOMIC_RELAXED);
}

/* Listening is "setup", too; but nothing is settled before a source comes. */
static bool is_in_progress(void)
{
    MigrationStatus state = migration_state();

    return migration_state_is_running(state) &&
           !(state == MIGRATION_STATUS_SETUP && destination_is_idle());
}

void qmp_migrate_set_capabilities(MigrationCapabilityStatusList *list,
                                  Error **errp)
{
    if (is_in_progress()) {
        error_setg(errp, "There's a migration process in progress");
        return;
    }
    for (; list; list = list->next) {
        __atomic_store_n(&capabilities[list->value->capability],
                         list->value->state, __ATOMIC_RELAXED);
    }
}

MigrationCapabilityStatusList *qmp_query_migrate_capabilities(Error **errp)
{
    MigrationCapabilityStatusList *list = NULL;

    for (int i = MIGRATION_CAPABILITY__MAX - 1; i >= 0; i--) {
        MigrationCapabilityStatus *status =
            g_new0(MigrationCapabilityStatus, 1);

        status->capability = i;
        status->state = migration_capability(i);
        QAPI_LIST_PREPEND(list, status);
    }
    return list;
}

static bool check_values(const MigrateSetParameters *params, Error **errp)
{
    if (params->has_downtime_limit &&
        params->downtime_limit > MAX_DOWNTIME_LIMIT) {
        error_setg(errp, "Parameter 'downtime_limit' expects an integer in "
                         "the range of 0 to (2000 * 1000) ms");
        return false;
    }
    if (params->has_multifd_channels && params->multifd_channels < 1) {
        error_setg(errp, "Parameter 'multifd_channels' expects a value "
                         "between 1 and 255");
        return false;
    }
    return true;
}

/* What a migration in progress has settled with its peer stays. */
static bool check_running(const MigrateSetParameters *params, Error **errp)
{
    const char *fixed = params->has_multifd_channels ? "multifd_channels"
                        : params->has_multifd_compression
                            ? "multifd_compression"
                        : params->tls_creds    ? "tls_creds"
                        : params->tls_hostname ? "tls_hostname"
                                               : NULL;

    if (fixed && is_in_progress()) {
        error_setg(errp,
                   "Parameter '%s' cannot be changed: There's a migration "
                   "process in progress",
                   fixed);
        return false;
    }
    return true;
}

static void set_text(char **text, const char *value)
{
    if (value) {
        g_free(*text);
        *text = g_strdup(value);
    }
}

static void set_limit(uint64_t *limit, bool has, uint64_t value)
{
    if (has) {
        __atomic_store_n(limit, value, __ATOMIC_RELAXED);
    }
}

void qmp_migrate_set_parameters(MigrateSetParameters *params, Error **errp)
{
    if (!check_values(params, errp) || !check_running(params, errp)) {
        return;
    }

    QEMU_LOCK_GUARD(&parameters_lock);
    set_limit(&parameters.max_bandwidth, params->has_max_bandwidth,
              params->max_bandwidth);
    set_limit(&parameters.max_postcopy_bandwidth,
              params->has_max_postcopy_bandwidth,
              params->max_postcopy_bandwidth);
    set_limit(&parameters.downtime_limit, params->has_downtime_limit,
              params->downtime_limit);
    if (params->has_multifd_channels) {
        parameters.multifd_channels = params->multifd_channels;
    }
    if (params->has_multifd_compression) {
        parameters.multifd_compression = params->multifd_compression;
    }
    set_text(&parameters.tls_creds, params->tls_creds);
    set_text(&parameters.tls_hostname, params->tls_hostname);
}

MigrationParameters *qmp_query_migrate_parameters(Error **errp)
{
    return migration_parameters();
}
