/*
 * Character devices of a command line: the flat options that QEMU has, put
 * into the shape of chardev-add, which then checks them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev/char-opts.h"
#include "qapi/qapi-visit-char.h"
#include "qobject/json.h"

/* Where an option of a kind goes. */
typedef struct CharOption {
    const char *name;
    const char *member; /* of "data", or of its address */
    enum {
        IN_DATA,
        IN_UNIX,
        IN_INET,
        IN_FD
    } where;
    bool is_bool;
} CharOption;

typedef struct CharKind {
    const char *name;
    const CharOption *options; /* ended by an empty one */
} CharKind;

static const CharOption no_options[] = {{}};

static const CharOption file_options[] = {
    {"path", "out", IN_DATA},
    {"input-path", "in", IN_DATA},
    {"append", "append", IN_DATA, true},
    {},
};

static const CharOption ringbuf_options[] = {
    {"size", "size", IN_DATA},
    {},
};

static const CharOption stdio_options[] = {
    {"signal", "signal", IN_DATA, true},
    {},
};

static const CharOption socket_options[] = {
    {"path", "path", IN_UNIX},
    {"abstract", "abstract", IN_UNIX, true},
    {"tight", "tight", IN_UNIX, true},
    {"host", "host", IN_INET},
    {"port", "port", IN_INET},
    {"to", "to", IN_INET},
    {"ipv4", "ipv4", IN_INET, true},
    {"ipv6", "ipv6", IN_INET, true},
    {"fd", "str", IN_FD},
    {"server", "server", IN_DATA, true},
    {"wait", "wait", IN_DATA, true},
    {"nodelay", "nodelay", IN_DATA, true},
    {"reconnect", "reconnect", IN_DATA},
    {},
};

static const CharKind kinds[] = {
    {"file", file_options},       {"null", no_options},
    {"ringbuf", ringbuf_options}, {"socket", socket_options},
    {"stdio", stdio_options},
};

static const CharKind *find_kind(const char *name, Error **errp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!strcmp(kinds[i].name, name)) {
            return &kinds[i];
        }
    }
    error_setg(errp, "'%s' is not a valid char driver name", name);
    return NULL;
}

static const CharOption *find_option(const CharKind *kind, const char *name,
                                     Error **errp)
{
    for (const CharOption *o = kind->options; o->name; o++) {
        if (!strcmp(o->name, name)) {
            return o;
        }
    }
    error_setg(errp, "Invalid parameter '%s'", name);
    return NULL;
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
    const CharOption *o = find_option(kind, *name, NULL);
    const char *value = "on";

    if (!o && g_str_has_prefix(*name, "no")) {
        o = find_option(kind, *name + 2, NULL);
        value = "off";
    }
    if (!o || !o->is_bool) {
        return NULL;
    }
    warn_report("short-form boolean option '%s' deprecated; "
                "use %s=%s instead",
                *name, o->name, value);
    g_free(*name);
    *name = g_strdup(o->name);
    return value;
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
    if (!text) {
        error_setg(errp, "Expected '=' after parameter '%s'", name);
        return false;
    }
    if (strcmp(name, "id") && !find_option(kind, name, errp)) {
        return false;
    }
    json_object_object_add(options, name, json_object_new_string(text));
    return true;
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

    if (o->where == IN_DATA) {
        return data;
    }
    addr = sub_object(data, "addr");
    json_object_object_add(addr, "type",
                           json_object_new_string(types[o->where]));
    return sub_object(addr, "data");
}

static const char *option(json_object *options, const char *name)
{
    json_object *value;

    return json_object_object_get_ex(options, name, &value)
               ? json_object_get_string(value)
               : NULL;
}

static void set_default(json_object *options, const char *name,
                        const char *value)
{
    if (!option(options, name)) {
        json_object_object_add(options, name, json_object_new_string(value));
    }
}

/* On the command line a device connects unless told to listen, and waits. */
static bool check_socket(json_object *options, Error **errp)
{
    int addresses = !!option(options, "path") + !!option(options, "host") +
                    !!option(options, "fd");
    const char *server;

    if (!addresses && option(options, "port")) {
        set_default(options, "host", "");
        addresses++;
    }
    if (addresses != 1) {
        error_setg(errp, "chardev: socket: exactly one of 'path', 'host' with "
                         "'port', and 'fd' must be given");
        return false;
    }
    if (option(options, "host") && !option(options, "port")) {
        error_setg(errp, "chardev: socket: no port given");
        return false;
    }
    set_default(options, "server", "off");
    server = option(options, "server");
    if (!strcmp(server, "on") || !strcmp(server, "yes")) {
        set_default(options, "wait", "on");
    }
    return true;
}

/* Sizes may have a suffix, which chardev-add does not take. */
static bool check_ringbuf(json_object *options, Error **errp)
{
    g_autoptr(Visitor) v = NULL;
    g_autofree char *text = NULL;
    json_object *value;
    uint64_t size;

    if (!json_object_object_get_ex(options, "size", &value)) {
        return true;
    }
    v = qobject_input_visitor_new_keyval(value);
    if (!visit_type_size(v, "size", &size, errp)) {
        return false;
    }
    text = g_strdup_printf("%" PRIu64, MIN(size, (uint64_t)INT64_MAX));
    json_object_object_add(options, "size", json_object_new_string(text));
    return true;
}

static bool check_kind(const CharKind *kind, json_object *options, Error **errp)
{
    if (kind->options == socket_options) {
        return check_socket(options, errp);
    }
    if (kind->options == ringbuf_options) {
        return check_ringbuf(options, errp);
    }
    if (kind->options == file_options && !option(options, "path")) {
        error_setg(errp, "chardev: file: no filename given");
        return false;
    }
    return true;
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
        if (!strcmp(name, "id")) {
            json_object_object_add(args, "id", json_object_get(value));
        } else {
            const CharOption *o = find_option(kind, name, NULL);

            json_object_object_add(option_target(data, o), o->member,
                                   json_object_get(value));
        }
    }
    return args;
}

static json_object *parse_flat(const char *arg, Error **errp)
{
    g_autoptr(json_object) options = json_object_new_object();
    g_autofree char *name = NULL;
    const CharKind *kind;

    if (g_str_has_prefix(arg, "backend=")) {
        arg += strlen("backend=");
    }
    name = take_value(&arg);
    kind = find_kind(name, errp);
    if (!kind) {
        return NULL;
    }
    while (*arg) {
        if (!parse_one(&arg, kind, options, errp)) {
            return NULL;
        }
    }
    if (!option(options, "id")) {
        error_setg(errp, "chardev: no id specified");
        return NULL;
    }
    return check_kind(kind, options, errp) ? arrange(kind, options) : NULL;
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
