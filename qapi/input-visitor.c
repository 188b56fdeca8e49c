/*
 * Strict input from JSON: wrong types, missing and unknown members are errors
 * that name the path.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "input-visitor.h"

typedef struct InputFrame {
    json_object *container;
    const char *name;      /* of the container, as a member; NULL: element */
    GHashTable *unvisited; /* members nobody asked for yet; NULL: an array */
    size_t index;          /* the element that the walk is at */
} InputFrame;

static InputVisitor *to_input(Visitor *v)
{
    return (InputVisitor *)v;
}

static InputFrame *input_top(InputVisitor *iv)
{
    return iv->stack->len
               ? &g_array_index(iv->stack, InputFrame, iv->stack->len - 1)
               : NULL;
}

char *input_full_name(Visitor *v, const char *name)
{
    InputVisitor *iv = to_input(v);
    GString *path = g_string_new(NULL);

    /* Frame i is named by its own name within frame i - 1. */
    for (guint i = 0; i < iv->stack->len; i++) {
        InputFrame *frame = &g_array_index(iv->stack, InputFrame, i);
        const char *next = i + 1 < iv->stack->len ? (frame + 1)->name : name;

        if (!frame->unvisited) {
            g_string_append_printf(path, "[%zu]", frame->index);
        } else {
            g_string_append_printf(path, "%s%s", path->len ? "." : "", next);
        }
    }
    if (!path->len) {
        g_string_append(path, name ? name : "<anonymous>");
    }
    return g_string_free(path, FALSE);
}

/* The value that the walk is at, in *@value; false when it is not there. */
static bool input_peek(InputVisitor *iv, const char *name, json_object **value)
{
    InputFrame *top = input_top(iv);

    if (!top) {
        *value = iv->root;
        return true;
    }
    if (!top->unvisited) {
        *value = json_object_array_get_idx(top->container, top->index);
        return top->index < json_object_array_length(top->container);
    }
    return json_object_object_get_ex(top->container, name, value);
}

bool input_get(Visitor *v, const char *name, json_object **value, Error **errp)
{
    InputVisitor *iv = to_input(v);
    InputFrame *top = input_top(iv);
    g_autofree char *path = NULL;

    if (input_peek(iv, name, value)) {
        if (top && top->unvisited) {
            g_hash_table_remove(top->unvisited, name);
        }
        return true;
    }
    path = input_full_name(v, name);
    error_setg(errp, "Parameter '%s' is missing", path);
    return false;
}

bool input_type_error(Visitor *v, const char *name, const char *expected,
                      Error **errp)
{
    g_autofree char *path = input_full_name(v, name);

    error_setg(errp, "Invalid parameter type for '%s', expected: %s", path,
               expected);
    return false;
}

bool input_get_typed(Visitor *v, const char *name, json_type type,
                     const char *expected, json_object **value, Error **errp)
{
    if (!input_get(v, name, value, errp)) {
        return false;
    }
    return json_object_get_type(*value) == type ||
           input_type_error(v, name, expected, errp);
}

static void input_push(InputVisitor *iv, const char *name,
                       json_object *container, GHashTable *unvisited)
{
    InputFrame frame = {
        .container = container,
        .name = name,
        .unvisited = unvisited,
    };

    g_array_append_val(iv->stack, frame);
}

static void input_pop(Visitor *v, void **obj)
{
    InputVisitor *iv = to_input(v);
    InputFrame *top = input_top(iv);

    if (top->unvisited) {
        g_hash_table_unref(top->unvisited);
    }
    g_array_set_size(iv->stack, iv->stack->len - 1);
}

static bool input_start_struct(Visitor *v, const char *name, void **obj,
                               size_t size, Error **errp)
{
    GHashTable *unvisited;
    json_object *value;

    if (obj) {
        *obj = NULL;
    }
    if (!input_get_typed(v, name, json_type_object, "object", &value, errp)) {
        return false;
    }
    unvisited = g_hash_table_new(g_str_hash, g_str_equal);
    json_object_object_foreach(value, key, member)
    {
        (void)member;
        g_hash_table_add(unvisited, key);
    }
    input_push(to_input(v), name, value, unvisited);
    if (obj) {
        *obj = g_malloc0(size);
    }
    return true;
}

static bool input_check_struct(Visitor *v, Error **errp)
{
    InputFrame *top = input_top(to_input(v));

    /* The first in the order of the input, so that it is always the same. */
    json_object_object_foreach(top->container, key, member)
    {
        (void)member;
        if (g_hash_table_contains(top->unvisited, key)) {
            g_autofree char *path = input_full_name(v, key);

            error_setg(errp, "Parameter '%s' is unexpected", path);
            return false;
        }
    }
    return true;
}

static bool input_start_list(Visitor *v, const char *name, GenericList **list,
                             size_t size, Error **errp)
{
    json_object *value;

    *list = NULL;
    if (!input_get_typed(v, name, json_type_array, "array", &value, errp)) {
        return false;
    }
    input_push(to_input(v), name, value, NULL);
    if (json_object_array_length(value)) {
        *list = g_malloc0(size);
    }
    return true;
}

static GenericList *input_next_list(Visitor *v, GenericList *tail, size_t size)
{
    InputFrame *top = input_top(to_input(v));

    if (++top->index < json_object_array_length(top->container)) {
        tail->next = g_malloc0(size);
    }
    return tail->next;
}

static QType input_qtype(json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        return QTYPE_QNULL;
    case json_type_boolean:
        return QTYPE_QBOOL;
    case json_type_int:
    case json_type_double:
        return QTYPE_QNUM;
    case json_type_string:
        return QTYPE_QSTRING;
    case json_type_array:
        return QTYPE_QLIST;
    case json_type_object:
        return QTYPE_QDICT;
    }
    return QTYPE_NONE;
}

static bool input_start_alternate(Visitor *v, const char *name,
                                  GenericAlternate **obj, size_t size,
                                  Error **errp)
{
    json_object *value;

    *obj = NULL;
    if (!input_peek(to_input(v), name, &value)) {
        return input_get(v, name, &value, errp);
    }
    *obj = g_malloc0(size);
    (*obj)->type = input_qtype(value);
    return true;
}

static void input_optional(Visitor *v, const char *name, bool *present)
{
    json_object *value;

    *present = input_peek(to_input(v), name, &value);
}

static bool input_int64(Visitor *v, const char *name, int64_t *obj,
                        Error **errp)
{
    json_object *value;

    if (!input_get_typed(v, name, json_type_int, "integer", &value, errp)) {
        return false;
    }
    if (json_object_get_uint64(value) > INT64_MAX) {
        return input_type_error(v, name, "integer", errp);
    }
    *obj = json_object_get_int64(value);
    return true;
}

static bool input_uint64(Visitor *v, const char *name, uint64_t *obj,
                         Error **errp)
{
    json_object *value;

    if (!input_get_typed(v, name, json_type_int, "integer", &value, errp)) {
        return false;
    }
    if (json_object_get_int64(value) < 0) {
        return input_type_error(v, name, "uint64", errp);
    }
    *obj = json_object_get_uint64(value);
    return true;
}

static bool input_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    json_object *value;

    if (!input_get_typed(v, name, json_type_boolean, "boolean", &value, errp)) {
        return false;
    }
    *obj = json_object_get_boolean(value);
    return true;
}

static bool input_number(Visitor *v, const char *name, double *obj,
                         Error **errp)
{
    json_object *value;

    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    if (input_qtype(value) != QTYPE_QNUM) {
        return input_type_error(v, name, "number", errp);
    }
    *obj = json_object_get_double(value);
    return true;
}

bool input_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    g_autofree char *path = input_full_name(v, name);
    json_object *value;
    const char *text;

    *obj = NULL;
    if (!input_get_typed(v, name, json_type_string, "string", &value, errp)) {
        return false;
    }
    text = json_object_get_string(value);
    if (strlen(text) != (size_t)json_object_get_string_len(value)) {
        error_setg(errp, "Parameter '%s' must not hold a NUL character", path);
        return false;
    }
    *obj = g_strdup(text);
    return true;
}

static bool input_null(Visitor *v, const char *name, Error **errp)
{
    json_object *value;

    return input_get_typed(v, name, json_type_null, "null", &value, errp);
}

static bool input_any(Visitor *v, const char *name, json_object **obj,
                      Error **errp)
{
    json_object *value;

    *obj = NULL;
    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    *obj = json_object_get(value);
    return true;
}

static void input_free(Visitor *v)
{
    InputVisitor *iv = to_input(v);

    while (iv->stack->len) {
        input_pop(v, NULL);
    }
    g_array_free(iv->stack, TRUE);
    json_object_put(iv->root);
    g_free(iv);
}

Visitor *qobject_input_visitor_new(json_object *obj)
{
    InputVisitor *iv = g_new0(InputVisitor, 1);

    iv->visitor = (Visitor){
        .kind = VISITOR_INPUT,
        .start_struct = input_start_struct,
        .check_struct = input_check_struct,
        .end_struct = input_pop,
        .start_list = input_start_list,
        .next_list = input_next_list,
        .end_list = input_pop,
        .start_alternate = input_start_alternate,
        .optional = input_optional,
        .type_int64 = input_int64,
        .type_uint64 = input_uint64,
        .type_bool = input_bool,
        .type_number = input_number,
        .type_str = input_str,
        .type_null = input_null,
        .type_any = input_any,
        .full_name = input_full_name,
        .free = input_free,
    };
    iv->root = json_object_get(obj);
    iv->stack = g_array_new(FALSE, TRUE, sizeof(InputFrame));
    return &iv->visitor;
}
