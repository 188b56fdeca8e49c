/*
 * JSON objects of others: members that may be missing or of another type.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <stdbool.h>
#include <json-c/json.h>
#include <glib.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

/* json_object_put() for containers. */
void json_unref(void *value);

/* The member @key of @obj, which keeps it; NULL when @obj has none. */
json_object *json_get(json_object *obj, const char *key);
/* The same, when it is of that type; else NULL. */
json_object *json_get_object(json_object *obj, const char *key);
json_object *json_get_array(json_object *obj, const char *key);
const char *json_get_string(json_object *obj, const char *key);
/* Of an array; 0 of what is none. */
size_t json_length(json_object *array);
/* Else @otherwise. */
gint64 json_get_int(json_object *obj, const char *key, gint64 otherwise);
bool json_get_bool(json_object *obj, const char *key, bool otherwise);

/* Add a member to @obj; nothing when @value is NULL. */
void json_set(json_object *obj, const char *key, json_object *value);
void json_set_string(json_object *obj, const char *key, const char *value);
void json_set_int(json_object *obj, const char *key, gint64 value);
void json_set_bool(json_object *obj, const char *key, bool value);
/* A time in microseconds as a number of milliseconds. */
void json_set_ms(json_object *obj, const char *key, gint64 us);

/*
 * A value out of @text, all of it: false with EXIT_USAGE, whose message names
 * @what and the column.  @value may be NULL, which is JSON's null.
 */
bool json_parse_any(const char *text, const char *what, json_object **value,
                    GError **errp);
/* The same of an object; NULL on error. */
json_object *json_parse(const char *text, const char *what, GError **errp);

#endif
