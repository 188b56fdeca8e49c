/*
 * Activity: what an object does for its users, and for how long they have
 * waited: the answer to "which one is stuck?".
 *
 * A driver owns one Activity under the string name of its yank instance
 * ("blockdev:nbd0").  query-yank-status and the stall watch read it.
 *
 * Each request that a user waits for lies between activity_begin() and
 * activity_end() and brings an ActivityRequest, which holds the time when it
 * began; so the age of the oldest one is always known.  The caller owns the
 * ActivityRequest (it is a member of the driver's request, or a local
 * variable) and keeps it in place until activity_end().
 *
 * What may last for hours, such as a migration, is a session: it counts as in
 * flight, and only the time since the last progress tells whether it is stuck.
 *
 * Updates take a lock of the one activity, for some nanoseconds; their cost
 * depends neither on the number of requests nor on that of activities.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_ACTIVITY_H
#define QEMU_ACTIVITY_H

typedef struct Activity Activity;
typedef struct ActivityRequest ActivityRequest;

/* The caller allocates it; its contents belong to activity.c. */
struct ActivityRequest {
    ActivityRequest *older, *newer;
    int64_t start_us;
};

/* Peers whose requests wait for this long are stalled. */
#define ACTIVITY_STALL_US (5 * G_USEC_PER_SEC)

typedef struct ActivitySnapshot {
    uint64_t in_flight; /* requests and sessions begun and not ended */
    int64_t idle_us;    /* microseconds since the last progress */
    /*
     * Microseconds since the oldest request began, or since the last progress
     * of a session, whichever is more; 0 when nothing is in flight.
     */
    int64_t oldest_us;
    const char *phase; /* static string, such as "transmission" */
    char peer[160];    /* "" when there is none */
    char reason[240];  /* of the phase, in words; "" when there is none */
} ActivitySnapshot;

/* Any thread; makes an activity known under @name. */
Activity *activity_new(const char *name);
/*
 * The same for an object that no yank can cut, so there is no instance of that
 * name: a file, which may be on a dead file system.  query-yank-status and the
 * stall watch know it all the same.
 */
Activity *activity_new_uncuttable(const char *name);
/* Any thread; nothing may be in flight; NULL is fine. */
void activity_free(Activity *activity);

/* Any thread, OOB-safe.  @phase must be a static string. */
void activity_set_phase(Activity *activity, const char *phase);
/* Any thread, OOB-safe.  Copies @peer; NULL for none. */
void activity_set_peer(Activity *activity, const char *peer);

/* The same: why it is in its phase, or what else users have to know. */
void activity_set_reason(Activity *activity, const char *reason);

/* Any thread, OOB-safe: a request began, or ended, which is progress. */
void activity_begin(Activity *activity, ActivityRequest *request);
void activity_end(Activity *activity, ActivityRequest *request);
/* Any thread, OOB-safe: a session began, or ended. */
void activity_begin_session(Activity *activity);
void activity_end_session(Activity *activity);
/* Any thread, OOB-safe: bytes moved though no request ended. */
void activity_progress(Activity *activity);

/* False when @name has no activity.  Any thread, OOB-safe. */
bool activity_snapshot(const char *name, ActivitySnapshot *out);

/*
 * Calls @fn for each name whose object cannot be cut.  @fn runs under a fast
 * lock.  Any thread, OOB-safe.
 */
void activity_foreach_uncuttable(void (*fn)(const char *name, void *opaque),
                                 void *opaque);

/* Calls @fn for each name that is stalled.  Any thread, OOB-safe. */
void activity_foreach_stalled(void (*fn)(const char *name, void *opaque),
                              void *opaque);

#endif
