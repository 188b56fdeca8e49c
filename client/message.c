/*
 * Messages: requests as text, and what others said.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-internal.h"

/* How much of a message others show. */
#define EXCERPT_LEN 80

/* @arguments is only read: their owner may use them on other threads, too. */
void yc_message_append(GString *out, const char *name, const char *command,
                       json_object *arguments, int64_t id)
{
    g_autoptr(json_object) text = json_object_new_string(command);

    g_string_append_printf(out, "{\"%s\": ", name);
    json_write(out, text, false);
    if (arguments) {
        g_string_append(out, ", \"arguments\": ");
        json_write(out, arguments, false);
    }
    if (id) {
        g_string_append_printf(out, ", \"id\": %" PRId64, id);
    }
    g_string_append(out, "}\n");
}

char *yc_message_excerpt(json_object *value)
{
    g_autofree char *text = json_to_string(value, false);

    if (strlen(text) <= EXCERPT_LEN) {
        return g_steal_pointer(&text);
    }
    return g_strdup_printf("%.*s...", EXCERPT_LEN, text);
}

json_object *yc_message_member(json_object *object, const char *name,
                               json_type type)
{
    json_object *value;

    if (json_object_is_type(object, json_type_object) &&
        json_object_object_get_ex(object, name, &value) &&
        json_object_is_type(value, type)) {
        return value;
    }
    return NULL;
}
