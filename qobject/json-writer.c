/*
 * Writes JSON values the way QMP puts them on the wire.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <math.h>
#include "qapi/error.h"
#include "qobject/json.h"
#include "qobject/mod-utf8.h"

#define INDENT 4
#define REPLACEMENT 0xFFFD

typedef struct Writer {
    GString *out;
    bool pretty;
    int depth;
} Writer;

static void write_value(Writer *w, json_object *value);

/* Between two members or elements, and after an opening bracket. */
static void write_break(Writer *w, bool first)
{
    if (w->pretty) {
        g_string_append_printf(w->out, "\n%*s", w->depth * INDENT, "");
    } else if (!first) {
        g_string_append_c(w->out, ' ');
    }
}

static void write_open(Writer *w, char bracket)
{
    g_string_append_c(w->out, bracket);
    w->depth++;
}

static void write_close(Writer *w, char bracket)
{
    w->depth--;
    write_break(w, true);
    g_string_append_c(w->out, bracket);
}

static void write_separator(Writer *w, bool first)
{
    if (!first) {
        g_string_append_c(w->out, ',');
    }
    write_break(w, first);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void write_codepoint(GString *out, unsigned c)
{
    if (c > 0xffff) {
        c -= 0x10000;
        g_string_append_printf(out, "\\u%04X\\u%04X", 0xd800 | (c >> 10),
                               0xdc00 | (c & 0x3ff));
    } else {
        g_string_append_printf(out, "\\u%04X", c);
    }
}

static void write_ascii_escape(GString *out, unsigned char c)
{
    static const char short_form[128] = {
        ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
        ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't',
    };

    if (short_form[c]) {
        g_string_append_c(out, '\\');
        g_string_append_c(out, short_form[c]);
    } else {
        write_codepoint(out, c);
    }
}

/* Writes the character at @s that is not plain; returns its length. */
static size_t write_special(GString *out, const char *s, size_t len)
{
    size_t used = 1;
    int c;

    if ((unsigned char)*s < 0x80) {
        write_ascii_escape(out, *s);
        return used;
    }
    c = mod_utf8_decode(s, len, &used);
    write_codepoint(out, c < 0 ? REPLACEMENT : c);
    return used;
}

void json_write_string(GString *out, const char *s, size_t len)
{
    const char *end = s + len;

    g_string_append_c(out, '"');
    while (s < end) {
        const char *run = s;

        while (s < end && is_plain(*s)) {
            s++;
        }
        g_string_append_len(out, run, s - run);
        if (s < end) {
            s += write_special(out, s, end - s);
        }
    }
    g_string_append_c(out, '"');
}

void json_write_double(GString *out, double d)
{
    char buf[G_ASCII_DTOSTR_BUF_SIZE];

    /* The framer lets none in that JSON has no digits for. */
    if (!isfinite(d)) {
        g_string_append(out, "null");
        return;
    }
    g_string_append(out, g_ascii_formatd(buf, sizeof(buf), "%.17g", d));
}

static void write_int(GString *out, json_object *value)
{
    int64_t n = json_object_get_int64(value);

    /* json-c clamps to the largest int64_t what only fits uint64_t. */
    if (n == INT64_MAX) {
        g_string_append_printf(out, "%" PRIu64, json_object_get_uint64(value));
    } else {
        g_string_append_printf(out, "%" PRId64, n);
    }
}

static void write_object(Writer *w, json_object *value)
{
    bool first = true;

    write_open(w, '{');
    json_object_object_foreach(value, name, member)
    {
        write_separator(w, first);
        json_write_string(w->out, name, strlen(name));
        g_string_append(w->out, ": ");
        write_value(w, member);
        first = false;
    }
    write_close(w, '}');
}

static void write_array(Writer *w, json_object *value)
{
    size_t len = json_object_array_length(value);

    write_open(w, '[');
    for (size_t i = 0; i < len; i++) {
        write_separator(w, i == 0);
        write_value(w, json_object_array_get_idx(value, i));
    }
    write_close(w, ']');
}

static void write_value(Writer *w, json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        g_string_append(w->out, "null");
        break;
    case json_type_boolean:
        g_string_append(w->out,
                        json_object_get_boolean(value) ? "true" : "false");
        break;
    case json_type_double:
        json_write_double(w->out, json_object_get_double(value));
        break;
    case json_type_int:
        write_int(w->out, value);
        break;
    case json_type_string:
        json_write_string(w->out, json_object_get_string(value),
                          json_object_get_string_len(value));
        break;
    case json_type_object:
        write_object(w, value);
        break;
    case json_type_array:
        write_array(w, value);
        break;
    }
}

void json_write(GString *out, json_object *value, bool pretty)
{
    Writer w = {.out = out, .pretty = pretty};

    write_value(&w, value);
}

char *json_to_string(json_object *value, bool pretty)
{
    GString *out = g_string_new(NULL);

    json_write(out, value, pretty);
    return g_string_free(out, FALSE);
}
