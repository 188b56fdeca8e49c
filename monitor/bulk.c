/*
 * The bulk thread: serves sessions while their messages are long, so that the
 * monitor thread can answer other sessions meanwhile.  It keeps the same rules
 * as the monitor thread.
 *
 * A message of 64 MiB may take half a second to parse, to answer and to free,
 * and these steps cannot always be interrupted.  All work that takes long
 * because a message is long happens on this thread.  Sessions with long
 * messages wait for each other, and no other session waits for them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <malloc.h>
#include "monitor-internal.h"

/*
 * Trim after freeing messages of this total length: as JSON values they may
 * have taken 250 times as much, which is worth some system calls.
 */
#define TRIM_BYTES (64 * KiB)
/*
 * Delay before a trim, in ms: more may be freed soon, and malloc_trim() locks
 * each heap for a moment.
 */
#define TRIM_DELAY_MS 100

/*
 * Fixed, since malloc_trim() does not shrink the top of a thread's heap.  By
 * default the C library raises its thresholds when large blocks are freed, to
 * 32 MiB (mmap) and 64 MiB (trim).
 */
#define MMAP_THRESHOLD (4 * MiB)
#define KEEP_AT_TOP (8 * MiB)

static IOThread *bulk_thread;
static size_t freed;     /* atomic; bytes since the last trim */
static bool trim_posted; /* atomic */

bool mon_bulk_init(Error **errp)
{
    trim_posted = false;
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

/*
 * Returns free memory below the top of the heaps to the system, which free()
 * does not do.
 */
static gboolean trim(gpointer unused)
{
    __atomic_store_n(&freed, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&trim_posted, false, __ATOMIC_SEQ_CST);
    malloc_trim(0);
    return G_SOURCE_REMOVE;
}

static void trim_soon(void *unused)
{
    g_autoptr(GSource) timer = g_timeout_source_new(TRIM_DELAY_MS);

    g_source_set_callback(timer, trim, NULL, NULL);
    g_source_attach(timer, iothread_get_g_main_context(iothread_current()));
}

void mon_bulk_freed(size_t bytes)
{
    size_t total = __atomic_add_fetch(&freed, bytes, __ATOMIC_SEQ_CST);

    if (total >= TRIM_BYTES && bulk_thread &&
        !__atomic_exchange_n(&trim_posted, true, __ATOMIC_SEQ_CST)) {
        iothread_post(bulk_thread, trim_soon, NULL);
    }
}
