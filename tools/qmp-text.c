/*
 * QMP as people type it: a request, or just a command and its arguments.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "json.h"
#include "qmp-text.h"

void qmp_text_free(QmpText *request)
{
    if (request) {
        g_free(request->command);
        json_object_put(request->arguments);
        g_free(request);
    }
}

static QmpText *make(const char *command, json_object *arguments, bool oob)
{
    QmpText *request = g_new0(QmpText, 1);

    request->command = g_strdup(command);
    request->arguments = arguments;
    request->oob = oob;
    return request;
}

/* A whole request; "id" is ours to give, and let pass. */
static QmpText *from_message(json_object *message, GError **errp)
{
    const char *command = json_get_string(message, "execute");
    const char *oob = json_get_string(message, "exec-oob");
    json_object *arguments = json_get(message, "arguments");

    json_object_object_foreach(message, key, value)
    {
        static const char *const known[] = {"execute", "exec-oob", "arguments",
                                            "id", NULL};

        if (!g_strv_contains(known, key)) {
            g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                        "request: unknown member '%s'", key);
            return NULL;
        }
    }
    if (!command == !oob ||
        (arguments && !json_object_is_type(arguments, json_type_object))) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "request: needs \"execute\" or \"exec-oob\", a string, "
                    "and may have \"arguments\", an object");
        return NULL;
    }
    return make(oob ? oob : command, json_object_get(arguments), oob != NULL);
}

/* The object that "a.b.c" leads to in @root, and in @leaf "c". */
static json_object *walk(json_object *root, const char *path, const char **leaf)
{
    const char *dot;

    while ((dot = strchr(path, '.'))) {
        g_autofree char *key = g_strndup(path, dot - path);
        json_object *inner = json_get_object(root, key);

        if (!inner) {
            inner = json_object_new_object();
            json_set(root, key, inner);
        }
        root = inner;
        path = dot + 1;
    }
    *leaf = path;
    return root;
}

/* "key=value" words; a value that is no JSON is a string. */
static json_object *from_words(char **words, GError **errp)
{
    g_autoptr(json_object) arguments = json_object_new_object();

    for (; *words; words++) {
        char *equals = strchr(*words, '=');
        json_object *place, *value = NULL;
        const char *leaf;

        if (!equals || equals == *words) {
            g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                        "argument '%s' is wrong: allowed are KEY=VALUE, or "
                        "one object",
                        *words);
            return NULL;
        }
        *equals = '\0';
        place = walk(arguments, *words, &leaf);
        if (!json_parse_any(equals + 1, "value", &value, NULL)) {
            value = json_object_new_string(equals + 1);
        }
        json_object_object_add(place, leaf, value);
    }
    return g_steal_pointer(&arguments);
}

/*
 * @text at its spaces, but for those within "..." and brackets, where JSON may
 * have some.
 */
static char **split_words(const char *text)
{
    GPtrArray *words = g_ptr_array_new();
    GString *word = g_string_new(NULL);
    bool quoted = false;
    int depth = 0;

    for (; *text; text++) {
        if (!quoted && depth <= 0 && g_ascii_isspace(*text)) {
            if (word->len > 0) {
                g_ptr_array_add(words, g_string_free(word, FALSE));
                word = g_string_new(NULL);
            }
            continue;
        }
        g_string_append_c(word, *text);
        if (*text == '\\' && quoted && text[1]) {
            g_string_append_c(word, *++text);
        } else if (*text == '"') {
            quoted = !quoted;
        } else if (!quoted) {
            depth +=
                (strchr("[{", *text) != NULL) - (strchr("]}", *text) != NULL);
        }
    }
    if (word->len > 0) {
        g_ptr_array_add(words, g_strdup(word->str));
    }
    g_string_free(word, TRUE);
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, false);
}

QmpText *qmp_text_from_words(char **words, GError **errp)
{
    g_autoptr(json_object) value = NULL;
    bool is_json = words[0] && words[1] && words[1][0] == '{' && !words[2];

    if (!words[0] || !words[0][0]) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE, "the request is empty");
        return NULL;
    }
    if (words[0][0] == '{' && !words[1]) {
        value = json_parse(words[0], "request", errp);
        return value ? from_message(value, errp) : NULL;
    }
    if (words[1]) {
        value = is_json ? json_parse(words[1], "arguments", errp)
                        : from_words(words + 1, errp);
        if (!value) {
            return NULL;
        }
    }
    return make(words[0], g_steal_pointer(&value), false);
}

QmpText *qmp_text_parse(const char *text, GError **errp)
{
    g_auto(GStrv) words = split_words(text);

    return qmp_text_from_words(words, errp);
}
