/*
 * The states of a migration, and the one function that changes them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "state.h"
#include "options.h"
#include "qapi/qapi-events-migration.h"
#include "qemu/lockable.h"

#define BIT(status) (1u << MIGRATION_STATUS_##status)

/*
 * From each state, those that may follow.  Failures before the source gives
 * up its role end in "failed" or "cancelled"; those after it in
 * "postcopy-paused".  A destination goes from "active" to "device" when it
 * has said that it is ready.
 */
static const unsigned transitions[MIGRATION_STATUS__MAX] = {
    [MIGRATION_STATUS_NONE] = BIT(SETUP),
    [MIGRATION_STATUS_SETUP] = BIT(ACTIVE) | BIT(FAILED) | BIT(CANCELLING),
    [MIGRATION_STATUS_ACTIVE] =
        BIT(PRE_SWITCHOVER) | BIT(DEVICE) | BIT(FAILED) | BIT(CANCELLING),
    [MIGRATION_STATUS_PRE_SWITCHOVER] =
        BIT(DEVICE) | BIT(FAILED) | BIT(CANCELLING),
    [MIGRATION_STATUS_DEVICE] = BIT(COMPLETED) | BIT(POSTCOPY_ACTIVE) |
                                BIT(POSTCOPY_PAUSED) | BIT(FAILED) |
                                BIT(CANCELLING),
    [MIGRATION_STATUS_POSTCOPY_ACTIVE] = BIT(COMPLETED) | BIT(POSTCOPY_PAUSED),
    /* The last three: by migrate-continue, or when the source starts anew. */
    [MIGRATION_STATUS_POSTCOPY_PAUSED] =
        BIT(POSTCOPY_RECOVER) | BIT(COMPLETED) | BIT(FAILED) | BIT(SETUP),
    [MIGRATION_STATUS_POSTCOPY_RECOVER] =
        BIT(POSTCOPY_ACTIVE) | BIT(COMPLETED) | BIT(POSTCOPY_PAUSED),
    [MIGRATION_STATUS_CANCELLING] = BIT(CANCELLED),
    [MIGRATION_STATUS_CANCELLED] = BIT(SETUP),
    [MIGRATION_STATUS_FAILED] = BIT(SETUP),
    [MIGRATION_STATUS_COMPLETED] = BIT(SETUP),
};

/* Guards state, and the order of events.  Fast; monitor locks come after. */
static QemuMutex state_lock;
static MigrationStatus state;

static void __attribute__((constructor)) state_init(void)
{
    qemu_mutex_init(&state_lock);
}

MigrationStatus migration_state(void)
{
    return __atomic_load_n(&state, __ATOMIC_ACQUIRE);
}

bool migration_set_state(MigrationStatus from, MigrationStatus to)
{
    QEMU_LOCK_GUARD(&state_lock);

    if (state != from) {
        return false;
    }
    if (!(transitions[from] & (1u << to))) {
        warn_report("migration goes from %s to %s, which is not expected",
                    MigrationStatus_str(from), MigrationStatus_str(to));
    }
    __atomic_store_n(&state, to, __ATOMIC_RELEASE);
    if (migration_capability(MIGRATION_CAPABILITY_EVENTS)) {
        qapi_event_send_migration(to);
    }
    return true;
}

void migration_enter_paused(void)
{
    if (!migration_set_state(MIGRATION_STATUS_DEVICE,
                             MIGRATION_STATUS_POSTCOPY_PAUSED) &&
        !migration_set_state(MIGRATION_STATUS_POSTCOPY_ACTIVE,
                             MIGRATION_STATUS_POSTCOPY_PAUSED)) {
        migration_set_state(MIGRATION_STATUS_POSTCOPY_RECOVER,
                            MIGRATION_STATUS_POSTCOPY_PAUSED);
    }
}

void migration_enter_failed(void)
{
    MigrationStatus from;

    do {
        from = migration_state();
    } while (!migration_set_state(from, from == MIGRATION_STATUS_CANCELLING
                                            ? MIGRATION_STATUS_CANCELLED
                                            : MIGRATION_STATUS_FAILED));
}

bool migration_state_is_running(MigrationStatus status)
{
    switch (status) {
    case MIGRATION_STATUS_NONE:
    case MIGRATION_STATUS_CANCELLED:
    case MIGRATION_STATUS_COMPLETED:
    case MIGRATION_STATUS_FAILED:
        return false;
    default:
        return true;
    }
}
