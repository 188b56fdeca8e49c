/*
 * A random name for this process, so that a destination knows it again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_PROCESS_ID_H
#define MIGRATION_PROCESS_ID_H

#include "stream.h"

/* Any thread. */
void migration_process_id(uint8_t id[STREAM_ID_SIZE]);
/* A new one each time, for a session.  Any thread. */
void migration_random_id(uint8_t id[STREAM_ID_SIZE]);

#endif
