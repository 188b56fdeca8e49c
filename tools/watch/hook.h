/*
 * A hook: a command of the policy, run for a domain that is not well, with a
 * minimal environment and a deadline.
 *
 * Nobody waits for it: it is looked after from time to time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_HOOK_H
#define TOOLS_WATCH_HOOK_H

#include <stdbool.h>
#include <glib.h>

typedef struct Hook Hook;

/*
 * Starts @argv, whose first is an absolute path, as the leader of a process
 * group.  Of descriptors it has /dev/null to read and our output.
 * @env: what it has beside PATH, "NAME=value" each
 */
Hook *hook_start(char *const *argv, char *const *env, gint64 timeout_us,
                 GError **errp);
/*
 * Whether it has ended; @result is then set to how, g_free() it.  Past the
 * deadline its group is killed.  Does not block.
 */
bool hook_ended(Hook *hook, char **result);
/* Kills its group unless it has ended.  NULL is fine. */
void hook_free(Hook *hook);

#endif
