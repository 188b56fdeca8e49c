/*
 * QMP commands of migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration-internal.h"
#include "migration/migration.h"
#include "qapi/qapi-commands-migration.h"
#include "qapi/qapi-visit-sockets.h"
#include "state.h"
#include "stats.h"
#include "uri.h"

void qmp_migrate(const char *uri, bool has_detach, bool detach, bool has_resume,
                 bool resume, Error **errp)
{
    g_autoptr(SocketAddress) address = migration_uri_parse(uri, errp);

    if (!address) {
        return;
    }
    if (has_resume && resume) {
        source_resume_to(address, errp);
    } else {
        source_begin(address, errp);
    }
}

void qmp_migrate_incoming(const char *uri, Error **errp)
{
    g_autoptr(SocketAddress) address = migration_uri_parse(uri, errp);

    if (address) {
        destination_listen(address, false, errp);
    }
}

void qmp_migrate_recover(const char *uri, Error **errp)
{
    g_autoptr(SocketAddress) address = migration_uri_parse(uri, errp);

    if (address) {
        destination_recover(address, errp);
    }
}

void qmp_migrate_pause(Error **errp)
{
    if (migration_state() != MIGRATION_STATUS_POSTCOPY_ACTIVE ||
        !(source_pause() || destination_pause())) {
        error_setg(errp, "migrate-pause is currently only supported during "
                         "postcopy-active state");
    }
}

void qmp_migrate_cancel(Error **errp)
{
    if (source_cancel(errp)) {
        destination_cancel(errp);
    }
}

void qmp_migrate_start_postcopy(Error **errp)
{
    source_start_postcopy(errp);
}

void qmp_migrate_continue(MigrationStatus state, Error **errp)
{
    MigrationStatus now = migration_state();

    if (state != now || (state != MIGRATION_STATUS_PRE_SWITCHOVER &&
                         state != MIGRATION_STATUS_POSTCOPY_PAUSED)) {
        error_setg(errp, "Migration not in expected state: %s",
                   MigrationStatus_str(now));
        return;
    }
    if (source_is_running()) {
        source_continue(state, errp);
    } else {
        destination_continue(errp);
    }
}

MigrationInfo *qmp_query_migrate(Error **errp)
{
    return stats_query();
}

bool migration_listen(const char *uri, Error **errp)
{
    g_autoptr(SocketAddress) address = NULL;

    if (strcmp(uri, "defer") == 0) {
        return true;
    }
    address = migration_uri_parse(uri, errp);
    return address && destination_listen(address, true, errp);
}

bool migration_expect(Error **errp)
{
    return destination_expect(errp);
}

void migration_shutdown(void)
{
    source_shutdown();
    destination_shutdown();
}
