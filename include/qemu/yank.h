/*
 * The yank registry: named instances, each with functions that cut its
 * connections, so that whatever waits on a dead peer fails at once.
 *
 * The contract of a yank function, and of yank and query-yank themselves
 * (they run out-of-band, on a thread that must stay able to rescue):
 *   1. it ends quickly,
 *   2. it makes no system call that may block (shutdown(2), an eventfd write
 *      and waking a GMainContext are fine; name resolution, TLS records, disk
 *      I/O and condition waits are not),
 *   3. it takes only fast locks: locks whose every holder, on every thread,
 *      obeys 1 to 3.
 *
 * A driver registers its function once, before its first blocking step, and
 * unregisters it last.  The function sets a mark that sticks and cuts what
 * there is; a connection that comes up later sees the mark and dies.  So a
 * yank is never lost between two phases.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_YANK_H
#define QEMU_YANK_H

#include "qapi/error.h"
#include "qapi/qapi-types-yank.h"

typedef void YankFn(void *opaque);

/*
 * Makes @instance known.  It is copied.  Fails when it exists already.
 * Any thread, OOB-safe.
 */
bool yank_register_instance(const YankInstance *instance, Error **errp);

/*
 * Like yank_register_instance(), with a first function.  The instance and its
 * function become visible together, so that no yank is lost in between.
 */
bool yank_register_instance_with(const YankInstance *instance, YankFn *func,
                                 void *opaque, Error **errp);

/*
 * Removes @instance.  Unregister its functions first; any that are left, and an
 * unknown instance, cause a warning.  Waits for a running yank of this
 * instance. Any thread, but not from a yank function.
 */
void yank_unregister_instance(const YankInstance *instance);

/*
 * Adds @func(@opaque) to @instance; warns if @instance is not registered. Waits
 * for a running yank of this instance.  Any thread, but not from a yank
 * function.
 */
void yank_register_function(const YankInstance *instance, YankFn *func,
                            void *opaque);

/*
 * Removes what yank_register_function() added.  When it returns, @func is
 * not running with @opaque and never will.  It waits for a running yank of
 * this one instance, which by the contract ends quickly.  Any thread, but not
 * a yank function.
 */
void yank_unregister_function(const YankInstance *instance, YankFn *func,
                              void *opaque);

/* A YankFn: shuts the QIOChannel @opaque down both ways. */
void yank_generic_iochannel(void *opaque);

/*
 * For a yank function: reports that it cut @what ("connection to
 * unix:/run/nbd.sock").  The reply and the event of the yank show @what.  If a
 * driver never calls this, they show only how many functions ran.
 */
void yank_report_cut(const char *what);

/* The string form, such as "blockdev:nbd0"; g_free() it.  OOB-safe. */
char *yank_instance_name(const YankInstance *instance);

/*
 * Yanks every instance there is; what a shutdown does to peers that do not
 * answer.  Any thread, OOB-safe.
 */
void yank_all_instances(void);

/* What query-yank does not tell; for query-yank-status. */
typedef struct YankInstanceStats {
    size_t functions;
    uint64_t yanks;
} YankInstanceStats;

/* Calls @fn for each instance, registry unlocked.  Any thread, OOB-safe. */
void yank_foreach_instance(void (*fn)(const YankInstance *instance,
                                      const YankInstanceStats *stats,
                                      void *opaque),
                           void *opaque);

#define BLOCKDEV_YANK_INSTANCE(the_node_name)                                  \
    (&(YankInstance){.type = YANK_INSTANCE_TYPE_BLOCK_NODE,                    \
                     .u.block_node.node_name = (char *)(the_node_name)})

#define CHARDEV_YANK_INSTANCE(the_id)                                          \
    (&(YankInstance){.type = YANK_INSTANCE_TYPE_CHARDEV,                       \
                     .u.chardev.id = (char *)(the_id)})

#define MIGRATION_YANK_INSTANCE                                                \
    (&(YankInstance){.type = YANK_INSTANCE_TYPE_MIGRATION})

#endif
