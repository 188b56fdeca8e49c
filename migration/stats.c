/*
 * What query-migrate tells.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "stats.h"
#include "options.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-events-migration.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/lockable.h"
#include "state.h"

/* A pass that sent less says little about the bandwidth. */
#define TELLING_BYTES (4 * MiB)

/* Counted by several threads at once; relaxed atomics. */
static struct {
    uint64_t phase_bytes[STATS__MAX];
    uint64_t multifd_bytes;
    uint64_t normal_bytes;
    uint64_t normal_pages;
    uint64_t zero_pages;
    uint64_t fetches;
    uint64_t in_hand;
    StatsPhase phase;
} counters;

/* Times are in microseconds of the monotonic clock, 0: not yet. */
typedef struct Stats {
    bool is_source;
    const VolumeSet *set; /* NULL: none, or not any more */
    uint64_t total;       /* bytes of all volumes */
    uint64_t rest;        /* bytes that were to be sent at the end */
    int64_t begin;
    int64_t setup_done;
    int64_t end;
    int64_t downtime_begin;
    int64_t downtime_end;
    uint64_t pass;
    uint64_t bandwidth;  /* bytes/s */
    uint64_t dirty_rate; /* bytes/s */
    uint64_t rest_after_pass;
    char *error;
    SocketAddress *listening;
} Stats;

/* Guards stats.  Fast; nothing is taken under it but the state's lock. */
static QemuMutex stats_lock;
static Stats stats;

static void __attribute__((constructor)) stats_init(void)
{
    qemu_mutex_init(&stats_lock);
}

static void count(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static uint64_t counted(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* ---- Written by the threads of the migration. ---- */

void stats_begin(bool is_source)
{
    SocketAddress *listening;

    QEMU_LOCK_GUARD(&stats_lock);
    listening = stats.listening;
    g_free(stats.error);
    stats = (Stats){
        .is_source = is_source,
        .begin = g_get_monotonic_time(),
        .listening = listening,
    };
    memset(&counters, 0, sizeof(counters));
}

void stats_set_volumes(const VolumeSet *set)
{
    QEMU_LOCK_GUARD(&stats_lock);

    stats.set = set;
    stats.total = set->total;
}

void stats_setup_done(void)
{
    QEMU_LOCK_GUARD(&stats_lock);

    stats.setup_done = g_get_monotonic_time();
}

void stats_end(void)
{
    QEMU_LOCK_GUARD(&stats_lock);

    stats.rest = stats.set ? volumes_dirty_bytes(stats.set) : 0;
    stats.set = NULL;
    stats.end = g_get_monotonic_time();
}

void stats_set_phase(StatsPhase phase)
{
    __atomic_store_n(&counters.phase, phase, __ATOMIC_RELAXED);
}

void stats_sent(uint64_t bytes, bool multifd)
{
    StatsPhase phase = __atomic_load_n(&counters.phase, __ATOMIC_RELAXED);

    count(&counters.phase_bytes[phase], bytes);
    if (multifd) {
        count(&counters.multifd_bytes, bytes);
    }
}

static uint64_t pages(uint64_t bytes)
{
    return (bytes + VOLUME_GRANULARITY - 1) / VOLUME_GRANULARITY;
}

void stats_count_normal(uint64_t bytes)
{
    count(&counters.normal_bytes, bytes);
    count(&counters.normal_pages, pages(bytes));
}

void stats_count_zeroes(uint64_t bytes)
{
    count(&counters.zero_pages, pages(bytes));
}

void stats_count_fetch(void)
{
    count(&counters.fetches, 1);
}

void stats_take_in_hand(uint64_t bytes)
{
    count(&counters.in_hand, bytes);
}

void stats_put_down(uint64_t bytes)
{
    __atomic_fetch_sub(&counters.in_hand, bytes, __ATOMIC_RELAXED);
}

void stats_pass_begin(uint64_t pass)
{
    WITH_QEMU_LOCK_GUARD(&stats_lock) {
        stats.pass = pass;
    }
    if (migration_capability(MIGRATION_CAPABILITY_EVENTS)) {
        qapi_event_send_migration_pass(pass);
    }
}

void stats_pass_end(uint64_t bytes, int64_t us)
{
    QEMU_LOCK_GUARD(&stats_lock);

    us = MAX(us, 1);
    if (bytes >= TELLING_BYTES || !stats.bandwidth) {
        stats.bandwidth = MAX(bytes * 1e6 / us, 1);
    }
    stats.rest_after_pass = stats.set ? volumes_dirty_bytes(stats.set) : 0;
    stats.dirty_rate = stats.rest_after_pass * 1e6 / us;
}

uint64_t stats_bandwidth(void)
{
    QEMU_LOCK_GUARD(&stats_lock);

    return MAX(stats.bandwidth, 1);
}

void stats_downtime_begin(void)
{
    QEMU_LOCK_GUARD(&stats_lock);

    stats.downtime_begin = g_get_monotonic_time();
    stats.downtime_end = 0;
}

void stats_downtime_end(void)
{
    QEMU_LOCK_GUARD(&stats_lock);

    if (!stats.downtime_end) {
        stats.downtime_end = g_get_monotonic_time();
    }
}

void stats_set_error(const char *text)
{
    QEMU_LOCK_GUARD(&stats_lock);

    g_free(stats.error);
    stats.error = g_strdup(text);
}

void stats_set_listening(const SocketAddress *address)
{
    QEMU_LOCK_GUARD(&stats_lock);

    qapi_free_SocketAddress(stats.listening);
    stats.listening = address ? QAPI_CLONE(SocketAddress, address) : NULL;
}

uint64_t stats_transferred(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < STATS__MAX; i++) {
        sum += counted(&counters.phase_bytes[i]);
    }
    return sum;
}

/* ---- Read by query-migrate. ---- */

/* With stats_lock held. */
static uint64_t remaining(void)
{
    return stats.set
               ? volumes_dirty_bytes(stats.set) + counted(&counters.in_hand)
               : stats.rest;
}

static int64_t elapsed_us(void)
{
    return (stats.end ? stats.end : g_get_monotonic_time()) - stats.begin;
}

static MigrationStats *query_disk(void)
{
    MigrationStats *disk = g_new0(MigrationStats, 1);
    double seconds = MAX(elapsed_us(), 1) / 1e6;

    disk->transferred = stats_transferred();
    disk->remaining = remaining();
    disk->total = stats.total;
    disk->duplicate = counted(&counters.zero_pages);
    disk->normal = counted(&counters.normal_pages);
    disk->normal_bytes = counted(&counters.normal_bytes);
    disk->dirty_pages_rate = stats.dirty_rate / VOLUME_GRANULARITY;
    disk->mbps = disk->transferred * 8 / 1e6 / seconds;
    disk->dirty_sync_count = stats.pass;
    disk->postcopy_requests = counted(&counters.fetches);
    disk->page_size = VOLUME_GRANULARITY;
    disk->multifd_bytes = counted(&counters.multifd_bytes);
    disk->pages_per_second = disk->normal / seconds;
    disk->precopy_bytes = counted(&counters.phase_bytes[STATS_PRECOPY]);
    disk->downtime_bytes = counted(&counters.phase_bytes[STATS_DOWNTIME]);
    disk->postcopy_bytes = counted(&counters.phase_bytes[STATS_POSTCOPY]);
    return disk;
}

/* Bytes a second that have moved so far. */
static uint64_t average_rate(void)
{
    return stats_transferred() * 1e6 / MAX(elapsed_us(), 1);
}

/* Bytes a second that are to be expected. */
static uint64_t expected_rate(bool in_postcopy)
{
    uint64_t limit = in_postcopy ? migration_max_postcopy_bandwidth() : 0;
    uint64_t rate = stats.bandwidth ? stats.bandwidth : average_rate();

    return limit ? MIN(rate, limit) : rate;
}

static void query_progress(MigrationInfo *info)
{
    StatsPhase phase = __atomic_load_n(&counters.phase, __ATOMIC_RELAXED);
    uint64_t rate = expected_rate(phase == STATS_POSTCOPY);
    /* Nobody writes here once the role is being handed over. */
    uint64_t dirty_rate = phase == STATS_PRECOPY ? stats.dirty_rate : 0;
    uint64_t rest = remaining();

    info->has_percent = true;
    info->percent =
        stats.total
            ? 100.0 * (stats.total - MIN(rest, stats.total)) / stats.total
            : 100.0;
    if (rate) {
        info->has_expected_downtime = true;
        info->expected_downtime = rest * 1000.0 / rate;
    }
    /* With clients that write faster than that it would never end. */
    if (rate > dirty_rate) {
        info->has_expected_remaining_time = true;
        info->expected_remaining_time =
            stats.end ? 0 : rest * 1000.0 / (rate - dirty_rate);
    }
}

static void query_times(MigrationInfo *info)
{
    info->has_total_time = true;
    info->total_time = elapsed_us() / 1000;
    if (stats.setup_done) {
        info->has_setup_time = true;
        info->setup_time = (stats.setup_done - stats.begin) / 1000;
    }
    if (stats.downtime_end) {
        info->has_downtime = true;
        info->downtime = (stats.downtime_end - stats.downtime_begin) / 1000;
    }
}

MigrationInfo *stats_query(void)
{
    MigrationInfo *info = g_new0(MigrationInfo, 1);

    QEMU_LOCK_GUARD(&stats_lock);
    info->status = migration_state();
    info->has_status = info->status != MIGRATION_STATUS_NONE;
    if (stats.begin) {
        query_times(info);
    }
    if (stats.is_source && stats.setup_done) {
        info->disk = query_disk();
        query_progress(info);
    }
    info->error_desc = g_strdup(stats.error);
    if (stats.listening) {
        QAPI_LIST_PREPEND(info->socket_address,
                          QAPI_CLONE(SocketAddress, stats.listening));
    }
    return info;
}
