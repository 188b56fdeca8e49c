/*
 * Output visitor: makes JSON of C objects.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "visitor-internal.h"

typedef struct OutputVisitor {
    Visitor visitor;
    /* Owned until complete() hands it out. */
    json_object *root;
    /* The containers not yet left, the innermost last; owned by the root. */
    GPtrArray *open;
    json_object **result;
} OutputVisitor;

static OutputVisitor *to_ov(Visitor *v)
{
    return container_of(v, OutputVisitor, visitor);
}

/* Adds @value, whose reference it takes, where the visit stands. */
static void output_add(OutputVisitor *ov, const char *name, json_object *value)
{
    json_object *parent;

    if (ov->open->len == 0) {
        json_object_put(ov->root);
        ov->root = value;
        return;
    }
    parent = g_ptr_array_index(ov->open, ov->open->len - 1);
    if (json_object_is_type(parent, json_type_array)) {
        json_object_array_add(parent, value);
    } else {
        json_object_object_add(parent, name, value);
    }
}

static void output_enter(OutputVisitor *ov, const char *name,
                         json_object *container)
{
    output_add(ov, name, container);
    g_ptr_array_add(ov->open, container);
}

static void output_leave(OutputVisitor *ov)
{
    g_ptr_array_set_size(ov->open, ov->open->len - 1);
}

static bool output_start_struct(Visitor *v, const char *name, void **obj,
                                size_t size, Error **errp)
{
    output_enter(to_ov(v), name, json_object_new_object());
    return true;
}

static void output_end_struct(Visitor *v, void **obj)
{
    output_leave(to_ov(v));
}

static bool output_start_list(Visitor *v, const char *name, GenericList **list,
                              size_t size, Error **errp)
{
    output_enter(to_ov(v), name, json_object_new_array());
    return true;
}

static GenericList *output_next_list(Visitor *v, GenericList *tail, size_t size)
{
    return tail->next;
}

static void output_end_list(Visitor *v)
{
    output_leave(to_ov(v));
}

static bool output_int64(Visitor *v, const char *name, int64_t *obj,
                         Error **errp)
{
    output_add(to_ov(v), name, json_object_new_int64(*obj));
    return true;
}

static bool output_uint64(Visitor *v, const char *name, uint64_t *obj,
                          Error **errp)
{
    output_add(to_ov(v), name, json_object_new_uint64(*obj));
    return true;
}

static bool output_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    output_add(to_ov(v), name, json_object_new_boolean(*obj));
    return true;
}

static bool output_number(Visitor *v, const char *name, double *obj,
                          Error **errp)
{
    output_add(to_ov(v), name, json_object_new_double(*obj));
    return true;
}

static bool output_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    output_add(to_ov(v), name, json_object_new_string(*obj ? *obj : ""));
    return true;
}

static bool output_null(Visitor *v, const char *name, QNull **obj, Error **errp)
{
    output_add(to_ov(v), name, NULL);
    return true;
}

static bool output_any(Visitor *v, const char *name, json_object **obj,
                       Error **errp)
{
    output_add(to_ov(v), name, json_object_get(*obj));
    return true;
}

static void output_complete(Visitor *v, void *opaque)
{
    OutputVisitor *ov = to_ov(v);

    g_assert(opaque == ov->result && ov->open->len == 0);
    *ov->result = g_steal_pointer(&ov->root);
}

static void output_free(Visitor *v)
{
    OutputVisitor *ov = to_ov(v);

    json_object_put(ov->root);
    g_ptr_array_unref(ov->open);
    g_free(ov);
}

static const VisitorOps output_ops = {
    .kind = VISITOR_OUTPUT,
    .start_struct = output_start_struct,
    .end_struct = output_end_struct,
    .start_list = output_start_list,
    .next_list = output_next_list,
    .end_list = output_end_list,
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

Visitor *qobject_output_visitor_new(json_object **result)
{
    OutputVisitor *ov = g_new0(OutputVisitor, 1);

    ov->visitor.ops = &output_ops;
    ov->open = g_ptr_array_new();
    ov->result = result;
    *result = NULL;
    return &ov->visitor;
}
