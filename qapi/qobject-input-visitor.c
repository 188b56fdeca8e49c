/*
 * Input visitor: the way through nested JSON values, strict about members.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject-input-visitor.h"

/* An object or list that was entered and not left. */
typedef struct InputFrame {
    /* The member that it was entered by; NULL for a list's element. */
    const char *name;
    /* Owned by the root value. */
    json_object *container;
    /* List: the current element. */
    size_t index;
    /* Object: the names of the members that were visited. */
    GPtrArray *visited;
} InputFrame;

typedef struct InputVisitor {
    Visitor visitor;
    json_object *root;
    /* Of InputFrame, the innermost last. */
    GArray *frames;
} InputVisitor;

static InputVisitor *to_iv(Visitor *v)
{
    return container_of(v, InputVisitor, visitor);
}

Visitor *input_visitor_new(json_object *obj, const VisitorOps *ops)
{
    InputVisitor *iv = g_new0(InputVisitor, 1);

    iv->visitor.ops = ops;
    iv->root = json_object_get(obj);
    iv->frames = g_array_new(FALSE, FALSE, sizeof(InputFrame));
    return &iv->visitor;
}

static InputFrame *innermost(InputVisitor *iv)
{
    if (iv->frames->len == 0) {
        return NULL;
    }
    return &g_array_index(iv->frames, InputFrame, iv->frames->len - 1);
}

static void push(InputVisitor *iv, const char *name, json_object *container)
{
    InputFrame frame = {.name = name, .container = container};

    if (json_object_is_type(container, json_type_object)) {
        frame.visited = g_ptr_array_new();
    }
    g_array_append_val(iv->frames, frame);
}

static void pop(InputVisitor *iv)
{
    InputFrame *frame = innermost(iv);

    g_clear_pointer(&frame->visited, g_ptr_array_unref);
    g_array_set_size(iv->frames, iv->frames->len - 1);
}

void input_free(Visitor *v)
{
    InputVisitor *iv = to_iv(v);

    while (iv->frames->len > 0) {
        pop(iv);
    }
    g_array_unref(iv->frames);
    json_object_put(iv->root);
    g_free(iv);
}

static void path_add_member(GString *path, const char *name)
{
    if (!name) {
        return;
    }
    if (path->len > 0) {
        g_string_append_c(path, '.');
    }
    g_string_append(path, name);
}

char *input_path(Visitor *v, const char *name)
{
    InputVisitor *iv = to_iv(v);
    GString *path = g_string_new(NULL);
    guint i;

    for (i = 0; i < iv->frames->len; i++) {
        InputFrame *frame = &g_array_index(iv->frames, InputFrame, i);

        path_add_member(path, frame->name);
        if (!frame->visited) {
            g_string_append_printf(path, "[%zu]", frame->index);
        }
    }
    path_add_member(path, name);
    if (path->len == 0) {
        g_string_append(path, "value");
    }
    return g_string_free(path, FALSE);
}

bool input_wrong_type(Visitor *v, const char *name, const char *what,
                      Error **errp)
{
    g_autofree char *path = input_path(v, name);

    error_setg(errp, "Invalid parameter type for '%s', expected: %s", path,
               what);
    return false;
}

bool input_expects(Visitor *v, const char *name, const char *what, Error **errp)
{
    g_autofree char *path = input_path(v, name);

    error_setg(errp, "Parameter '%s' expects %s", path, what);
    return false;
}

/* Does not mark it as visited. */
static bool input_find(InputVisitor *iv, const char *name, json_object **value)
{
    InputFrame *frame = innermost(iv);

    if (!frame) {
        *value = iv->root;
        return true;
    }
    if (frame->visited) {
        return json_object_object_get_ex(frame->container, name, value);
    }
    *value = json_object_array_get_idx(frame->container, frame->index);
    return frame->index < json_object_array_length(frame->container);
}

static void mark_visited(InputFrame *frame, const char *name)
{
    if (!g_ptr_array_find_with_equal_func(frame->visited, name, g_str_equal,
                                          NULL)) {
        g_ptr_array_add(frame->visited, (void *)name);
    }
}

bool input_take(Visitor *v, const char *name, json_object **value, Error **errp)
{
    InputVisitor *iv = to_iv(v);
    InputFrame *frame = innermost(iv);

    if (!input_find(iv, name, value)) {
        g_autofree char *path = input_path(v, name);
        error_setg(errp, "Parameter '%s' is missing", path);
        return false;
    }
    if (frame && frame->visited) {
        mark_visited(frame, name);
    }
    return true;
}

bool input_take_type(Visitor *v, const char *name, json_type type,
                     const char *what, json_object **value, Error **errp)
{
    if (!input_take(v, name, value, errp)) {
        return false;
    }
    if (!json_object_is_type(*value, type)) {
        return input_wrong_type(v, name, what, errp);
    }
    return true;
}

bool input_has_member(Visitor *v, const char *name)
{
    json_object *value;

    return input_find(to_iv(v), name, &value);
}

bool input_start_struct(Visitor *v, const char *name, void **obj, size_t size,
                        Error **errp)
{
    json_object *value;

    if (obj) {
        *obj = NULL;
    }
    if (!input_take_type(v, name, json_type_object, "object", &value, errp)) {
        return false;
    }
    push(to_iv(v), name, value);
    if (obj) {
        *obj = g_malloc0(size);
    }
    return true;
}

bool input_check_struct(Visitor *v, Error **errp)
{
    InputFrame *frame = innermost(to_iv(v));

    if (json_object_object_length(frame->container) ==
        (int)frame->visited->len) {
        return true;
    }
    json_object_object_foreach(frame->container, key, value)
    {
        (void)value;
        if (!g_ptr_array_find_with_equal_func(frame->visited, key, g_str_equal,
                                              NULL)) {
            g_autofree char *quoted = visit_quote(key);
            g_autofree char *path = input_path(v, quoted);
            error_setg(errp, "Parameter '%s' is unexpected", path);
            return false;
        }
    }
    return true;
}

void input_end_struct(Visitor *v, void **obj)
{
    pop(to_iv(v));
}

bool input_start_list(Visitor *v, const char *name, GenericList **list,
                      size_t size, Error **errp)
{
    json_object *value;

    *list = NULL;
    if (!input_take_type(v, name, json_type_array, "array", &value, errp)) {
        return false;
    }
    push(to_iv(v), name, value);
    if (json_object_array_length(value) > 0) {
        *list = g_malloc0(size);
    }
    return true;
}

GenericList *input_next_list(Visitor *v, GenericList *tail, size_t size)
{
    InputFrame *frame = innermost(to_iv(v));

    frame->index++;
    if (frame->index < json_object_array_length(frame->container)) {
        tail->next = g_malloc0(size);
    }
    return tail->next;
}

void input_end_list(Visitor *v)
{
    pop(to_iv(v));
}

static QType qtype_of(json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_boolean:
        return QTYPE_QBOOL;
    case json_type_double:
    case json_type_int:
        return QTYPE_QNUM;
    case json_type_object:
        return QTYPE_QDICT;
    case json_type_array:
        return QTYPE_QLIST;
    case json_type_string:
        return QTYPE_QSTRING;
    default:
        return QTYPE_QNULL;
    }
}

bool input_start_alternate(Visitor *v, const char *name, void **obj,
                           size_t size, Error **errp)
{
    json_object *value;

    *obj = NULL;
    if (!input_take(v, name, &value, errp)) {
        return false;
    }
    *obj = g_malloc0(size);
    *(QType *)*obj = qtype_of(value);
    return true;
}

bool input_type_any(Visitor *v, const char *name, json_object **obj,
                    Error **errp)
{
    json_object *value;

    *obj = NULL;
    if (!input_take(v, name, &value, errp)) {
        return false;
    }
    *obj = json_object_get(value);
    return true;
}
