/*
 * The policy of the service: its values and which of them apply.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "policy.h"

#define DEFAULT_INTERVAL_US (G_USEC_PER_SEC / 2)
#define DEFAULT_THRESHOLD_US (5 * G_USEC_PER_SEC)
#define DEFAULT_VERIFY_US (2 * G_USEC_PER_SEC)
#define DEFAULT_YANKS_PER_HOUR 6
#define DEFAULT_HOOK_TIMEOUT_US (30 * G_USEC_PER_SEC)

static const struct {
    const char *type;
    const char *prefix;
} types[] = {
    {"block-node", "blockdev:"},
    {"migration", "migration"},
    {"chardev", "chardev:"},
};

static void instance_free(void *opaque)
{
    PolicyInstance *entry = opaque;

    g_free(entry->prefix);
    g_free(entry->name);
    g_free(entry);
}

static void rule_free(void *opaque)
{
    PolicyRule *rule = opaque;

    g_free(rule->domains);
    g_ptr_array_unref(rule->instances);
    g_strfreev(rule->hook);
    g_free(rule);
}

PolicyRule *policy_rule_new(const char *domains)
{
    PolicyRule *rule = g_new0(PolicyRule, 1);

    rule->domains = g_strdup(domains);
    rule->threshold_us = DEFAULT_THRESHOLD_US;
    rule->instances = g_ptr_array_new_with_free_func(instance_free);
    rule->verify_us = DEFAULT_VERIFY_US;
    rule->yanks_per_hour = DEFAULT_YANKS_PER_HOUR;
    rule->hook_timeout_us = DEFAULT_HOOK_TIMEOUT_US;
    return rule;
}

PolicyInstance *policy_instance_new(const char *type)
{
    PolicyInstance *entry;

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (g_str_equal(type, types[i].type)) {
            entry = g_new0(PolicyInstance, 1);
            entry->prefix = g_strdup(types[i].prefix);
            return entry;
        }
    }
    return NULL;
}

void policy_rule_finish(PolicyRule *rule)
{
    if (rule->instances->len == 0) {
        g_ptr_array_add(rule->instances, policy_instance_new("block-node"));
    }
    for (guint i = 0; i < rule->instances->len; i++) {
        PolicyInstance *entry = rule->instances->pdata[i];

        entry->threshold_us = MAX(entry->threshold_us, rule->threshold_us);
    }
}

static void policy_clear(void *opaque)
{
    g_ptr_array_unref(((Policy *)opaque)->rules);
}

Policy *policy_new(void)
{
    Policy *policy = g_atomic_rc_box_new0(Policy);

    policy->interval_us = DEFAULT_INTERVAL_US;
    policy->rules = g_ptr_array_new_with_free_func(rule_free);
    return policy;
}

Policy *policy_ref(Policy *policy)
{
    return g_atomic_rc_box_acquire(policy);
}

void policy_unref(Policy *policy)
{
    if (policy) {
        g_atomic_rc_box_release_full(policy, policy_clear);
    }
}

const PolicyRule *policy_find(const Policy *policy, const char *domain)
{
    static PolicyRule *otherwise;

    for (guint i = 0; i < policy->rules->len; i++) {
        const PolicyRule *rule = policy->rules->pdata[i];

        if (g_pattern_match_simple(rule->domains, domain)) {
            return rule;
        }
    }
    if (g_once_init_enter(&otherwise)) {
        PolicyRule *rule = policy_rule_new("*");

        policy_rule_finish(rule);
        g_once_init_leave(&otherwise, rule);
    }
    return otherwise;
}

/* @pattern with the wildcards of each run in one order: "?*", not "*?*". */
static char *normalise(const char *pattern)
{
    GString *text = g_string_new(NULL);

    while (*pattern) {
        bool any = false;

        for (; *pattern == '*' || *pattern == '?'; pattern++) {
            any = any || *pattern == '*';
            if (*pattern == '?') {
                g_string_append_c(text, '?');
            }
        }
        if (any) {
            g_string_append_c(text, '*');
        }
        if (*pattern) {
            const char *next = g_utf8_next_char(pattern);

            g_string_append_len(text, pattern, next - pattern);
            pattern = next;
        }
    }
    return g_string_free(text, FALSE);
}

/* Whether the symbol at @one matches all that the one at @other does. */
static bool symbol_covers(const char *one, const char *other)
{
    return *one == '?' ? *other != '*'
                       : g_utf8_get_char(one) == g_utf8_get_char(other);
}

/* Matches with @other as the text: its wildcards are symbols of their own. */
bool policy_pattern_covers(const char *pattern, const char *other)
{
    g_autofree char *covering = normalise(pattern);
    g_autofree char *covered = normalise(other);
    const char *p = covering, *q = covered;
    const char *star = NULL, *resume = NULL;

    while (*q) {
        if (*p == '*') {
            star = ++p;
            resume = q;
        } else if (*p && symbol_covers(p, q)) {
            p = g_utf8_next_char(p);
            q = g_utf8_next_char(q);
        } else if (star) {
            p = star;
            q = resume = g_utf8_next_char(resume);
        } else {
            return false;
        }
    }
    return !p[strspn(p, "*")];
}

void policy_check_rules(const Policy *policy, const char *path,
                        GPtrArray *errors)
{
    for (guint i = 1; i < policy->rules->len; i++) {
        const PolicyRule *rule = policy->rules->pdata[i];

        for (guint j = 0; j < i; j++) {
            const PolicyRule *before = policy->rules->pdata[j];

            if (policy_pattern_covers(before->domains, rule->domains)) {
                g_ptr_array_add(
                    errors, g_strdup_printf(
                                "%s:%zu:%zu: the rule for '%s' can never "
                                "match: the rule for '%s' in line %zu "
                                "matches all of these domains",
                                path, rule->line, rule->column, rule->domains,
                                before->domains, before->line));
                break;
            }
        }
    }
}

bool policy_instance_matches(const PolicyInstance *entry, const char *name)
{
    return g_str_has_prefix(name, entry->prefix) &&
           (!entry->name ||
            g_pattern_match_simple(entry->name, name + strlen(entry->prefix)));
}
