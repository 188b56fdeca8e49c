/*
 * Names of processes and sessions, and numbers of attempts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "process-id.h"
#include <sys/random.h>

void migration_random_id(uint8_t id[STREAM_ID_SIZE])
{
    /* So few bytes come at once and as a whole. */
    if (getrandom(id, STREAM_ID_SIZE, 0) != STREAM_ID_SIZE) {
        g_error("getrandom: %s", g_strerror(errno));
    }
}

void migration_process_id(uint8_t id[STREAM_ID_SIZE])
{
    static uint8_t mine[STREAM_ID_SIZE];
    static gsize known;

    if (g_once_init_enter(&known)) {
        migration_random_id(mine);
        g_once_init_leave(&known, 1);
    }
    memcpy(id, mine, STREAM_ID_SIZE);
}

uint32_t migration_next_attempt(void)
{
    static uint32_t last;

    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}
