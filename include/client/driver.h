/*
 * Driver: the list of the domains that a program manages.
 *
 * Lock order: the driver's list, then a domain.  All functions may be called
 * on any thread, without any lock of the library held, and do not block.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef YANKCLIENT_DRIVER_H
#define YANKCLIENT_DRIVER_H

#include "domain.h"

G_BEGIN_DECLS

typedef struct YcDriver YcDriver;

YcDriver *yc_driver_new(void);
/* Closes it and frees it; no other call may run.  NULL is fine. */
void yc_driver_free(YcDriver *driver);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YcDriver, yc_driver_free)

/*
 * As yc_domain_set_wait_limit() and yc_domain_set_max_waiters(), for all
 * domains that are added later.
 */
void yc_driver_set_wait_limit(YcDriver *driver, int ms);
void yc_driver_set_max_waiters(YcDriver *driver, unsigned n);

/* Takes a reference of its own.  EXISTS; GONE once the driver is closed. */
bool yc_driver_add(YcDriver *driver, YcDomain *dom, GError **errp);
/*
 * Takes @dom off the list and closes it (yc_domain_close()); false when it is
 * not on it.
 */
bool yc_driver_remove(YcDriver *driver, YcDomain *dom, const char *reason);
/*
 * The domain called @name, referenced and locked: yc_domain_release() it.
 * NULL with NOT_FOUND, whose message names what is there instead.
 */
YcDomain *yc_driver_lookup(YcDriver *driver, const char *name, GError **errp);
/*
 * All domains, in the order in which they were added, referenced, not locked;
 * freeing the array drops the references.
 */
GPtrArray *yc_driver_list(YcDriver *driver);
/* Removes all domains, and takes none any more. */
void yc_driver_close(YcDriver *driver);

G_END_DECLS

#endif
