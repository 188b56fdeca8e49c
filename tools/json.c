/*
 * JSON objects of others: members that may be missing or of another type.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "json.h"

#define MAX_DEPTH 1024

void json_unref(void *value)
{
    json_object_put(value);
}

json_object *json_get(json_object *obj, const char *key)
{
    json_object *value = NULL;

    if (json_object_is_type(obj, json_type_object)) {
        json_object_object_get_ex(obj, key, &value);
    }
    return value;
}

static json_object *get_typed(json_object *obj, const char *key, json_type type)
{
    json_object *value = json_get(obj, key);

    return json_object_is_type(value, type) ? value : NULL;
}

json_object *json_get_object(json_object *obj, const char *key)
{
    return get_typed(obj, key, json_type_object);
}

json_object *json_get_array(json_object *obj, const char *key)
{
    return get_typed(obj, key, json_type_array);
}

size_t json_length(json_object *array)
{
    return json_object_is_type(array, json_type_array)
               ? json_object_array_length(array)
               : 0;
}

const char *json_get_string(json_object *obj, const char *key)
{
    json_object *value = get_typed(obj, key, json_type_string);

    return value ? json_object_get_string(value) : NULL;
}

gint64 json_get_int(json_object *obj, const char *key, gint64 otherwise)
{
    json_object *value = get_typed(obj, key, json_type_int);

    return value ? json_object_get_int64(value) : otherwise;
}

bool json_get_bool(json_object *obj, const char *key, bool otherwise)
{
    json_object *value = get_typed(obj, key, json_type_boolean);

    return value ? json_object_get_boolean(value) : otherwise;
}

void json_set(json_object *obj, const char *key, json_object *value)
{
    if (value) {
        json_object_object_add(obj, key, value);
    }
}

void json_set_string(json_object *obj, const char *key, const char *value)
{
    if (value) {
        json_object_object_add(obj, key, json_object_new_string(value));
    }
}

void json_set_int(json_object *obj, const char *key, gint64 value)
{
    json_object_object_add(obj, key, json_object_new_int64(value));
}

void json_set_bool(json_object *obj, const char *key, bool value)
{
    json_object_object_add(obj, key, json_object_new_boolean(value));
}

void json_set_ms(json_object *obj, const char *key, gint64 us)
{
    char text[32];

    /* As text of its own: a double prints with more digits than it has. */
    g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT ".%03d", us / 1000,
               (int)(us % 1000));
    json_object_object_add(obj, key,
                           json_object_new_double_s(us / 1000.0, text));
}

bool json_parse_any(const char *text, const char *what, json_object **value,
                    GError **errp)
{
    json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
    json_object *parsed;
    bool ok;

    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    parsed = json_tokener_parse_ex(tokener, text, strlen(text) + 1);
    ok = json_tokener_get_error(tokener) == json_tokener_success;
    if (ok) {
        *value = parsed;
    } else {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE, "%s: %s in column %zu", what,
                    json_tokener_error_desc(json_tokener_get_error(tokener)),
                    json_tokener_get_parse_end(tokener) + 1);
        json_object_put(parsed);
    }
    json_tokener_free(tokener);
    return ok;
}

json_object *json_parse(const char *text, const char *what, GError **errp)
{
    json_object *value;

    if (!json_parse_any(text, what, &value, errp)) {
        return NULL;
    }
    if (!json_object_is_type(value, json_type_object)) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE, "%s: must be a JSON object",
                    what);
        json_object_put(value);
        return NULL;
    }
    return value;
}
