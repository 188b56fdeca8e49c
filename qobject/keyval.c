/*
 * key=value options of a command line as JSON values.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/json.h"
#include "qobject/keyval.h"

/* Bytes of one part of a key, dots excluded. */
#define KEYVAL_MAX_PART 127

static bool part_is_index(const char *part)
{
    return *part && part[strspn(part, "0123456789")] == '\0';
}

/* Names start with a letter, or with an underscore where a vendor adds one. */
static bool part_is_name(const char *part)
{
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789-_";

    return (g_ascii_isalpha(*part) || *part == '_') &&
           part[strspn(part, rest)] == '\0';
}

static bool check_parts(const char *key, char *const *parts, Error **errp)
{
    size_t i;

    for (i = 0; parts[i]; i++) {
        if (!part_is_name(parts[i]) && (i == 0 || !part_is_index(parts[i]))) {
            error_setg(errp, "Invalid parameter '%s'", key);
            return false;
        }
        if (strlen(parts[i]) > KEYVAL_MAX_PART) {
            error_setg(errp, "Parameter '%s' is too long", parts[i]);
            return false;
        }
    }
    if (i > JSON_MAX_NESTING) {
        error_setg(errp, "Parameter '%s' has too many parts", key);
        return false;
    }
    if (i == 0) {
        error_setg(errp, "Invalid parameter ''");
        return false;
    }
    return true;
}

/* "a.b.c" and n = 2 give "a.b". */
static char *join_parts(char *const *parts, size_t n)
{
    GString *joined = g_string_new(parts[0]);
    size_t i;

    for (i = 1; i < n; i++) {
        g_string_append_printf(joined, ".%s", parts[i]);
    }
    return g_string_free(joined, false);
}

static bool fail_inconsistent(char *const *parts, size_t n, Error **errp)
{
    g_autofree char *name = join_parts(parts, n);

    error_setg(errp, "Parameters '%s.*' used inconsistently", name);
    return false;
}

static bool put(json_object *root, const char *key, const char *value,
                Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", 0);
    json_object *dict = root;
    json_object *next;
    size_t i;

    if (!check_parts(key, parts, errp)) {
        return false;
    }
    for (i = 0; parts[i + 1]; i++) {
        if (!json_object_object_get_ex(dict, parts[i], &next)) {
            next = json_object_new_object();
            json_object_object_add(dict, parts[i], next);
        } else if (!json_object_is_type(next, json_type_object)) {
            return fail_inconsistent(parts, i + 1, errp);
        }
        dict = next;
    }
    if (json_object_object_get_ex(dict, parts[i], &next) &&
        json_object_is_type(next, json_type_object)) {
        return fail_inconsistent(parts, i + 1, errp);
    }
    json_object_object_add(dict, parts[i], json_object_new_string(value));
    return true;
}

/* The value at *@pos up to a single comma; *@pos is moved behind that. */
static char *take_value(const char **pos)
{
    GString *value = g_string_new(NULL);
    const char *p = *pos;

    for (; *p; p++) {
        if (*p == ',' && *++p != ',') {
            break;
        }
        g_string_append_c(value, *p);
    }
    *pos = p;
    return g_string_free(value, false);
}

/* One "key=value" at *@pos, which is moved behind it. */
static bool parse_one(json_object *root, const char **pos,
                      const char *implied_key, bool *help, Error **errp)
{
    size_t len = strcspn(*pos, "=,");
    g_autofree char *key = g_strndup(*pos, len);
    g_autofree char *value = NULL;

    if ((*pos)[len] == '=') {
        *pos += len + 1;
        value = take_value(pos);
        return put(root, key, value, errp);
    }
    *pos += len + ((*pos)[len] == ',');
    if (help && (g_str_equal(key, "help") || g_str_equal(key, "?"))) {
        *help = true;
        return true;
    }
    if (implied_key && len) {
        return put(root, implied_key, key, errp);
    }
    if (len) {
        error_setg(errp, "Expected '=' after parameter '%s'", key);
    } else {
        error_setg(errp, "Invalid parameter ''");
    }
    return false;
}

static bool listify(json_object **slot, const char *path, Error **errp);

/* Makes lists of the members of @dict that are lists. */
static bool listify_members(json_object *dict, const char *path, Error **errp)
{
    struct json_object_iter it;

    json_object_object_foreachC(dict, it)
    {
        g_autofree char *name =
            g_strdup_printf("%s%s%s", path, *path ? "." : "", it.key);
        json_object *member = json_object_get(it.val);
        bool ok = listify(&member, name, errp);

        if (member != it.val) {
            /* The key is there already, so iteration may go on. */
            json_object_object_add(dict, it.key, json_object_get(member));
        }
        json_object_put(member);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static json_object *list_of_members(json_object *dict, const char *path,
                                    Error **errp)
{
    g_autoptr(json_object) list = json_object_new_array();
    size_t n = json_object_object_length(dict);
    size_t i;

    for (i = 0; i < n; i++) {
        g_autofree char *key = g_strdup_printf("%zu", i);
        json_object *member;

        if (!json_object_object_get_ex(dict, key, &member)) {
            error_setg(errp, "Parameter '%s.%s' missing", path, key);
            return NULL;
        }
        json_object_array_add(list, json_object_get(member));
    }
    return g_steal_pointer(&list);
}

/* Replaces *@slot, a reference, when it is an object with numbers as keys. */
static bool listify(json_object **slot, const char *path, Error **errp)
{
    struct json_object_iter it;
    size_t indices = 0;
    size_t names = 0;
    json_object *list;

    if (!json_object_is_type(*slot, json_type_object)) {
        return true;
    }
    if (!listify_members(*slot, path, errp)) {
        return false;
    }
    json_object_object_foreachC(*slot, it)
    {
        part_is_index(it.key) ? indices++ : names++;
    }
    if (indices == 0) {
        return true;
    }
    if (names) {
        error_setg(errp, "Parameters '%s.*' used inconsistently", path);
        return false;
    }
    list = list_of_members(*slot, path, errp);
    if (!list) {
        return false;
    }
    json_object_put(*slot);
    *slot = list;
    return true;
}

json_object *keyval_parse(const char *params, const char *implied_key,
                          bool *help, Error **errp)
{
    g_autoptr(json_object) root = json_object_new_object();
    const char *pos = params;

    while (*pos) {
        if (!parse_one(root, &pos, implied_key, help, errp)) {
            return NULL;
        }
        implied_key = NULL;
    }
    if (!listify_members(root, "", errp)) {
        return NULL;
    }
    return g_steal_pointer(&root);
}
