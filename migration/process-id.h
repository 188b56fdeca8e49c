/*
 * A random name for this process, so that a destination knows it again, and
 * which of the times it is that it has connected.
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
/* For the channels of one attempt to connect; higher each time.  Any thread. */
uint32_t migration_next_attempt(void);

#endif
