/*
 * Input visitor: scalars that JSON types, as QMP sends them.
 *
 * json-c saturates a number that does not fit the type it is asked for, so
 * each getter here tells a limit from something beyond it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <math.h>
#include "qobject-input-visitor.h"

static bool typed_int64(Visitor *v, const char *name, int64_t *obj,
                        Error **errp)
{
    json_object *value;
    int64_t number;

    if (!input_take_type(v, name, json_type_int, "integer", &value, errp)) {
        return false;
    }
    number = json_object_get_int64(value);
    if (number == INT64_MAX && json_object_get_uint64(value) > INT64_MAX) {
        return input_wrong_type(v, name, "integer", errp);
    }
    *obj = number;
    return true;
}

static bool typed_uint64(Visitor *v, const char *name, uint64_t *obj,
                         Error **errp)
{
    json_object *value;

    if (!input_take(v, name, &value, errp)) {
        return false;
    }
    if (!json_object_is_type(value, json_type_int) ||
        json_object_get_int64(value) < 0) {
        return input_expects(v, name, "uint64", errp);
    }
    *obj = json_object_get_uint64(value);
    return true;
}

static bool typed_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    json_object *value;

    if (!input_take_type(v, name, json_type_boolean, "boolean", &value, errp)) {
        return false;
    }
    *obj = json_object_get_boolean(value);
    return true;
}

static bool typed_number(Visitor *v, const char *name, double *obj,
                         Error **errp)
{
    json_object *value;
    double number;

    if (!input_take(v, name, &value, errp)) {
        return false;
    }
    if (!json_object_is_type(value, json_type_int) &&
        !json_object_is_type(value, json_type_double)) {
        return input_wrong_type(v, name, "number", errp);
    }
    number = json_object_get_double(value);
    if (!isfinite(number)) {
        return input_expects(v, name, "a finite number", errp);
    }
    *obj = number;
    return true;
}

static bool typed_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    json_object *value;
    const char *text;

    *obj = NULL;
    if (!input_take_type(v, name, json_type_string, "string", &value, errp)) {
        return false;
    }
    text = json_object_get_string(value);
    if (strlen(text) != (size_t)json_object_get_string_len(value)) {
        return input_expects(v, name, "a string without \\u0000", errp);
    }
    *obj = g_strdup(text);
    return true;
}

static bool typed_null(Visitor *v, const char *name, QNull **obj, Error **errp)
{
    json_object *value;

    *obj = NULL;
    if (!input_take_type(v, name, json_type_null, "null", &value, errp)) {
        return false;
    }
    *obj = qnull();
    return true;
}

static const VisitorOps typed_ops = {
    INPUT_VISITOR_SHARED_OPS,    .type_int64 = typed_int64,
    .type_uint64 = typed_uint64, .type_bool = typed_bool,
    .type_number = typed_number, .type_str = typed_str,
    .type_null = typed_null,
};

Visitor *qobject_input_visitor_new(json_object *obj)
{
    return input_visitor_new(obj, &typed_ops);
}
