/*
 * A YAML file: what libyaml reads, checked value by value.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tools/output.h"
#include "yaml-file.h"

#define MAX_BYTES (1 << 20)

static void add_error(YamlFile *file, size_t line, size_t column, char *text)
{
    g_autofree char *message = text;
    g_autofree char *safe = output_safe(message);

    g_ptr_array_add(file->errors, g_strdup_printf("%s:%zu:%zu: %s", file->path,
                                                  line + 1, column + 1, safe));
}

void yaml_error(YamlFile *file, const yaml_node_t *node, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add_error(file, node->start_mark.line, node->start_mark.column,
              g_strdup_vprintf(fmt, args));
    va_end(args);
}

/* Of the two places that libyaml knows the one where it stopped. */
static void add_parser_error(YamlFile *file, const yaml_parser_t *parser)
{
    bool reader = parser->error == YAML_READER_ERROR;

    add_error(file, reader ? parser->mark.line : parser->problem_mark.line,
              reader ? parser->mark.column : parser->problem_mark.column,
              g_strdup(parser->problem ? parser->problem : "cannot be read"));
}

/* One document, and nothing after it. */
static bool load_document(YamlFile *file, yaml_parser_t *parser)
{
    yaml_document_t more;
    yaml_node_t *extra;

    if (!yaml_parser_load(parser, &file->document)) {
        add_parser_error(file, parser);
        return false;
    }
    if (!yaml_file_root(file)) {
        return true;
    }
    if (!yaml_parser_load(parser, &more)) {
        add_parser_error(file, parser);
        yaml_document_delete(&file->document);
        return false;
    }
    extra = yaml_document_get_root_node(&more);
    if (extra) {
        yaml_error(file, extra, "a second document; allowed is one");
    }
    yaml_document_delete(&more);
    return true;
}

bool yaml_file_load(YamlFile *file, const char *path, GPtrArray *errors)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) err = NULL;
    yaml_parser_t parser;
    size_t len;
    bool ok;

    file->path = path;
    file->errors = errors;
    if (!g_file_get_contents(path, &text, &len, &err)) {
        g_ptr_array_add(errors, g_strdup_printf("%s:1:1: cannot be read: %s",
                                                path, err->message));
        return false;
    }
    if (len > MAX_BYTES) {
        g_ptr_array_add(errors, g_strdup_printf("%s:1:1: %zu bytes are too "
                                                "many; allowed are %d",
                                                path, len, MAX_BYTES));
        return false;
    }
    yaml_parser_initialize(&parser);
    yaml_parser_set_input_string(&parser, (unsigned char *)text, len);
    ok = load_document(file, &parser);
    yaml_parser_delete(&parser);
    return ok;
}

yaml_node_t *yaml_file_root(YamlFile *file)
{
    return yaml_document_get_root_node(&file->document);
}

static const char *kind_name(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_MAPPING_NODE:
        return "keys with values";
    case YAML_SEQUENCE_NODE:
        return "a list";
    default:
        return "a single value";
    }
}

static bool check_kind(YamlFile *file, const yaml_node_t *node,
                       const char *what, yaml_node_type_t type)
{
    const yaml_node_t allowed = {.type = type};

    if (node->type != type) {
        yaml_error(file, node, "%s is %s; allowed is %s", what, kind_name(node),
                   kind_name(&allowed));
        return false;
    }
    return true;
}

static char *key_names(const YamlKey *keys, size_t n_keys)
{
    GString *names = g_string_new(NULL);

    for (size_t i = 0; i < n_keys; i++) {
        g_string_append_printf(names, "%s%s",
                               i == 0            ? ""
                               : i + 1 == n_keys ? " and "
                                                 : ", ",
                               keys[i].name);
    }
    return g_string_free(names, FALSE);
}

static const YamlKey *find_key(YamlFile *file, yaml_node_t *node,
                               const char *what, const YamlKey *keys,
                               size_t n_keys)
{
    const char *name = node->type == YAML_SCALAR_NODE
                           ? (const char *)node->data.scalar.value
                           : "";
    g_autofree char *names = NULL;

    for (size_t i = 0; i < n_keys; i++) {
        if (g_str_equal(name, keys[i].name)) {
            return &keys[i];
        }
    }
    names = key_names(keys, n_keys);
    yaml_error(file, node, "unknown key '%s' in %s; allowed are %s", name, what,
               names);
    return NULL;
}

bool yaml_read_mapping(YamlFile *file, yaml_node_t *node, const char *what,
                       const YamlKey *keys, size_t n_keys, void *target)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    if (!check_kind(file, node, what, YAML_MAPPING_NODE)) {
        return false;
    }
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *name = yaml_document_get_node(&file->document, pair->key);
        yaml_node_t *value =
            yaml_document_get_node(&file->document, pair->value);
        const YamlKey *key = find_key(file, name, what, keys, n_keys);

        if (key && !g_hash_table_add(seen, (void *)key)) {
            yaml_error(file, name, "'%s' is given twice in %s", key->name,
                       what);
        } else if (key) {
            key->read(file, value, target);
        }
    }
    return true;
}

void yaml_read_list(YamlFile *file, yaml_node_t *node, const char *what,
                    void (*read)(YamlFile *file, yaml_node_t *item,
                                 void *target),
                    void *target)
{
    if (!check_kind(file, node, what, YAML_SEQUENCE_NODE)) {
        return;
    }
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        read(file, yaml_document_get_node(&file->document, *item), target);
    }
}

const char *yaml_read_text(YamlFile *file, yaml_node_t *node, const char *what)
{
    const char *text;

    if (!check_kind(file, node, what, YAML_SCALAR_NODE)) {
        return NULL;
    }
    text = (const char *)node->data.scalar.value;
    if (!text[0] || strlen(text) != node->data.scalar.length) {
        yaml_error(file, node, "%s is %s", what,
                   text[0] ? "broken by a NUL" : "empty");
        return NULL;
    }
    return text;
}

gint64 yaml_read_us(YamlFile *file, yaml_node_t *node, const char *what,
                    double min, double max)
{
    const char *text = yaml_read_text(file, node, what);
    char *end;
    double seconds;

    if (!text) {
        return 0;
    }
    seconds = g_ascii_strtod(text, &end);
    if (*end || !(seconds >= min && seconds <= max)) {
        yaml_error(file, node, "%s '%s' is wrong; allowed are %g to %g seconds",
                   what, text, min, max);
        return 0;
    }
    return seconds * G_USEC_PER_SEC;
}

bool yaml_read_count(YamlFile *file, yaml_node_t *node, const char *what,
                     unsigned max, unsigned *count)
{
    const char *text = yaml_read_text(file, node, what);
    guint64 value;

    if (!text) {
        return false;
    }
    if (!g_ascii_string_to_unsigned(text, 10, 0, max, &value, NULL)) {
        yaml_error(file, node, "%s '%s' is wrong; allowed are 0 to %u", what,
                   text, max);
        return false;
    }
    *count = value;
    return true;
}
