/*
 * QMP commands of migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"

static void unavailable(Error **errp)
{
    error_setg(errp, "Migration cannot be started yet");
}

void qmp_migrate(const char *uri, bool has_detach, bool detach, bool has_resume,
                 bool resume, Error **errp)
{
    unavailable(errp);
}

void qmp_migrate_incoming(const char *uri, Error **errp)
{
    unavailable(errp);
}

void qmp_migrate_recover(const char *uri, Error **errp)
{
    unavailable(errp);
}

void qmp_migrate_pause(Error **errp)
{
    unavailable(errp);
}

void qmp_migrate_cancel(Error **errp)
{
}

void qmp_migrate_start_postcopy(Error **errp)
{
    unavailable(errp);
}

void qmp_migrate_continue(MigrationStatus state, Error **errp)
{
    unavailable(errp);
}

MigrationInfo *qmp_query_migrate(Error **errp)
{
    return g_new0(MigrationInfo, 1);
}

void qmp_migrate_set_capabilities(MigrationCapabilityStatusList *capabilities,
                                  Error **errp)
{
    unavailable(errp);
}

MigrationCapabilityStatusList *qmp_query_migrate_capabilities(Error **errp)
{
    return NULL;
}

void qmp_migrate_set_parameters(MigrateSetParameters *params, Error **errp)
{
    unavailable(errp);
}

MigrationParameters *qmp_query_migrate_parameters(Error **errp)
{
    unavailable(errp);
    return NULL;
}
