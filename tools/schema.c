/*
 * The schema of a server (query-qmp-schema), for those who type.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "json.h"
#include "schema.h"

struct Schema {
    json_object *entities;
    GHashTable *by_name; /* of @entities, which own them */
};

Schema *schema_new(json_object *entities)
{
    Schema *schema = g_new0(Schema, 1);

    schema->entities = entities;
    schema->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0, n = json_length(entities); i < n; i++) {
        json_object *entity = json_object_array_get_idx(entities, i);
        const char *name = json_get_string(entity, "name");

        if (name) {
            g_hash_table_replace(schema->by_name, (char *)name, entity);
        }
    }
    return schema;
}

void schema_free(Schema *schema)
{
    if (schema) {
        g_hash_table_unref(schema->by_name);
        json_object_put(schema->entities);
        g_free(schema);
    }
}

/* The entity called @name of that sort, or NULL. */
static json_object *find(Schema *schema, const char *name, const char *sort)
{
    json_object *entity =
        name ? g_hash_table_lookup(schema->by_name, name) : NULL;

    return g_strcmp0(json_get_string(entity, "meta-type"), sort) == 0 ? entity
                                                                      : NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **finish(GPtrArray *found)
{
    g_ptr_array_sort(found, by_text);
    g_ptr_array_add(found, NULL);
    return (char **)g_ptr_array_free(found, false);
}

char **schema_commands(Schema *schema, const char *prefix, bool oob_only)
{
    GPtrArray *found = g_ptr_array_new();
    GHashTableIter iter;
    void *name, *entity;

    g_hash_table_iter_init(&iter, schema->by_name);
    while (g_hash_table_iter_next(&iter, &name, &entity)) {
        if (find(schema, name, "command") && g_str_has_prefix(name, prefix) &&
            (!oob_only || json_get_bool(entity, "allow-oob", false))) {
            g_ptr_array_add(found, g_strdup(name));
        }
    }
    return finish(found);
}

static json_object *find_member(json_object *object, const char *name)
{
    json_object *members = json_get_array(object, "members");

    for (size_t i = 0, n = json_length(members); i < n; i++) {
        json_object *member = json_object_array_get_idx(members, i);

        if (g_strcmp0(json_get_string(member, "name"), name) == 0) {
            return member;
        }
    }
    return NULL;
}

/* The value of @path among "path=value" @words, or NULL. */
static const char *given(const char *const *words, const char *path)
{
    size_t len = strlen(path);

    for (; *words; words++) {
        if (strncmp(*words, path, len) == 0 && (*words)[len] == '=') {
            return *words + len + 1;
        }
    }
    return NULL;
}

/*
 * What else @object, at @path ("" or "a.b."), has by its tag, where @words say
 * what that is; or NULL.
 */
static json_object *find_variant(Schema *schema, json_object *object,
                                 const char *const *words, const char *path)
{
    const char *tag = json_get_string(object, "tag");
    json_object *variants = json_get_array(object, "variants");
    g_autofree char *full = g_strconcat(path, tag, NULL);
    const char *value = tag ? given(words, full) : NULL;

    for (size_t i = 0, n = json_length(variants); i < n && value; i++) {
        json_object *variant = json_object_array_get_idx(variants, i);

        if (g_strcmp0(json_get_string(variant, "case"), value) == 0) {
            return find(schema, json_get_string(variant, "type"), "object");
        }
    }
    return NULL;
}

/* The type of member @name of @object, by itself or by its variant. */
static const char *member_type(Schema *schema, json_object *object,
                               const char *const *words, const char *path,
                               const char *name)
{
    json_object *member = find_member(object, name);

    if (!member) {
        member = find_member(find_variant(schema, object, words, path), name);
    }
    return json_get_string(member, "type");
}

static void add_members(Schema *schema, GPtrArray *found, json_object *object,
                        const char *path, const char *prefix)
{
    json_object *members = json_get_array(object, "members");

    for (size_t i = 0, n = json_length(members); i < n; i++) {
        json_object *member = json_object_array_get_idx(members, i);
        const char *name = json_get_string(member, "name");
        bool has_members =
            find(schema, json_get_string(member, "type"), "object");

        if (name && g_str_has_prefix(name, prefix)) {
            g_ptr_array_add(
                found, g_strconcat(path, name, has_members ? "." : "=", NULL));
        }
    }
}

static void add_values(Schema *schema, GPtrArray *found, const char *type,
                       const char *before, const char *prefix)
{
    static const char *const booleans[] = {"true", "false"};
    json_object *values = json_get_array(find(schema, type, "enum"), "values");

    for (size_t i = 0, n = json_length(values); i < n; i++) {
        const char *value =
            json_object_get_string(json_object_array_get_idx(values, i));

        if (value && g_str_has_prefix(value, prefix)) {
            g_ptr_array_add(found, g_strconcat(before, value, NULL));
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(booleans); i++) {
        if (g_strcmp0(type, "bool") == 0 &&
            g_str_has_prefix(booleans[i], prefix)) {
            g_ptr_array_add(found, g_strconcat(before, booleans[i], NULL));
        }
    }
}

char **schema_arguments(Schema *schema, const char *command,
                        const char *const *words, const char *word)
{
    GPtrArray *found = g_ptr_array_new();
    json_object *entity = find(schema, command, "command");
    json_object *object =
        find(schema, json_get_string(entity, "arg-type"), "object");
    const char *equals = strchr(word, '=');
    const char *end = equals ? equals : word + strlen(word);
    const char *leaf = word;
    const char *dot;

    /* Down to the object that holds what is being typed. */
    while (object && (dot = memchr(leaf, '.', end - leaf))) {
        g_autofree char *path = g_strndup(word, leaf - word);
        g_autofree char *name = g_strndup(leaf, dot - leaf);

        object = find(schema, member_type(schema, object, words, path, name),
                      "object");
        leaf = dot + 1;
    }
    if (object) {
        g_autofree char *path = g_strndup(word, leaf - word);
        g_autofree char *name = g_strndup(leaf, end - leaf);

        if (equals) {
            g_autofree char *before = g_strndup(word, equals + 1 - word);

            add_values(schema, found,
                       member_type(schema, object, words, path, name), before,
                       equals + 1);
        } else {
            add_members(schema, found, object, path, name);
            add_members(schema, found,
                        find_variant(schema, object, words, path), path, name);
        }
    }
    return finish(found);
}
