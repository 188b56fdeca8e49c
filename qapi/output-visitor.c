/*
 * Output: makes JSON of what it visits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "visitor-internal.h"

typedef struct OutputVisitor {
    Visitor visitor;
    json_object *root;
    GPtrArray *stack; /* open objects and arrays, owned by their parents */
    json_object **result;
} OutputVisitor;

static OutputVisitor *to_output(Visitor *v)
{
    return (OutputVisitor *)v;
}

/* Puts @value, whose reference it takes, where the walk is. */
static bool output_add(Visitor *v, const char *name, json_object *value)
{
    OutputVisitor *o = to_output(v);
    json_object *top;

    if (!o->stack->len) {
        o->root = value;
        return true;
    }
    top = g_ptr_array_index(o->stack, o->stack->len - 1);
    if (json_object_is_type(top, json_type_array)) {
        json_object_array_add(top, value);
    } else {
        json_object_object_add(top, name, value);
    }
    return true;
}

static bool output_open(Visitor *v, const char *name, json_object *container)
{
    output_add(v, name, container);
    g_ptr_array_add(to_output(v)->stack, container);
    return true;
}

static bool output_start_struct(Visitor *v, const char *name, void **obj,
                                size_t size, Error **errp)
{
    return output_open(v, name, json_object_new_object());
}

static bool output_start_list(Visitor *v, const char *name, GenericList **list,
                              size_t size, Error **errp)
{
    return output_open(v, name, json_object_new_array());
}

static GenericList *output_next_list(Visitor *v, GenericList *tail, size_t size)
{
    return tail->next;
}

static void output_end(Visitor *v, void **obj)
{
    GPtrArray *stack = to_output(v)->stack;

    g_ptr_array_set_size(stack, stack->len - 1);
}

static bool output_int64(Visitor *v, const char *name, int64_t *obj,
                         Error **errp)
{
    return output_add(v, name, json_object_new_int64(*obj));
}

static bool output_uint64(Visitor *v, const char *name, uint64_t *obj,
                          Error **errp)
{
    return output_add(v, name, json_object_new_uint64(*obj));
}

static bool output_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    return output_add(v, name, json_object_new_boolean(*obj));
}

static bool output_number(Visitor *v, const char *name, double *obj,
                          Error **errp)
{
    return output_add(v, name, json_object_new_double(*obj));
}

static bool output_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    return output_add(v, name, json_object_new_string(*obj ? *obj : ""));
}

static bool output_null(Visitor *v, const char *name, Error **errp)
{
    return output_add(v, name, NULL);
}

static bool output_any(Visitor *v, const char *name, json_object **obj,
                       Error **errp)
{
    return output_add(v, name, json_object_get(*obj));
}

static void output_complete(Visitor *v, void *opaque)
{
    OutputVisitor *o = to_output(v);

    *o->result = g_steal_pointer(&o->root);
}

static void output_free(Visitor *v)
{
    OutputVisitor *o = to_output(v);

    json_object_put(o->root);
    g_ptr_array_free(o->stack, TRUE);
    g_free(o);
}

Visitor *qobject_output_visitor_new(json_object **result)
{
    OutputVisitor *o = g_new0(OutputVisitor, 1);

    o->visitor = (Visitor){
        .kind = VISITOR_OUTPUT,
        .start_struct = output_start_struct,
        .end_struct = output_end,
        .start_list = output_start_list,
        .next_list = output_next_list,
        .end_list = output_end,
        .type_int64 = output_int64,
        .type_uint64 = output_uint64,
        .type_bool = output_bool,
        .type_number = output_number,
        .type_str = output_str,
        .type_null = output_null,
        .type_any = output_any,
        .complete = output_complete,
        .free = output_free,
    };
    o->stack = g_ptr_array_new();
    o->result = result;
    return &o->visitor;
}
