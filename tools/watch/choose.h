/*
 * Which instance of a stuck domain is to be yanked next.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_CHOOSE_H
#define TOOLS_WATCH_CHOOSE_H

#include "evidence.h"
#include "policy.h"

/*
 * One of @instances (YcInstance, as yc_domain_query_yank() gives them) by the
 * order of @rule.  Never one that carries a monitor, nor one that is in
 * @tried, a set of names.  Where the server says what its instances do, only
 * one that has been waiting for its peer for as long as the main loop is
 * stuck, which is @age_us; elsewhere one whose peer has owed an answer for
 * longer than the threshold, by @evidence.
 * @wait_us: when NULL is returned: in how long one could be due whose threshold
 * is not reached yet; -1: there is none
 * Returns: its name, which belongs to @instances
 */
const char *choose_instance(const PolicyRule *rule, GPtrArray *instances,
                            GHashTable *tried, gint64 age_us,
                            const Evidence *evidence, gint64 *wait_us);

/*
 * Why those of @instances for which there is no evidence are spared, of those
 * that @rule would yank; NULL: there are none.  g_free() it.
 */
char *choose_explain(const PolicyRule *rule, GPtrArray *instances,
                     GHashTable *tried, const Evidence *evidence);

#endif
