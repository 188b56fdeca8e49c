/*
 * Character devices of a command line: the flat options that QEMU has, put
 * into the shape of chardev-add, which then checks them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev/char-opts.h"
#include "char-opts-internal.h"
#include "qapi/qapi-visit-char.h"
#include "qobject/json.h"

/* What every kind takes. */
static bool is_common(const char *name)
{
    return g_str_equal(name, "id") || g_str_equal(name, "backend");
}

/* Takes "value" off *@arg, up to a comma; two commas stand for one. */
static char *take_value(const char **arg)
{
    GString *value = g_string_new(NULL);
    const char *p = *arg;

    while (*p && (*p != ',' || p[1] == ',')) {
        p += *p == ',';
        g_string_append_c(value, *p++);
    }
    *arg = *p ? p + 1 : p;
    return g_string_free(value, FALSE);
}

/* The short form of a switch: "server" for on, "nowait" for off. */
static const char *expand_switch(const CharKind *kind, char **name)
{
    const CharOption *o = char_kind_option(kind, *name, NULL);
    const char *value = "on";

    if (!o && g_str_has_prefix(*name, "no")) {
        o = char_kind_option(kind, *name + 2, NULL);
        value = "off";
    }
    if (!o || o->type != OPTION_SWITCH) {
        return NULL;
    }
    warn_report("short-form boolean option '%s' deprecated; "
                "use %s=%s instead",
                *name, o->name, value);
    g_free(*name);
    *name = g_strdup(o->name);
    return value;
}

static bool set_option(const CharKind *kind, json_object *options,
                       const char *name, const char *text, Error **errp)
{
    json_object *value = json_object_new_string(text);
    const CharOption *o;

    json_object_object_add(options, name, value);
    if (is_common(name)) {
        return true;
    }
    o = char_kind_option(kind, name, errp);
    return o && char_option_check(o, value, errp);
}

static bool parse_one(const char **arg, const CharKind *kind,
                      json_object *options, Error **errp)
{
    size_t len = strcspn(*arg, "=,");
    g_autofree char *name = g_strndup(*arg, len);
    g_autofree char *value = NULL;
    bool has_value = (*arg)[len] == '=';
    const char *text;

    *arg += len + ((*arg)[len] != '\0');
    value = has_value ? take_value(arg) : NULL;
    text = has_value ? value : expand_switch(kind, &name);
    if (text) {
        return set_option(kind, options, name, text, errp);
    }
    if (char_kind_option(kind, name, errp)) {
        error_setg(errp, "Expected '=' after parameter '%s'", name);
    }
    return false;
}

/* The sub-object @member of @parent, made on first use. */
static json_object *sub_object(json_object *parent, const char *member)
{
    json_object *child;

    if (!json_object_object_get_ex(parent, member, &child)) {
        child = json_object_new_object();
        json_object_object_add(parent, member, child);
    }
    return child;
}

static json_object *option_target(json_object *data, const CharOption *o)
{
    static const char *const types[] = {
        [IN_UNIX] = "unix",
        [IN_INET] = "inet",
        [IN_FD] = "fd",
    };
    json_object *addr;

    if (o->place == IN_DATA) {
        return data;
    }
    addr = sub_object(data, "addr");
    json_object_object_add(addr, "type",
                           json_object_new_string(types[o->place]));
    return sub_object(addr, "data");
}

/* The arguments of chardev-add, all scalars as strings. */
static json_object *arrange(const CharKind *kind, json_object *options)
{
    json_object *args = json_object_new_object();
    json_object *backend = sub_object(args, "backend"), *data;

    json_object_object_add(backend, "type", json_object_new_string(kind->name));
    data = sub_object(backend, "data");
    json_object_object_foreach(options, name, value)
    {
        if (g_str_equal(name, "id")) {
            json_object_object_add(args, "id", json_object_get(value));
        } else if (!is_common(name)) {
            const CharOption *o = char_kind_option(kind, name, NULL);

            json_object_object_add(option_target(data, o), o->member,
                                   json_object_get(value));
        }
    }
    return args;
}

/* The value of @name in @arg, or NULL; without a look at anything else. */
static char *peek_option(const char *arg, const char *name)
{
    char *found = NULL;

    while (*arg) {
        g_autofree char *one = take_value(&arg);
        size_t len = strcspn(one, "=");

        if (len == strlen(name) && !strncmp(one, name, len) && one[len]) {
            g_free(found);
            found = g_strdup(one + len + 1);
        }
    }
    return found;
}

/* The kind is the first word, or the value of "backend". */
static const CharKind *parse_kind(const char **arg, Error **errp)
{
    g_autofree char *id = peek_option(*arg, "id");
    g_autofree char *name = NULL;

    if (!id) {
        error_setg(errp, "chardev: no id specified");
        return NULL;
    }
    name = (*arg)[strcspn(*arg, "=,")] == '=' ? peek_option(*arg, "backend")
                                              : take_value(arg);
    if (!name) {
        error_setg(errp, "chardev: \"%s\" missing backend", id);
        return NULL;
    }
    return char_kind_find(name, errp);
}

static json_object *parse_flat(const char *arg, Error **errp)
{
    g_autoptr(json_object) options = json_object_new_object();
    const CharKind *kind = parse_kind(&arg, errp);

    while (kind && *arg) {
        if (!parse_one(&arg, kind, options, errp)) {
            return NULL;
        }
    }
    if (!kind || !char_kind_check(kind, options, errp)) {
        return NULL;
    }
    return arrange(kind, options);
}

static bool visit_arguments(Visitor *v, char **id, ChardevBackend **backend,
                            Error **errp)
{
    bool ok;

    if (!visit_start_struct(v, NULL, NULL, 0, errp)) {
        return false;
    }
    ok = visit_type_str(v, "id", id, errp) &&
         visit_type_ChardevBackend(v, "backend", backend, errp) &&
         visit_check_struct(v, errp);
    visit_end_struct(v, NULL);
    if (!ok) {
        g_clear_pointer(id, g_free);
        g_clear_pointer(backend, qapi_free_ChardevBackend);
    }
    return ok;
}

bool chardev_parse_opts(const char *arg, char **id, ChardevBackend **backend,
                        Error **errp)
{
    bool json = arg[0] == '{';
    g_autoptr(json_object) args =
        json ? json_parse(arg, errp) : parse_flat(arg, errp);
    g_autoptr(Visitor) v = NULL;

    *id = NULL;
    *backend = NULL;
    if (!args) {
        return false;
    }
    v = json ? qobject_input_visitor_new(args)
             : qobject_input_visitor_new_keyval(args);
    return visit_arguments(v, id, backend, errp);
}

static void append_name(const CharKind *kind, void *opaque)
{
    g_string_append_printf(opaque, "  %s\n", kind->name);
}

static int compare_options(const void *a, const void *b)
{
    const CharOption *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

static void append_options(GString *text, const CharKind *kind)
{
    static const char *const types[] = {
        [OPTION_TEXT] = "str",   [OPTION_SWITCH] = "bool (on/off)",
        [OPTION_NUMBER] = "num", [OPTION_PORT] = "num",
        [OPTION_SIZE] = "size",
    };
    g_autoptr(GPtrArray) options = g_ptr_array_new();

    for (const CharOption *o = kind->options; o->name; o++) {
        g_ptr_array_add(options, (void *)o);
    }
    g_ptr_array_sort(options, compare_options);
    g_string_append_printf(text, "%s options:\n  id=<str>\n", kind->name);
    for (guint i = 0; i < options->len; i++) {
        const CharOption *o = g_ptr_array_index(options, i);

        g_string_append_printf(text, "  %s=<%s>\n", o->name, types[o->type]);
    }
}

char *chardev_opts_help(const char *arg)
{
    g_autofree char *backend = peek_option(arg, "backend");
    const CharKind *kind;
    bool asked = false;
    GString *text;

    if (arg[0] == '{') {
        return NULL;
    }
    while (*arg) {
        g_autofree char *one = take_value(&arg);

        asked |= g_str_equal(one, "help") || g_str_equal(one, "?");
        if (!backend) {
            /* only the first value can be a kind */
            backend = g_steal_pointer(&one);
        }
    }
    if (!asked) {
        return NULL;
    }
    text = g_string_new(NULL);
    kind = char_kind_find(backend, NULL);
    if (kind) {
        append_options(text, kind);
    } else {
        g_string_append(text, "Available chardev backend types:\n");
        char_kind_foreach(append_name, text);
    }
    return g_string_free(text, FALSE);
}
