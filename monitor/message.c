/*
 * The words of QMP on the wire: greeting, replies, events.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"
#include "version.h"

static void append_string(GString *out, const char *text)
{
    json_write_string(out, text, strlen(text));
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

/*
 * Rewrites the message that begins at @start in the pretty form.  Leaves a
 * message unchanged that is too large for the parser.
 */
static void make_pretty(GString *out, gsize start)
{
    g_autoptr(json_object) message = json_parse(out->str + start, NULL);
    g_autoptr(GString) text = g_string_new(NULL);

    if (message) {
        json_write(text, message, true);
        g_string_truncate(out, start);
        append_lines(out, text);
    }
}

/* Ends the message that begins at @start. */
static void finish(GString *out, gsize start, bool pretty)
{
    g_string_append_c(out, '}');
    if (pretty) {
        make_pretty(out, start);
    }
    g_string_append(out, "\r\n");
}

void mon_message_greeting(GString *out, bool pretty)
{
    gsize start = out->len;
    MonVersion v = mon_version();

    g_string_append_printf(out,
                           "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": %d, "
                           "\"minor\": %d, \"major\": %d}, \"package\": ",
                           v.micro, v.minor, v.major);
    append_string(out, MON_PACKAGE);
    g_string_append(out, "}, \"capabilities\": [\"oob\"]}");
    finish(out, start, pretty);
}

void mon_message_begin_return(GString *out)
{
    g_string_append(out, "{\"return\": ");
}

void mon_message_end_return(GString *out, bool has_id, json_object *id,
                            bool pretty)
{
    if (has_id) {
        g_string_append(out, ", \"id\": ");
        json_write(out, id, false);
    }
    finish(out, 0, pretty);
}

void mon_message_error(GString *out, const Error *err, bool has_id,
                       json_object *id, bool pretty)
{
    gsize start = out->len;

    g_string_append_c(out, '{');
    if (has_id) {
        g_string_append(out, "\"id\": ");
        json_write(out, id, false);
        g_string_append(out, ", ");
    }
    g_string_append(out, "\"error\": {\"class\": ");
    append_string(out, error_class_name(error_get_class(err)));
    g_string_append(out, ", \"desc\": ");
    append_string(out, error_get_pretty(err));
    g_string_append_c(out, '}');
    finish(out, start, pretty);
}

void mon_message_event(GString *out, const char *name, const char *data,
                       int64_t time_us, bool pretty)
{
    gsize start = out->len;

    g_string_append_printf(out,
                           "{\"timestamp\": {\"seconds\": %" PRId64
                           ", \"microseconds\": %" PRId64 "}, \"event\": ",
                           time_us / G_USEC_PER_SEC, time_us % G_USEC_PER_SEC);
    append_string(out, name);
    if (data) {
        g_string_append(out, ", \"data\": ");
        g_string_append(out, data);
    }
    finish(out, start, pretty);
}
