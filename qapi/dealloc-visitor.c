/*
 * Dealloc visitor: frees what it visits, also objects built in part.
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

/* It has no state, so all share one. */
static void dealloc_free(Visitor *v)
{
}

static const VisitorOps dealloc_ops = {
    .kind = VISITOR_DEALLOC,
    .end_struct = dealloc_end,
    .next_list = dealloc_next_list,
    .end_alternate = dealloc_end,
    .type_str = dealloc_str,
    .type_any = dealloc_any,
    .free = dealloc_free,
};

Visitor *qapi_dealloc_visitor_new(void)
{
    static Visitor visitor = {.ops = &dealloc_ops};

    return &visitor;
}
