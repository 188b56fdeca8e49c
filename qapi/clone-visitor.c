/*
 * Deep copies: each struct is copied byte by byte, then what it points to is
 * visited and copied in turn.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "visitor-internal.h"

static bool clone_start_struct(Visitor *v, const char *name, void **obj,
                               size_t size, Error **errp)
{
    if (obj) {
        *obj = g_memdup2(*obj, size);
    }
    return true;
}

static bool clone_start_list(Visitor *v, const char *name, GenericList **list,
                             size_t size, Error **errp)
{
    *list = g_memdup2(*list, size);
    return true;
}

static GenericList *clone_next_list(Visitor *v, GenericList *tail, size_t size)
{
    tail->next = g_memdup2(tail->next, size);
    return tail->next;
}

static bool clone_start_alternate(Visitor *v, const char *name,
                                  GenericAlternate **obj, size_t size,
                                  Error **errp)
{
    *obj = g_memdup2(*obj, size);
    return true;
}

static bool clone_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    *obj = g_strdup(*obj);
    return true;
}

static bool clone_any(Visitor *v, const char *name, json_object **obj,
                      Error **errp)
{
    json_object_get(*obj);
    return true;
}

void *qapi_clone(const void *src,
                 bool (*visit_type)(Visitor *, const char *, void **, Error **))
{
    Visitor v = {
        .kind = VISITOR_CLONE,
        .start_struct = clone_start_struct,
        .start_list = clone_start_list,
        .next_list = clone_next_list,
        .start_alternate = clone_start_alternate,
        .type_str = clone_str,
        .type_any = clone_any,
    };
    void *dst = (void *)src;

    if (dst) {
        visit_type(&v, NULL, &dst, &error_abort);
    }
    return dst;
}
