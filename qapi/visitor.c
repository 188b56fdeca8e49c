/*
 * Visitors: structs, lists and alternates.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "visitor-internal.h"

void visit_free(Visitor *v)
{
    if (v) {
        v->ops->free(v);
    }
}

bool visit_is_input(Visitor *v)
{
    return v->ops->kind == VISITOR_INPUT;
}

bool visit_is_dealloc(Visitor *v)
{
    return v->ops->kind == VISITOR_DEALLOC;
}

char *visit_path(Visitor *v, const char *name)
{
    if (v->ops->path) {
        return v->ops->path(v, name);
    }
    return g_strdup(name ? name : "value");
}

#define QUOTE_MAX 256

char *visit_quote(const char *text)
{
    size_t end = QUOTE_MAX;

    if (strnlen(text, QUOTE_MAX + 1) <= QUOTE_MAX) {
        return g_strdup(text);
    }
    /* Not in the middle of a UTF-8 sequence. */
    while (end > 0 && (text[end] & 0xc0) == 0x80) {
        end--;
    }
    return g_strdup_printf("%.*s...", (int)end, text);
}

bool visit_start_struct(Visitor *v, const char *name, void **obj, size_t size,
                        Error **errp)
{
    return !v->ops->start_struct ||
           v->ops->start_struct(v, name, obj, size, errp);
}

bool visit_check_struct(Visitor *v, Error **errp)
{
    return !v->ops->check_struct || v->ops->check_struct(v, errp);
}

void visit_end_struct(Visitor *v, void **obj)
{
    if (v->ops->end_struct) {
        v->ops->end_struct(v, obj);
    }
}

bool visit_start_list(Visitor *v, const char *name, GenericList **list,
                      size_t size, Error **errp)
{
    return !v->ops->start_list || v->ops->start_list(v, name, list, size, errp);
}

GenericList *visit_next_list(Visitor *v, GenericList *tail, size_t size)
{
    return v->ops->next_list(v, tail, size);
}

void visit_end_list(Visitor *v, void **list)
{
    if (v->ops->end_list) {
        v->ops->end_list(v);
    }
}

bool visit_start_alternate(Visitor *v, const char *name, void **obj,
                           size_t size, Error **errp)
{
    return !v->ops->start_alternate ||
           v->ops->start_alternate(v, name, obj, size, errp);
}

void visit_end_alternate(Visitor *v, void **obj)
{
    if (v->ops->end_alternate) {
        v->ops->end_alternate(v, obj);
    }
}

bool visit_other_alternate(Visitor *v, const char *name, const char *type,
                           Error **errp)
{
    g_autofree char *path = NULL;

    if (!visit_is_input(v)) {
        return true;
    }
    path = visit_path(v, name);
    error_setg(errp, "Invalid parameter type for '%s', expected: %s", path,
               type);
    return false;
}

bool visit_optional(Visitor *v, const char *name, bool *present)
{
    if (v->ops->has_member) {
        *present = v->ops->has_member(v, name);
    }
    return *present;
}
