/*
 * Domains of a configuration file: a group a domain.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domains.h"
#include "exit-code.h"

static const struct {
    const char *key;
    size_t offset;
    bool is_address;
} members[] = {
    {"monitor", offsetof(DomainSpec, monitor), true},
    {"lane", offsetof(DomainSpec, lane), true},
    {"agent", offsetof(DomainSpec, agent), true},
    {"tls", offsetof(DomainSpec, tls_dir), false},
    {"tls-hostname", offsetof(DomainSpec, tls_hostname), false},
};

static bool set_member(DomainSpec *spec, const char *key, const char *value,
                       GError **errp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        char **member = (char **)((char *)spec + members[i].offset);

        if (!g_str_equal(key, members[i].key)) {
            continue;
        }
        if (!value[0]) {
            g_set_error(errp, EXIT_ERROR, EXIT_USAGE, "'%s' is empty", key);
            return false;
        }
        g_free(*member);
        *member =
            members[i].is_address ? domain_address(value) : g_strdup(value);
        return true;
    }
    g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                "unknown key '%s'; allowed are monitor, lane, agent, tls and "
                "tls-hostname",
                key);
    return false;
}

static DomainSpec *read_group(GKeyFile *file, const char *group,
                              const char *path, GError **errp)
{
    g_autoptr(DomainSpec) spec = g_new0(DomainSpec, 1);
    g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, errp);

    if (!keys) {
        return NULL;
    }
    spec->name = g_strdup(group);
    spec->origin = g_strdup(path);
    for (int i = 0; keys[i]; i++) {
        g_autofree char *value =
            g_key_file_get_string(file, group, keys[i], errp);

        if (!value || !set_member(spec, keys[i], value, errp)) {
            return NULL;
        }
    }
    if (!spec->monitor) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "'monitor', the address of the QMP socket, is missing");
        return NULL;
    }
    return g_steal_pointer(&spec);
}

static bool given_twice(int line, const char *what, const char *name,
                        GError **errp)
{
    g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                "line %d: %s '%s' is given twice; allowed is once", line, what,
                name);
    return false;
}

/*
 * GKeyFile merges groups and keys that are given twice.  @text has passed it,
 * so each line is a group, a key with a value, a comment, or empty.
 */
static bool check_once(const char *text, GError **errp)
{
    g_autoptr(GHashTable) groups =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) keys =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (int i = 0; lines[i]; i++) {
        char *line = g_strstrip(lines[i]);

        if (line[0] == '[') {
            char *name = g_strndup(line + 1, strcspn(line + 1, "]"));

            g_hash_table_remove_all(keys);
            if (!g_hash_table_add(groups, name)) {
                return given_twice(i + 1, "group", line, errp);
            }
        } else if (line[0] && line[0] != '#') {
            char *key = g_strchomp(g_strndup(line, strcspn(line, "=")));

            if (!g_hash_table_add(keys, key)) {
                return given_twice(i + 1, "key", key, errp);
            }
        }
    }
    return true;
}

bool domains_from_config(GPtrArray *domains, const char *path, GError **errp)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = NULL;
    g_auto(GStrv) groups = NULL;
    gsize len;

    if (access(path, F_OK) == 0 && !g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE, "%s: not a regular file",
                    path);
        return false;
    }
    if (!g_file_get_contents(path, &text, &len, errp)) {
        return false;
    }
    if (!g_key_file_load_from_data(file, text, len, G_KEY_FILE_NONE, errp) ||
        !check_once(text, errp)) {
        g_prefix_error(errp, "%s: ", path);
        return false;
    }
    groups = g_key_file_get_groups(file, NULL);
    for (int i = 0; groups[i]; i++) {
        DomainSpec *spec = read_group(file, groups[i], path, errp);

        if (!spec) {
            g_prefix_error(errp, "%s: [%s]: ", path, groups[i]);
            return false;
        }
        g_ptr_array_add(domains, spec);
    }
    return true;
}
