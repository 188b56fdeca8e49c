/*
 * Help of single options: the kinds that an option takes, and the options of
 * each kind.  It is generated from the schema that query-qmp-schema shows, so
 * it lists exactly what the parser accepts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev/char-opts.h"
#include "daemon.h"
#include "qapi/qmp-command.h"
#include "qobject/json.h"
#include "qobject/keyval.h"

/* An option whose value is the argument of a QMP command. */
typedef struct OptionHelp {
    const char *command;
    const char *tag;    /* the member that selects the kind */
    const char *header; /* printed before the list of kinds */
    bool common;        /* true: list the members common to all kinds */
} OptionHelp;

static const OptionHelp object_help = {"object-add", "qom-type",
                                       "List of user creatable objects", false};
static const OptionHelp export_help = {"block-export-add", "type",
                                       "List of export types", true};

/* Returns the string member @key of @obj. */
static const char *string_of(json_object *obj, const char *key)
{
    return json_object_get_string(json_object_object_get(obj, key));
}

/* Returns the element of @list whose member @key is @value, or NULL. */
static json_object *find(json_object *list, const char *key, const char *value)
{
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *element = json_object_array_get_idx(list, i);

        if (!g_strcmp0(string_of(element, key), value)) {
            return element;
        }
    }
    return NULL;
}

/* Returns how a value of @type is written: "int", "string", "raw|base64". */
static char *type_text(json_object *schema, const char *type)
{
    json_object *info = find(schema, "name", type);
    const char *meta = string_of(info, "meta-type");
    json_object *values = json_object_object_get(info, "values");
    GString *text = g_string_new(NULL);

    if (values) {
        for (size_t i = 0; i < json_object_array_length(values); i++) {
            g_string_append_printf(
                text, "%s%s", i ? "|" : "",
                json_object_get_string(json_object_array_get_idx(values, i)));
        }
    } else if (g_str_equal(type, "str")) {
        g_string_append(text, "string");
    } else if (g_str_equal(type, "bool")) {
        g_string_append(text, "bool (on/off)");
    } else {
        g_string_append(text, g_str_equal(meta, "builtin") ? type : meta);
    }
    return g_string_free(text, FALSE);
}

static void add_members(GPtrArray *lines, json_object *schema,
                        json_object *info, const char *tag)
{
    json_object *members = json_object_object_get(info, "members");

    for (size_t i = 0; members && i < json_object_array_length(members); i++) {
        json_object *member = json_object_array_get_idx(members, i);
        const char *name = string_of(member, "name");
        g_autofree char *type = type_text(schema, string_of(member, "type"));

        if (!g_str_equal(name, tag)) {
            g_ptr_array_add(lines, g_strdup_printf("%s=<%s>", name, type));
        }
    }
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_kind(json_object *schema, json_object *options,
                       json_object *variant, const OptionHelp *help)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

    if (help->common) {
        add_members(lines, schema, options, help->tag);
    }
    add_members(lines, schema, find(schema, "name", string_of(variant, "type")),
                help->tag);
    g_ptr_array_sort(lines, compare_lines);
    printf("%s options:\n", string_of(variant, "case"));
    for (guint i = 0; i < lines->len; i++) {
        printf("  %s\n", (char *)g_ptr_array_index(lines, i));
    }
}

static void print_kinds(json_object *variants, const OptionHelp *help)
{
    printf("%s:\n", help->header);
    for (size_t i = 0; i < json_object_array_length(variants); i++) {
        printf("  %s\n",
               string_of(json_object_array_get_idx(variants, i), "case"));
    }
}

/*
 * Prints the help that @arg requests.  Returns false if it is not such a
 * request.
 */
static bool print_help(const char *arg, const OptionHelp *help)
{
    g_autoptr(json_object) obj = NULL;
    g_autoptr(json_object) schema = NULL;
    json_object *command, *options, *variants, *variant;
    bool asked = false;

    obj = arg[0] == '{' ? NULL : keyval_parse(arg, help->tag, &asked, NULL);
    if (!obj || !asked) {
        return false;
    }
    schema = json_parse(qmp_schema_json, &error_abort);
    command = find(schema, "name", help->command);
    options = find(schema, "name", string_of(command, "arg-type"));
    variants = json_object_object_get(options, "variants");
    variant = find(variants, "case", string_of(obj, help->tag));
    if (variant) {
        print_kind(schema, options, variant, help);
    } else {
        print_kinds(variants, help);
    }
    return true;
}

bool option_help_object(const char *arg)
{
    return print_help(arg, &object_help);
}

bool option_help_export(const char *arg)
{
    return print_help(arg, &export_help);
}

bool option_help_chardev(const char *arg)
{
    g_autofree char *text = chardev_opts_help(arg);

    if (text) {
        fputs(text, stdout);
    }
    return text;
}
