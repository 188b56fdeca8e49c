/*
 * The options of --chardev: what each kind takes, and what must hold.
 *
 * Values are checked here, since chardev-add would name members that a
 * command line does not show.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "char-opts-internal.h"
#include "qapi/qapi-types-char.h"
#include "qapi/visitor.h"

static const CharOption no_options[] = {{}};

static const CharOption file_options[] = {
    {"path", "out", IN_DATA},
    {"input-path", "in", IN_DATA},
    {"append", "append", IN_DATA, OPTION_SWITCH},
    {},
};

static const CharOption ringbuf_options[] = {
    {"size", "size", IN_DATA, OPTION_SIZE},
    {},
};

static const CharOption stdio_options[] = {
    {"signal", "signal", IN_DATA, OPTION_SWITCH},
    {},
};

static const CharOption socket_options[] = {
    {"path", "path", IN_UNIX},
    {"abstract", "abstract", IN_UNIX, OPTION_SWITCH},
    {"tight", "tight", IN_UNIX, OPTION_SWITCH},
    {"host", "host", IN_INET},
    {"port", "port", IN_INET},
    {"to", "to", IN_INET, OPTION_PORT},
    {"ipv4", "ipv4", IN_INET, OPTION_SWITCH},
    {"ipv6", "ipv6", IN_INET, OPTION_SWITCH},
    {"fd", "str", IN_FD},
    {"server", "server", IN_DATA, OPTION_SWITCH},
    {"wait", "wait", IN_DATA, OPTION_SWITCH},
    {"nodelay", "nodelay", IN_DATA, OPTION_SWITCH},
    {"reconnect", "reconnect", IN_DATA, OPTION_NUMBER},
    {},
};

static const CharKind kinds[] = {
    [CHARDEV_BACKEND_KIND_FILE] = {"file", file_options},
    [CHARDEV_BACKEND_KIND_SOCKET] = {"socket", socket_options},
    [CHARDEV_BACKEND_KIND_NULL] = {"null", no_options},
    [CHARDEV_BACKEND_KIND_STDIO] = {"stdio", stdio_options},
    [CHARDEV_BACKEND_KIND_RINGBUF] = {"ringbuf", ringbuf_options},
};

G_STATIC_ASSERT(G_N_ELEMENTS(kinds) == CHARDEV_BACKEND_KIND__MAX);

const CharKind *char_kind_find(const char *name, Error **errp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!strcmp(kinds[i].name, name)) {
            return &kinds[i];
        }
    }
    error_setg(errp, "'%s' is not a valid char driver name", name);
    return NULL;
}

void char_kind_foreach(void (*fn)(const CharKind *kind, void *opaque),
                       void *opaque)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        fn(&kinds[i], opaque);
    }
}

const CharOption *char_kind_option(const CharKind *kind, const char *name,
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

static bool check_switch(const char *name, json_object *value, Error **errp)
{
    g_autoptr(Visitor) v = qobject_input_visitor_new_keyval(value);
    bool on;

    return visit_type_bool(v, name, &on, errp);
}

static bool check_number(const char *name, int64_t min, int64_t max,
                         json_object *value, Error **errp)
{
    const char *text = json_object_get_string(value);
    gint64 number;

    if (!g_ascii_string_to_signed(text, 10, INT64_MIN, INT64_MAX, &number,
                                  NULL)) {
        error_setg(errp, "Parameter '%s' expects a number", name);
        return false;
    }
    if (number < min || number > max) {
        error_setg(errp,
                   "Parameter '%s' expects a number from %" PRId64
                   " to %" PRId64,
                   name, min, max);
        return false;
    }
    return true;
}

/* Puts the number of bytes in its place. */
static bool expand_size(const char *name, json_object *value, Error **errp)
{
    g_autoptr(Visitor) v = qobject_input_visitor_new_keyval(value);
    g_autofree char *text = NULL;
    uint64_t size;

    if (!visit_type_size(v, name, &size, errp)) {
        return false;
    }
    text = g_strdup_printf("%" PRIu64, MIN(size, (uint64_t)INT64_MAX));
    json_object_set_string(value, text);
    return true;
}

bool char_option_check(const CharOption *o, json_object *value, Error **errp)
{
    switch (o->type) {
    case OPTION_SWITCH:
        return check_switch(o->name, value, errp);
    case OPTION_NUMBER:
        return check_number(o->name, INT64_MIN, INT64_MAX, value, errp);
    case OPTION_PORT:
        return check_number(o->name, 0, UINT16_MAX, value, errp);
    case OPTION_SIZE:
        return expand_size(o->name, value, errp);
    default:
        return true;
    }
}

const char *char_options_get(json_object *options, const char *name)
{
    json_object *value;

    return json_object_object_get_ex(options, name, &value)
               ? json_object_get_string(value)
               : NULL;
}

static void set_default(json_object *options, const char *name,
                        const char *value)
{
    if (!char_options_get(options, name)) {
        json_object_object_add(options, name, json_object_new_string(value));
    }
}

static bool is_on(json_object *options, const char *name)
{
    json_object *value;
    g_autoptr(Visitor) v = NULL;
    bool on;

    if (!json_object_object_get_ex(options, name, &value)) {
        return false;
    }
    v = qobject_input_visitor_new_keyval(value);
    return visit_type_bool(v, name, &on, NULL) && on;
}

/* Options of an address other than the one that is given. */
static bool check_places(json_object *options, CharOptionPlace place,
                         Error **errp)
{
    for (const CharOption *o = socket_options; o->name; o++) {
        if (o->place != IN_DATA && o->place != place &&
            char_options_get(options, o->name)) {
            error_setg(errp, "Parameter '%s' does not go with '%s'", o->name,
                       place == IN_UNIX   ? "path"
                       : place == IN_INET ? "host"
                                          : "fd");
            return false;
        }
    }
    return true;
}

/* On the command line a device connects unless told to listen, and waits. */
static bool check_socket(json_object *options, Error **errp)
{
    bool path = char_options_get(options, "path"),
         fd = char_options_get(options, "fd");
    bool host;

    if (!path && !fd && char_options_get(options, "port")) {
        set_default(options, "host", "");
    }
    host = char_options_get(options, "host");
    if (path + host + fd != 1) {
        error_setg(errp, "chardev: socket: exactly one of 'path', 'host' with "
                         "'port', and 'fd' must be given");
        return false;
    }
    if (host && !char_options_get(options, "port")) {
        error_setg(errp, "chardev: socket: no port given");
        return false;
    }
    set_default(options, "server", "off");
    if (is_on(options, "server")) {
        set_default(options, "wait", "on");
    }
    return check_places(options, path ? IN_UNIX : host ? IN_INET : IN_FD, errp);
}

bool char_kind_check(const CharKind *kind, json_object *options, Error **errp)
{
    if (kind->options == socket_options) {
        return check_socket(options, errp);
    }
    if (kind->options == file_options && !char_options_get(options, "path")) {
        error_setg(errp, "chardev: file: no filename given");
        return false;
    }
    return true;
}
