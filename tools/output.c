/*
 * Output: colours, text made safe, JSON, and numbers for people.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "output.h"

bool output_has_colours(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no_color && no_color[0]) && term &&
           strcmp(term, "dumb") != 0;
}

static bool is_plain(gunichar c)
{
    return c >= 0x20 && c != 0x7f && !(c >= 0x80 && c < 0xa0) &&
           g_unichar_isdefined(c) && g_unichar_type(c) != G_UNICODE_FORMAT &&
           g_unichar_type(c) != G_UNICODE_LINE_SEPARATOR &&
           g_unichar_type(c) != G_UNICODE_PARAGRAPH_SEPARATOR;
}

char *output_safe(const char *text)
{
    GString *safe = g_string_new(NULL);

    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);
        const char *next = text + 1;

        if (c != (gunichar)-1 && c != (gunichar)-2) {
            next = g_utf8_next_char(text);
            if (is_plain(c)) {
                g_string_append_len(safe, text, next - text);
                text = next;
                continue;
            }
        }
        for (; text < next; text++) {
            g_string_append_printf(safe, "\\x%02x", (unsigned char)*text);
        }
    }
    return g_string_free(safe, FALSE);
}

void output_text(Colour colour, const char *text)
{
    static const char *const codes[] = {
        [COLOUR_NONE] = "",         [COLOUR_GOOD] = "\033[32m",
        [COLOUR_WARN] = "\033[33m", [COLOUR_BAD] = "\033[1;31m",
        [COLOUR_DIM] = "\033[2m",
    };
    g_autofree char *safe = output_safe(text ? text : "?");

    if (colour == COLOUR_NONE || !output_has_colours()) {
        fputs(safe, stdout);
    } else {
        printf("%s%s\033[0m", codes[colour], safe);
    }
}

/* @c as JSON escapes it. */
static void append_escape(GString *text, gunichar c)
{
    if (c >= 0x10000) {
        g_string_append_printf(text, "\\u%04x\\u%04x",
                               0xd800 + ((c - 0x10000) >> 10),
                               0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
        g_string_append_printf(text, "\\u%04x", c);
    }
}

/* Beyond ASCII JSON has strings only. */
static char *safe_json(const char *text)
{
    GString *safe = g_string_new(NULL);

    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);
        bool valid = c != (gunichar)-1 && c != (gunichar)-2;
        const char *next = valid ? g_utf8_next_char(text) : text + 1;

        if (!valid) {
            append_escape(safe, 0xfffd);
        } else if (c == '\n' || is_plain(c)) {
            g_string_append_len(safe, text, next - text);
        } else {
            append_escape(safe, c);
        }
        text = next;
    }
    return g_string_free(safe, FALSE);
}

void output_json(json_object *value, bool pretty)
{
    int flags = JSON_C_TO_STRING_NOSLASHESCAPE;
    g_autofree char *safe = NULL;

    if (pretty) {
        flags |= JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED;
    }
    safe = safe_json(json_object_to_json_string_ext(value, flags));
    puts(safe);
    fflush(stdout);
}

char *output_duration(gint64 us)
{
    if (us == 0) {
        return g_strdup("0 ms");
    }
    if (us < 10 * 1000) {
        return g_strdup_printf("%.2f ms", us / 1e3);
    }
    if (us < 1000 * 1000) {
        return g_strdup_printf("%.0f ms", us / 1e3);
    }
    if (us < 10 * 1000 * 1000) {
        return g_strdup_printf("%.1f s", us / 1e6);
    }
    if (us < G_GINT64_CONSTANT(600) * 1000 * 1000) {
        return g_strdup_printf("%.0f s", us / 1e6);
    }
    return g_strdup_printf("%.0f min", us / 60e6);
}

char *output_duration_ms(gint64 ms)
{
    return output_duration(CLAMP(ms, 0, G_MAXINT64 / 1000) * 1000);
}

char *output_bytes(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t i = 0;

    while (bytes >= 1024 && i + 1 < G_N_ELEMENTS(units)) {
        bytes /= 1024;
        i++;
    }
    return g_strdup_printf(i && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes,
                           units[i]);
}
