/*
 * Yank instances: their string names, and the typed form on the wire.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-internal.h"
#include "client/yank.h"

/* Types that have a name of their own, and the member which holds it. */
static const struct {
    const char *type;
    const char *member;
    const char *prefix;
} named_types[] = {
    {"block-node", "node-name", "blockdev:"},
    {"chardev", "id", "chardev:"},
};

#define MIGRATION "migration"

/* NULL when there is no such string. */
static const char *member_string(json_object *object, const char *member)
{
    return json_object_get_string(
        yc_message_member(object, member, json_type_string));
}

char *yc_instance_name(json_object *typed, GError **errp)
{
    const char *type = member_string(typed, "type");
    g_autofree char *printable = NULL;

    if (type && g_str_equal(type, MIGRATION)) {
        return g_strdup(MIGRATION);
    }
    for (size_t i = 0; type && i < G_N_ELEMENTS(named_types); i++) {
        const char *id = member_string(typed, named_types[i].member);

        if (g_str_equal(type, named_types[i].type) && id) {
            return g_strconcat(named_types[i].prefix, id, NULL);
        }
    }
    printable = yc_printable(type ? type : "");
    g_set_error(errp, YC_ERROR, YC_ERROR_PROTOCOL,
                "the server names a yank instance of a type unknown here: '%s'",
                printable);
    return NULL;
}

json_object *yc_instance_typed(const char *name, GError **errp)
{
    json_object *typed;

    if (g_str_equal(name, MIGRATION)) {
        typed = json_object_new_object();
        json_object_object_add(typed, "type",
                               json_object_new_string(MIGRATION));
        return typed;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(named_types); i++) {
        const char *prefix = named_types[i].prefix;

        if (g_str_has_prefix(name, prefix) && name[strlen(prefix)]) {
            typed = json_object_new_object();
            json_object_object_add(typed, "type",
                                   json_object_new_string(named_types[i].type));
            json_object_object_add(
                typed, named_types[i].member,
                json_object_new_string(name + strlen(prefix)));
            return typed;
        }
    }
    g_set_error(errp, YC_ERROR, YC_ERROR_INVALID,
                "'%s' is no yank instance: it must be \"blockdev:NODE-NAME\", "
                "\"chardev:ID\" or \"migration\"",
                name);
    return NULL;
}

void yc_instance_free(YcInstance *instance)
{
    if (instance) {
        g_free(instance->name);
        g_free(instance->phase);
        g_free(instance->peer);
        g_free(instance->reason);
        g_free(instance);
    }
}

void yc_yanked_free(YcYanked *yanked)
{
    if (yanked) {
        g_free(yanked->name);
        g_strfreev(yanked->cut);
        g_free(yanked);
    }
}
