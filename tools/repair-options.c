/*
 * Repair: the options of a node, to make it anew.
 *
 * They must be certain.  The command line has all of those of a node that it
 * defines; QEMU tells some of those of every node, which must agree, since the
 * node may have been replaced by another of its name.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "json.h"
#include "repair-internal.h"

typedef enum OptionType {
    TEXT,
    SWITCH,
    NUMBER,
} OptionType;

/* Options whose type is known, for what key=value gives as text. */
static const struct {
    const char *driver; /* NULL: any */
    const char *outer;  /* the object that it is in, or NULL */
    const char *name;
    OptionType type;
} known_options[] = {
    {NULL, NULL, "driver", TEXT},
    {NULL, NULL, "discard", TEXT},
    {NULL, NULL, "detect-zeroes", TEXT},
    {NULL, NULL, "read-only", SWITCH},
    {NULL, NULL, "auto-read-only", SWITCH},
    {NULL, NULL, "force-share", SWITCH},
    {NULL, "cache", "direct", SWITCH},
    {NULL, "cache", "no-flush", SWITCH},
    {"raw", NULL, "offset", NUMBER},
    {"raw", NULL, "size", NUMBER},
    {"nbd", NULL, "export", TEXT},
    {"nbd", NULL, "tls-creds", TEXT},
    {"nbd", NULL, "tls-hostname", TEXT},
    {"nbd", NULL, "x-dirty-bitmap", TEXT},
    {"nbd", NULL, "reconnect-delay", NUMBER},
    {"nbd", NULL, "open-timeout", NUMBER},
    {"nbd", "server", "type", TEXT},
    {"nbd", "server", "path", TEXT},
    {"nbd", "server", "abstract", SWITCH},
    {"nbd", "server", "tight", SWITCH},
    {"nbd", "server", "host", TEXT},
    {"nbd", "server", "port", TEXT},
    {"nbd", "server", "numeric", SWITCH},
    {"nbd", "server", "to", NUMBER},
    {"nbd", "server", "ipv4", SWITCH},
    {"nbd", "server", "ipv6", SWITCH},
    {"nbd", "server", "keep-alive", SWITCH},
    {"nbd", "server", "mptcp", SWITCH},
};

/*
 * Options of -drive that belong to the device's side of it, which a repair does
 * not touch, and those that QEMU tells of the node.
 */
static const char *const drive_options[] = {
    "id",
    "if",
    "index",
    "bus",
    "unit",
    "media",
    "werror",
    "rerror",
    "format",
    "file",
    "cache",
    "cache.direct",
    "cache.no-flush",
    "cache.writeback",
    "read-only",
    "readonly",
    "detect-zeroes",
    "discard",
    "auto-read-only",
    "node-name",
    NULL,
};

static void refuse(json_object *info, const char *option, const char *why,
                   GError **errp)
{
    g_set_error(errp, EXIT_ERROR, EXIT_REFUSED,
                "node '%s' is not made anew: option '%s' %s",
                json_get_string(info, "node-name"), option, why);
}

static json_object *copy_of(json_object *value)
{
    json_object *copy = NULL;

    json_object_deep_copy(value, &copy, NULL);
    return copy;
}

/* The value of the text @text, or NULL. */
static json_object *typed_value(OptionType type, const char *text)
{
    static const char *const yes[] = {"on", "yes", "true", "y", NULL};
    static const char *const no[] = {"off", "no", "false", "n", NULL};
    char *end;
    gint64 number;

    switch (type) {
    case TEXT:
        return json_object_new_string(text);
    case SWITCH:
        return g_strv_contains(yes, text)  ? json_object_new_boolean(true)
               : g_strv_contains(no, text) ? json_object_new_boolean(false)
                                           : NULL;
    case NUMBER:
        number = g_ascii_strtoll(text, &end, 0);
        return *text && !*end ? json_object_new_int64(number) : NULL;
    }
    return NULL;
}

/* The typed value of the option @outer.@name, given as @text; NULL: refused. */
static json_object *read_option(json_object *info, const char *outer,
                                const char *name, const char *text,
                                GError **errp)
{
    g_autofree char *shown =
        outer ? g_strdup_printf("%s.%s", outer, name) : g_strdup(name);
    const char *driver = json_get_string(info, "drv");
    json_object *value;

    for (size_t i = 0; i < G_N_ELEMENTS(known_options); i++) {
        if (g_strcmp0(known_options[i].outer, outer) == 0 &&
            g_str_equal(known_options[i].name, name) &&
            (!known_options[i].driver ||
             g_strcmp0(known_options[i].driver, driver) == 0)) {
            value = typed_value(known_options[i].type, text);
            if (!value) {
                refuse(info, shown, "has a value that is not understood", errp);
            }
            return value;
        }
    }
    refuse(info, shown, "is not known to yankctl", errp);
    return NULL;
}

/* Puts @value, of the option @outer.@name, into @to with its type. */
static bool add_option(json_object *info, const char *outer, const char *name,
                       json_object *value, json_object *to, GError **errp)
{
    json_object *typed = NULL;

    if (!json_object_is_type(value, json_type_string)) {
        json_set(to, name, copy_of(value));
        return true;
    }
    typed = read_option(info, outer, name, json_object_get_string(value), errp);
    json_set(to, name, typed);
    return typed != NULL;
}

/*
 * The options @given without what the caller gives anew, and with types;
 * JSON has them already.
 */
static json_object *read_given(json_object *info, json_object *given,
                               GError **errp)
{
    g_autoptr(json_object) options = json_object_new_object();

    json_object_object_foreach(given, key, value)
    {
        if (g_str_equal(key, "node-name") || g_str_equal(key, "file")) {
            continue;
        }
        if (json_object_is_type(value, json_type_object)) {
            json_object *inner = json_object_new_object();

            json_set(options, key, inner);
            json_object_object_foreach(value, name, member)
            {
                if (!add_option(info, key, name, member, inner, errp)) {
                    return NULL;
                }
            }
        } else if (!add_option(info, NULL, key, value, options, errp)) {
            return NULL;
        }
    }
    return g_steal_pointer(&options);
}

static void set_default(json_object *options, const char *key,
                        json_object *value)
{
    if (value && !json_get(options, key)) {
        json_set(options, key, copy_of(value));
    }
}

/* What a node that is defined within another takes over from it. */
static void inherit(json_object *options, json_object *parent)
{
    static const char *const inherited[] = {"read-only", "auto-read-only",
                                            "force-share"};
    json_object *cache = json_get_object(parent, "cache");

    for (size_t i = 0; i < G_N_ELEMENTS(inherited); i++) {
        set_default(options, inherited[i], json_get(parent, inherited[i]));
    }
    if (cache) {
        if (!json_get_object(options, "cache")) {
            json_set(options, "cache", json_object_new_object());
        }
        json_object_object_foreach(cache, key, value)
        {
            set_default(json_get_object(options, "cache"), key, value);
        }
    }
    if (!json_get(options, "discard")) {
        json_set_string(options, "discard", "unmap");
    }
}

/* A number that QEMU may tell as a number or as text. */
static gint64 number_of(json_object *value)
{
    return value ? json_object_get_int64(value) : 0;
}

/* False, with an error, unless @given and @told are the same. */
static bool check_switch(json_object *info, const char *option, bool given,
                         bool told, GError **errp)
{
    if (given != told) {
        refuse(info, option, "has been changed since the start of the process",
               errp);
    }
    return given == told;
}

/* Whether what QEMU tells of every node is what @options say. */
static bool check_common(json_object *info, json_object *options, GError **errp)
{
    json_object *cache = json_get_object(options, "cache");
    json_object *told = json_get_object(info, "cache");
    const char *zeroes = json_get_string(options, "detect-zeroes");
    bool read_only = json_get_bool(info, "ro", false);

    /* It becomes read-only by itself, and may then be told as such. */
    return ((read_only && json_get_bool(options, "auto-read-only", false)) ||
            check_switch(info, "read-only",
                         json_get_bool(options, "read-only", false), read_only,
                         errp)) &&
           check_switch(info, "detect-zeroes",
                        g_strcmp0(zeroes ? zeroes : "off",
                                  json_get_string(info, "detect_zeroes")) == 0,
                        true, errp) &&
           check_switch(info, "cache.direct",
                        json_get_bool(cache, "direct", false),
                        json_get_bool(told, "direct", false), errp) &&
           check_switch(info, "cache.no-flush",
                        json_get_bool(cache, "no-flush", false),
                        json_get_bool(told, "no-flush", false), errp);
}

/* The file name that QEMU gives to an NBD node of @options; NULL: no rule. */
static char *nbd_filename(json_object *options)
{
    json_object *server = json_get_object(options, "server");
    const char *export = json_get_string(options, "export");
    const char *path = json_get_string(server, "path");
    const char *host = json_get_string(server, "host");
    const char *port = json_get_string(server, "port");
    bool named = export && *export;

    if (path) {
        return g_strdup_printf("nbd+unix://%s%s?socket=%s", named ? "/" : "",
                               named ? export : "", path);
    }
    return host && port ? g_strdup_printf("nbd://%s:%s%s%s", host, port,
                                          named ? "/" : "", named ? export : "")
                        : NULL;
}

static bool same_text(json_object *a, json_object *b, const char *key)
{
    const char *one = json_get_string(a, key);
    const char *other = json_get_string(b, key);

    return g_str_equal(one ? one : "", other ? other : "");
}

/* Whether @options are about the server and export that QEMU tells. */
static bool check_nbd(json_object *info, json_object *options, GError **errp)
{
    static const char *const members[] = {"type", "path", "host", "port"};
    const char *filename = json_get_string(info, "file");
    g_autofree char *expected = nbd_filename(options);
    g_autoptr(json_object) told =
        repair_nbd_options(filename ? filename : "", errp);
    json_object *given = json_get_object(options, "server");
    bool same;

    if (!told) {
        return false;
    }
    same = same_text(options, told, "export");
    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        same = same &&
               same_text(given, json_get_object(told, "server"), members[i]);
    }
    return check_switch(info, "server",
                        same || g_strcmp0(expected, filename) == 0, true, errp);
}

/* What QEMU tells of the part of the file that a raw node shows: an object. */
static json_object *raw_told(json_object *info)
{
    const char *filename = json_get_string(info, "file");
    json_object *told = NULL;

    if (filename && g_str_has_prefix(filename, "json:")) {
        told = json_parse(filename + strlen("json:"), "file name", NULL);
    }
    return told ? told : json_object_new_object();
}

static bool check_raw(json_object *info, json_object *options, GError **errp)
{
    g_autoptr(json_object) told = raw_told(info);
    json_object *size = json_get(told, "size");
    json_object *given = json_get(options, "size");

    return check_switch(info, "offset",
                        number_of(json_get(options, "offset")) ==
                            number_of(json_get(told, "offset")),
                        true, errp) &&
           check_switch(info, "size",
                        (size == NULL) == (given == NULL) &&
                            number_of(size) == number_of(given),
                        true, errp);
}

static bool check_told(json_object *info, json_object *options, GError **errp)
{
    const char *driver = json_get_string(info, "drv");

    return check_switch(info, "driver",
                        g_strcmp0(driver, json_get_string(options, "driver")) ==
                            0,
                        true, errp) &&
           check_common(info, options, errp) &&
           (g_strcmp0(driver, "nbd") == 0 ? check_nbd(info, options, errp)
                                          : check_raw(info, options, errp));
}

/* Options of the part of a drive that QEMU tells of every node. */
static json_object *told_options(json_object *info)
{
    json_object *options = json_object_new_object();
    json_object *cache = copy_of(json_get(info, "cache"));

    json_set_string(options, "driver", json_get_string(info, "drv"));
    json_set_bool(options, "read-only", json_get_bool(info, "ro", false));
    json_set_string(options, "detect-zeroes",
                    json_get_string(info, "detect_zeroes"));
    if (cache) {
        json_object_object_del(cache, "writeback");
    }
    json_set(options, "cache", cache);
    return options;
}

/* Whether the -drive @drive says all that there is about its raw node. */
static bool check_drive(json_object *info, json_object *drive, GError **errp)
{
    const char *format = json_get_string(drive, "format");
    const char *file = json_get_string(drive, "file");

    json_object_object_foreach(drive, key, value)
    {
        if (value && !g_strv_contains(drive_options, key) &&
            !g_str_has_prefix(key, "file.")) {
            refuse(info, key, "of its -drive is not known to yankctl", errp);
            return false;
        }
    }
    if (g_strcmp0(format, "raw") != 0) {
        refuse(info, "format", "of its -drive is not 'raw'", errp);
        return false;
    }
    if (file && !g_str_has_prefix(file, "nbd")) {
        refuse(info, "file", "of its -drive is not the URI of a server", errp);
        return false;
    }
    return true;
}

static json_object *drive_top(json_object *info, json_object *drive,
                              GError **errp)
{
    json_object *options;
    const char *discard = json_get_string(drive, "discard");
    const char *automatic = json_get_string(drive, "auto-read-only");

    if (!check_drive(info, drive, errp)) {
        return NULL;
    }
    options = told_options(info);
    if (g_strcmp0(discard, "on") == 0 || g_strcmp0(discard, "unmap") == 0) {
        json_set_string(options, "discard", "unmap");
    }
    json_set_bool(options, "auto-read-only", g_strcmp0(automatic, "off") != 0);
    return options;
}

/* "file.tls-creds" and the like; the server is told by QEMU. */
static json_object *drive_nbd(json_object *info, json_object *drive,
                              GError **errp)
{
    const char *filename = json_get_string(info, "file");
    g_autoptr(json_object) told =
        repair_nbd_options(filename ? filename : "", errp);
    g_autoptr(json_object) options = told_options(info);

    if (!told) {
        return NULL;
    }
    json_set(options, "server", copy_of(json_get(told, "server")));
    json_set(options, "export", copy_of(json_get(told, "export")));
    json_object_object_foreach(drive, key, value)
    {
        const char *name =
            g_str_has_prefix(key, "file.") ? key + strlen("file.") : NULL;

        if (!name || g_str_has_prefix(name, "server.") ||
            g_str_equal(name, "host") || g_str_equal(name, "port") ||
            g_str_equal(name, "path") || g_str_equal(name, "node-name") ||
            json_get(options, name)) {
            continue;
        }
        if (!add_option(info, NULL, name, value, options, errp)) {
            return NULL;
        }
    }
    return g_steal_pointer(&options);
}

/* Certain though nobody gave them: those of a raw node that was added later. */
static json_object *raw_by_told(json_object *info)
{
    g_autoptr(json_object) told = raw_told(info);
    json_object *options;

    /* Without this, detect-zeroes=unmap is not allowed. */
    if (g_strcmp0(json_get_string(info, "detect_zeroes"), "unmap") != 0) {
        return NULL;
    }
    options = told_options(info);
    json_set_string(options, "discard", "unmap");
    if (json_get(told, "offset")) {
        json_set_int(options, "offset", number_of(json_get(told, "offset")));
    }
    if (json_get(told, "size")) {
        json_set_int(options, "size", number_of(json_get(told, "size")));
    }
    return options;
}

static json_object *refuse_unknown(json_object *info, GError **errp)
{
    bool nbd = g_strcmp0(json_get_string(info, "drv"), "nbd") == 0;

    g_set_error(errp, EXIT_ERROR, EXIT_REFUSED,
                "node '%s' is not made anew: it is not on the command line of "
                "the process, and QEMU does not tell %s",
                json_get_string(info, "node-name"),
                nbd ? "its options 'tls-creds', 'tls-hostname', "
                      "'reconnect-delay', 'open-timeout' and 'discard'"
                    : "its option 'discard'");
    return NULL;
}

static bool check_driver(json_object *info, GError **errp)
{
    const char *driver = json_get_string(info, "drv");

    if (g_strcmp0(driver, "nbd") == 0 || g_strcmp0(driver, "raw") == 0) {
        return true;
    }
    g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                "node '%s' of driver '%s' is to be made anew by hand: only "
                "nbd, and raw on top of it, are repaired",
                json_get_string(info, "node-name"), driver ? driver : "?");
    return false;
}

json_object *repair_options(json_object *info, const RepairSource *source,
                            GError **errp)
{
    bool nbd = g_strcmp0(json_get_string(info, "drv"), "nbd") == 0;
    g_autoptr(json_object) options = NULL;

    if (!check_driver(info, errp)) {
        return NULL;
    }
    if (source->given) {
        options = read_given(info, source->given, errp);
    } else if (source->drive) {
        options = nbd ? drive_nbd(info, source->drive, errp)
                      : drive_top(info, source->drive, errp);
    } else {
        options = nbd ? NULL : raw_by_told(info);
        return options ? g_steal_pointer(&options) : refuse_unknown(info, errp);
    }
    if (options && source->parent) {
        inherit(options, source->parent);
    }
    if (!options || !check_told(info, options, errp)) {
        return NULL;
    }
    return g_steal_pointer(&options);
}
