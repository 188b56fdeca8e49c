/*
 * Activity: what an object does for its users and how long they have waited. It
 * tells which object is stalled.
 *
 * A driver owns one Activity under the string name of its yank instance
 * ("blockdev:nbd0").  query-yank-status and the stall watch read it.
 *
 * A request that a user waits for begins with activity_begin() and ends with
 * activity_end().  Its ActivityRequest holds the time when it began; so the age
 * of the oldest request is always known.  The caller owns the ActivityRequest
 * (a member of the driver's request, or a local variable) and keeps it in place
 * until activity_end().
 *
 * Work that may last for hours, such as a migration, is a session: it counts as
 * in flight, and only the time since the last progress tells whether it is
 * stalled.
 *
 * Each update takes the lock of one activity for some nanoseconds.  The cost
 * depends neither on the number of requests nor on that of activities.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_ACTIVITY_H
#define QEMU_ACTIVITY_H

typedef struct Activity Activity;
typedef struct ActivityRequest ActivityRequest;

/* The caller allocates it; only activity.c accesses the members. */
struct ActivityRequest {
    ActivityRequest *older, *newer;
    int64_t start_us;
};

/* A peer whose oldest request is at least this old is stalled. */
#define ACTIVITY_STALL_US (5 * G_USEC_PER_SEC)

typedef struct ActivitySnapshot {
    /* requests and sessions that have begun and not ended */
    uint64_t in_flight;
    int64_t idle_us; /* microseconds since the last progress */
    /*
     * Microseconds since the oldest request began, or since the last progress
     * of a session, whichever is more; 0 when nothing is in flight.
     */
    int64_t oldest_us;
    const char *phase; /* static string, such as "transmission" */
    char peer[160];    /* "" without a peer */
    char reason[240];  /* of the phase, in words; "" without a reason */
} ActivitySnapshot;

/* Any thread; makes an activity known under @name. */
Activity *activity_new(const char *name);
/*
 * Like activity_new(), for an object without a yank instance, since no yank can
 * cut it: a file, which may be on a dead file system.  query-yank-status and
 * the stall watch include it.
 */
Activity *activity_new_uncuttable(const char *name);
/*
 * Frees @activity, which must have nothing in flight.  NULL is allowed.  Any
 * thread.
 */
void activity_free(Activity *activity);

/* Any thread, OOB-safe.  @phase must be a static string. */
void activity_set_phase(Activity *activity, const char *phase);
/* Any thread, OOB-safe.  Copies @peer; NULL for none. */
void activity_set_peer(Activity *activity, const char *peer);

/*
 * Sets the reason of the phase, or another fact that users have to know;
 * copied, NULL for none.  Any thread, OOB-safe.
 */
void activity_set_reason(Activity *activity, const char *reason);

/* A request begins or ends; its end is progress.  Any thread, OOB-safe. */
void activity_begin(Activity *activity, ActivityRequest *request);
void activity_end(Activity *activity, ActivityRequest *request);
/* A session begins or ends.  Any thread, OOB-safe. */
void activity_begin_session(Activity *activity);
void activity_end_session(Activity *activity);
/* Notes progress within a request: bytes moved.  Any thread, OOB-safe. */
void activity_progress(Activity *activity);

/* False when @name has no activity.  Any thread, OOB-safe. */
bool activity_snapshot(const char *name, ActivitySnapshot *out);

/*
 * Calls @fn with the name of each object that no yank can cut.  @fn runs under
 * a fast lock.  Any thread, OOB-safe.
 */
void activity_foreach_uncuttable(void (*fn)(const char *name, void *opaque),
                                 void *opaque);

/* Calls @fn with the name of each stalled object.  Any thread, OOB-safe. */
void activity_foreach_stalled(void (*fn)(const char *name, void *opaque),
                              void *opaque);

#endif
