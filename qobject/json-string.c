/*
 * What a quoted JSON string stands for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/mod-utf8.h"
#include "json-internal.h"

#define IS_HIGH_SURROGATE(c) (((c)&0xfc00) == 0xd800)
#define IS_LOW_SURROGATE(c) (((c)&0xfc00) == 0xdc00)

/* The four hexadecimal digits at @p, or -1. */
static int hex4(const char *p, const char *end)
{
    int value = 0;

    if (end - p < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int digit = g_ascii_xdigit_value(p[i]);

        if (digit < 0) {
            return -1;
        }
        value = value << 4 | digit;
    }
    return value;
}

/* @p stands behind "\u"; returns how far it read, or NULL with errp set. */
static const char *unquote_unicode(GString *out, const char *p, const char *end,
                                   Error **errp)
{
    const char *start = p - 2;
    int c = hex4(p, end);
    int low;

    p += MIN(4, end - p);
    if (IS_HIGH_SURROGATE(c) && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        low = hex4(p + 2, end);
        if (IS_LOW_SURROGATE(low)) {
            c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
            p += 6;
        }
    }
    if (!mod_utf8_append(out, c)) {
        error_setg(errp,
                   "JSON parse error, %.*s is not a valid Unicode character",
                   (int)(p - start), start);
        return NULL;
    }
    return p;
}

/* @p stands behind a backslash; returns as unquote_unicode() does. */
static const char *unquote_escape(GString *out, const char *p, const char *end,
                                  Error **errp)
{
    static const char meaning[128] = {
        ['"'] = '"',  ['\''] = '\'', ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r',  ['t'] = '\t',
    };
    unsigned char c = *p++;

    if (c == 'u') {
        return unquote_unicode(out, p, end, errp);
    }
    if (c >= sizeof(meaning) || !meaning[c]) {
        error_setg(errp, "JSON parse error, invalid escape sequence in string");
        return NULL;
    }
    g_string_append_c(out, meaning[c]);
    return p;
}

/* Copies a character beyond ASCII, which must be a valid one. */
static const char *unquote_wide(GString *out, const char *p, const char *end,
                                Error **errp)
{
    size_t used;

    if (mod_utf8_decode(p, end - p, &used) < 0) {
        error_setg(errp, "JSON parse error, invalid UTF-8 sequence in string");
        return NULL;
    }
    g_string_append_len(out, p, used);
    return p + used;
}

char *json_unquote(const char *text, size_t len, Error **errp)
{
    const char *p = text + 1;
    const char *end = text + len - 1;
    GString *out = g_string_sized_new(len);

    while (p && p < end) {
        const char *run = p;

        while (p < end && *p != '\\' && (unsigned char)*p < 0x80) {
            p++;
        }
        g_string_append_len(out, run, p - run);
        if (p == end) {
            break;
        }
        p = *p == '\\' ? unquote_escape(out, p + 1, end, errp)
                       : unquote_wide(out, p, end, errp);
    }
    return g_string_free(out, p == NULL);
}
