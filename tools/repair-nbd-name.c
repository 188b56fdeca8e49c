/*
 * Repair: what the file name of an NBD node says of its server.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "json.h"
#include "repair-internal.h"

#define DEFAULT_PORT 10809

/* Moves "server.path" and the like into an object "server". */
static json_object *undotted(json_object *flat)
{
    json_object *options = json_object_new_object();

    json_object_object_foreach(flat, key, value)
    {
        const char *dot = strchr(key, '.');
        g_autofree char *outer = dot ? g_strndup(key, dot - key) : NULL;
        json_object *inner;

        if (!dot) {
            json_set(options, key, json_object_get(value));
            continue;
        }
        inner = json_get_object(options, outer);
        if (!inner) {
            inner = json_object_new_object();
            json_set(options, outer, inner);
        }
        json_set(inner, dot + 1, json_object_get(value));
    }
    return options;
}

static json_object *from_json(const char *text, GError **errp)
{
    g_autoptr(json_object) flat = json_parse(text, "file name", errp);

    return flat ? undotted(flat) : NULL;
}

static json_object *unix_server(const char *query)
{
    g_autoptr(GHashTable) params = g_uri_parse_params(
        query ? query : "", -1, "&", G_URI_PARAMS_NONE, NULL);
    const char *path = params ? g_hash_table_lookup(params, "socket") : NULL;
    json_object *server = NULL;

    if (path) {
        server = json_object_new_object();
        json_set_string(server, "type", "unix");
        json_set_string(server, "path", path);
    }
    return server;
}

static json_object *inet_server(const char *host, int port)
{
    json_object *server = NULL;

    if (host && host[0]) {
        g_autofree char *number =
            g_strdup_printf("%d", port > 0 ? port : DEFAULT_PORT);

        server = json_object_new_object();
        json_set_string(server, "type", "inet");
        json_set_string(server, "host", host);
        json_set_string(server, "port", number);
    }
    return server;
}

/* nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH; NULL: neither. */
static json_object *from_uri(const char *text)
{
    /* The query keeps its escapes until it is taken apart. */
    g_autoptr(GUri) uri = g_uri_parse(
        text, G_URI_FLAGS_ENCODED_QUERY | G_URI_FLAGS_PARSE_RELAXED, NULL);
    const char *scheme = uri ? g_uri_get_scheme(uri) : "";
    const char *path = uri ? g_uri_get_path(uri) : "";
    json_object *server = NULL;
    json_object *options;

    if (g_str_equal(scheme, "nbd+unix")) {
        server = unix_server(g_uri_get_query(uri));
    } else if (g_str_equal(scheme, "nbd") || g_str_equal(scheme, "nbd+tcp")) {
        server = inet_server(g_uri_get_host(uri), g_uri_get_port(uri));
    }
    if (!server) {
        return NULL;
    }
    options = json_object_new_object();
    json_set_string(options, "driver", "nbd");
    json_set(options, "server", server);
    if (path[0] == '/' && path[1]) {
        json_set_string(options, "export", path + 1);
    }
    return options;
}

json_object *repair_nbd_options(const char *filename, GError **errp)
{
    json_object *options;

    if (g_str_has_prefix(filename, "json:")) {
        return from_json(filename + strlen("json:"), errp);
    }
    options = from_uri(filename);
    if (!options) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                    "file name '%s' does not tell an NBD server", filename);
    }
    return options;
}
