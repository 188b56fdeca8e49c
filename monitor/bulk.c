/*
 * The bulk thread: serves sessions while their messages are long, so that the
 * monitor thread answers the others meanwhile.  It keeps the same rules.
 *
 * A message of 64 MiB may take half a second to parse, to answer and to free,
 * and none of these can be interrupted in all places.  Whatever takes long
 * because a message is long happens here; sessions with long messages wait for
 * each other, and nobody else waits for them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <malloc.h>
#include "monitor-internal.h"

/*
 * Freeing a message of this length is worth some system calls: as JSON values
 * it may have taken 250 times as much.
 */
#define TRIM_BYTES (64 * KiB)

/*
 * malloc_trim() leaves the top of a thread's heap alone.  Left to itself, the
 * C library raises its thresholds with what is freed, to 32 and 64 MiB.
 */
#define MMAP_THRESHOLD (4 * MiB)
#define KEEP_AT_TOP (8 * MiB)

static IOThread *bulk_thread;
static bool trim_posted; /* atomic */

bool mon_bulk_init(Error **errp)
{
    mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    mallopt(M_TRIM_THRESHOLD, KEEP_AT_TOP);
    bulk_thread = iothread_try_new("monitor-bulk", errp);
    if (!bulk_thread) {
        return false;
    }
    iothread_mark_oob(bulk_thread);
    return true;
}

void mon_bulk_cleanup(void)
{
    iothread_unref(bulk_thread);
    bulk_thread = NULL;
}

IOThread *mon_bulk_iothread(void)
{
    return bulk_thread;
}

/* The C library keeps what was freed below the top of its heaps. */
static void trim(void *opaque)
{
    __atomic_store_n(&trim_posted, false, __ATOMIC_SEQ_CST);
    malloc_trim(0);
}

void mon_bulk_freed(size_t bytes)
{
    if (bytes >= TRIM_BYTES && bulk_thread &&
        !__atomic_exchange_n(&trim_posted, true, __ATOMIC_SEQ_CST)) {
        iothread_post(bulk_thread, trim, NULL);
    }
}
