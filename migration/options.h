/*
 * Capabilities and parameters of migrations, as QMP sets them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_OPTIONS_H
#define MIGRATION_OPTIONS_H

#include "qapi/qapi-types-migration.h"

/* Whether a capability is on.  Any thread, OOB-safe. */
bool migration_capability(MigrationCapability capability);

/*
 * A copy of the parameters as they are now; qapi_free_MigrationParameters()
 * it.  Any thread, OOB-safe.
 */
MigrationParameters *migration_parameters(void);

/* Those that may change on the way, cheap to ask.  Any thread, OOB-safe. */
uint64_t migration_max_bandwidth(void);          /* bytes/s, 0: no limit */
uint64_t migration_max_postcopy_bandwidth(void); /* bytes/s, 0: no limit */
uint64_t migration_downtime_limit(void);         /* ms */

#endif
