/*
 * Output visitor: writes C objects as JSON text.
 *
 * It writes the text without making JSON values, which take about 700 bytes for
 * each object: a reply may list thousands of objects.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/json.h"
#include "visitor-internal.h"

typedef struct OutputVisitor {
    Visitor visitor;
    GString *out;
    gsize start; /* length of out before the visit */
} OutputVisitor;

static GString *text_of(Visitor *v)
{
    return container_of(v, OutputVisitor, visitor)->out;
}

/*
 * Writes what precedes a member (@name) or an element (@name NULL).  A comma is
 * needed unless the text ends in an opening bracket.
 */
static GString *output_begin(Visitor *v, const char *name)
{
    GString *out = text_of(v);

    if (out->len == container_of(v, OutputVisitor, visitor)->start) {
        return out; /* the top-level value, which has no name */
    }
    if (!strchr("{[", out->str[out->len - 1])) {
        g_string_append(out, ", ");
    }
    if (name) {
        json_write_string(out, name, strlen(name));
        g_string_append(out, ": ");
    }
    return out;
}

static bool output_start_struct(Visitor *v, const char *name, void **obj,
                                size_t size, Error **errp)
{
    g_string_append_c(output_begin(v, name), '{');
    return true;
}

static void output_end_struct(Visitor *v, void **obj)
{
    g_string_append_c(text_of(v), '}');
}

static bool output_start_list(Visitor *v, const char *name, GenericList **list,
                              size_t size, Error **errp)
{
    g_string_append_c(output_begin(v, name), '[');
    return true;
}

static GenericList *output_next_list(Visitor *v, GenericList *tail, size_t size)
{
    return tail->next;
}

static void output_end_list(Visitor *v)
{
    g_string_append_c(text_of(v), ']');
}

static bool output_int64(Visitor *v, const char *name, int64_t *obj,
                         Error **errp)
{
    g_string_append_printf(output_begin(v, name), "%" PRId64, *obj);
    return true;
}

static bool output_uint64(Visitor *v, const char *name, uint64_t *obj,
                          Error **errp)
{
    g_string_append_printf(output_begin(v, name), "%" PRIu64, *obj);
    return true;
}

static bool output_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    g_string_append(output_begin(v, name), *obj ? "true" : "false");
    return true;
}

static bool output_number(Visitor *v, const char *name, double *obj,
                          Error **errp)
{
    json_write_double(output_begin(v, name), *obj);
    return true;
}

static bool output_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    const char *text = *obj ? *obj : "";

    json_write_string(output_begin(v, name), text, strlen(text));
    return true;
}

static bool output_null(Visitor *v, const char *name, QNull **obj, Error **errp)
{
    g_string_append(output_begin(v, name), "null");
    return true;
}

static bool output_any(Visitor *v, const char *name, json_object **obj,
                       Error **errp)
{
    json_write(output_begin(v, name), *obj, false);
    return true;
}

static void output_free(Visitor *v)
{
    g_free(container_of(v, OutputVisitor, visitor));
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
    .free = output_free,
};

Visitor *json_output_visitor_new(GString *out)
{
    OutputVisitor *ov = g_new0(OutputVisitor, 1);

    ov->visitor.ops = &output_ops;
    ov->out = out;
    ov->start = out->len;
    return &ov->visitor;
}
