/*
 * Statistics of the migration in this process, for query-migrate.
 *
 * Counters are written by the threads of the migration and read by any.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_STATS_H
#define MIGRATION_STATS_H

#include "qapi/qapi-types-migration.h"
#include "volume.h"

/* What is being sent counts for one of these. */
typedef enum StatsPhase {
    STATS_PRECOPY,
    STATS_DOWNTIME,
    STATS_POSTCOPY,
    STATS__MAX,
} StatsPhase;

/* A migration begins; @is_source: it has statistics of volumes. */
void stats_begin(bool is_source);
/* The volumes are known; @set lives until stats_end() or stats_begin(). */
void stats_set_volumes(const VolumeSet *set);
void stats_setup_done(void);
/* It has ended: times stand still, and @set is not looked at any more. */
void stats_end(void);

void stats_set_phase(StatsPhase phase);
/* Bytes of a section went out; @multifd: on a channel beside the main one. */
void stats_sent(uint64_t bytes, bool multifd);
void stats_count_normal(uint64_t bytes);
void stats_count_zeroes(uint64_t bytes);
void stats_count_fetch(void);
/* Content is being read, and not dirty any more; and it has been sent. */
void stats_take_in_hand(uint64_t bytes);
void stats_put_down(uint64_t bytes);

/*
 * A pass begins; and it has ended, with so many bytes sent in so many
 * microseconds.
 */
void stats_pass_begin(uint64_t pass);
void stats_pass_end(uint64_t bytes, int64_t us);
/* Bytes a second that passes reached, at least 1. */
uint64_t stats_bandwidth(void);

/*
 * Requests are held, and the destination serves them.  Without that there was
 * no downtime to tell of; of several begins the last counts, of several ends
 * the first.
 */
void stats_downtime_begin(void);
void stats_downtime_end(void);

/* Why it failed or the link was lost; copied; NULL: no more. */
void stats_set_error(const char *text);
/* Where the destination listens; copied; NULL: nowhere. */
void stats_set_listening(const SocketAddress *address);

/* qapi_free_MigrationInfo() it.  Any thread, OOB-safe. */
MigrationInfo *stats_query(void);

/* Bytes sent so far.  Any thread. */
uint64_t stats_transferred(void);

#endif
