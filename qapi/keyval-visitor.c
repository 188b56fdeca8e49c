/*
 * Input from the command line: like that from JSON, but all scalars are
 * strings.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "input-visitor.h"

static bool keyval_int64(Visitor *v, const char *name, int64_t *obj,
                         Error **errp)
{
    g_autofree char *text = NULL;
    char *end;

    if (!input_str(v, name, &text, errp)) {
        return false;
    }
    errno = 0;
    *obj = g_ascii_strtoll(text, &end, 0);
    if (errno || end == text || *end) {
        return input_type_error(v, name, "integer", errp);
    }
    return true;
}

static bool keyval_parse_uint64(const char *text, uint64_t *value,
                                const char **rest)
{
    char *end;

    if (!g_ascii_isdigit(*text)) {
        return false; /* strtoull would take a sign and spaces */
    }
    errno = 0;
    *value = g_ascii_strtoull(text, &end, 0);
    *rest = end;
    return errno == 0;
}

static bool keyval_uint64(Visitor *v, const char *name, uint64_t *obj,
                          Error **errp)
{
    g_autofree char *text = NULL;
    const char *rest;

    if (!input_str(v, name, &text, errp)) {
        return false;
    }
    if (!keyval_parse_uint64(text, obj, &rest) || *rest) {
        return input_type_error(v, name, "integer", errp);
    }
    return true;
}

/* The number of binary digits that suffix @c stands for, or -1. */
static int size_shift(char c)
{
    static const char suffixes[] = "BKMGTPE";
    const char *s = c ? strchr(suffixes, g_ascii_toupper(c)) : suffixes;

    return s ? (s - suffixes) * 10 : -1;
}

static bool keyval_size(Visitor *v, const char *name, uint64_t *obj,
                        Error **errp)
{
    g_autofree char *text = NULL;
    const char *rest;
    uint64_t value;
    int shift;

    if (!input_str(v, name, &text, errp)) {
        return false;
    }
    if (!keyval_parse_uint64(text, &value, &rest) || (rest[0] && rest[1]) ||
        (shift = size_shift(rest[0])) < 0 || value > UINT64_MAX >> shift) {
        return input_type_error(
            v, name, "a size: a number, and one of B, K, M, G, T, P, E", errp);
    }
    *obj = value << shift;
    return true;
}

static bool keyval_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    static const char *const yes[] = {"on", "yes", "true", "y", NULL};
    static const char *const no[] = {"off", "no", "false", "n", NULL};
    g_autofree char *path = input_full_name(v, name);
    g_autofree char *text = NULL;

    if (!input_str(v, name, &text, errp)) {
        return false;
    }
    *obj = g_strv_contains(yes, text);
    if (!*obj && !g_strv_contains(no, text)) {
        error_setg(errp, "Parameter '%s' expects 'on' or 'off'", path);
        return false;
    }
    return true;
}

static bool keyval_number(Visitor *v, const char *name, double *obj,
                          Error **errp)
{
    g_autofree char *text = NULL;
    char *end;

    if (!input_str(v, name, &text, errp)) {
        return false;
    }
    *obj = g_ascii_strtod(text, &end);
    if (end == text || *end) {
        return input_type_error(v, name, "number", errp);
    }
    return true;
}

static bool keyval_null(Visitor *v, const char *name, Error **errp)
{
    g_autofree char *text = NULL;

    if (!input_str(v, name, &text, errp)) {
        return false;
    }
    return !*text || input_type_error(v, name, "null", errp);
}

Visitor *qobject_input_visitor_new_keyval(json_object *obj)
{
    Visitor *v = qobject_input_visitor_new(obj);

    v->type_int64 = keyval_int64;
    v->type_uint64 = keyval_uint64;
    v->type_size = keyval_size;
    v->type_bool = keyval_bool;
    v->type_number = keyval_number;
    v->type_null = keyval_null;
    return v;
}
