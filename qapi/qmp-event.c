/*
 * Hands events to whoever delivers them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qmp-event.h"

static QmpEventEmitter *emitter;
static void *emitter_opaque;

void qmp_event_set_emitter(QmpEventEmitter *fn, void *opaque)
{
    emitter_opaque = opaque;
    g_atomic_pointer_set(&emitter, fn);
}

void qmp_event_emit(const char *name, const char *data)
{
    QmpEventEmitter *fn = g_atomic_pointer_get(&emitter);

    if (fn) {
        fn(name, data, emitter_opaque);
    }
}
