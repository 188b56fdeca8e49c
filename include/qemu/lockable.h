/*
 * Scope guards for QemuMutex.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_LOCKABLE_H
#define QEMU_LOCKABLE_H

#include "qemu/thread.h"

typedef QemuMutex QemuLockable;

static inline QemuLockable *qemu_lockable_auto_lock(QemuLockable *mutex)
{
    qemu_mutex_lock(mutex);
    return mutex;
}

static inline void qemu_lockable_auto_unlock(QemuLockable *mutex)
{
    if (mutex) {
        qemu_mutex_unlock(mutex);
    }
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuLockable, qemu_lockable_auto_unlock)

#define QEMU_LOCK_GUARD_NAME2(line) qemu_lockable_auto_##line
#define QEMU_LOCK_GUARD_NAME(line) QEMU_LOCK_GUARD_NAME2(line)

/* Holds @mutex until the end of the enclosing block. */
#define QEMU_LOCK_GUARD(mutex)                                                 \
    g_autoptr(QemuLockable) QEMU_LOCK_GUARD_NAME(__LINE__) G_GNUC_UNUSED =     \
        qemu_lockable_auto_lock(mutex)

/* WITH_QEMU_LOCK_GUARD(&lock) { ... }: holds it for that block. */
#define WITH_QEMU_LOCK_GUARD_(mutex, var)                                      \
    for (g_autoptr(QemuLockable) var = qemu_lockable_auto_lock(mutex); var;    \
         qemu_lockable_auto_unlock(var), var = NULL)
#define WITH_QEMU_LOCK_GUARD(mutex)                                            \
    WITH_QEMU_LOCK_GUARD_(mutex, QEMU_LOCK_GUARD_NAME(__LINE__))

#endif
