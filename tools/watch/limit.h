/*
 * How many yanks a domain has had within the hour.
 *
 * It outlasts the keeper of the domain: one that ends and is found again under
 * its name has no more yanks than one that stays.
 *
 * Any thread; nothing blocks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_LIMIT_H
#define TOOLS_WATCH_LIMIT_H

#include <glib.h>

typedef struct YankLimit YankLimit;

/* One reference. */
YankLimit *yank_limit_new(void);
YankLimit *yank_limit_ref(YankLimit *limit);
/* NULL is fine. */
void yank_limit_unref(YankLimit *limit);

/* Notes a yank now. */
void yank_limit_count(YankLimit *limit);
/* The yanks of the last hour. */
unsigned yank_limit_used(YankLimit *limit);

#endif
