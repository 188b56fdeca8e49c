/*
 * The list of all sessions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"

/* Guards the list.  Fast; taken before an output's lock. */
static QemuMutex list_lock;
static GPtrArray *sessions;

static void __attribute__((constructor)) session_list_init(void)
{
    qemu_mutex_init(&list_lock);
}

void mon_sessions_add(MonSession *session)
{
    QEMU_LOCK_GUARD(&list_lock);

    if (!sessions) {
        sessions = g_ptr_array_new();
    }
    g_ptr_array_add(sessions, mon_session_ref(session));
}

bool mon_sessions_remove(MonSession *session)
{
    WITH_QEMU_LOCK_GUARD(&list_lock) {
        if (!sessions || !g_ptr_array_remove(sessions, session)) {
            return false;
        }
    }
    mon_session_unref(session);
    return true;
}

void mon_sessions_foreach(void (*fn)(MonSession *session, void *opaque),
                          void *opaque)
{
    QEMU_LOCK_GUARD(&list_lock);

    for (guint i = 0; sessions && i < sessions->len; i++) {
        fn(g_ptr_array_index(sessions, i), opaque);
    }
}

GPtrArray *mon_sessions_steal(void)
{
    QEMU_LOCK_GUARD(&list_lock);

    return sessions ? g_steal_pointer(&sessions) : g_ptr_array_new();
}
