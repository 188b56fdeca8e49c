/*
 * The words of QMP on the wire: greeting, replies, events.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"
#include "version.h"

static json_object *new_string(const char *text)
{
    return json_object_new_string(text);
}

/* Every line ends in CRLF, those within a pretty message too. */
static void append_lines(GString *out, const GString *text)
{
    const char *line = text->str, *end;

    while ((end = strchr(line, '\n'))) {
        g_string_append_len(out, line, end - line);
        g_string_append(out, "\r\n");
        line = end + 1;
    }
    g_string_append(out, line);
}

static void append_pretty(GString *out, json_object *message)
{
    GString *text = g_string_new(NULL);

    json_write(text, message, true);
    append_lines(out, text);
    g_string_free(text, TRUE);
}

/* Consumes @message. */
static void append_message(GString *out, json_object *message, bool pretty)
{
    if (pretty) {
        append_pretty(out, message);
    } else {
        json_write(out, message, false);
    }
    json_object_put(message);
    g_string_append(out, "\r\n");
}

static json_object *version_object(void)
{
    json_object *triple = json_object_new_object();
    json_object *version = json_object_new_object();
    MonVersion v = mon_version();

    json_object_object_add(triple, "micro", json_object_new_int(v.micro));
    json_object_object_add(triple, "minor", json_object_new_int(v.minor));
    json_object_object_add(triple, "major", json_object_new_int(v.major));
    json_object_object_add(version, "qemu", triple);
    json_object_object_add(version, "package", new_string(MON_PACKAGE));
    return version;
}

void mon_message_greeting(GString *out, bool pretty)
{
    json_object *message = json_object_new_object();
    json_object *qmp = json_object_new_object();
    json_object *capabilities = json_object_new_array();

    json_object_array_add(capabilities, new_string("oob"));
    json_object_object_add(qmp, "version", version_object());
    json_object_object_add(qmp, "capabilities", capabilities);
    json_object_object_add(message, "QMP", qmp);
    append_message(out, message, pretty);
}

void mon_message_return(GString *out, json_object *ret, bool has_id,
                        json_object *id, bool pretty)
{
    json_object *message = json_object_new_object();

    json_object_object_add(message, "return", json_object_get(ret));
    if (has_id) {
        json_object_object_add(message, "id", json_object_get(id));
    }
    append_message(out, message, pretty);
}

void mon_message_error(GString *out, const Error *err, bool has_id,
                       json_object *id, bool pretty)
{
    json_object *message = json_object_new_object();
    json_object *error = json_object_new_object();
    const char *class_name = error_class_name(error_get_class(err));

    json_object_object_add(error, "class", new_string(class_name));
    json_object_object_add(error, "desc", new_string(error_get_pretty(err)));
    if (has_id) {
        json_object_object_add(message, "id", json_object_get(id));
    }
    json_object_object_add(message, "error", error);
    append_message(out, message, pretty);
}

static json_object *timestamp_object(int64_t time_us)
{
    json_object *timestamp = json_object_new_object();

    json_object_object_add(timestamp, "seconds",
                           json_object_new_int64(time_us / G_USEC_PER_SEC));
    json_object_object_add(timestamp, "microseconds",
                           json_object_new_int64(time_us % G_USEC_PER_SEC));
    return timestamp;
}

void mon_message_event(GString *out, const char *name, json_object *data,
                       int64_t time_us, bool pretty)
{
    json_object *message = json_object_new_object();

    json_object_object_add(message, "timestamp", timestamp_object(time_us));
    json_object_object_add(message, "event", new_string(name));
    if (data) {
        json_object_object_add(message, "data", json_object_get(data));
    }
    append_message(out, message, pretty);
}
