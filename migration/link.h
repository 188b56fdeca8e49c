/*
 * Link: the channels between source and destination, which are cut together.
 *
 * One link is one attempt to connect; a resume makes a new link.  The first
 * event that ends the link (a yank, a cancel, an error on any channel) is
 * recorded as the reason.  It shuts all channels down, including channels that
 * are added later, so that each thread of the migration unwinds by itself.
 *
 * migration_lock guards links and the state that the threads of a source or
 * destination share; migration_cond is signalled when that state changes.  The
 * lock is fast.  Other locks of migration have a narrower purpose:
 * destination_lock (destination-control.c) is taken before it; those of states
 * and statistics, of channels, connect tasks and volume requests after it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_LINK_H
#define MIGRATION_LINK_H

#include "io/connect-task.h"
#include "qemu/lockable.h"

extern QemuMutex migration_lock;
extern QemuCond migration_cond;

typedef struct Link Link;

/* Any thread. */
Link *link_new(void);
Link *link_ref(Link *link);
/* NULL is fine. */
void link_unref(Link *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Link, link_unref)

/*
 * Puts @ioc, or a connect task, under the link: a cut shuts it down, or
 * cancels it.  False with the reason when the link is cut already; then that
 * has been done.  The "locked" form is for holders of migration_lock.  Any
 * thread.
 */
bool link_add_channel(Link *link, QIOChannel *ioc, Error **errp);
bool link_add_channel_locked(Link *link, QIOChannel *ioc);
void link_set_task(QIOConnectTask *task, void *link);

/* Forgets @ioc, which may live on.  Any thread. */
void link_remove_channel(Link *link, QIOChannel *ioc);

/*
 * Cuts the link; the first reason counts.  True when it was not cut before.
 * Any thread, OOB-safe.
 */
bool link_cut(Link *link, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* The same because of @err, which stays the caller's. */
bool link_cut_error(Link *link, const Error *err);
/*
 * Like link_cut(), for a yank function of a source: reports each connection
 * that it cuts, or the pending one if there is no connection yet.
 */
void link_yank(Link *link);
/*
 * Both for a holder of migration_lock; @report: as a yank function does, which
 * gives LINK_YANKED as the reason.
 */
bool link_cut_locked(Link *link, const char *reason, bool report);
#define LINK_YANKED "The migration was yanked"

/* Any thread, OOB-safe. */
bool link_is_cut(Link *link);
/* The same for a holder of migration_lock. */
bool link_is_cut_locked(const Link *link);
/* Waits until it is cut, at most so long. */
void link_wait_cut(Link *link, int ms);
/* Why it was cut; g_free() it; NULL when it is not. */
char *link_reason(Link *link);
/* Sets @errp to the reason.  For threads that unwind after a cut. */
void link_error(Link *link, Error **errp);

#endif
