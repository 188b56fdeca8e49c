/*
 * The policy of the service: what counts as a stall, and what is then done.
 *
 * Immutable once loaded; any thread may read it while it holds a reference.
 * The file is described in yankctl.conf(5).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_POLICY_H
#define TOOLS_WATCH_POLICY_H

#include <stdbool.h>
#include <glib.h>

/* Instances that may be yanked, one entry of the order. */
typedef struct PolicyInstance {
    char *prefix;        /* "blockdev:", "chardev:" or "migration" */
    char *name;          /* pattern of what follows it; NULL: any */
    gint64 threshold_us; /* how long the main loop must be stuck */
} PolicyInstance;

/* What holds for the domains that it matches. */
typedef struct PolicyRule {
    char *domains; /* pattern */
    size_t line;   /* where it is in the file, from 1 */
    size_t column;
    gint64 threshold_us;
    bool yank; /* else only report */
    GPtrArray *instances;
    gint64 verify_us;        /* how long a yank has to show its effect */
    unsigned yanks_per_hour; /* of each domain */
    char **hook;             /* command, or NULL */
    gint64 hook_timeout_us;
} PolicyRule;

typedef struct Policy {
    gint64 interval_us; /* between two pings of a domain */
    GPtrArray *rules;
} Policy;

/* The policy without a file: report stalls of five seconds. */
Policy *policy_new(void);
Policy *policy_ref(Policy *policy);
void policy_unref(Policy *policy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Policy, policy_unref)

/* With the values that hold where a file says nothing. */
PolicyRule *policy_rule_new(const char *domains);
/* An instance entry of a type as QMP names it; NULL for an unknown one. */
PolicyInstance *policy_instance_new(const char *type);
/* Gives @rule the block nodes, if it has no instances. */
void policy_rule_finish(PolicyRule *rule);

/* The first rule for @domain; there always is one. */
const PolicyRule *policy_find(const Policy *policy, const char *domain);
/* Whether @entry is for the instance called @name ("blockdev:disk0"). */
bool policy_instance_matches(const PolicyInstance *entry, const char *name);

/*
 * Whether @pattern matches all that @other matches.  False where that is not
 * evident, as between "?*" and "*a".
 */
bool policy_pattern_covers(const char *pattern, const char *other);

/*
 * Reads the file at @path.  NULL when it has errors: each is then added to
 * @errors, a string "path:line:column: message" which the array frees.
 */
Policy *policy_load(const char *path, GPtrArray *errors);
/* Adds those rules of @policy, of @path, to @errors that never come to bear. */
void policy_check_rules(const Policy *policy, const char *path,
                        GPtrArray *errors);

#endif
