/*
 * Input visitor: scalars that are all strings, as on a command line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <math.h>
#include "qobject-input-visitor.h"

/* The text of scalar @name, which errors call a @what; NULL on failure. */
static const char *keyval_text(Visitor *v, const char *name, const char *what,
                               Error **errp)
{
    json_object *value;

    if (!input_take_type(v, name, json_type_string, what, &value, errp)) {
        return NULL;
    }
    return json_object_get_string(value);
}

/* Whether a C number parser took all of @text, from @end on nothing. */
static bool number_ok(const char *text, const char *end)
{
    return errno == 0 && end != text && *end == '\0' && !g_ascii_isspace(*text);
}

static bool keyval_int64(Visitor *v, const char *name, int64_t *obj,
                         Error **errp)
{
    const char *text = keyval_text(v, name, "integer", errp);
    char *end;
    int64_t number;

    if (!text) {
        return false;
    }
    errno = 0;
    number = strtoll(text, &end, 0);
    if (!number_ok(text, end)) {
        return input_expects(v, name, "integer", errp);
    }
    *obj = number;
    return true;
}

static bool keyval_uint64(Visitor *v, const char *name, uint64_t *obj,
                          Error **errp)
{
    const char *text = keyval_text(v, name, "integer", errp);
    char *end;
    uint64_t number;

    if (!text) {
        return false;
    }
    errno = 0;
    number = strtoull(text, &end, 0);
    if (!number_ok(text, end) || *text == '-') {
        return input_expects(v, name, "a non-negative integer below 2^64",
                             errp);
    }
    *obj = number;
    return true;
}

static bool keyval_size(Visitor *v, const char *name, uint64_t *obj,
                        Error **errp)
{
    const char *text = keyval_text(v, name, "size", errp);
    g_autofree char *path = NULL;

    if (!text) {
        return false;
    }
    path = visit_path(v, name);
    return qapi_size_parse(path, text, obj, errp);
}

static bool keyval_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    const char *text = keyval_text(v, name, "boolean", errp);
    g_autofree char *path = NULL;

    if (!text) {
        return false;
    }
    path = visit_path(v, name);
    return qapi_bool_parse(path, text, obj, errp);
}

static bool keyval_number(Visitor *v, const char *name, double *obj,
                          Error **errp)
{
    const char *text = keyval_text(v, name, "number", errp);
    char *end;
    double number;

    if (!text) {
        return false;
    }
    errno = 0;
    number = g_ascii_strtod(text, &end);
    if (!number_ok(text, end) || !isfinite(number)) {
        return input_expects(v, name, "a finite number", errp);
    }
    *obj = number;
    return true;
}

static bool keyval_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    *obj = g_strdup(keyval_text(v, name, "string", errp));
    return *obj != NULL;
}

static bool keyval_null(Visitor *v, const char *name, QNull **obj, Error **errp)
{
    const char *text = keyval_text(v, name, "null", errp);

    *obj = NULL;
    if (!text) {
        return false;
    }
    if (*text) {
        return input_wrong_type(v, name, "null", errp);
    }
    *obj = qnull();
    return true;
}

static const VisitorOps keyval_ops = {
    INPUT_VISITOR_SHARED_OPS,     .type_int64 = keyval_int64,
    .type_uint64 = keyval_uint64, .type_size = keyval_size,
    .type_bool = keyval_bool,     .type_number = keyval_number,
    .type_str = keyval_str,       .type_null = keyval_null,
};

Visitor *qobject_input_visitor_new_keyval(json_object *obj)
{
    return input_visitor_new(obj, &keyval_ops);
}
