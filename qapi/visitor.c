/*
 * The calls of a visitor, and what all visitors do alike.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "visitor-internal.h"

void visit_complete(Visitor *v, void *opaque)
{
    if (v->complete) {
        v->complete(v, opaque);
    }
}

void visit_free(Visitor *v)
{
    if (v) {
        v->free(v);
    }
}

bool visit_is_input(Visitor *v)
{
    return v->kind == VISITOR_INPUT;
}

bool visit_is_dealloc(Visitor *v)
{
    return v->kind == VISITOR_DEALLOC;
}

bool visit_start_struct(Visitor *v, const char *name, void **obj, size_t size,
                        Error **errp)
{
    return !v->start_struct || v->start_struct(v, name, obj, size, errp);
}

bool visit_check_struct(Visitor *v, Error **errp)
{
    return !v->check_struct || v->check_struct(v, errp);
}

void visit_end_struct(Visitor *v, void **obj)
{
    if (v->end_struct) {
        v->end_struct(v, obj);
    }
}

bool visit_start_list(Visitor *v, const char *name, GenericList **list,
                      size_t size, Error **errp)
{
    return !v->start_list || v->start_list(v, name, list, size, errp);
}

GenericList *visit_next_list(Visitor *v, GenericList *tail, size_t size)
{
    return v->next_list(v, tail, size);
}

void visit_end_list(Visitor *v, void **list)
{
    if (v->end_list) {
        v->end_list(v, list);
    }
}

bool visit_start_alternate(Visitor *v, const char *name, void **obj,
                           size_t size, Error **errp)
{
    return !v->start_alternate ||
           v->start_alternate(v, name, (GenericAlternate **)obj, size, errp);
}

void visit_end_alternate(Visitor *v, void **obj)
{
    if (v->end_alternate) {
        v->end_alternate(v, obj);
    }
}

bool visit_optional(Visitor *v, const char *name, bool *present)
{
    if (v->optional) {
        v->optional(v, name, present);
    }
    return *present;
}

bool visit_type_int64(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    return !v->type_int64 || v->type_int64(v, name, obj, errp);
}

bool visit_type_int(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    return visit_type_int64(v, name, obj, errp);
}

bool visit_type_uint64(Visitor *v, const char *name, uint64_t *obj,
                       Error **errp)
{
    return !v->type_uint64 || v->type_uint64(v, name, obj, errp);
}

static bool range_error(Visitor *v, const char *name, const char *type,
                        Error **errp)
{
    g_autofree char *path = v->full_name(v, name);

    error_setg(errp, "Parameter '%s' expects %s", path, type);
    return false;
}

/* The narrow types, checked against their range. */
#define VISIT_NARROW(bits, wide, WIDE_VISIT, lo, hi)                           \
    bool visit_type_##bits(Visitor *v, const char *name, bits##_t *obj,        \
                           Error **errp)                                       \
    {                                                                          \
        wide value = *obj;                                                     \
                                                                               \
        if (!WIDE_VISIT(v, name, &value, errp)) {                              \
            return false;                                                      \
        }                                                                      \
        if (value < (lo) || value > (hi)) {                                    \
            return range_error(v, name, #bits "_t", errp);                     \
        }                                                                      \
        *obj = value;                                                          \
        return true;                                                           \
    }

VISIT_NARROW(int8, int64_t, visit_type_int64, INT8_MIN, INT8_MAX)
VISIT_NARROW(int16, int64_t, visit_type_int64, INT16_MIN, INT16_MAX)
VISIT_NARROW(int32, int64_t, visit_type_int64, INT32_MIN, INT32_MAX)
VISIT_NARROW(uint8, int64_t, visit_type_int64, 0, UINT8_MAX)
VISIT_NARROW(uint16, int64_t, visit_type_int64, 0, UINT16_MAX)
VISIT_NARROW(uint32, int64_t, visit_type_int64, 0, UINT32_MAX)

bool visit_type_size(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    return v->type_size ? v->type_size(v, name, obj, errp)
                        : visit_type_uint64(v, name, obj, errp);
}

bool visit_type_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    return !v->type_bool || v->type_bool(v, name, obj, errp);
}

bool visit_type_number(Visitor *v, const char *name, double *obj, Error **errp)
{
    return !v->type_number || v->type_number(v, name, obj, errp);
}

bool visit_type_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    return !v->type_str || v->type_str(v, name, obj, errp);
}

bool visit_type_null(Visitor *v, const char *name, Error **errp)
{
    return !v->type_null || v->type_null(v, name, errp);
}

bool visit_type_any(Visitor *v, const char *name, json_object **obj,
                    Error **errp)
{
    return !v->type_any || v->type_any(v, name, obj, errp);
}

static bool input_enum(Visitor *v, const char *name, int *obj,
                       const QEnumLookup *lookup, Error **errp)
{
    g_autofree char *path = v->full_name(v, name);
    g_autofree char *text = NULL;

    if (!visit_type_str(v, name, &text, errp)) {
        return false;
    }
    for (int i = 0; i < lookup->size; i++) {
        if (lookup->array[i] && !strcmp(lookup->array[i], text)) {
            *obj = i;
            return true;
        }
    }
    error_setg(errp, "Parameter '%s' does not accept value '%s'", path, text);
    return false;
}

bool visit_type_enum(Visitor *v, const char *name, int *obj,
                     const QEnumLookup *lookup, Error **errp)
{
    char *text;

    switch (v->kind) {
    case VISITOR_INPUT:
        return input_enum(v, name, obj, lookup, errp);
    case VISITOR_OUTPUT:
        text = (char *)lookup->array[*obj];
        return visit_type_str(v, name, &text, errp);
    default:
        return true;
    }
}
