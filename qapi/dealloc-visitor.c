/*
 * Frees what it visits, also what was built only in part.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "visitor-internal.h"

static void dealloc_end(Visitor *v, void **obj)
{
    if (obj) {
        g_free(*obj);
    }
}

static GenericList *dealloc_next_list(Visitor *v, GenericList *tail,
                                      size_t size)
{
    GenericList *next = tail->next;

    g_free(tail);
    return next;
}

static bool dealloc_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    g_free(*obj);
    return true;
}

static bool dealloc_any(Visitor *v, const char *name, json_object **obj,
                        Error **errp)
{
    json_object_put(*obj);
    return true;
}

static void dealloc_free(Visitor *v)
{
    g_free(v);
}

Visitor *qapi_dealloc_visitor_new(void)
{
    Visitor *v = g_new0(Visitor, 1);

    v->kind = VISITOR_DEALLOC;
    v->end_struct = dealloc_end;
    v->next_list = dealloc_next_list;
    v->end_alternate = dealloc_end;
    v->type_str = dealloc_str;
    v->type_any = dealloc_any;
    v->free = dealloc_free;
    return v;
}
