/*
 * The policy of the service, out of its file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "policy.h"
#include "yaml-file.h"

#define MIN_INTERVAL 0.02
#define MAX_INTERVAL 60
#define MIN_THRESHOLD 0.1
#define MAX_SECONDS 86400
#define MAX_HOOK_SECONDS 3600
#define MAX_YANKS 10000

static void read_type(YamlFile *file, yaml_node_t *value, void *target)
{
    PolicyInstance *entry = target;
    const char *type = yaml_read_text(file, value, "type");
    PolicyInstance *model = type ? policy_instance_new(type) : NULL;

    if (type && !model) {
        yaml_error(file, value,
                   "unknown type '%s'; allowed are block-node, chardev and "
                   "migration",
                   type);
    } else if (model) {
        entry->prefix = g_steal_pointer(&model->prefix);
        g_free(model);
    }
}

static void read_name(YamlFile *file, yaml_node_t *value, void *target)
{
    ((PolicyInstance *)target)->name =
        g_strdup(yaml_read_text(file, value, "name"));
}

static void read_instance_threshold(YamlFile *file, yaml_node_t *value,
                                    void *target)
{
    ((PolicyInstance *)target)->threshold_us =
        yaml_read_us(file, value, "threshold", MIN_THRESHOLD, MAX_SECONDS);
}

static const YamlKey instance_keys[] = {
    {"type", read_type},
    {"name", read_name},
    {"threshold", read_instance_threshold},
};

static void read_instance(YamlFile *file, yaml_node_t *item, void *target)
{
    PolicyRule *rule = target;
    PolicyInstance *entry = g_new0(PolicyInstance, 1);
    guint before = file->errors->len;

    g_ptr_array_add(rule->instances, entry);
    if (item->type == YAML_SCALAR_NODE) {
        read_type(file, item, entry);
    } else if (yaml_read_mapping(file, item, "an instance", instance_keys,
                                 G_N_ELEMENTS(instance_keys), entry) &&
               !entry->prefix && file->errors->len == before) {
        yaml_error(file, item, "'type' is missing");
    }
}

static void read_argument(YamlFile *file, yaml_node_t *item, void *target)
{
    const char *text = yaml_read_text(file, item, "an argument");

    if (text) {
        g_strv_builder_add(target, text);
    }
}

static void read_command(YamlFile *file, yaml_node_t *value, void *target)
{
    PolicyRule *rule = target;
    GStrvBuilder *builder = g_strv_builder_new();

    yaml_read_list(file, value, "command", read_argument, builder);
    g_strfreev(rule->hook);
    rule->hook = g_strv_builder_end(builder);
    g_strv_builder_unref(builder);
    /* The service has no search path that a user would know. */
    if (value->type == YAML_SEQUENCE_NODE &&
        (!rule->hook[0] || rule->hook[0][0] != '/')) {
        yaml_error(file, value,
                   "command is wrong; allowed is a list that begins with the "
                   "absolute path of a program");
    }
}

static void read_timeout(YamlFile *file, yaml_node_t *value, void *target)
{
    ((PolicyRule *)target)->hook_timeout_us =
        yaml_read_us(file, value, "timeout", MIN_THRESHOLD, MAX_HOOK_SECONDS);
}

static const YamlKey hook_keys[] = {
    {"command", read_command},
    {"timeout", read_timeout},
};

static void read_hook(YamlFile *file, yaml_node_t *value, void *target)
{
    PolicyRule *rule = target;

    if (yaml_read_mapping(file, value, "hook", hook_keys,
                          G_N_ELEMENTS(hook_keys), rule) &&
        !rule->hook) {
        yaml_error(file, value, "'command' is missing");
    }
}

static void read_domains(YamlFile *file, yaml_node_t *value, void *target)
{
    PolicyRule *rule = target;

    rule->domains = g_strdup(yaml_read_text(file, value, "domains"));
    rule->line = value->start_mark.line + 1;
    rule->column = value->start_mark.column + 1;
}

static void read_threshold(YamlFile *file, yaml_node_t *value, void *target)
{
    ((PolicyRule *)target)->threshold_us =
        yaml_read_us(file, value, "threshold", MIN_THRESHOLD, MAX_SECONDS);
}

static void read_action(YamlFile *file, yaml_node_t *value, void *target)
{
    const char *action = yaml_read_text(file, value, "action");

    if (!action) {
        return;
    }
    ((PolicyRule *)target)->yank = g_str_equal(action, "yank");
    if (!g_str_equal(action, "yank") && !g_str_equal(action, "report")) {
        yaml_error(file, value,
                   "unknown action '%s'; allowed are report and yank", action);
    }
}

static void read_instances(YamlFile *file, yaml_node_t *value, void *target)
{
    yaml_read_list(file, value, "instances", read_instance, target);
    if (value->type == YAML_SEQUENCE_NODE &&
        ((PolicyRule *)target)->instances->len == 0) {
        yaml_error(file, value,
                   "instances is empty; leave it out for all, or "
                   "use 'action: report' for none");
    }
}

static void read_verify(YamlFile *file, yaml_node_t *value, void *target)
{
    ((PolicyRule *)target)->verify_us =
        yaml_read_us(file, value, "verify", MIN_THRESHOLD, MAX_SECONDS);
}

static void read_yanks(YamlFile *file, yaml_node_t *value, void *target)
{
    yaml_read_count(file, value, "yanks-per-hour", MAX_YANKS,
                    &((PolicyRule *)target)->yanks_per_hour);
}

static const YamlKey rule_keys[] = {
    {"domains", read_domains}, {"threshold", read_threshold},
    {"action", read_action},   {"instances", read_instances},
    {"verify", read_verify},   {"yanks-per-hour", read_yanks},
    {"hook", read_hook},
};

static void read_rule(YamlFile *file, yaml_node_t *item, void *target)
{
    PolicyRule *rule = policy_rule_new(NULL);
    guint before = file->errors->len;

    g_ptr_array_add(((Policy *)target)->rules, rule);
    if (yaml_read_mapping(file, item, "a rule", rule_keys,
                          G_N_ELEMENTS(rule_keys), rule) &&
        !rule->domains && file->errors->len == before) {
        yaml_error(file, item, "'domains', a pattern, is missing");
    }
    policy_rule_finish(rule);
}

static void read_interval(YamlFile *file, yaml_node_t *value, void *target)
{
    ((Policy *)target)->interval_us =
        yaml_read_us(file, value, "interval", MIN_INTERVAL, MAX_INTERVAL);
}

static void read_rules(YamlFile *file, yaml_node_t *value, void *target)
{
    yaml_read_list(file, value, "rules", read_rule, target);
}

static const YamlKey policy_keys[] = {
    {"interval", read_interval},
    {"rules", read_rules},
};

Policy *policy_load(const char *path, GPtrArray *errors)
{
    g_autoptr(Policy) policy = policy_new();
    guint before = errors->len;
    YamlFile file;
    yaml_node_t *root;

    if (!yaml_file_load(&file, path, errors)) {
        return NULL;
    }
    root = yaml_file_root(&file);
    if (root) {
        yaml_read_mapping(&file, root, "the policy", policy_keys,
                          G_N_ELEMENTS(policy_keys), policy);
    }
    yaml_document_delete(&file.document);
    return errors->len == before ? g_steal_pointer(&policy) : NULL;
}
