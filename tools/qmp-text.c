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
        json_object *place, *value;
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
        value = json_parse(equals + 1, "value", NULL);
        json_set(place, leaf,
                 value ? value : json_object_new_string(equals + 1));
    }
    return g_steal_pointer(&arguments);
}

/* What stands behind the command: nothing, an object, or words. */
static bool read_arguments(const char *text, json_object **arguments,
                           GError **errp)
{
    g_auto(GStrv) words = NULL;

    if (!text[0]) {
        *arguments = NULL;
        return true;
    }
    if (text[0] == '{') {
        *arguments = json_parse(text, "arguments", errp);
        return *arguments != NULL;
    }
    if (!g_shell_parse_argv(text, NULL, &words, errp)) {
        return false;
    }
    *arguments = from_words(words, errp);
    return *arguments != NULL;
}

QmpText *qmp_text_parse(const char *text, GError **errp)
{
    g_autofree char *stripped = g_strstrip(g_strdup(text));
    g_autofree char *command = NULL;
    json_object *arguments;
    size_t len;

    if (stripped[0] == '{') {
        g_autoptr(json_object) message = json_parse(stripped, "request", errp);

        return message ? from_message(message, errp) : NULL;
    }
    len = strcspn(stripped, " \t\r\n");
    if (len == 0) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE, "the request is empty");
        return NULL;
    }
    command = g_strndup(stripped, len);
    if (!read_arguments(g_strchug(stripped + len), &arguments, errp)) {
        return NULL;
    }
    return make(command, arguments, false);
}
