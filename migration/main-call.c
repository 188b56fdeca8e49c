/*
 * From the threads of a migration to the main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "main-call.h"
#include "qemu/oob.h"

typedef enum CallState {
    CALL_WAITING,
    CALL_RUNNING,
    CALL_DONE,
    CALL_GIVEN_UP, /* by the one that waited */
} CallState;

/* The main thread's and the caller's: the last of them frees it. */
typedef struct MainCall {
    void (*fn)(void *opaque);
    void *opaque;
    CallState state; /* migration_lock */
} MainCall;

static gboolean call_run(gpointer opaque)
{
    MainCall *call = opaque;
    bool given_up = false;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        given_up = call->state == CALL_GIVEN_UP;
        call->state = CALL_RUNNING;
    }
    if (given_up) {
        g_free(call);
        return G_SOURCE_REMOVE;
    }
    call->fn(call->opaque);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        call->state = CALL_DONE;
        qemu_cond_broadcast(&migration_cond);
    }
    return G_SOURCE_REMOVE;
}

bool migration_call_main(Link *link, void (*fn)(void *opaque), void *opaque)
{
    MainCall *call = g_new0(MainCall, 1);

    oob_assert_may_block("migration_call_main");
    /* The lock orders these writes, as in migration_post_main(). */
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        call->fn = fn;
        call->opaque = opaque;
    }
    g_idle_add_full(G_PRIORITY_HIGH, call_run, call, NULL);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        while (call->state == CALL_RUNNING ||
               (call->state == CALL_WAITING && !link_is_cut_locked(link))) {
            qemu_cond_wait(&migration_cond, &migration_lock);
        }
        if (call->state == CALL_WAITING) {
            call->state = CALL_GIVEN_UP;
            return false;
        }
    }
    g_free(call);
    return true;
}

static gboolean post_run(gpointer opaque)
{
    void (*fn)(void) = opaque;

    /* It sees what was done before the post; see there. */
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
    }
    fn();
    return G_SOURCE_REMOVE;
}

void migration_post_main(void (*fn)(void))
{
    /* glib's own order is enough, but thread sanitizers do not know it. */
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
    }
    g_idle_add_full(G_PRIORITY_HIGH, post_run, fn, NULL);
}
