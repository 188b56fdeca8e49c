/*
 * Visitors: numbers, strings, enums; ranges of the narrow integers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "visitor-internal.h"

bool visit_type_int64(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    return !v->ops->type_int64 || v->ops->type_int64(v, name, obj, errp);
}

bool visit_type_int(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    return visit_type_int64(v, name, obj, errp);
}

bool visit_type_uint64(Visitor *v, const char *name, uint64_t *obj,
                       Error **errp)
{
    return !v->ops->type_uint64 || v->ops->type_uint64(v, name, obj, errp);
}

bool visit_type_size(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    if (v->ops->type_size) {
        return v->ops->type_size(v, name, obj, errp);
    }
    return visit_type_uint64(v, name, obj, errp);
}

/* An int64_t that must be in @min to @max; @type is for the error. */
static bool visit_narrow(Visitor *v, const char *name, int64_t *value,
                         int64_t min, int64_t max, const char *type,
                         Error **errp)
{
    g_autofree char *path = NULL;

    if (!visit_type_int64(v, name, value, errp)) {
        return false;
    }
    if (*value >= min && *value <= max) {
        return true;
    }
    path = visit_path(v, name);
    error_setg(errp, "Parameter '%s' expects %s", path, type);
    return false;
}

#define DEFINE_VISIT_NARROW(name_, type_, min_, max_)                          \
    bool visit_type_##name_(Visitor *v, const char *name, type_ *obj,          \
                            Error **errp)                                      \
    {                                                                          \
        int64_t value = *obj;                                                  \
        bool ok = visit_narrow(v, name, &value, min_, max_, #type_, errp);     \
                                                                               \
        if (ok) {                                                              \
            *obj = value;                                                      \
        }                                                                      \
        return ok;                                                             \
    }

DEFINE_VISIT_NARROW(int8, int8_t, INT8_MIN, INT8_MAX)
DEFINE_VISIT_NARROW(int16, int16_t, INT16_MIN, INT16_MAX)
DEFINE_VISIT_NARROW(int32, int32_t, INT32_MIN, INT32_MAX)
DEFINE_VISIT_NARROW(uint8, uint8_t, 0, UINT8_MAX)
DEFINE_VISIT_NARROW(uint16, uint16_t, 0, UINT16_MAX)
DEFINE_VISIT_NARROW(uint32, uint32_t, 0, UINT32_MAX)

bool visit_type_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    return !v->ops->type_bool || v->ops->type_bool(v, name, obj, errp);
}

bool visit_type_number(Visitor *v, const char *name, double *obj, Error **errp)
{
    return !v->ops->type_number || v->ops->type_number(v, name, obj, errp);
}

bool visit_type_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    return !v->ops->type_str || v->ops->type_str(v, name, obj, errp);
}

bool visit_type_null(Visitor *v, const char *name, QNull **obj, Error **errp)
{
    return !v->ops->type_null || v->ops->type_null(v, name, obj, errp);
}

bool visit_type_any(Visitor *v, const char *name, json_object **obj,
                    Error **errp)
{
    return !v->ops->type_any || v->ops->type_any(v, name, obj, errp);
}

static bool input_enum(Visitor *v, const char *name, int *obj,
                       const QEnumLookup *lookup, Error **errp)
{
    g_autofree char *text = NULL;
    g_autofree char *quoted = NULL;
    g_autofree char *path = NULL;
    int value;

    if (!visit_type_str(v, name, &text, errp)) {
        return false;
    }
    value = qapi_enum_parse(lookup, text, -1, NULL);
    if (value >= 0) {
        *obj = value;
        return true;
    }
    path = visit_path(v, name);
    quoted = visit_quote(text);
    error_setg(errp, "Parameter '%s' does not accept value '%s'", path, quoted);
    return false;
}

static bool output_enum(Visitor *v, const char *name, int value,
                        const QEnumLookup *lookup, Error **errp)
{
    char *text;

    if (value < 0 || value >= lookup->size) {
        g_autofree char *path = visit_path(v, name);
        error_setg(errp, "'%s' holds %d, which is no value of its enum", path,
                   value);
        return false;
    }
    text = (char *)lookup->array[value];
    return visit_type_str(v, name, &text, errp);
}

bool visit_type_enum(Visitor *v, const char *name, int *obj,
                     const QEnumLookup *lookup, Error **errp)
{
    switch (v->ops->kind) {
    case VISITOR_INPUT:
        return input_enum(v, name, obj, lookup, errp);
    case VISITOR_OUTPUT:
        return output_enum(v, name, *obj, lookup, errp);
    default:
        return true;
    }
}
