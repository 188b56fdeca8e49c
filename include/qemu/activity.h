/*
 * Activity: what a yankable object is doing, for "which one is stuck?".
 *
 * A driver owns one Activity under the string name of its yank instance
 * ("blockdev:nbd0") and keeps it up to date; query-yank-status and the stall
 * watch read it.  Updates on the data path are relaxed atomics.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_ACTIVITY_H
#define QEMU_ACTIVITY_H

typedef struct Activity Activity;

typedef struct ActivitySnapshot {
    uint64_t in_flight; /* requests begun and not ended */
    int64_t idle_us;    /* microseconds since the last progress */
    const char *phase;  /* static string, such as "transmission" */
    char peer[160];     /* "" when there is none */
} ActivitySnapshot;

/* Any thread; makes an activity known under @name. */
Activity *activity_new(const char *name);
/* Any thread; NULL is fine. */
void activity_free(Activity *activity);

/* Any thread, OOB-safe.  @phase must be a static string. */
void activity_set_phase(Activity *activity, const char *phase);
/* Any thread, OOB-safe.  Copies @peer; NULL for none. */
void activity_set_peer(Activity *activity, const char *peer);

/* Any thread, OOB-safe, lock-free: a request began, ended (= progress). */
void activity_begin(Activity *activity);
void activity_end(Activity *activity);
/* Bytes moved though no request ended. */
void activity_progress(Activity *activity);

/* False when @name has no activity.  Any thread, OOB-safe. */
bool activity_snapshot(const char *name, ActivitySnapshot *out);

#endif
