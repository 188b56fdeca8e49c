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
 * Freeing messages of this length is worth some system calls: as JSON values
 * they may have taken 250 times as much.
 */
#define TRIM_BYTES (64 * KiB)
/* More may be freed soon, and malloc_trim() locks each heap for a moment. */
#define TRIM_DELAY_MS 100

/*
 * malloc_trim() leaves the top of a thread's heap alone.  Left to itself, the
 * C library raises its thresholds with what is freed, to 32 and 64 MiB.
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

/* The C library keeps what was freed below the top of its heaps. */
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
