/*
 * What each yank instance is doing: the registry and the activities, joined.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_YANK_STATUS_H
#define QEMU_YANK_STATUS_H

#include "qapi/qapi-types-yank-status.h"
#include "qemu/yank.h"

/*
 * The status of @instance, for a caller within yank_foreach_instance();
 * qapi_free_YankInstanceStatus() it.  Any thread, OOB-safe.
 */
YankInstanceStatus *yank_instance_status(const YankInstance *instance,
                                         const YankInstanceStats *stats);

/*
 * Calls @fn for each instance, as yank_foreach_instance() does, and for each
 * block node that does I/O without an instance because no yank can cut it; such
 * a node has no functions.  Any thread, OOB-safe.
 */
void yank_status_foreach(void (*fn)(const YankInstance *instance,
                                    const YankInstanceStats *stats,
                                    void *opaque),
                         void *opaque);

#endif
